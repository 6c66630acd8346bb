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
# *In high dimension, binarizing a vector hardly turns it.* This chapter measures what “hardly”
# means (Figure 2 of the paper {cite}`anderson2018`) and sets a law beside every simulation, exact
# where one is known and otherwise with its approximation named.
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
# weights to that interval. There the cosine tends to $\sqrt3/2.$

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 2018  # of all random numbers in this chapter
samples = 0  # random vectors per histogram; 0 takes the preset's number

# %%
import numpy as np
import pandas as pd

from bnn_geometry import angles, claims, plots, presets, theory
from bnn_geometry.notebook import glue, scientific, show

sizes = presets.preset(preset)
samples = samples or sizes.angle_samples
generator = np.random.default_rng(seed)
glue("limit-uniform", theory.limit_angle(theory.UNIFORM))
glue("limit-gaussian", theory.limit_angle(theory.GAUSSIAN))

# %% [markdown]
# That is an angle of {glue:text}`limit-uniform:.2f`°. It is not a small angle. What makes it
# small is the comparison that the paper draws: with the angle between two vectors that were drawn
# independently, which in high dimension is close to 90°.
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
        "the law for directions uniform on the sphere, which uniform entries follow only "
        "approximately when n is small."
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
    {
        s.n: f"{np.sum(s.pair_angle < theory.limit_angle(theory.UNIFORM)):,} of {samples:,}"
        for s in histograms
    }
)
pd.DataFrame(
    {
        "mean angle to bin(w) (°)": summary["angle"].round(2),
        "its s.d. (°)": summary["angle_sd"].round(2),
        "s.d. of a pair's cosine": summary["pair_sd"].round(4),
        "pairs closer than the limit": overlap,
    }
)

# %%
closer = {s.n: np.mean(s.pairs > s.binarized) for s in histograms}
for s in histograms:
    claims.record(
        "angle-limit",
        summary.loc[s.n, "cosine"],
        uncertainty=summary.loc[s.n, "cosine_se"],
        theory=summary.loc[s.n, "cosine_exact"],
        preset=preset,
        figure="fig-angles",
        note=f"entries {s.law.name}, n = {s.n}: {summary.loc[s.n, 'angle']:.1f}°",
    )
    if s.n >= 27:
        claims.record(
            "separation",
            closer[s.n],
            uncertainty=np.sqrt(closer[s.n] * (1 - closer[s.n]) / samples),
            preset=preset,
            figure="fig-angles",
            note=f"n = {s.n}, {samples:,} pairs; for n = 3 it is {closer[3]:.3f}",
        )
glue("closer-3", 100 * closer[3])
glue("closer-27", 100 * closer[27])

# %% [markdown]
# In three dimensions the two distributions overlap. In {glue:text}`closer-3:.1f` % of the pairs
# drawn here the second vector was closer to the first than the first one's own binarization; for
# $n = 27$ it happened in {glue:text}`closer-27:.2f` %. Neither mean moves much: the angle to the
# binarization stays near {glue:text}`limit-uniform:.0f`°, and that between two random vectors is
# 90° on average in every dimension. Both distributions become narrower, and the blue one, which
# is the wider, decides when a gap opens.
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
# The paper states that the cosine between two random $\pm1$ vectors has mean zero and a standard
# deviation proportional to $n^{-1/2}$ (section 2, after Kanerva {cite}`kanerva2009`). The same is
# true of any two vectors whose entries are independent draws from one distribution that is
# symmetric about zero, and the constant is one. Given the sizes of all entries their signs are
# independent coin tosses, so the products $u_iv_i$ are uncorrelated and $E\cos^2 = \sum_i
# E[u_i^2/\lVert u\rVert^2]\,E[v_i^2/\lVert v\rVert^2]$; since all entries are alike, each of
# these expectations is $1/n$, and the sum is $n\cdot n^{-2} = 1/n$ *exactly*, in every dimension.
# The angle between a vector and its binarization concentrates at the same rate, for large $n$ and
# with a constant that depends on the distribution of the entries (the delta method).
# {numref}`fig-concentration` shows both.

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
looks = ((plots.VERMILION, "o", "-"), (plots.BLUE, "s", "--"))
for (name, table), (colour, marker, style) in zip(trends.items(), looks, strict=True):
    plots.plot_trend(
        table[table["n"] > 2],  # the delta method is a law for large n
        axes[0, 0],
        value="angle_sd",
        error="angle_sd_se",
        theory="angle_sd_theory",
        label=name,
        colour=colour,
        marker=marker,
        style=style,
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
slopes.round(3)

# %%
signs = pd.DataFrame(
    {
        "n": n,
        "pair_sd": np.sqrt(np.mean(cosine**2)),  # about the mean that is known: zero
        "pair_sd_se": np.std(cosine**2) / np.sqrt(4 * len(cosine) * np.mean(cosine**2)),
    }
    for n in sizes.trend_dimensions
    for cosine in [angles.sample_angles(n, sizes.trend_samples, theory.SIGNS, generator).pairs]
)
for label, table in (("entries ±1", signs), ("entries uniform", trends[theory.UNIFORM.name])):
    for point in table.itertuples():
        claims.record(
            "quasi-orthogonal",
            point.pair_sd * np.sqrt(point.n),
            uncertainty=point.pair_sd_se * np.sqrt(point.n),
            theory=1.0,
            preset=preset,
            figure="fig-concentration",
            note=f"{label}, n = {point.n:,}",
        )
for law, table in trends.items():
    for point in table[table["n"] >= 100].itertuples():  # the delta method is for large n
        claims.record(
            "angle-spread",
            point.angle_sd * np.sqrt(point.n),
            uncertainty=point.angle_sd_se * np.sqrt(point.n),
            theory=point.angle_sd_theory * np.sqrt(point.n),
            preset=preset,
            figure="fig-concentration",
            note=f"entries {law}, n = {point.n:,}",
        )
gaussian = trends[theory.GAUSSIAN.name].iloc[-1]
claims.record(
    "angle-limit",
    gaussian["cosine"],
    uncertainty=gaussian["cosine_se"],
    theory=gaussian["cosine_exact"],
    preset=preset,
    note=f"entries Gaussian, n = {gaussian['n']:,.0f}: {gaussian['angle']:.1f}°",
)
(signs.set_index("n")["pair_sd"] * np.sqrt(signs["n"].to_numpy())).round(3).to_frame(
    "±1 vectors: √n × s.d. of the cosine"
)

# %% [markdown]
# Straight lines fitted to the simulated points have slopes {glue:text}`slope-angle:.2f` for the
# angle (from $n = 10$ on) and {glue:text}`slope-pair:.2f` for the pair's cosine: the predicted
# $-\tfrac12$. For vectors of entries $\pm1$, those of the paper's sentence, the table gives the
# standard deviation times $\sqrt n$, which should be one.
#
# ## Thirty degrees or thirty-seven
#
# The limit depends on the distribution of the entries and on nothing else. For Gaussian entries
# the cosine tends to $\sqrt{2/\pi}$, an angle of {glue:text}`limit-gaussian:.2f`° instead of
# {glue:text}`limit-uniform:.2f`°. The direction of a Gaussian vector is uniform on the sphere, so
# this is the angle for “a direction drawn at random”; uniform entries favour directions near the
# corners of the cube, where the binary vectors are.
#
# ## Is every direction near a binary vector?
#
# The paper concludes that binary vectors form "a highly expressive set of feature extractors". Of
# all $2^n$ binary vectors none is closer to $v$ than $\mathrm{bin}(v)$, since it makes every term
# of $v\cdot b$ positive. By {eq}`eq-cosine`, then, the angle from $v$ to the nearest binary
# vector depends on how evenly $v$ spreads over its entries. The table lists it for directions
# drawn uniformly and for two kinds that are not: a direction that a tenth of the entries share
# equally, and an axis, for which it is $\arccos n^{-1/2}$, the worst that any direction can do.

# %%
few = generator.standard_normal((50, 10))
corners = 2.0 * (np.arange(2**10)[:, None] >> np.arange(10) & 1) - 1
nearest = corners[np.argmax(few @ corners.T, axis=1)]
assert np.array_equal(nearest, np.where(few > 0, 1.0, -1.0))

rows = []
for n in (10, 100, 1000):
    drawn = angles.sample_angles(n, sizes.trend_samples, theory.GAUSSIAN, generator)
    tenth, axis = np.zeros(n), np.zeros(n)
    tenth[: n // 10], axis[0] = 1.0, 1.0
    row = {
        "drawn uniformly": drawn.binarized_angle.mean(),
        "a tenth of the entries": float(angles.angle(tenth, np.ones(n))),
        "an axis": float(angles.angle(axis, np.ones(n))),
    }
    for kind, value in row.items():
        error = drawn.binarized_angle.std() / np.sqrt(sizes.trend_samples)
        claims.record(
            "expressive",
            value,
            uncertainty=error if kind == "drawn uniformly" else None,
            preset=preset,
            note=f"{kind}, n = {n:,}",
        )
    rows.append({"n": n, "binary vectors": f"2^{n}", **row})
reach = pd.DataFrame(rows).set_index("n")
assert reach["drawn uniformly"].max() < 45 < reach["an axis"].min()
glue("axis-1000", reach.loc[1000, "an axis"])
reach.round(2)

# %% [markdown]
# From a direction drawn uniformly the nearest binary vector is {glue:text}`limit-gaussian:.0f`°
# away in high dimension, and on average less in low dimension. From some directions it is much
# further: an axis of a thousand dimensions is {glue:text}`axis-1000:.1f`° away from the nearest,
# hardly closer than from a random one. The set is expressive for features that many inputs share.
# A feature that is one input in a thousand it cannot express.
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
# cannot: how likely is it, in the dimensions of a real network, that some random direction is as
# close to $w$ as $\mathrm{bin}(w)$ is? The table asks it for both limits. Directions are uniform
# on the sphere in both columns; uniform entries follow this law near 90° but not in its far tail,
# so for them the second column is an order of magnitude and no more.

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
glue("tail-27", scientific(tails.iloc[2, 1]))
glue("tail-100", scientific(tails.iloc[3, 1]))
tails.map(scientific)

# %% [markdown]
# The smallest weight vectors of the paper's convolutional network, those of its first layer, have
# $n = 27$ entries: a random direction comes within the Gaussian limit with probability
# {glue:text}`tail-27`. For $n = 100$ it is {glue:text}`tail-100`. "Moderately high" is a
# few tens.
#
# What this does *not* yet say is that dot products with *data* are preserved: data are not random
# vectors. That is a statement about trained networks. {doc}`training` trains one, and
# {doc}`dot_products` tests it there.
