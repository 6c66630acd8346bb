# ---
# jupyter:
#   bnn_geometry:
#     after: []
#   jupytext:
#     notebook_metadata_filter: bnn_geometry
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
# many entries {cite}`kanerva2009`. This chapter introduces both.
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

from bnn_geometry import angles, diagrams, plots, presets, quantize, theory
from bnn_geometry.notebook import glue, show

sizes = presets.preset(preset)
generator = np.random.default_rng(seed)

# %%
figure, axes = plots.new_figure(height=3.2)
diagrams.plot_transformer(axes[0, 0])
show(
    figure,
    name="fig-transformer",
    caption=(
        "Figure 1a of the paper, redrawn. One layer of a binary network: ovals are tensors, with "
        "the derivative of the cost with respect to each; boxes are functions. Solid arrows: the "
        "forward pass; dashed: the derivatives on their way back."
    ),
    alt=(
        "Diagram. Below, from left to right: binary input, convolution, pooling and batch norm, "
        "continuous activation, binarize, binary output. Above: the continuous weight is binarized "
        "to the binary weight, which enters the convolution. Each arrow has a dashed one beside "
        "it that points back."
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
figure, axes = plots.new_figure(1, 2, height=3.2)
step = quantize.binarize(torch.from_numpy(x)).numpy()
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
        "Two plots of a step from minus one to plus one at zero. The dashed function is the "
        "diagonal on the left; on the right it is the diagonal between minus one and one and "
        "constant outside."
    ),
)

# %% [markdown]
# A unit with three inputs shows all of it. Let it compute $a = x\cdot\mathrm{bin}(w)$ from inputs
# $x$, let its activation be $\mathrm{bin}(a/2)$, and let the cost be $C = (\mathrm{bin}(a/2) -
# 1)^2$. By hand, the chain rule with the substituted derivatives is
#
# $$
# \frac{\partial C}{\partial w_i} = \underbrace{2\,\bigl(\mathrm{bin}(a/2) - 1\bigr)}_{\text{cost}}
#   \cdot \underbrace{\mathbf 1\bigl[|a/2| \le 1\bigr]\vphantom{\bigl)}}_{\text{activation}}
#   \cdot \tfrac12 \cdot \underbrace{x_i\vphantom{\bigl)}}_{\text{dot product}}
#   \cdot \underbrace{1\vphantom{\bigl)}}_{\text{weight}} .
# $$ (eq-by-hand)
#
# The table sets it beside what automatic differentiation returns when it goes through the
# functions with which this book's networks are built.

# %%
inputs = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
w = torch.tensor([0.3, 0.2, -0.9], dtype=torch.float64, requires_grad=True)
a = inputs @ quantize.binarize_weight(w)
output = quantize.binarize_activation(a / 2)
cost = (output - 1) ** 2
cost.backward()

half = float(a.detach()) / 2
by_hand = 2 * (np.sign(half) - 1) * (abs(half) <= 1) * 0.5 * inputs.numpy()
flipped = torch.tensor([-0.3, 0.2, -0.9], dtype=torch.float64, requires_grad=True)
a2 = inputs @ quantize.binarize_weight(flipped)
((quantize.binarize_activation(a2 / 2) - 1) ** 2).backward()
half2 = float(a2.detach()) / 2
by_hand2 = 2 * (np.sign(half2) - 1) * (abs(half2) <= 1) * 0.5 * inputs.numpy()
assert np.array_equal(by_hand, w.grad.numpy())
assert np.array_equal(by_hand2, flipped.grad.numpy())
glue("a-first", float(a.detach()))
glue("a-second", float(a2.detach()))
pd.DataFrame(
    {
        "x": inputs.numpy(),
        "w": w.detach().numpy(),
        "bin(w)": quantize.binarize(w).detach().numpy(),
        "by hand": by_hand + 0.0,
        "autograd": w.grad.numpy() + 0.0,
        "w, first entry flipped": flipped.detach().numpy(),
        "by hand (flipped)": by_hand2 + 0.0,
        "autograd (flipped)": flipped.grad.numpy() + 0.0,
    },
    index=pd.Index([1, 2, 3], name="i"),
)

# %% [markdown]
# In the first case $a$ is {glue:text}`a-first:.0f`: the output is already $+1$, the cost is zero,
# and so is the gradient. With the first weight flipped $a$ is {glue:text}`a-second:.0f`; the
# output is wrong, $|a/2|$ is below one, and a gradient arrives at every latent weight, whether or
# not that weight's own sign is to blame.
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
# with mean zero and standard deviation exactly $n^{-1/2}$. {numref}`fig-binary-pairs` shows it
# for two dimensions.

# %%
samples = sizes.trend_samples
pairs = {n: angles.sample_angles(n, samples, theory.SIGNS, generator) for n in (10, 100)}
figure, axes = plots.new_figure(1, 2, height=3.2)
for (n, sample), ax in zip(pairs.items(), axes.flat, strict=True):
    cosine, probability = theory.binary_pair_law(n)
    diagrams.plot_pair_law(sample.pairs, cosine, probability, ax, title=f"n = {n}")
    ax.set_xlim(-1, 1)
show(
    figure,
    name="fig-binary-pairs",
    caption=(
        "Cosine of the angle between two random ±1 vectors with n entries: simulated "
        f"({samples:,} pairs, seed {seed}) and exact. It can take n + 1 values."
    ),
    alt=(
        "Two bar charts of the cosine's distribution with dots for the exact law. For n = 10 it "
        "covers most of the range from minus one to one; for n = 100 it is a narrow bell around "
        "zero."
    ),
)

# %%
kanerva = 10_000
rows = []
for n, sample in {
    **pairs,
    kanerva: angles.sample_angles(kanerva, samples, theory.SIGNS, generator),
}.items():
    hamming = n * (1 - sample.pairs) / 2
    rows.append(
        {
            "n": n,
            "Hamming distance: mean": round(hamming.mean(), 1),
            "exact": n / 2,
            "its s.d.": round(hamming.std(), 2),
            "exact s.d.": round(theory.hamming_sd(n), 2),
        }
    )
glue("kanerva-mean", kanerva / 2)
glue("kanerva-sd", theory.hamming_sd(kanerva))
pd.DataFrame(rows).set_index("n")

# %% [markdown]
# In Kanerva's own example, $n = 10{,}000$, two random vectors differ in
# {glue:text}`kanerva-mean:.0f` ± {glue:text}`kanerva-sd:.0f` places, and hardly ever in a number
# that is more than four standard deviations away from the mean. A vector that agrees with a given
# one noticeably better than that does so for a reason. This is the yardstick by which the next
# chapter calls an angle small.
#
# ## Why "proportional to"
#
# The paper writes $x\cdot w^b \sim x\cdot w^c$, with a constant left open because batch norm
# removes it. For one idealized case it is known. If the entries of $w^c$ were Gaussian with
# standard deviation $\sigma$, then for every vector $x$ that is independent of them, $x\cdot w^c$
# and $x\cdot w^b$ would be correlated with
#
# $$
# E\bigl[(x\cdot w^b)(x\cdot w^c)\bigr] = \lVert x\rVert^2\,\sigma\sqrt{2/\pi}, \qquad
# \mathrm{corr}(x\cdot w^b,\, x\cdot w^c) = \sqrt{2/\pi},
# $$ (eq-bussgang)
#
# since $E\,[\mathrm{bin}(w)\,w] = E|w| = \sigma\sqrt{2/\pi}$, and different entries contribute
# nothing. The correlation is the cosine of the limiting angle in {doc}`random_vectors`. A trained
# network is not this case: its weights depend on the inputs it has seen. {doc}`dot_products`
# measures what becomes of the constant there.
