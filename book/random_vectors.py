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
# # Random vectors
#
# *In high dimension, binarizing a vector hardly turns it.* This chapter measures what "hardly"
# means (Figure 2 of the paper {cite}`anderson2018`) and sets the exact law beside every
# simulation.
#
# Take a vector $w$ with $n$ entries and binarize it: $\mathrm{bin}(w)_i = +1$ where $w_i > 0$ and
# $-1$ elsewhere. Since $w_i\,\mathrm{bin}(w)_i = |w_i|$, the angle between the two is given by
# the vector's norms alone,
#
# $$
# \cos\angle\bigl(w, \mathrm{bin}(w)\bigr)
#   = \frac{w\cdot\mathrm{bin}(w)}{\lVert w\rVert_2\,\sqrt n}
#   = \frac{\lVert w\rVert_1}{\sqrt n\,\lVert w\rVert_2} .
# $$ (eq-cosine)
#
# When the entries are independent draws from one distribution, the law of large numbers takes
# $\lVert w\rVert_1/n$ to $E|w|$ and $\lVert w\rVert_2^2/n$ to $E\,w^2$, so that
#
# $$
# \cos\angle\bigl(w, \mathrm{bin}(w)\bigr) \;\longrightarrow\; \frac{E|w|}{\sqrt{E\,w^2}}
#   \qquad (n\to\infty).
# $$ (eq-limit)
#
# The paper draws its entries uniformly from $[-1, 1]$, because training clips the continuous
# weights to that interval. There the limit is $\sqrt3/2$.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 2018  # of all random numbers in this chapter
samples = 0  # random vectors per histogram; 0 takes the preset's number

# %%
import numpy as np
import pandas as pd

from bnn_geometry import angles, plots, presets, theory
from bnn_geometry.notebook import glue, show

sizes = presets.preset(preset)
samples = samples or sizes.angle_samples
generator = np.random.default_rng(seed)
glue("limit-uniform", theory.limit_angle(theory.UNIFORM))
glue("limit-gaussian", theory.limit_angle(theory.GAUSSIAN))

# %% [markdown]
# In degrees this is {glue:text}`limit-uniform:.2f`° for uniform entries. It is not a small angle.
# What makes it small is the comparison that the paper draws: with the angle between two vectors
# that were drawn independently, which in high dimension is close to 90°.
#
# ## Figure 2: two angles
#
# {numref}`fig-angles` shows both angles for vectors with uniform entries.

# %%
histograms = [
    angles.sample_angles(n, samples, theory.UNIFORM, generator) for n in sizes.angle_dimensions
]
figure, axes = plots.new_figure(2, 3, height=5.4)
for sample, ax in zip(histograms, axes.flat, strict=False):
    theta = np.linspace(0.5, 179.5, 720)
    plots.plot_angle_histogram(
        sample,
        ax,
        density=(theta, theory.pair_angle_density(theta, sample.n)),
        limit=theory.limit_angle(theory.UNIFORM),
        mean=np.degrees(np.arccos(theory.mean_cosine(theory.UNIFORM, sample.n))),
    )
plots.legend_panel(axes.flat[-1], axes.flat[0])
show(
    figure,
    name="fig-angles",
    caption=(
        "Figure 2 of the paper, with its laws. Angle between a random vector and its binarization "
        "(vermilion) and between two independent random vectors (blue), for entries uniform on "
        f"[−1, 1] in n dimensions; simulated, {samples:,} pairs each, seed {seed}. Black curve: "
        "the density of the angle between two uniformly drawn directions."
    ),
    alt=(
        "Five histograms for n = 3, 10, 27, 100 and 1000. At n = 3 the two distributions overlap "
        "widely; at 27 they touch only in their tails; at 1000 both are narrow peaks, one at 30 "
        "degrees and one at 90 degrees."
    ),
)

# %%
summary = pd.DataFrame([angles.summarize(sample) for sample in histograms]).set_index("n")
overlap = pd.Series(
    {s.n: np.mean(s.pair_angle < theory.limit_angle(theory.UNIFORM)) for s in histograms}
)
pd.DataFrame(
    {
        "mean angle to bin(w) (°)": summary["angle"].round(2),
        "its s.d. (°)": summary["angle_sd"].round(2),
        "s.d. of a pair's cosine": summary["pair_sd"].round(4),
        "pairs closer than the limit": overlap.round(4),
    }
)

# %% [markdown]
# In three dimensions the two distributions overlap: a binarized vector may well be no closer to
# the original than a vector drawn at random. From a few tens of dimensions on there is a gap, and
# it is the *blue* curve that opens it. The angle to the binarization stays where it is, near
# {glue:text}`limit-uniform:.0f`°; what changes is that random vectors become almost orthogonal.
#
# ## The exact mean
#
# How good is the limit {eq}`eq-limit` at finite $n$? The mean of the cosine can be written as a
# one-dimensional integral in every dimension. With $S_1 = \sum|w_i|$, $S_2 = \sum w_i^2$ and
# $S_2^{-1/2} = \pi^{-1/2}\int_0^\infty t^{-1/2}e^{-tS_2}\,dt$, independence of the entries gives
#
# $$
# E\cos\angle\bigl(w, \mathrm{bin}(w)\bigr)
#   = \sqrt{\frac n\pi}\int_0^\infty t^{-1/2}\; E\bigl[|w|e^{-tw^2}\bigr]\;
#     E\bigl[e^{-tw^2}\bigr]^{\,n-1}\,dt .
# $$ (eq-mean)
#
# The table compares it with the simulation. The last column is the difference in units of the
# simulation's standard error: where theory and simulation agree it is a draw from the standard
# normal distribution, between −2 and 2 most of the time.

# %%
pd.DataFrame(
    {
        "simulated": summary["cosine"].round(5),
        "standard error": summary["cosine_se"].round(5),
        "exact": summary["cosine_exact"].round(5),
        "difference / s.e.": (
            (summary["cosine"] - summary["cosine_exact"]) / summary["cosine_se"]
        ).round(2),
    }
)

# %% [markdown]
# ## How the angles concentrate
#
# The paper states that the cosine between two random ±1 vectors has mean zero and a standard
# deviation proportional to $n^{-1/2}$ (section 2, after Kanerva {cite}`kanerva2009`). The same is
# true of any vectors with independent entries that are symmetric about zero, and the constant is
# one: the standard deviation is $n^{-1/2}$ *exactly*, in every dimension. The angle between a
# vector and its binarization concentrates at the same rate, by the delta method with constants
# that depend on the distribution of the entries. {numref}`fig-concentration` shows both.

# %%
trends = {
    law.name: pd.DataFrame(
        [
            angles.summarize(angles.sample_angles(n, sizes.trend_samples, law, generator))
            for n in sizes.trend_dimensions
        ]
    )
    for law in (theory.UNIFORM, theory.GAUSSIAN)
}
figure, axes = plots.new_figure(1, 2, height=3.6)
for (name, table), colour in zip(trends.items(), (plots.VERMILION, plots.GREEN), strict=True):
    plots.plot_trend(
        table[table["n"] > 2],  # the delta method is a law for large n
        axes[0, 0],
        value="angle_sd",
        error="angle_sd_se",
        theory="angle_sd_theory",
        label=name,
        colour=colour,
    )
axes[0, 0].set(title="vector and its binarization", ylabel="s.d. of the angle (degrees)")
plots.plot_trend(
    trends[theory.UNIFORM.name],
    axes[0, 1],
    value="pair_sd",
    error="pair_sd_se",
    theory="pair_sd_exact",
    label=theory.UNIFORM.name,
    colour=plots.BLUE,
)
axes[0, 1].set(title="two random vectors", ylabel="s.d. of the cosine")
for ax in axes.flat:
    ax.legend()
show(
    figure,
    name="fig-concentration",
    caption=(
        "Spread of the angle between a vector and its binarization (left; lines: delta method) and "
        "of the cosine between two random vectors (right; line: the exact law $n^{-1/2}$), against "
        f"the dimension. Simulated, {sizes.trend_samples:,} pairs per point, seed {seed}; error "
        "bars, smaller than the symbols where not seen, are standard errors."
    ),
    alt=(
        "Two log-log plots of a standard deviation against the dimension n. All points lie on "
        "straight lines that fall with slope minus one half."
    ),
)

# %%
slopes = pd.DataFrame(
    {
        name: {
            "angle to bin(w)": angles.log_slope(
                table["n"][table["n"] >= 10], table["angle_sd"][table["n"] >= 10]
            ),
            "cosine of a pair": angles.log_slope(table["n"], table["pair_sd"]),
        }
        for name, table in trends.items()
    }
)
glue("slope-pair", slopes.loc["cosine of a pair", theory.UNIFORM.name])
glue("slope-angle", slopes.loc["angle to bin(w)", theory.UNIFORM.name])
slopes.round(2)

# %% [markdown]
# Straight lines fitted to the simulated points have slopes {glue:text}`slope-angle:.2f` for the
# angle (from $n = 10$ on) and {glue:text}`slope-pair:.2f` for the pair's cosine: the predicted
# $-\tfrac12$.
#
# ## Thirty degrees or thirty-seven
#
# The limit depends on the distribution of the entries and on nothing else. For Gaussian entries
# it is $\sqrt{2/\pi}$, which is {glue:text}`limit-gaussian:.2f`° instead of
# {glue:text}`limit-uniform:.2f`°. The direction of a Gaussian vector is uniform on the sphere, so
# this is the angle for "a direction drawn at random"; uniform entries favour directions near the
# corners of the cube, where the binary vectors are.
#
# ## When are the two angles apart?
#
# For directions drawn uniformly from the sphere the probability that two of them are closer to
# each other than $\varphi$ is known exactly {cite}`cai2013`:
#
# $$
# P(\theta < \varphi) = \tfrac12\, I_{\sin^2\varphi}\bigl(\tfrac{n-1}2, \tfrac12\bigr),
#   \qquad \varphi < 90^\circ ,
# $$ (eq-tail)
#
# with the regularized incomplete beta function $I$. It answers the question that simulation
# cannot: how likely is it, in the dimensions of a real network, that some random vector is as
# close to $w$ as $\mathrm{bin}(w)$ is?

# %%
dimensions = (3, 10, 27, 100, 1000)
limits = {
    "within 30° (uniform limit)": theory.limit_angle(theory.UNIFORM),
    "within 37.07° (Gaussian limit)": theory.limit_angle(theory.GAUSSIAN),
}
tails = pd.DataFrame(
    {
        label: [float(theory.pair_angle_cdf(limit, n)) for n in dimensions]
        for label, limit in limits.items()
    },
    index=pd.Index(dimensions, name="n"),
)
glue("tail-27", tails.iloc[2, 1])
glue("tail-100", tails.iloc[3, 1])
tails.map(lambda p: f"{p:.1e}")

# %% [markdown]
# The smallest weight vectors of the paper's convolutional network, those of its first layer, have
# $n = 27$ entries: a random direction comes within the Gaussian limit with probability
# {glue:text}`tail-27:.1e`. For $n = 100$ it is {glue:text}`tail-100:.1e`. "Moderately high" is a
# few tens.
#
# What this does *not* yet say is that dot products with *data* are preserved: data are not random
# vectors. That is a statement about trained networks, and the next two chapters test it there.
