# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#   jupytext:
#     notebook_metadata_filter: sphinx_papermill
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Theory
#
# Two ideas meet in the paper {cite}`anderson2018`: a way to train networks whose weights and
# activations are $\pm1$ {cite}`courbariaux2016,hubara2016`, and the geometry of vectors with very
# many entries {cite}`kanerva2009`. This chapter introduces both, and then what joins them: two
# exact laws about the signs of Gaussian numbers. There are exercises at the end.
#
# ## Networks that compute with signs
#
# {numref}`fig-transformer` is the first part of the paper's Figure 1, one layer of a binary
# network. Its input $x^b$ is binary, its weights $w^b$ are binary, and so is its output. Between
# them stand a convolution (or a product with a matrix), which takes the dot product of $x^b$ with
# each weight vector, and batch normalization, which shifts and scales each of these dot products
# by its mean and spread over a batch.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 2009  # of all random numbers in this chapter

# %%
import numpy as np
import pandas as pd
import torch
from scipy import stats

from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import glue, scientific, show
from bnn_geometry.book.plots import diagrams
from bnn_geometry.geometry import angles, correlation, hyperdimensional
from bnn_geometry.geometry.distributions import GAUSSIAN, SIGNS, UNIFORM
from bnn_geometry.geometry.pair_angle import (
    binary_pair_law,
    pair_angle_cdf,
    pair_angle_density,
    pair_cosine_sd,
)
from bnn_geometry.geometry.quantizers import limit_cosine
from bnn_geometry.networks import layers, straight_through

sizes = presets.sizes("theory", preset)
generator = np.random.default_rng(seed)

# %%
figure, axes = plots.new_figure(height=3.3)
diagrams.plot_transformer(axes[0, 0])
show(
    figure,
    name="fig-transformer",
    caption=(
        "Figure 1a of the paper, redrawn. One layer of a binary network: ovals are tensors, with "
        "the derivative of the cost with respect to each ($\\delta u = \\partial C/\\partial u$); "
        "boxes are functions. Solid arrows: the forward pass; dashed: the derivatives on their way "
        "back."
    ),
    alt=(
        "Diagram. Below, from left to right: binary input, convolve, pool and batch norm, "
        "continuous activation, binarize, binary output. Above the convolution stands the binary "
        "weight; it comes, by way of binarize, from the continuous weight, which accumulates the "
        "steps. Each arrow has a dashed one beside it that points back."
    ),
)

# %% [markdown]
# The weight that is learned is not $w^b$. Gradient descent takes steps that are smaller than
# the distance from $-1$ to $+1$, and a weight that can only be one or the other cannot take them.
# So each binary weight has a *continuous*, or latent, weight $w^c$, which accumulates the steps,
# and
#
# $$
# w^b = \mathrm{bin}(w^c), \qquad
# \mathrm{bin}(x) = \begin{cases} +1 & x > 0,\\ -1 & \text{otherwise.}\end{cases}
# $$ (eq-theory-binarize)
#
# ## The straight-through estimator
#
# The derivative of $\mathrm{bin}$ is zero wherever it exists: taken literally, no gradient would
# ever reach $w^c$ or the layers below. The backward pass therefore differentiates another
# function in its place ({numref}`fig-estimators`). For weights it is the identity. For
# activations it is the identity between $-1$ and $1$ and constant outside, so that a unit which
# is far from its threshold does not move.

# %%
x = np.linspace(-2, 2, 801)
figure, axes = plots.new_figure(1, 2, height=3.4)
step = straight_through.binarize(torch.from_numpy(x)).numpy()
diagrams.plot_estimator(x, step, x, axes[0, 0], title="weights")
diagrams.plot_estimator(x, step, np.clip(x, -1, 1), axes[0, 1], title="activations")
show(
    figure,
    name="fig-estimators",
    caption=(
        "Figure 1b of the paper: the binarize function of the forward pass, and the function whose "
        "derivative takes its place in the backward pass, for weights (left) and activations "
        "(right)."
    ),
    alt=(
        "Two plots of a step from minus one to plus one at zero, where it is minus one. The dashed "
        "function is the diagonal on the left; on the right it is the diagonal between minus one "
        "and one and constant outside."
    ),
)

# %% [markdown]
# ### By hand
#
# A network with three inputs, two hidden units and one output shows all of it
# ({numref}`fig-small-network`). Each sum is halved, which stands in for batch norm; the target is
# $+1$, and the cost is the squared hinge of the original recipe. With latent weights $w$ of
# the hidden layer and $v$ of the output,
#
# $$
# \begin{aligned}
# a &= \mathrm{bin}(w)\,x, \\
# h &= \mathrm{bin}(a/2), \\
# o &= \tfrac12\,\mathrm{bin}(v)\cdot h, \\
# C &= \max(0, 1 - o)^2 .
# \end{aligned}
# $$ (eq-small-network)
#
# The backward pass applies the chain rule with the substituted derivatives. In the order in which
# it goes,
#
# $$
# \begin{aligned}
# \delta o &= -2\max(0, 1 - o), \\
# \delta v &= \tfrac12\,\delta o\; h, \\
# \delta h &= \tfrac12\,\delta o\;\mathrm{bin}(v), \\
# \delta a_j &= \tfrac12\,\mathbf 1\bigl[|a_j/2| \le 1\bigr]\,\delta h_j, \\
# \delta w_{ji} &= \delta a_j\, x_i .
# \end{aligned}
# $$ (eq-by-hand)
#
# Where the binarize function of a weight stood there is a factor of one, and where that of an
# activation stood there is the indicator. The cell evaluates these lines and sets them beside
# what automatic differentiation returns when it goes through the layers with which this book's
# networks are built.

# %%
x = np.array([1.0, -1.0, 1.0])
w = np.array([[0.1, -0.6, -0.9], [0.5, -0.7, 0.8]])
v = np.array([-0.8, 0.2])


def sign(z):
    return np.where(z > 0, 1.0, -1.0)


def by_hand(w, v):
    a = sign(w) @ x
    h = sign(a / 2)
    o = sign(v) @ h / 2
    d_o = -2 * max(0.0, 1 - o)
    d_h = d_o / 2 * sign(v)
    d_a = (np.abs(a / 2) <= 1) * d_h / 2
    return {
        "a": a,
        "h": h,
        "o": o,
        "C": max(0.0, 1 - o) ** 2,
        "δo": d_o,
        "δv": d_o / 2 * h,
        "δh": d_h,
        "δa": d_a,
        "δw": np.outer(d_a, x),
    }


hidden, readout = layers.BinaryLinear(3, 2).double(), layers.BinaryLinear(2, 1).double()
activation = layers.BinaryActivation()
network = torch.nn.ModuleList([hidden, activation, readout])


def by_autograd():
    a = hidden(torch.from_numpy(x))
    h = activation(a / 2)
    o = readout(h)[0] / 2
    cost = torch.relu(1 - o) ** 2
    network.zero_grad()
    for tensor in (a, h, o):
        tensor.retain_grad()
    cost.backward()
    found = {"a": a, "h": h, "o": o, "C": cost}
    found |= {"δo": o.grad, "δv": readout.weight.grad[0], "δh": h.grad, "δa": a.grad}
    return {k: t.detach().numpy() for k, t in (found | {"δw": hidden.weight.grad}).items()}


def set_latents(w, v):
    with torch.no_grad():
        hidden.weight.copy_(torch.from_numpy(w))
        readout.weight.copy_(torch.from_numpy(v)[None])


set_latents(w, v)
hand, autograd = by_hand(w, v), by_autograd()
assert all(np.array_equal(hand[k], autograd[k]) for k in hand)
glue("cost-before", hand["C"])
rows = {}
for k in hand:
    # the two rows of δw are listed unit by unit
    for i, (one, other) in enumerate(
        zip(np.atleast_2d(hand[k]), np.atleast_2d(autograd[k]), strict=True)
    ):
        name = f"δw, unit {i + 1}" if k == "δw" else k
        rows[name] = [
            ", ".join(f"{z + 0.0:g}".replace("-", "−") for z in row) for row in (one, other)
        ]
pd.DataFrame(rows, index=["by hand", "autograd"]).T

# %% [markdown]
# The output is undecided, since the hidden units pass on the same sign and the output weights
# differ, and the cost is {glue:text}`cost-before:.0f`. $\delta h$ says what would help: that the
# first hidden unit falls, and that the second rises. Only the first one is moved. The second
# one's sum is so large that $|a_2/2| > 1$; its derivative is cancelled, and its weights stay as
# they are.
#
# One step of gradient descent with step size ½ follows. The latent weights are clipped to
# $[-1, 1]$ after it, as after every step.

# %%
step_size = 0.5


def step_down(step_size):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= step_size * parameter.grad


step_down(step_size)
unclipped = hidden.weight[0, 2].item()
layers.clip_latents(network)
w_new, v_new = (
    np.clip(w - step_size * hand["δw"], -1, 1),
    np.clip(v - step_size * hand["δv"], -1, 1),
)
stepped = torch.cat([hidden.weight.flatten(), readout.weight.flatten()]).detach().numpy()
assert np.array_equal(stepped, np.append(w_new, v_new))
after = by_hand(w_new, v_new)
flipped = [(int(j), int(i)) for j, i in np.argwhere(sign(w_new) != sign(w))]
assert flipped == [(0, 0)]
assert np.array_equal(sign(v_new), sign(v))
glue("flip-before", f"{w[0, 0]:.2f}")
glue("flip-after", f"{w_new[0, 0]:.2f}".replace("-", "−"))
glue("unclipped", f"{unclipped:.2f}".replace("-", "−"))
glue("cost-after", after["C"])
before = np.append(w, v)
pd.DataFrame(
    {
        "latent": before,
        "derivative": np.append(hand["δw"], hand["δv"]) + 0.0,
        "by hand": np.append(w_new, v_new).round(10),
        "autograd": stepped.round(10),
        "binary before": sign(before).astype(int),
        "binary after": sign(np.append(w_new, v_new)).astype(int),
    },
    index=[f"w{j}{i}" for j in (1, 2) for i in (1, 2, 3)] + ["v1", "v2"],
)

# %%
figure, axes = plots.new_figure(1, 2, height=3.0)
diagrams.plot_small_network(x, w, hand["a"], v, hand["o"], axes[0, 0], title="before the step")
diagrams.plot_small_network(
    x, w_new, after["a"], v_new, after["o"], axes[0, 1], title="after it", flipped=flipped
)
show(
    figure,
    name="fig-small-network",
    caption=(
        "The network of the worked example before and after one step. On the lines the latent "
        "weights; solid lines compute with $w^b = +1$, dashed ones with $-1$. The heavy line is "
        "the weight whose sign flipped."
    ),
    alt=(
        "Two drawings of a network with inputs plus one, minus one, plus one, two hidden units and "
        "an output. Before the step both hidden units pass on plus one and the output is 0. "
        "Afterwards the first line into the first hidden unit has become negative, that unit "
        "passes on minus one, and the output is 1."
    ),
)

# %% [markdown]
# One sign has flipped: $w_{11}$ went from {glue:text}`flip-before` to
# {glue:text}`flip-after`. The first hidden unit flipped with it, and the cost is now
# {glue:text}`cost-after:.0f`. The other latent weights that moved kept their signs; that they
# moved is remembered until further steps add up to a flip, or take it back. $w_{13}$ would have
# become {glue:text}`unclipped` and was clipped to $-1$: beyond that a weight would only
# become slower to change its mind.
#
# ## Vectors in many dimensions
#
# Kanerva's *hyperdimensional computing* {cite}`kanerva2009` rests on one fact: two random $\pm1$
# vectors with many entries are almost orthogonal. Two such vectors in $n$ dimensions differ in
# $H$ places, their Hamming distance; every place is a coin toss, so $H$ has a binomial
# distribution, and
#
# $$
# \cos\angle(u, v) = 1 - \frac{2H}{n}, \qquad H \sim \mathrm{Binomial}\bigl(n, \tfrac12\bigr),
# $$ (eq-hamming)
#
# with mean zero and standard deviation exactly $n^{-1/2}$. Directions drawn uniformly from the
# sphere, which is where Gaussian vectors point, do the same without being binary: the angle
# between two of them has the density {cite}`cai2013`
#
# $$
# h(\theta) = \frac{\Gamma(n/2)}{\sqrt\pi\;\Gamma\bigl((n-1)/2\bigr)}\,\sin^{n-2}\theta .
# $$ (eq-sphere)
#
# The power of the sine is what squeezes the angles towards 90°. {numref}`fig-binary-pairs` shows
# both laws.

# %%
samples = sizes.cosine_samples
dimensions = (10, 100, 1000)
binary_pairs = {n: angles.sample_angles(n, samples, SIGNS, generator) for n in dimensions}
directions = {n: angles.sample_angles(n, samples, GAUSSIAN, generator) for n in dimensions}
figure, axes = plots.new_figure(2, 3, height=5.4)
for n, above, below in zip(dimensions, *axes, strict=True):
    cosine, probability = binary_pair_law(n)
    width = min(4.5 * pair_cosine_sd(n), 1.1)
    seen = np.abs(cosine) <= width
    diagrams.plot_pair_law(
        binary_pairs[n].pairs,
        cosine[seen],
        probability[seen],
        above,
        title=f"±1 vectors, n = {n}",
    )
    reach = min(60 * width, 90)
    theta = np.linspace(90 - reach, 90 + reach, 361)
    density = pair_angle_density(theta, n)
    diagrams.plot_direction_law(
        directions[n].pair_angle, theta, density, below, title=f"directions, n = {n}"
    )
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
show(
    figure,
    name="fig-binary-pairs",
    caption=(
        "Two random vectors: simulated and exact. Above, the cosine of the angle between ±1 "
        "vectors, which can take n + 1 values; below, the angle between directions drawn uniformly "
        f"from the sphere. {samples:,} pairs each, seed {seed}. The axes become narrower from left "
        "to right."
    ),
    alt=(
        "Six histograms with their exact laws, for n = 10, 100 and 1000. All are bells around a "
        "cosine of zero or an angle of 90 degrees. For n = 10 the cosines cover most of the range "
        "from minus one to one; for n = 1000 hardly any is beyond 0.1."
    ),
)

# %%
rows = []
for n in dimensions:
    uniform = directions[n]
    ks = stats.kstest(uniform.pair_angle, lambda t, n=n: pair_angle_cdf(t, n))
    rows.append(
        {
            "n": n,
            "±1: s.d. of the cosine": binary_pairs[n].pairs.std().round(4),
            "directions: s.d.": uniform.pairs.std().round(4),
            "exact, both": round(pair_cosine_sd(n), 4),
            "directions: p of the law": round(float(ks.pvalue), 2),
        }
    )
pd.DataFrame(rows).set_index("n")

# %% [markdown]
# The last column is a Kolmogorov–Smirnov test of {eq}`eq-sphere`: where the law is right, a
# number between 0 and 1 with no preference for any.
#
# ### Ten thousand dimensions
#
# In Kanerva's own example $n = 10{,}000$. Two random vectors then differ in
# {glue:text}`kanerva-mean:.0f` ± {glue:text}`kanerva-sd:.0f` places. The table says how seldom
# they differ in many more or many fewer. Beside the exact probability stand that of the normal
# distribution which the paper invokes and Hoeffding's bound $2e^{-n\epsilon^2/2}$
# {cite}`hoeffding1963`.

# %%
kanerva = 10_000
sd = hyperdimensional.hamming_sd(kanerva)
glue("kanerva-mean", kanerva / 2)
glue("kanerva-sd", sd)
rows = []
for spread in (100, 200, 300, 500, 1000):
    low, high = kanerva // 2 - spread, kanerva // 2 + spread
    rows.append(
        {
            "distance outside": f"{low}…{high}",
            "cosine beyond": 2 * spread / kanerva,
            "exact": scientific(hyperdimensional.hamming_tail(kanerva, low, high)),
            "normal": scientific(2 * stats.norm.sf((spread + 0.5) / sd)),
            "Hoeffding": scientific(2 * np.exp(-2 * spread**2 / kanerva)),
        }
    )
tails = pd.DataFrame(rows).set_index("distance outside")
glue("outside-4800", tails.loc["4800…5200", "exact"])
glue("outside-4500", tails.loc["4500…5500", "exact"])
tails

# %% [markdown]
# A pair leaves the range from 4800 to 5200 with probability {glue:text}`outside-4800`, and that
# from 4500 to 5500, which is still within 6° of a right angle, with probability
# {glue:text}`outside-4500`: never. A vector that agrees with a given one noticeably better than
# that does so for a reason. This is the yardstick by which the next chapter calls an angle small.
#
# ### What almost orthogonal buys
#
# In $n$ dimensions no more than $n$ vectors are exactly orthogonal to each other. How many are
# *almost*, so that $|\cos| \le \epsilon$ for all their pairs? Draw $N$ vectors at random. They
# have $N(N-1)/2$ pairs, and the probability that some pair violates the condition is at most the
# sum over the pairs, the union bound:
#
# $$
# \begin{aligned}
# P\bigl(\max |\cos| > \epsilon\bigr)
#   &\le \frac{N(N-1)}2\, P\bigl(|1 - 2H/n| > \epsilon\bigr) \\
#   &\le N(N-1)\, e^{-n\epsilon^2/2} .
# \end{aligned}
# $$ (eq-union)
#
# While this is below one, there are such vectors, and the second form allows $N$ up to about
# $e^{n\epsilon^2/4}$: a number that grows exponentially with the dimension. In the other
# direction there is the Welch bound {cite}`welch1974`, here for real vectors. Any $N$ unit
# vectors, random or not, satisfy for every order $k = 1, 2, \dots$
#
# $$
# \max_{i\ne j}\,\cos^{2k}\angle(x_i, x_j) \ge \frac{N c_k - 1}{N - 1}, \quad
# c_k = \frac{1\cdot3\cdots(2k-1)}{n(n+2)\cdots(n+2k-2)}
# $$ (eq-welch)
#
# {numref}`fig-capacity` shows what random vectors do and what the bounds say.

# %%
count = sizes.capacity_vectors
at = np.unique(np.geomspace(3, count, 9).astype(int))
rows = []
for n in (100, 1000, 10_000):
    runs = np.array(
        [
            hyperdimensional.largest_cosines(n, count, generator)[at - 2]
            for _ in range(sizes.capacity_runs)
        ]
    )
    rows.append(
        pd.DataFrame(
            {
                "n": n,
                "N": at,
                "mean": runs.mean(axis=0),
                "low": runs.min(axis=0),
                "high": runs.max(axis=0),
                "law": hyperdimensional.largest_cosine_quantile(n, at),
                "Welch, k = 1": hyperdimensional.welch_bound(at, n),
            }
        )
    )
largest = pd.concat(rows)

epsilon = 0.1
grid = (100, 300, 1000, 3000, 10_000, 30_000, 100_000)
capacity = pd.DataFrame(
    {
        "exactly orthogonal: n": [np.log(n) for n in grid],
        "random ±1 (exact tail)": [
            float(hyperdimensional.log_random_capacity(n, epsilon)) for n in grid
        ],
        "random ±1 (Hoeffding)": hyperdimensional.log_hoeffding_capacity(grid, epsilon),
        "any vectors, at most (Welch)": [
            hyperdimensional.log_welch_capacity(n, epsilon) for n in grid
        ],
    },
    index=pd.Index(grid, name="n"),
) / np.log(10)
figure, axes = plots.new_figure(1, 2, height=4.0)
diagrams.plot_largest_cosines(largest, axes[0, 0])
axes[0, 0].set_title("random ±1 vectors")
diagrams.plot_capacity(capacity, axes[0, 1], title=f"|cosine| at most {epsilon}")
show(
    figure,
    name="fig-capacity",
    caption=(
        "How many vectors are almost orthogonal. Left: the largest |cosine| among N random ±1 "
        f"vectors, mean and range of {sizes.capacity_runs} sets each, seed {seed}; lines: the "
        "median by a Poisson law for the number of violating pairs. Right: number of vectors whose "
        f"pairs all have |cosine| ≤ {epsilon}, from the union bound with failure probability ½, "
        "and the upper bound."
    ),
    alt=(
        "Left: three rising series on a logarithmic axis of N, highest for n = 100 and lowest for "
        "n = 10,000; the points lie on their lines. Right: logarithms of numbers of vectors "
        "against n. The two curves of random vectors overtake that of exactly orthogonal ones "
        "between one and three thousand dimensions; the upper bound lies above all."
    ),
)

# %%
fewest, most = at[0], at[-1]
table = largest[largest["N"].isin([fewest, most])].set_index(["n", "N"])
table[["mean", "law", "Welch, k = 1"]].round(3)

# %%
glue("capacity-random", scientific(10 ** capacity.loc[kanerva, "random ±1 (exact tail)"]))
glue("within", float(np.degrees(np.arcsin(epsilon))))
exact, basis = capacity["random ±1 (exact tail)"], capacity["exactly orthogonal: n"]
assert exact[1000] < basis[1000]
assert exact[3000] > basis[3000]
capacity.round(2)

# %% [markdown]
# The second table lists decadic logarithms. In $10{,}000$ dimensions as many vectors can be
# orthogonal, while {glue:text}`capacity-random` vectors drawn at random are, at least as likely
# as not, all within {glue:text}`within:.1f`° of a right angle with each other. Up to a thousand
# dimensions random vectors do not come up to an orthogonal basis by this demand; from three
# thousand on they outnumber it. The gap between what random vectors reach and the upper bound is
# wide, but both are exponential in $n$.
#
# This is the room in which a network of signs works. Among its vectors there are very many that
# have nothing to do with each other, and by {doc}`random_vectors` one of them is near almost any
# direction.
#
# ## Signs of Gaussian numbers
#
# What does a sign keep of the number that it was taken of? For Gaussian numbers there are two
# exact answers, both older than the networks. $\mathrm{sign}$ is $\mathrm{bin}$; they differ at
# zero alone, which has probability zero.
#
# :::{admonition} Theorem (arcsine law {cite}`vanvleck1966`)
# :class: important
# :name: theorem-arcsine
#
# Let $x$ and $y$ be jointly Gaussian with mean zero and correlation $\rho$. Then
#
# $$
# E\bigl[\mathrm{sign}(x)\,\mathrm{sign}(y)\bigr] = \frac2\pi\arcsin\rho .
# $$ (eq-arcsine)
#
# *Proof.* Signs do not see scales, so let both variances be one. Write $x = g\cdot p$ and $y =
# g\cdot q$ with a standard Gaussian vector $g$ in the plane and unit vectors $p$, $q$ that enclose
# the angle $\alpha = \arccos\rho$. The sign of $x$ says on which side of the line orthogonal to $p$
# the vector $g$ lies, that of $y$ the same for $q$. The two lines cross at the angle $\alpha$, and
# the signs differ where $g$ lies in one of the two opposite sectors of that angle. The direction
# of $g$ is uniform, so this has probability $2\alpha/2\pi = \alpha/\pi$. Hence the mean of
# the product is $1 - 2\alpha/\pi = \frac2\pi\bigl(\frac\pi2 - \arccos\rho\bigr)$. ∎
# :::
#
# :::{admonition} Theorem (Bussgang {cite}`bussgang1952`, for the sign)
# :class: important
# :name: theorem-bussgang
#
# Let $x$ and $y$ be jointly Gaussian with mean zero, standard deviations $\sigma$ and $\sigma_y$,
# and correlation $\rho$. Then
#
# $$
# E\bigl[\mathrm{sign}(x)\,y\bigr] = \sqrt{\tfrac2\pi}\;\rho\,\sigma_y .
# $$ (eq-bussgang)
#
# Therefore $\mathrm{sign}(x) = Bx + \eta$ with the gain $B = \sqrt{2/(\pi\sigma^2)}$ and a
# remainder $\eta$ of variance $1 - 2/\pi$ that is uncorrelated with $x$, and with every $y$ that
# is jointly Gaussian with $x$.
#
# *Proof.* Write $y = \rho\,(\sigma_y/\sigma)\,x + z$ with $z$ independent of $x$ and of mean zero.
# Then $E[\mathrm{sign}(x)\,y] = \rho\,(\sigma_y/\sigma)\,E|x|$, and $E|x| = \sigma\sqrt{2/\pi}$.
# For the remainder, $E[\eta\,y] = E[\mathrm{sign}(x)\,y] - B\,E[xy] = 0$, since $E[xy] =
# \rho\,\sigma\sigma_y$; take $y = x$ for the first claim. Its variance is $1 - B^2\sigma^2$. ∎
# :::
#
# So a sign is a scaled copy of its number plus noise, and the noise is invisible to everything
# that is linear. It is not independent noise; it only does not correlate. {numref}`fig-sign-laws`
# checks both laws by simulation.

# %%
samples = sizes.law_samples
rows = []
for rho in (0.15 * np.arange(-6, 7)).round(2):
    g, z = generator.standard_normal((2, samples))
    y = rho * g + np.sqrt(1 - rho**2) * z
    for law, product, exact in (
        ("sign x · sign y", sign(g) * sign(y), correlation.sign_correlation(rho)),
        ("sign x · y", sign(g) * y, correlation.sign_gain(1.0) * rho),
    ):
        rows.append(
            {
                "law": law,
                "rho": rho,
                "simulated": product.mean(),
                "error": product.std() / np.sqrt(samples),
                "exact": float(exact),
            }
        )
sign_laws = pd.DataFrame(rows)
figure, axes = plots.new_figure(1, 2, height=3.6)
diagrams.plot_sign_laws(sign_laws, axes[0, 0], axes[0, 1])
show(
    figure,
    name="fig-sign-laws",
    caption=(
        "The arcsine law and Bussgang's theorem. Left: means of the products for standard Gaussian "
        f"x and y, {samples:,} pairs per point, seed {seed}; lines: the theorems. The error bars, "
        "standard errors, are smaller than the symbols. Right: the differences in units of those "
        "errors; where the laws hold, 95 % lie in the grey band."
    ),
    alt=(
        "Left: points of the product of signs on an arcsine curve, points of the other product on "
        "a straight line through zero. Right: differences scattered about zero, nearly all "
        "between minus two and two standard errors."
    ),
)

# %%
sign_laws["difference / s.e."] = (sign_laws["simulated"] - sign_laws["exact"]) / sign_laws["error"]
every_third = sign_laws[sign_laws["rho"].isin([-0.9, -0.45, 0.0, 0.45, 0.9])]
(
    every_third.rename(columns={"rho": "ρ"})
    .set_index(["law", "ρ"])
    .sort_index(ascending=[False, True])[["simulated", "exact", "difference / s.e."]]
    .round({"simulated": 3, "exact": 4, "difference / s.e.": 1})
    + 0.0
)

# %% [markdown]
# ## Why "proportional to"
#
# The paper writes $x\cdot w^b \sim x\cdot w^c$: the two dot products are proportional, with a
# constant left open because batch norm removes it. What is the constant, and how nearly is it one?
#
# Take one unit, with its weights fixed, and let the inputs $x$ have covariance $\Sigma$. The
# constant that comes closest, in the sense of least squares, is the slope of a regression (with an
# intercept, which batch norm removes as well),
#
# $$
# x\cdot w^c \approx \alpha\; x\cdot w^b, \qquad
# \alpha = \frac{w^{c\,T}\,\Sigma\, w^b}{w^{b\,T}\,\Sigma\, w^b} ,
# $$ (eq-slope)
#
# and how close it comes is the correlation
#
# $$
# r = \mathrm{corr}(x\cdot w^c,\, x\cdot w^b)
#   = \frac{w^{c\,T}\,\Sigma\,w^b}{\sqrt{w^{c\,T}\,\Sigma\,w^c\;\cdot\; w^{b\,T}\,\Sigma\,w^b}} .
# $$ (eq-predicted-r)
#
# Nothing else about the inputs matters, Gaussian or not. $r$ is a cosine: that of the angle
# between $w^c$ and $w^b$ as it appears when each direction is stretched by how much the inputs
# vary along it. A constant is exactly right where $r = 1$.
#
# For *white* inputs, $\Sigma = \mathbf 1$, nothing is stretched. Then $\alpha$ is the mean of
# $|w^c|$, the scale that {cite:t}`rastegari2016` multiply binary weights with, and $r$ is the
# cosine of the angle that {doc}`random_vectors` is about. If in addition the entries of $w^c$ are
# Gaussian with standard deviation $\sigma$, {ref}`Bussgang's theorem <theorem-bussgang>` holds
# for each of them. $w^b$ is $w^c$ times $B$ plus a remainder that is uncorrelated with it, and for
# large $n$
#
# $$
# x\cdot w^b = B\; x\cdot w^c + x\cdot\eta, \qquad B = \frac1\sigma\sqrt{\tfrac2\pi}, \qquad
# r \to \sqrt{\tfrac2\pi} .
# $$ (eq-white)
#
# This gives {glue:text}`white-gaussian:.3f`; for weights uniform on $[-1, 1]$, to which clipping
# confines them, $r$ tends to {glue:text}`white-uniform:.3f` by {eq}`eq-limit`.
#
# Inputs of a real network are not white: neighbouring pixels are alike. {numref}`fig-predicted-r`
# draws covariances at random, with eigenvalues that fall as a power of their rank, and two kinds
# of weights. One kind is Gaussian and knows nothing of $\Sigma$. The other lies along the
# directions in which the inputs vary: it is drawn with covariance $\Sigma$ itself.

# %%
n, units, simulated_units = 100, 300, 8
white = {law: limit_cosine(law) for law in (GAUSSIAN, UNIFORM)}
glue("white-gaussian", white[GAUSSIAN])
glue("white-uniform", white[UNIFORM])
inputs_drawn = min(sizes.law_samples, 20_000)
rows = []
for decay in (0.0, 0.5, 1.0, 1.5):
    covariance = correlation.random_covariance(n, decay, generator)
    root = np.linalg.cholesky(covariance)
    # white ±1 numbers, mixed: inputs of this covariance that are not Gaussian
    inputs = sign(generator.standard_normal((inputs_drawn, n))) @ root.T
    for kind, spread in (("unrelated", np.eye(n)), ("along the inputs", root.T)):
        weights = generator.standard_normal((units, n)) @ spread
        binary = sign(weights)
        some = slice(simulated_units)
        simulated, error = correlation.sample_correlation(
            inputs @ weights[some].T, inputs @ binary[some].T
        )
        table = pd.DataFrame(
            {
                "weights": kind,
                "decay": decay,
                "predicted": correlation.predicted_correlation(weights, binary, covariance),
            }
        )
        table.loc[: simulated_units - 1, "simulated"] = simulated
        table.loc[: simulated_units - 1, "error"] = error
        rows.append(table)
predictions = pd.concat(rows, ignore_index=True)
figure, axes = plots.new_figure(1, 2, height=3.8)
diagrams.plot_predicted_correlations(predictions.dropna(), axes[0, 0], title="simulated")
diagrams.plot_correlation_trend(predictions, axes[0, 1], white=white[GAUSSIAN])
show(
    figure,
    name="fig-predicted-r",
    caption=(
        f"Correlation of $x\\cdot w^c$ with $x\\cdot w^b$ for units with n = {n}. Left: simulated "
        f"with {inputs_drawn:,} inputs (mixed ±1 numbers, seed {seed}) against what their "
        f"covariance predicts, {simulated_units} units of each kind in each of four covariances; "
        "bars: standard errors. Right: predictions against the exponent with which the "
        f"eigenvalues of the covariance fall, 0 for white inputs; {units} units each, median and "
        "the range of the middle 90 %."
    ),
    alt=(
        "Left: all points lie on the diagonal. Right: for white inputs both kinds of weights have "
        "a correlation of about 0.8. With a steeper decay the median stays there for unrelated "
        "weights, while the range widens, and rises towards one for weights along the inputs."
    ),
)

# %%
groups = predictions.groupby(["decay", "weights"], sort=False)
squares = ((predictions["simulated"] - predictions["predicted"]) / predictions["error"]) ** 2
means = groups["predicted"].mean()
glue("unrelated-white", means[0.0, "unrelated"])
glue("unrelated-steep", means[1.5, "unrelated"])
glue("along-steep", means[1.5, "along the inputs"])
pd.DataFrame(
    {
        "r: mean": means,
        "5 %": groups["predicted"].quantile(0.05),
        "95 %": groups["predicted"].quantile(0.95),
    }
).round(3).assign(
    **{
        "rms of difference / s.e.": squares.groupby(
            [predictions["decay"], predictions["weights"]], sort=False
        )
        .mean()
        .pow(0.5)
        .round(1)
    }
)

# %% [markdown]
# The prediction holds unit by unit; the last column should be near one. Anisotropy by itself does
# not raise $r$. Weights that know nothing of it have a mean of {glue:text}`unrelated-white:.2f`
# with white inputs and of {glue:text}`unrelated-steep:.2f` at the steepest decay: since fewer
# directions count there, units differ more from each other, and some fall far below. What raises
# $r$ is agreement between the weights and the inputs. For weights along the inputs the mean at
# the same decay is {glue:text}`along-steep:.2f`.
#
# A trained network has weights that depend on the inputs it has seen. {doc}`dot_products` measures
# $r$ there and uses {eq}`eq-predicted-r` to say where it comes from.
#
# ## Exercises
#
# The solutions are folded away; the cell below computes their numbers.

# %% tags=["hide-cell"]
# 1. small steps
set_latents(w, v)
steps = 0
while hidden.binary_weight[0, 0] > 0:
    by_autograd()
    step_down(0.06)
    layers.clip_latents(network)
    steps += 1
assert steps == np.ceil(w[0, 0] / (0.06 * hand["δw"][0, 0]))
glue("exercise-steps", steps)
glue("exercise-step", 0.06 * hand["δw"][0, 0])
glue("exercise-start", w[0, 0])

# 2. a noisy copy
copy_distance = round(0.3 * kanerva)
glue("exercise-copy-distance", copy_distance)
copy_log = (
    hyperdimensional.log_cosine_tail(kanerva, 1 - 2 * (copy_distance + 1) / kanerva) - np.log(2)
) / np.log(10)
glue("exercise-copy", f"{copy_log:.0f}".replace("-", "−"))
glue("exercise-copy-cosine", 1 - 2 * copy_distance / kanerva)

# 3. weeding
pair = float(hyperdimensional.log_cosine_tail(kanerva, epsilon)) / np.log(10)
weeded = -pair - np.log10(2)
assert weeded > 1.5 * capacity.loc[kanerva, "random ±1 (exact tail)"]
glue("exercise-pair", scientific(10**pair))
glue("exercise-weeded", scientific(10**weeded))

# 4. bundles
members = 5
vectors = 2.0 * generator.integers(0, 2, (members + 1, kanerva), dtype=np.int8) - 1
bundle = sign(vectors[:members].sum(axis=0))
cosines = vectors @ bundle / kanerva  # of the members, and of a stranger
assert cosines[:members].min() > 5 * cosines[members]
glue("exercise-bundle", hyperdimensional.bundle_cosine(members))
glue("exercise-bundle-least", cosines[:members].min())
glue("exercise-stranger", abs(cosines[members]))

# 5. activations
rho = 0.5
equal = np.full((n, n), rho) + (1 - rho) * np.eye(n)
ones = np.ones(n)
gaussian = generator.standard_normal((2000, n)) @ np.linalg.cholesky(equal).T
r, r_error = correlation.sample_correlation(gaussian @ ones, sign(gaussian) @ ones)
equal_r = float(correlation.activation_correlation(ones, equal))
glue("exercise-activations", equal_r)
glue("exercise-white", float(correlation.activation_correlation(ones)))
glue("exercise-inputs", len(gaussian))
glue("exercise-simulated", float(r))
glue("exercise-simulated-error", float(r_error))

pd.Series(
    {
        "1: steps": steps,
        "2: log10 of the probability": round(float(copy_log), 1),
        "3: weeded vectors, log10": round(weeded, 2),
        "4: cosine with a member": hyperdimensional.bundle_cosine(members),
        "4: of the bundle made here, least": cosines[:members].min(),
        "4: of a stranger": cosines[members],
        "5: r predicted": round(equal_r, 3),
        "5: (simulated − predicted) / s.e.": round(float((r - equal_r) / r_error), 1),
    }
)

# %% [markdown]
# **1. Small steps.** In the worked example a step size of ½ flips $w_{11}$ at once. How many steps
# does it take with step size $0.06$, and why does the binary network not notice all but the last?
#
# :::{admonition} Solution
# :class: dropdown
#
# Until something flips, the forward pass does not change, and so neither does the derivative
# $\delta w_{11} = \tfrac12$. Each step lowers the latent weight, which starts at
# {glue:text}`exercise-start:.1f`, by {glue:text}`exercise-step:.2f`, and it passes zero in step
# {glue:text}`exercise-steps:d`. Before that the binary network is the same in every
# step, and so are its output and its cost; only $w^c$ knows of the progress.
# :::
#
# **2. A noisy copy.** A vector of $10{,}000$ signs is transmitted, and $30\,\%$ of them arrive
# flipped. How far is what arrives from what was sent? How likely is it that a random vector is as
# near?
#
# :::{admonition} Solution
# :class: dropdown
#
# The Hamming distance is {glue:text}`exercise-copy-distance:d`, so by {eq}`eq-hamming` the
# cosine is {glue:text}`exercise-copy-cosine:.1f`, far from parallel. But a random vector is as
# near with a probability whose decadic logarithm is {glue:text}`exercise-copy`, from the
# exact binomial tail. The copy is recognized among as many vectors as could ever be stored.
# :::
#
# **3. Weeding.** The union bound {eq}`eq-union` asks for *no* bad pair among random vectors. Show
# that one gets about the square of its number by allowing some bad pairs and removing one vector
# of each.
#
# :::{admonition} Solution
# :class: dropdown
#
# Let $p = P(|\cos| > \epsilon)$. Among $N$ random vectors one expects $pN(N-1)/2$ bad pairs. With
# $N = 1/p$ that is less than $N/2$, so some set of $N$ vectors has fewer bad pairs than $N/2$;
# removing one vector of each leaves more than $N/2 = 1/(2p)$ without any. The union bound gives
# about $p^{-1/2}$. For $n = 10{,}000$ and $\epsilon = 0.1$, $p$ is {glue:text}`exercise-pair`
# and {glue:text}`exercise-weeded` vectors remain.
# :::
#
# **4. Bundles.** Hyperdimensional computing stores a set as one vector, entry by entry the sign of
# the sum of an odd number $m$ of random members. Show that its mean cosine with each member is
# $\binom{m-1}{(m-1)/2}\,2^{-(m-1)}$, and that for large $m$ this is $\sqrt{2/\pi}\;m^{-1/2}$. Where
# have you met that factor?
#
# :::{admonition} Solution
# :class: dropdown
#
# A member's entry decides the vote where the other $m - 1$ are divided equally, which has the
# stated probability; there it agrees with the bundle. Elsewhere the others decide, and it agrees
# half of the time, which adds nothing to the mean product. For large $m$ let $s$ be the sum of
# the members' entries. By symmetry the mean of $\mathrm{sign}(s)$ times any one of them is
# $E|s|/m$, and $s$ is nearly Gaussian with variance $m$, so that $E|s| \approx \sqrt{2m/\pi}$:
# the same number as in {ref}`Bussgang's theorem <theorem-bussgang>`. For $m = 5$ the exact value
# is {glue:text}`exercise-bundle:.3f`. Of the five members bundled here with $n = 10{,}000$ the
# least similar has {glue:text}`exercise-bundle-least:.3f`; a vector that is no member has a
# cosine of size {glue:text}`exercise-stranger:.3f`.
# :::
#
# **5. Activations.** The paper predicts $w^b\cdot x^c \sim w^b\cdot x^b$ as well. Let $x^c$ be
# Gaussian with mean zero, unit variances and correlation matrix $R$, and let $w$ be fixed. What is
# the correlation? Evaluate it for $n = 100$, all correlations ½, and all weights $+1$.
#
# :::{admonition} Solution
# :class: dropdown
#
# By {eq}`eq-bussgang` the covariance of $x^c_i$ with $x^b_j$ is $\sqrt{2/\pi}\,R_{ij}$, and by
# {eq}`eq-arcsine` that of $x^b_i$ with $x^b_j$ is $\frac2\pi\arcsin R_{ij}$. The factors cancel:
#
# $$
# \mathrm{corr}(w\cdot x^c,\, w\cdot x^b) = \sqrt{\frac{w^T R\, w}{w^T \arcsin(R)\, w}} ,
# $$ (eq-activations)
#
# with the arcsine taken entry by entry. White activations give $\sqrt{2/\pi}$, since
# $\arcsin 1 = \pi/2$: {glue:text}`exercise-white:.3f`, the same as for weights. For equal
# correlations of ½ it is {glue:text}`exercise-activations:.4f`, and
# {glue:text}`exercise-inputs` simulated inputs give {glue:text}`exercise-simulated:.4f` ±
# {glue:text}`exercise-simulated-error:.4f`. What is lost in each entry is made up for by the
# others, if they agree.
# :::
