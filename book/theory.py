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
# # Theory: what a sign keeps
#
# A binary network computes with the signs of numbers that it keeps and moves. The signs can stand
# in for the numbers because the sign of a Gaussian number is a constant times that number, plus
# noise that does not correlate with it. A dot product with the signs is therefore proportional to
# the one with the numbers, but for noise. For {term}`white` inputs their correlation $r$ is
# {glue:text}`white-gaussian:.2f` if the weights are Gaussian. Inputs that vary in few directions do
# not raise it: if the weights know nothing of those directions, the mean of $r$ over units *falls*,
# to {glue:text}`one-direction:.2f` for a single direction, though the median rises to 1. Weights
# that lie along ten directions out of a thousand have $r =$ {glue:text}`along-ten:.3f`. So a high
# $r$ says little by itself: the ledger judges it against the untrained network
# ({claim}`dot-products`), and {doc}`dot_products` against other weights under the same inputs. That
# signs can be learned at all rests on the derivative of another function ({claim}`ste`).
#
# ## A latent weight learns, its sign computes
#
# {numref}`fig-transformer` is Figure 1 of the paper {cite}`anderson2017`, which reviews how binary
# networks are trained {cite}`courbariaux2016,hubara2016`. One layer takes the dot products of its
# binary input $x^b$ with its binary weights $w^b$. {term}`Batch norm` shifts and scales each of
# them by its mean and spread over a batch, and the signs are the input of the next layer.
#
# Gradient descent takes steps that are smaller than the distance from $-1$ to $+1$. Each binary
# weight therefore has a continuous or {term}`latent weight` $w^c$, which accumulates the steps, and
#
# $$
# \begin{gathered}
# w^b = \mathrm{bin}(w^c), \\
# \mathrm{bin}(x) = \begin{cases} +1 & x > 0,\\ -1 & \text{otherwise.}\end{cases}
# \end{gathered}
# $$ (eq-theory-binarize)

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 2009  # of all random numbers in this chapter

# %%
import numpy as np
import pandas as pd
import torch
from scipy import stats

from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, at_most, glue, scientific, show, table
from bnn_geometry.book.plots import diagrams
from bnn_geometry.geometry import correlation
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM
from bnn_geometry.geometry.quantizers import limit_cosine
from bnn_geometry.networks import layers

sizes = presets.sizes("theory", preset)
generator = np.random.default_rng(seed)

# %%
figure, axes = plots.new_figure(2, 1, width=7.2, height=6.6, height_ratios=[1, 1.05])
diagrams.plot_transformer(axes[0, 0])
x = np.linspace(-2, 2, 801)
diagrams.plot_estimators(x, x, np.clip(x, -1, 1), axes[1, 0])
show(
    figure,
    name="fig-transformer",
    caption=(
        "Figure 1 of the paper, redrawn. Above, one layer of a binary network: ovals are tensors, "
        "with the derivative of the cost with respect to each ($\\delta u = \\partial C/\\partial "
        "u$); boxes are functions. Below, binarize: what it computes, and the functions that are "
        "differentiated in its place."
    ),
    alt=(
        "Above, a diagram: from left to right binary input, convolve, pool and batch norm, "
        "continuous activation, binarize, binary output. Over the convolution stands the binary "
        "weight; it comes, by way of binarize, from the continuous weight, which accumulates the "
        "steps. Each arrow has a dashed one beside it that points back. Below, a step from minus "
        "one to plus one at zero; for weights the diagonal is differentiated, for activations the "
        "diagonal between minus one and one, constant outside."
    ),
)

# %% [markdown]
# ## The backward pass differentiates another function
#
# The derivative of bin is zero wherever it exists. Taken literally, no gradient would ever reach
# $w^c$ or the layers below. The {term}`straight-through estimator` {cite}`bengio2013`
# differentiates another function in its place: for weights the identity; for activations the
# identity between $-1$ and $1$, constant outside {cite}`hubara2016`, so that a unit far from its
# threshold does not move.
#
# A network with three inputs, two hidden units and one output shows all of it. Each sum is halved,
# which stands in for batch norm; the target is $+1$, the cost the squared hinge. With latent
# weights $w$ of the hidden layer and $v$ of the output,
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
# The backward pass is the chain rule with the substituted derivatives:
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
# The cell evaluates these lines and asserts that automatic differentiation through the layers of
# this book's networks returns the same numbers.

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
    backward = {"δo": d_o, "δv": d_o / 2 * h, "δh": d_h, "δa": d_a, "δw": np.outer(d_a, x)}
    return {"a": a, "h": h, "o": o, "C": max(0.0, 1 - o) ** 2} | backward


hidden, readout = layers.BinaryLinear(3, 2).double(), layers.BinaryLinear(2, 1).double()
network = torch.nn.ModuleList([hidden, layers.BinaryActivation(), readout])


def by_autograd():
    a = hidden(torch.from_numpy(x))
    h = network[1](a / 2)
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
assert hand["δh"][0] > 0 > hand["δh"][1]  # the first should fall, the second rise
assert hand["h"][1] == 1
assert hand["δa"][1] == 0
glue("cost-before", hand["C"])
shown = {f"{k}, unit {j}": hand[k][j - 1] for k in ("a", "h", "δh", "δa") for j in (1, 2)}
table(pd.DataFrame({"by hand": shown | {k: hand[k] for k in ("o", "C", "δo")}}), "g")

# %% [markdown]
# The cost is {glue:text}`cost-before:.0f`. By $\delta h$ it would fall if the first hidden unit
# fell or the second rose. The second cannot: it passes on $+1$ already, and its sum is so large
# that $|a_2/2| > 1$. Its derivative is cancelled and its weights stay. The first unit is moved, by
# one step of gradient descent with step size ½ ({numref}`fig-small-network`), after which latent
# weights are clipped to $[-1, 1]$, as after every step.

# %%
step_size = 0.5


def step_down(step_size):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= step_size * parameter.grad
    layers.clip_latents(network)


step_down(step_size)
w_new, v_new = (
    np.clip(z - step_size * hand[f"δ{name}"], -1, 1) for name, z in (("w", w), ("v", v))
)
stepped = torch.cat([hidden.weight.flatten(), readout.weight.flatten()]).detach().numpy()
assert np.array_equal(stepped, np.append(w_new, v_new))
after = by_hand(w_new, v_new)
flipped = [(int(j), int(i)) for j, i in np.argwhere(sign(w_new) != sign(w))]
assert flipped == [(0, 0)]
assert np.array_equal(sign(v_new), sign(v))
assert after["C"] < hand["C"]
glue("flip-before", f"{w[0, 0]:.2f}")
glue("flip-after", f"{w_new[0, 0]:.2f}".replace("-", "−"))
glue("cost-after", after["C"])
figure, axes = plots.new_figure(2, 1, width=5.6, height=6.4)
diagrams.plot_small_network(x, w, hand["a"], v, hand["o"], axes[0, 0], title="before the step")
diagrams.plot_small_network(
    x, w_new, after["a"], v_new, after["o"], axes[1, 0], title="after it", flipped=flipped
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
# One sign has flipped: $w_{11}$ went from {glue:text}`flip-before` to {glue:text}`flip-after`. The
# first hidden unit flipped with it, and the cost is {glue:text}`cost-after:.0f`. The other latent
# weights that moved kept their signs; the network does not notice, but they remember. The weight
# $w_{13}$ was clipped at $-1$: beyond that it would only become slower to change its mind.
#
# ## A sign is a scaled copy plus uncorrelated noise
#
# What does a sign keep of the number that it was taken of? For Gaussian numbers there are two exact
# answers, both older than the networks. (bin and sign differ at zero alone.)
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
# *Proof.* Write $y = \rho\,(\sigma_y/\sigma)\,x + y'$ with $y'$ independent of $x$, of mean zero.
# Then $E[\mathrm{sign}(x)\,y] = \rho\,(\sigma_y/\sigma)\,E|x|$, and $E|x| = \sigma\sqrt{2/\pi}$.
# For the remainder, $E[\eta\,y] = E[\mathrm{sign}(x)\,y] - B\,E[xy] = 0$, since $E[xy] =
# \rho\,\sigma\sigma_y$; take $y = x$ for the first claim. Its variance is $1 - B^2\sigma^2$. ∎
# :::
#
# {numref}`fig-sign` draws the three parts. The remainder is no independent noise; it is a function
# of $x$. But it rises with $x$ as much as it falls with it, weighted by the density, so that
# nothing linear sees it.

# %%
gain = limit_cosine(GAUSSIAN)  # B for standard deviation 1
g = generator.standard_normal(sizes.law_samples)
remainder = sign(g) - gain * g
covariances = remainder * g
assert abs(covariances.mean()) < 4 * covariances.std() / np.sqrt(len(g))
assert abs(remainder.var() - (1 - 2 / np.pi)) < 4 * (remainder**2).std() / np.sqrt(len(g))
figure, axes = plots.new_figure(width=7.2, height=3.8)
diagrams.plot_sign(np.linspace(-3, 3, 601), gain, axes[0, 0])
show(
    figure,
    name="fig-sign",
    caption=(
        "The sign of a standard Gaussian number (solid) is a copy of it, scaled by $B = "
        "\\sqrt{2/\\pi}$ (dashed), plus a remainder (dotted) that has no correlation with it. "
        "Below, the density of the number."
    ),
    alt=(
        "A step at zero, a rising straight line through zero, and their difference: it falls on "
        "either side of zero and jumps up between. Below, a bell curve."
    ),
)

# %% [markdown]
# :::{admonition} Theorem (arcsine law {cite}`sheppard1899,vanvleck1966`)
# :class: important
# :name: theorem-arcsine
#
# Let $x$ and $y$ be jointly Gaussian with mean zero and correlation $\rho$. Then
#
# $$
# \begin{aligned}
# &E\bigl[\mathrm{sign}(x)\,\mathrm{sign}(y)\bigr] \\
# &\quad = \frac2\pi\arcsin\rho .
# \end{aligned}
# $$ (eq-arcsine)
#
# *Proof.* Let both variances be one; signs do not see them. Write $x = g\cdot p$ and $y =
# g\cdot q$ with a standard Gaussian vector $g$ in the plane and unit vectors $p$, $q$ that enclose
# the angle $\arccos\rho$. The signs differ where $g$ lies between the lines orthogonal to $p$ and
# $q$, in two opposite sectors of that angle. The direction of $g$ is uniform, so this has
# probability $\arccos(\rho)/\pi$, and the mean of the product is $1 - \frac2\pi\arccos\rho$. ∎
# :::
#
# The law has been found again wherever signs stand for vectors: it rounds semidefinite programs
# {cite}`goemans1995` and hashes by similarity {cite}`charikar2002`, since the part of random
# hyperplanes that separate two vectors is their angle divided by 180°. A few of them keep all
# distances in a set of low dimension {cite}`plan2014`.
#
# ## Proportional, up to a cosine
#
# The paper predicts $x\cdot w^b \sim x\cdot w^c$, "proportional to", for a unit with
# {term}`fan-in` $n$; batch norm removes the constant. Let the inputs $x$ have covariance $\Sigma$.
# The constant that comes closest is the slope of a regression,
#
# $$
# x\cdot w^c \approx \alpha\; x\cdot w^b, \qquad
# \alpha = \frac{w^{c\,T}\,\Sigma\, w^b}{w^{b\,T}\,\Sigma\, w^b} ,
# $$ (eq-slope)
#
# and how close it comes is the {term}`Pearson correlation`
#
# $$
# \begin{aligned}
# r &= \mathrm{corr}(x\cdot w^c,\, x\cdot w^b) \\
#   &= \frac{w^{c\,T}\,\Sigma\,w^b}{\sqrt{w^{c\,T}\,\Sigma\,w^c\;\cdot\; w^{b\,T}\,\Sigma\,w^b}} .
# \end{aligned}
# $$ (eq-predicted-r)
#
# Nothing else about the inputs matters, Gaussian or not. $r$ is the cosine of the angle between
# $w^c$ and $w^b$ in the metric $\Sigma$: each direction counts by how much the inputs vary along
# it. The same two vectors can have any $r$ ({numref}`fig-metric`).

# %%
w2 = np.array([1.0, 0.2])
b2 = sign(w2)
middle = np.sum([z / np.linalg.norm(z) for z in (w2, b2)], axis=0)
middle /= np.linalg.norm(middle)
along = 0.1 * np.eye(2) + 0.9 * np.outer(middle, middle)
planes = {"white inputs": 0.5 * np.eye(2), "along both": along, "across": 1.1 * np.eye(2) - along}
found = {k: float(correlation.predicted_correlation(w2, b2, s)) for k, s in planes.items()}
assert found["across"] < found["white inputs"] < found["along both"]
white = {law: limit_cosine(law) for law in (GAUSSIAN, UNIFORM)}
glue("white-gaussian", white[GAUSSIAN])
glue("white-uniform", white[UNIFORM])
figure, axes = plots.new_figure(width=7.2, height=3.4)
diagrams.plot_metric(w2, b2, {f"{k}\nr = {found[k]:.2f}": s for k, s in planes.items()}, axes[0, 0])
show(
    figure,
    name="fig-metric",
    caption=(
        "The same $w^c$ and $w^b = \\mathrm{bin}(w^c)$ in the plane, for inputs (grey: two "
        "standard deviations) that vary alike in all directions, most along both vectors, and most "
        "across them."
    ),
    alt=(
        "Three drawings of two arrows, and a grey disc behind the first. Behind the second the "
        "grey ellipse is long in the arrows' direction and r is near one; behind the third it is "
        "long at right angles to them, and r is far lower."
    ),
)

# %% [markdown]
# For white inputs $r$ is the cosine of the plain angle, which {doc}`random_vectors` is about, and
# $\alpha$ is the mean of $|w^c|$, the scale of {cite:t}`rastegari2016`. If the entries of $w^c$ are
# Gaussian, {ref}`Bussgang's theorem <theorem-bussgang>` holds for each of them, and for large $n$
#
# $$
# \begin{gathered}
# x\cdot w^b = B\; x\cdot w^c + x\cdot\eta, \\
# r \to \sqrt{2/\pi} .
# \end{gathered}
# $$ (eq-white)
#
# Weights uniform on $[-1, 1]$, to which clipping confines them, have
# {glue:text}`white-uniform:.3f`.
#
# ## Few directions spread r and lower its mean
#
# The inputs of a real network are not white; {doc}`dot_products` counts the directions in which
# they vary. Let that be $k$ random directions of $n$, all alike. A unit then sees $k$ coefficients
# of $w^c$ and $k$ of $w^b$, pairs of correlation $\sqrt{2/\pi}$ if $w^c$ is Gaussian and knows
# nothing of these directions. Its $r$ is the correlation *of that sample of $k$ pairs*, with mean
#
# $$
# E\,r \approx \rho\left(1 - \frac{1 - \rho^2}{2k}\right), \quad \rho = \sqrt{\tfrac2\pi},
# $$ (eq-few-directions)
#
# exactly a hypergeometric function {cite}`hotelling1953`. For $k = 1$ every unit has $r = \pm1$,
# and by {eq}`eq-arcsine` the mean is $\frac2\pi\arcsin\sqrt{2/\pi}$. Weights that lie *along* the
# $k$ directions are another matter: they keep the whole of $Bw^c$ and only $k/n$ of the remainder,
#
# $$
# r \approx \left[1 + \left(\tfrac\pi2 - 1\right)\tfrac kn\right]^{-1/2} .
# $$ (eq-along)

# %%
n, directions = 1000, (1, 2, 3, 10, 30, 100, 300)
basis = np.linalg.qr(generator.standard_normal((n, n)))[0]
latent = generator.standard_normal((sizes.units, n))


def r_of(weights, seen):
    """r of each unit for inputs that vary alike along the columns of ``seen``."""
    u, v = weights @ seen, sign(weights) @ seen
    return (u * v).sum(axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)


rows = {}
for k in directions:
    unrelated = r_of(latent, basis[:, :k])
    inside = r_of(generator.standard_normal((200, k)) @ basis[:, :k].T, basis[:, :k])
    rows[k] = {
        "mean": unrelated.mean(),
        "se": unrelated.std() / np.sqrt(sizes.units),
        "median": np.median(unrelated),
        "lowest": np.quantile(unrelated, 0.05),
        "along": inside.mean(),
    }
few = pd.DataFrame(rows).T
exact = pd.Series(correlation.mean_correlation(gain, directions), directions)
along_law = (1 + (np.pi / 2 - 1) * np.array(directions) / n) ** -0.5
assert np.all(np.abs(few["mean"] - exact) < 4 * few["se"])
assert exact.is_monotonic_increasing
assert exact.iloc[-1] < white[GAUSSIAN]
assert few.loc[1, "median"] > 0.999
assert few["median"].iloc[:4].is_monotonic_decreasing
assert np.all(np.abs(few["along"] - along_law) < 0.002)
glue("one-direction", exact[1])
glue("along-ten", few.loc[10, "along"])
glue("lowest-ten", at_most(few.loc[10, "lowest"], 2))
glue("median-three", few.loc[3, "median"])
figure, axes = plots.new_figure(width=7.2, height=4.2)
plots.series(
    {
        "along the directions: mean": few["along"],
        "unrelated: median": few["median"],
        "unrelated: mean": few["mean"],
        "unrelated: lowest 5 % below": few["lowest"],
    },
    axes[0, 0],
    theory={
        "along the directions: mean": pd.Series(along_law, directions),
        "unrelated: mean": exact,
    },
)
axes[0, 0].set(xlabel="directions k in which the inputs vary", ylabel="r of a unit")
plots.log_axis(axes[0, 0], "x", directions)
axes[0, 0].legend(loc="lower right")
show(
    figure,
    name="fig-predicted-r",
    caption=(
        "Correlation of $x\\cdot w^c$ with $x\\cdot w^b$ over units, for inputs that vary in $k$ "
        f"directions of {n:,}. Weights that know nothing of the directions: mean (line: the exact "
        "law), median, and the value below which 5 % lie. Weights along the directions: mean "
        "(line: {eq}`eq-along`)."
    ),
    origin=Origin(words=f"{sizes.units:,} units", preset=preset, seed=seed),
    alt=(
        "Four curves against the number of directions from 1 to 300. For unrelated weights the "
        "median falls from 1 towards 0.8 and the mean rises from 0.6 to 0.8; the lowest five per "
        "cent begin at minus one. For weights along the directions the mean stays near 1 and falls "
        "to 0.92 at 300."
    ),
)

# %% [markdown]
# Fewer directions raise the median, to {glue:text}`median-three:.2f` at $k = 3$, and lower the mean
# ({numref}`fig-predicted-r`). They spread $r$: at $k = 10$ one unit in twenty is below
# {glue:text}`lowest-ten:.2f`. A median above the cosine of the angle is thus no sign that weights
# have turned towards the inputs. What raises $r$ for all units is agreement between the weights and
# the directions. Which of the two a trained network shows is measured in {doc}`dot_products`.
#
# ## The same for activations
#
# The paper makes the same prediction for activations, $w^b\cdot x^c \sim w^b\cdot x^b$
# ({claim}`activations`). Let $x^c$ be Gaussian with mean zero, unit variances and covariance
# $\Sigma$. By both theorems
#
# $$
# \begin{gathered}
# \mathrm{corr}(w\cdot x^c,\, w\cdot x^b) \\
# = \sqrt{\frac{w^T \Sigma\, w}{w^T \arcsin(\Sigma)\, w}} ,
# \end{gathered}
# $$ (eq-activations)
#
# with the arcsine taken entry by entry. White activations give $\sqrt{2/\pi}$ once more. Where
# activations agree, and the weights too, what is lost in one is made up for by others: with all
# correlations ½ and equal weights it is {glue:text}`activations-half:.3f` for $n = 100$. It does
# not tend to 1 but saturates, at $\sqrt{3/\pi} =$ {glue:text}`activations-limit:.3f`.

# %%
half = {n: np.full((n, n), 0.5) + 0.5 * np.eye(n) for n in (100, 1000)}
saturating = {n: float(correlation.activation_correlation(np.ones(n), r)) for n, r in half.items()}
assert saturating[100] < saturating[1000] < np.sqrt(3 / np.pi) < 1
assert np.isclose(correlation.activation_correlation(np.ones(100)), white[GAUSSIAN])
glue("activations-half", saturating[100])
glue("activations-limit", np.sqrt(3 / np.pi))

# %% [markdown]
# ## What makes an angle small
#
# A yardstick for angles comes from Kanerva's hyperdimensional computing {cite}`kanerva2009`. Two
# random $\pm1$ vectors differ in $H$ of $n$ places, their {term}`Hamming distance`. Every place is
# a coin toss, so that
#
# $$
# \begin{gathered}
# \cos\angle(u, v) = 1 - \frac{2H}{n}, \\
# H \sim \mathrm{Binomial}\bigl(n, \tfrac12\bigr),
# \end{gathered}
# $$ (eq-hamming)
#
# with mean zero and standard deviation $n^{-1/2}$ ({claim}`quasi-orthogonal`). In Kanerva's
# $n = 10{,}000$ dimensions the probability that a pair leaves the range from 84° to 96° is
# {glue:text}`outside`. A vector that is much nearer to a given one is so for a reason. There is
# room for very many that are not: by Hoeffding's inequality {cite}`hoeffding1963` some
# $e^{n\epsilon^2/4}$ random vectors are all within $\epsilon$ of orthogonal, and for
# $n^{-1/2}\le\epsilon<\frac12$ no choice of vectors has more than
# $e^{O(n\epsilon^2\log(1/\epsilon))}$ {cite}`alon2003`.

# %%
kanerva = 10_000
law = stats.binom(kanerva, 0.5)
beyond = np.cos(np.radians(84))
outside = 2 * law.cdf(np.ceil((1 - beyond) * kanerva / 2) - 1)
assert outside < 2 * np.exp(-kanerva * beyond**2 / 2)  # Hoeffding
glue("outside", scientific(outside))

# %% [markdown]
# ## Exercises
#
# **1. Small steps.** Change `step_size` in the worked example from ½ to $0.06$ and repeat the
# step. After how many steps does $w_{11}$ flip, and what does the network's cost do until then?
#
# :::{dropdown} Solution 1
# It flips in step {glue:text}`exercise-steps:d`, and before that the cost stays where it was.
# Until a sign flips, the forward pass does not change, and neither does the derivative. Only $w^c$
# knows of the progress.
# :::

# %% tags=["hide-cell"]
set_latents(w, v)
costs = []
while hidden.binary_weight[0, 0] > 0:
    costs.append(float(by_autograd()["C"]))
    step_down(0.06)
assert len(costs) == np.ceil(w[0, 0] / (0.06 * hand["δw"][0, 0]))
assert set(costs) == {hand["C"]}
assert by_autograd()["C"] == after["C"]
glue("exercise-steps", len(costs))

# %% [markdown]
# **2. Uniform weights.** Draw `latent` in the cell of {numref}`fig-predicted-r` uniformly from
# $[-1, 1]$. Where does the mean of $r$ begin at $k = 1$, and where does it end?
#
# :::{dropdown} Solution 2
# The pairs of coefficients now have the correlation $\sqrt3/2$ of uniform weights, which is where
# the mean ends. It begins at $\frac2\pi\arcsin(\sqrt3/2) = \frac23$: a unit has $r = +1$ with
# probability $\frac56$. The simulation finds {glue:text}`exercise-one:.2f` at $k = 1$ and
# {glue:text}`exercise-many:.3f` at $k = 300$.
# :::

# %% tags=["hide-cell"]
latent = generator.uniform(-1, 1, (sizes.units, n))
uniform = {k: r_of(latent, basis[:, :k]) for k in directions}
for k, r in uniform.items():
    law_mean = correlation.mean_correlation(white[UNIFORM], k)
    assert abs(r.mean() - law_mean) < 4 * r.std() / np.sqrt(sizes.units) + 1 / n
assert np.isclose(correlation.mean_correlation(white[UNIFORM], 1), 2 / 3)
glue("exercise-one", uniform[1].mean())
glue("exercise-many", uniform[300].mean())
