# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#     data: [mnist]
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
# weights to that interval. There the cosine tends to $\sqrt3/2$.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # of the images to train on: auto, official, folder or stand-in
seed = 2018  # of all random numbers in this chapter
samples = 0  # random vectors per histogram; 0 takes the preset's number

# %%
import numpy as np
import pandas as pd
from scipy import special, stats

from bnn_geometry.book import interactive, plots, presets, records
from bnn_geometry.book.display import glue, scientific, show
from bnn_geometry.book.plots import angles as figures
from bnn_geometry.geometry import angles
from bnn_geometry.geometry.binarized_angle import (
    angle_sd,
    angle_sd_rate,
    binarized_angle_density,
    binarized_angle_logsf,
    mean_angle,
    worst_binary_angle,
)
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    LAPLACE,
    SIGNS,
    UNIFORM,
    empirical,
    sparse,
    student_t,
)
from bnn_geometry.geometry.pair_angle import (
    pair_angle_cdf,
    pair_angle_density,
    pair_angle_logcdf,
    pair_angle_sd,
    pair_cosine_sd,
)
from bnn_geometry.geometry.quantizers import limit_angle, limit_cosine
from bnn_geometry.geometry.separation import separation_at, separation_dimension

sizes = presets.sizes("random_vectors", preset)
samples = samples or sizes.angle_samples
generator = np.random.default_rng(seed)
uniform_limit = limit_angle(UNIFORM)
gaussian_limit = limit_angle(GAUSSIAN)
glue("limit-uniform", uniform_limit)
glue("limit-gaussian", gaussian_limit)

# %% [markdown]
# That is an angle of {glue:text}`limit-uniform:.2f`°. It is not a small angle. What makes it
# small is the comparison that the paper draws: with the angle between two vectors that were drawn
# independently, which in high dimension is close to 90°.
#
# ## Figure 2: two angles
#
# {numref}`fig-angles` shows both angles. On the left are uniform entries, as in the paper; on the
# right Gaussian ones.

# %%
entry_laws = {
    "uniform": UNIFORM,
    "Gaussian": GAUSSIAN,
    "Laplace": LAPLACE,
    "Student t, 3": student_t(3),
    "±1": SIGNS,
}


def is_exact(law, n):
    """Whether the law of the angle to the binarization, and of that of a pair, is exact."""
    if law is GAUSSIAN:
        return n <= 300, True
    return (law is UNIFORM and n <= 3) or (law is LAPLACE and n == 2), False


def histograms_of(sample):
    """Histograms with their laws: the exact ones, and from n = 10 on the asymptotic ones."""
    law, n = sample.law, sample.n
    densities = (
        lambda t: binarized_angle_density(t, law, n),
        lambda t: pair_angle_density(t, n, law),
    )
    # no normal law where the angle is constant, or without a fourth moment
    there_is = (not law.constant and np.isfinite(law.m4), not law.constant)
    drawn = [
        density if there and (exact or n >= 10) else None
        for density, there, exact in zip(densities, there_is, is_exact(law, n), strict=True)
    ]
    return interactive.angle_histograms(sample, binarized_density=drawn[0], pair_density=drawn[1])


histograms, kept = {}, {}
for name, law in entry_laws.items():
    for n in sizes.explored_dimensions:
        sample = angles.sample_angles(n, samples, law, generator)
        histograms[name, n] = histograms_of(sample)
        if n in sizes.angle_dimensions and name in ("uniform", "Gaussian"):
            kept[name, n] = sample

figure, axes = plots.new_figure(len(sizes.angle_dimensions), 2, height=8.0, sharex=True)
for row, n in zip(axes, sizes.angle_dimensions, strict=True):
    for ax, name in zip(row, ("uniform", "Gaussian"), strict=True):
        figures.plot_angle_histograms(histograms[name, n], ax, exact=is_exact(entry_laws[name], n))
    row[0].set_ylabel(f"n = {n:,}")
for ax, title in zip(axes[0], ("entries uniform on [−1, 1]", "Gaussian entries"), strict=True):
    ax.set_title(title)
for ax in axes[-1]:
    ax.set_xlabel("angle (degrees)")
figure.legend(*figures.merged_legend(axes.flat), loc="outside lower center", ncols=3)
show(
    figure,
    name="fig-angles",
    caption=(
        "Figure 2 of the paper, with its laws. Angle between a random vector and its binarization "
        "(vermilion) and between two independent random vectors (blue, hatched) in n dimensions; "
        f"simulated, {samples:,} pairs each, seed {seed}. Solid: exact laws. Dashed: asymptotic "
        "ones, the normal distribution with the exact mean and spread for the first angle and the "
        "law of directions uniform on the sphere for the second; drawn from n = 10 on. Densities, "
        "each panel on its own scale."
    ),
    alt=(
        "Ten histograms for n = 3, 10, 27, 100 and 1000, uniform entries on the left, Gaussian "
        "ones on the right. At n = 3 the two distributions overlap widely; at 27 they touch only "
        "in their tails; at 1000 both are narrow peaks, one at 30 degrees, for Gaussian entries "
        "at 37, and one at 90 degrees. The laws follow the histograms."
    ),
)

# %%
summary = pd.DataFrame(
    [{"entries": name, **angles.summarize(sample)} for (name, _), sample in kept.items()]
).astype({"n": int})
below = [np.sum(s.pair_angle < limit_angle(s.law)) for s in kept.values()]
pd.DataFrame(
    {
        "entries": summary["entries"],
        "n": summary["n"],
        "mean angle to bin(w) (°)": summary["angle"].round(2),
        "its s.d. (°)": summary["angle_sd"].round(2),
        "s.d. of a pair's (°)": summary["pair_angle_sd"].round(2),
        "pairs below the limit": [f"{count:,} of {samples:,}" for count in below],
    }
).set_index(["entries", "n"])

# %%
closer = {n: np.mean(kept["uniform", n].pairs > kept["uniform", n].binarized)
          for n in sizes.angle_dimensions}  # fmt: skip
for row in summary[summary["entries"] == "uniform"].itertuples():
    records.record(
        "angle-limit",
        row.cosine,
        uncertainty=row.cosine_se,
        theory=row.cosine_theory,
        preset=preset,
        figure="fig-angles",
        note=f"entries {UNIFORM.name}, n = {row.n}: {row.angle:.1f}°",
    )
    if row.n >= 27:
        records.record(
            "separation",
            closer[row.n],
            uncertainty=np.sqrt(closer[row.n] * (1 - closer[row.n]) / samples),
            preset=preset,
            figure="fig-angles",
            note=f"n = {row.n}, {samples:,} pairs; for n = 3 it is {closer[3]:.3f}",
        )
glue("closer-3", 100 * closer[3])
glue("closer-27", round(closer[27] * samples))
glue("pairs", f"{samples:,}")

# %% [markdown]
# In three dimensions the two distributions overlap. With uniform entries, in
# {glue:text}`closer-3:.1f` % of the pairs drawn here the second vector was closer to the first
# than the first one's own binarization; for $n = 27$ it happened to {glue:text}`closer-27` of
# {glue:text}`pairs` pairs.
# Neither mean moves much: the angle to the binarization stays near its limit, and that between two
# random vectors is 90° on average in every dimension. Both distributions become narrower, and the
# blue one, which is the wider, decides when a gap opens.
#
# **Thirty degrees or thirty-seven.** The limit depends on the distribution of the entries and on
# nothing else. For Gaussian entries the cosine tends to $\sqrt{2/\pi}$, an angle of
# {glue:text}`limit-gaussian:.2f`° instead of {glue:text}`limit-uniform:.2f`°. The direction of a
# Gaussian vector is uniform on the sphere, so this is the angle for “a direction drawn at
# random”; uniform entries favour directions near the corners of the cube, where the binary
# vectors are. {numref}`fig-explore` is for trying others. The less even the entries, the larger the
# angle and the slower it settles.

# %%
shown = ("Laplace", "Student t, 3", "±1")
figure, axes = plots.new_figure(3, 3, height=5.4, sharex=True)
for row, name in zip(axes, shown, strict=True):
    for ax, n in zip(row, (3, 27, 1000), strict=True):
        figures.plot_angle_histograms(histograms[name, n], ax, exact=is_exact(entry_laws[name], n))
        ax.set_xticks([0, 45, 90, 135, 180])
        ax.set_title(f"n = {n:,}" if ax in axes[0] else "")
        ax.set_xlabel("angle (degrees)" if ax in axes[-1] else "")
    row[0].set_ylabel(name)
figure.legend(*figures.merged_legend(axes.flat), loc="outside lower center", ncols=3)
interactive.show_histograms(
    list(histograms.values()),
    static=figure,
    name="fig-explore",
    caption=(
        "Both angles for other entries. On the web page a slider chooses the dimension and a list "
        "the distribution of the entries: uniform, Gaussian, Laplace, Student's t with three "
        f"degrees of freedom, ±1. Simulated, {samples:,} pairs each, preset {preset}, seed {seed}. "
        "Laws are drawn where they are exact or, as asymptotic ones, from n = 10 on; there is no "
        "normal law for the first angle with Student's t, whose fourth moment is infinite."
    ),
    alt=(
        "Nine histograms for n = 3, 27 and 1000. With Laplace entries the angle to the "
        "binarization gathers at 45 degrees, with Student's t near 50. With entries plus and "
        "minus one it is zero, and the angle between two vectors takes few values at n = 3. The "
        "angle between two vectors narrows to 90 degrees in all rows."
    ),
    n=27,
)

# %%
pd.DataFrame(
    {
        "limit (°)": [limit_angle(law) for law in entry_laws.values()],
        **{f"mean, n = {n}": [histograms[name, n].binarized.mean for name in entry_laws]
           for n in (3, 27, 1000)},
    },
    index=pd.Index(list(entry_laws), name="entries"),
).round(1)  # fmt: skip

# %% [markdown]
# ## How fast: the means
#
# How good is the limit {eq}`eq-limit` at finite $n$? The mean of the cosine can be written as a
# one-dimensional integral in every dimension. With $S_1 = \sum|w_i|$, $S_2 = \sum w_i^2$ and
# $S_2^{-1/2} = \pi^{-1/2}\int_0^\infty t^{-1/2}e^{-tS_2}\,dt$, independence of the entries gives
#
# $$
# E\cos = \sqrt{\frac n\pi}\int_0^\infty t^{-1/2}\, A(t)\, B(t)^{n-1}\,dt
# $$ (eq-mean)
#
# with $A(t) = E\bigl[|w|e^{-tw^2}\bigr]$ and $B(t) = E\bigl[e^{-tw^2}\bigr]$ for one entry, and
# likewise for the higher powers of the cosine. Up to rounding these integrals are exact, for
# every $n$. The angle itself is not a power of the cosine. Its mean and standard deviation are
# exact for $n = 2$ and $3$; elsewhere they are expectations of polynomials that fit the angle,
# with an error far below what can be seen here. Above, in {numref}`fig-means`, is the distance
# from the limit, and below it what counts: the difference between simulation and theory in units
# of the simulation's standard error. Where the two agree, it is a draw from the standard normal
# distribution, inside the grey band of ±2 in 95 cases of a hundred.


# %%
def vectors(n):
    """How many vectors of n entries make one point of a trend."""
    return int(np.clip(sizes.trend_values // n, 200, 100_000))


quantities = ("angle", "cosine", "pair_angle", "pair")
trends = {
    name: pd.DataFrame(
        [
            angles.summarize(angles.sample_angles(n, vectors(n), entry_laws[name], generator))
            for n in sizes.trend_dimensions
        ]
    )
    for name in ("uniform", "Gaussian")
}


def curve(name, quantity, *, minus=0.0, sign=1):
    """Columns for the figures: a quantity, or its distance from a limit."""
    table = trends[name]
    return pd.DataFrame(
        {
            "n": table["n"],
            "value": sign * (table[quantity] - minus),
            "error": table[f"{quantity}_se"],
            "theory": sign * (table[f"{quantity}_theory"] - minus),
            "z": table[f"{quantity}_z"],
        }
    )


distances = {
    "angle": {name: curve(name, "angle", minus=limit_angle(entry_laws[name]), sign=-1)
              for name in trends},
    "cosine": {
        name: curve(name, "cosine", minus=limit_cosine(law))
        for name, law in entry_laws.items()
        if name in trends
    },
}  # fmt: skip
layout = {"height": 5.2, "sharex": True, "height_ratios": (2, 1)}
figure, axes = plots.new_figure(2, 2, **layout)
for column, quantity, pair, ylabel in (
    (axes[:, 0], "angle", "pair_angle", "limit − mean angle (degrees)"),
    (axes[:, 1], "cosine", "pair", "mean cosine − limit"),
):
    figures.plot_trend(list(distances[quantity].items()), column[0], ylabel=ylabel)
    figures.plot_residuals(
        [(f"w and bin(w), {name}", curve(name, quantity)) for name in trends]
        + [(f"two vectors, {name}", curve(name, pair)) for name in trends],
        column[1],
    )
axes[0, 0].legend()
axes[1, 1].set_ylabel("")
figure.legend(*figures.merged_legend([axes[1, 0]]), loc="outside lower center", ncols=2)
repeats = f"{vectors(2):,} pairs in low dimension to {vectors(sizes.trend_dimensions[-1]):,}"
show(
    figure,
    name="fig-means",
    caption=(
        "Mean of the angle between a vector and its binarization (left) and of its cosine (right) "
        "against the dimension. Above: distance from the limit; lines: theory. Points less than "
        "two standard errors from the limit are left out. Below: simulation minus theory in "
        "standard errors, also for two random vectors, whose means are 90° and 0; band: ±2. "
        f"Simulated, {repeats} in the highest, seed {seed}."
    ),
    alt=(
        "Above, two log-log plots of the distance between mean and limit against n, falling as "
        "straight lines of slope minus one until the sampling error hides them; Gaussian entries "
        "lie above uniform ones. Below, differences in standard errors scatter about zero, most "
        "of them inside the band."
    ),
)

# %%
means = pd.concat(
    {
        name: pd.DataFrame(
            {
                "theory (°)": table["angle_theory"].round(3),
                "diff. / s.e.": table["angle_z"].round(1) + 0.0,
                "cosine": table["cosine_theory"].round(5),
                "diff. / s.e. ": table["cosine_z"].round(1) + 0.0,
            }
        ).set_index(table["n"].astype(int))
        for name, table in trends.items()
    },
    axis=1,
)
glue("below-uniform-10", uniform_limit - mean_angle(UNIFORM, 10))
glue("below-uniform-100", uniform_limit - mean_angle(UNIFORM, 100))
glue("below-gaussian-10", gaussian_limit - mean_angle(GAUSSIAN, 10))
glue("below-gaussian-100", gaussian_limit - mean_angle(GAUSSIAN, 100))
means

# %% [markdown]
# The distance falls like $1/n$; for uniform entries
# $E\cos \approx \frac{\sqrt3}2\bigl(1 + \frac1{20n}\bigr)$. In ten dimensions the mean angle is
# {glue:text}`below-uniform-10:.1f`° (uniform) and {glue:text}`below-gaussian-10:.1f`° (Gaussian)
# below its limit, in a hundred {glue:text}`below-uniform-100:.1f`° and
# {glue:text}`below-gaussian-100:.1f`°: there the limit is good enough for all that follows.
#
# ## How sharply: the spread
#
# The paper states that the cosine between two random $\pm1$ vectors has mean zero and a standard
# deviation proportional to $n^{-1/2}$ (section 2, after Kanerva {cite}`kanerva2009`). The same is
# true of any two vectors whose entries are independent draws from one distribution that is
# symmetric about zero, and the constant is one. Given the sizes of all entries their signs are
# independent coin tosses, so the products $u_iv_i$ are uncorrelated and $E\cos^2 = \sum_i
# E[u_i^2/\lVert u\rVert^2]\,E[v_i^2/\lVert v\rVert^2]$; since all entries are alike, each of
# these expectations is $1/n$, and the sum is $n\cdot n^{-2} = 1/n$ *exactly*, in every dimension.
#
# The angle between a vector and its binarization concentrates at the same rate, with a constant
# that depends on the distribution of the entries. For large $n$ the delta method gives it:
# $\sqrt n$ times the standard deviation tends to {glue:text}`rate-uniform:.1f`° for uniform and to
# {glue:text}`rate-gaussian:.1f`° for Gaussian entries. {numref}`fig-concentration` shows both
# angles and both cosines, with theory for every $n$.

# %%
spreads = {q: {name: curve(name, f"{q}_sd") for name in trends} for q in quantities}
figure, axes = plots.new_figure(2, 2, **layout)
for column, quantity, pair, ylabel in (
    (axes[:, 0], "angle", "pair_angle", "s.d. of the angle (degrees)"),
    (axes[:, 1], "cosine", "pair", "s.d. of the cosine"),
):
    four = [(f"w and bin(w), {name}", spreads[quantity][name]) for name in trends]
    four += [(f"two vectors, {name}", spreads[pair][name]) for name in trends]
    figures.plot_trend(four, column[0], ylabel=ylabel)
    figures.plot_residuals(four, column[1])
axes[1, 1].set_ylabel("")
figure.legend(*figures.merged_legend([axes[1, 0]]), loc="outside lower center", ncols=2)
show(
    figure,
    name="fig-concentration",
    caption=(
        "Spread of both angles (left) and of their cosines (right) against the dimension. Lines: "
        "theory, exact for the cosines and for the angle between directions (Gaussian entries). "
        "Below: simulation minus theory in standard errors; band: ±2. "
        f"Simulated, {repeats} in the highest, seed {seed}."
    ),
    alt=(
        "Two log-log plots of standard deviations against n. All points lie on lines that fall "
        "with slope minus one half; two random vectors scatter about three times as much as a "
        "vector and its binarization. Below, differences in standard errors scatter about zero."
    ),
)

# %%
rows = []
for label, tables, first, power in (
    ("limit − mean angle", distances["angle"], 10, -1),
    ("s.d. of the angle to bin(w)", spreads["angle"], 10, -0.5),
    ("s.d. of its cosine", spreads["cosine"], 10, -0.5),
    ("s.d. of a pair's angle", spreads["pair_angle"], 10, -0.5),
    ("s.d. of a pair's cosine", spreads["pair"], 2, -0.5),
):
    for name, table in tables.items():
        # a logarithm needs values well above zero, chosen by the theory and not by the draw
        fit = table[(table["n"] >= first) & (table["theory"] > 5 * table["error"])]
        slope, error = angles.fit_log_slope(fit["n"], fit["value"], fit["error"])
        # the theory is no power law at small n: what such a fit should give
        expected, _ = angles.fit_log_slope(
            fit["n"], fit["theory"], fit["error"] * fit["theory"] / fit["value"]
        )
        rows.append((label, name, slope, error, expected, (slope - expected) / error, power))
slopes = pd.DataFrame(
    rows, columns=["quantity", "entries", "slope", "s.e.", "theory", "diff. / s.e.", "n → ∞"]
).set_index(["quantity", "entries"])
pair_slope = slopes.loc[("s.d. of a pair's cosine", "uniform"), "slope"]
glue("slope-pair", f"{pair_slope:.3f}".replace("-", "−"))
glue("slope-pair-error", slopes.loc[("s.d. of a pair's cosine", "uniform"), "s.e."])
angle_slope = slopes.loc[("s.d. of the angle to bin(w)", "uniform"), "slope"]
glue("slope-angle", f"{angle_slope:.3f}".replace("-", "−"))
glue("slope-angle-error", slopes.loc[("s.d. of the angle to bin(w)", "uniform"), "s.e."])
glue("rate-uniform", angle_sd_rate(UNIFORM))
glue("rate-gaussian", angle_sd_rate(GAUSSIAN))
slopes.round({"slope": 3, "s.e.": 3, "theory": 3, "diff. / s.e.": 1})

# %%
titles = ("angle to bin(w)", "its cosine", "angle of a pair", "its cosine ")
residuals = pd.DataFrame(
    {
        f"{kind}, {title}": np.concatenate(
            [table[f"{quantity}{ending}_z"] for table in trends.values()]
        )
        for quantity, title in zip(quantities, titles, strict=True)
        for kind, ending in (("mean", ""), ("s.d.", "_sd"))
    }
)
glue("residuals", residuals.size)
glue("residuals-outside", int((residuals.abs() > 2).to_numpy().sum()))
glue("residuals-expected", 0.0455 * residuals.size)
largest = residuals.abs().max().max()
glue("residual-largest", largest)
# an angle and its cosine nearly agree: half of the residuals count
chance = 1 - (1 - 2 * stats.norm.sf(largest)) ** (residuals.size / 2)
glue("residual-chance", 100 * chance)
pd.DataFrame(
    {
        "mean of (diff. / s.e.)²": (residuals**2).mean().round(2),
        "outside ±2": (residuals.abs() > 2).sum(),
        "of": residuals.count(),
    }
)

# %%
rows = []
for n in sizes.trend_dimensions:
    cosine = angles.sample_angles(n, vectors(n), SIGNS, generator).pairs
    rows.append(
        {
            "n": n,
            "pair_sd": np.sqrt(np.mean(cosine**2)),  # about the mean that is known: zero
            "pair_sd_se": np.std(cosine**2) / np.sqrt(4 * len(cosine) * np.mean(cosine**2)),
        }
    )
signs = pd.DataFrame(rows)
for label, table in (("entries ±1", signs), ("entries uniform", trends["uniform"])):
    for point in table.astype({"n": int}).itertuples():
        records.record(
            "quasi-orthogonal",
            point.pair_sd * np.sqrt(point.n),
            uncertainty=point.pair_sd_se * np.sqrt(point.n),
            theory=1.0,
            preset=preset,
            figure="fig-concentration",
            note=f"{label}, n = {point.n:,}",
        )
for name, table in trends.items():
    for point in table.astype({"n": int}).itertuples():
        records.record(
            "angle-spread",
            point.angle_sd * np.sqrt(point.n),
            uncertainty=point.angle_sd_se * np.sqrt(point.n),
            theory=point.angle_sd_theory * np.sqrt(point.n),
            preset=preset,
            figure="fig-concentration",
            note=f"entries {entry_laws[name].name}, n = {point.n:,}",
        )
last = trends["Gaussian"].iloc[-1]
records.record(
    "angle-limit",
    last["cosine"],
    uncertainty=last["cosine_se"],
    theory=last["cosine_theory"],
    preset=preset,
    figure="fig-means",
    note=f"entries Gaussian, n = {last['n']:,.0f}: {last['angle']:.1f}°",
)
root = np.sqrt(signs["n"].to_numpy())
pd.DataFrame(
    {
        "√n × s.d. of the cosine": (signs["pair_sd"] * root).round(3),
        "s.e.": (signs["pair_sd_se"] * root).round(3),
    }
).set_index(signs["n"]).T

# %% [markdown]
# Straight lines fitted to the simulated points have slopes {glue:text}`slope-angle` ±
# {glue:text}`slope-angle-error:.3f` for the angle (uniform entries, from $n = 10$ on) and
# {glue:text}`slope-pair` ± {glue:text}`slope-pair-error:.3f` for a pair's cosine: the predicted
# $-\tfrac12$. Only the pair's cosine is a power law at every $n$; for the others the column
# “theory” of the first table says what the same fit gives on the theory's own points.
#
# {numref}`fig-means` and {numref}`fig-concentration` show {glue:text}`residuals` residuals.
# {glue:text}`residuals-outside` of them lie outside ±2, where {glue:text}`residuals-expected:.0f`
# are expected. The largest is {glue:text}`residual-largest:.1f`; chance alone gives one as large or
# larger in {glue:text}`residual-chance:.0f` % of such figures. (This counts half of the residuals,
# for an angle and its cosine nearly agree.) The last table is for vectors of entries $\pm1$, those
# of the paper's sentence: $\sqrt n$ times the standard deviation should be one.
#
# ## When are the two angles apart?
#
# “Well separated” can be made a number. Given $w$, let a vector be either $\mathrm{bin}(w)$ or an
# independent one, and call it $\mathrm{bin}(w)$ if its angle to $w$ is below a threshold. With the
# best threshold the error rate is half the *overlapping coefficient* {cite}`inman1989` of the two
# densities $f$ and $g$, $\int\min(f, g)\,d\theta$. A second number is the probability that a random
# vector comes closer to $w$ than $\mathrm{bin}(w)$ does.
#
# For directions drawn uniformly from the sphere both follow from exact laws. The angle between
# two of them is below $\varphi < 90^\circ$ with probability {cite}`cai2013`
#
# $$
# P(\theta < \varphi) = \tfrac12\, I_{\sin^2\varphi}\bigl(\tfrac{n-1}2, \tfrac12\bigr)
#   \;\sim\; \frac{\sin^{n-1}\varphi}{\sqrt{2\pi n}\,\cos\varphi} ,
# $$ (eq-tail)
#
# with the regularized incomplete beta function $I$; the angle to the binarization has a tail that
# is found by integrating over one entry after the other. {numref}`fig-separation` compares them
# with simulation, where that can see anything, and follows the law beyond.

# %%
seen = (2, 3, 4, 6, 8, 10, 13, 16, 20, 27)
theta = np.linspace(0, 90, 3601)


def closer_probability(n):
    """P(a random direction is closer to w than bin(w)), by quadrature of the exact laws."""
    density = binarized_angle_density(theta, GAUSSIAN, n)
    return np.trapezoid(density * pair_angle_cdf(theta, n), theta)


points = {"overlap": [], "closer": [], "closer, uniform": []}
for n in seen:
    threshold = np.cos(np.radians(separation_at(n).threshold))
    for name in ("Gaussian", "uniform"):
        drawn = angles.sample_angles(n, sizes.separation_samples, entry_laws[name], generator)
        events = {"closer": [drawn.pairs > drawn.binarized]}
        if name == "Gaussian":
            # of the best threshold, which theory knows: one fitted to the sample would flatter
            events["overlap"] = [drawn.binarized < threshold, drawn.pairs > threshold]
        for key, parts in events.items():
            rates = np.array([part.mean() for part in parts])
            error = np.sqrt(np.sum(rates * (1 - rates)) / sizes.separation_samples)
            label = key if name == "Gaussian" else f"{key}, {name}"
            points[label].append((n, rates.sum(), error))
points = {
    label: pd.DataFrame(rows, columns=["n", "value", "error"]).set_index("n", drop=False)
    for label, rows in points.items()
}
exact = pd.DataFrame(
    [(separation_at(n).overlap, closer_probability(n)) for n in range(2, 41)],
    index=pd.Index(range(2, 41), name="n"),
    columns=["overlap", "closer"],
)
layers = (27, 1152, 2304, 4608, 8192)  # fan-ins of the paper's network on CIFAR-10
ln10 = np.log(10)
short = np.array([2, 3, 5, 10, 20, 30, 50, 100, 200, 300])
long = np.unique(np.geomspace(2, 20_000, 60).astype(int))
figure, axes = plots.new_figure(1, 2, height=4.0)
figures.plot_overlap(
    exact,
    [
        ("overlap of the two densities", points["overlap"]),
        ("P(closer than bin(w))", points["closer"]),
        ("the same, uniform entries", points["closer, uniform"]),
    ],
    axes[0, 0],
)
figures.plot_orders(
    [
        ("overlap", short, [-np.log10(separation_at(int(n)).overlap) for n in short]),
        (
            f"P(pair < {gaussian_limit:.1f}°)",
            long,
            [-float(pair_angle_logcdf(gaussian_limit, int(n))) / ln10 for n in long],
        ),
    ],
    axes[0, 1],
    marks=layers,
)
axes[0, 1].set_ylabel("probability")
show(
    figure,
    name="fig-separation",
    caption=(
        "How often the two angles are mistaken for each other. Left: overlap of the two densities "
        "and probability that a random vector is closer to w than bin(w); lines: exact, Gaussian "
        f"entries; points: simulated, {sizes.separation_samples:,} pairs each, seed {seed}; none "
        "where it happened to no pair. Right: the exact laws far beyond. The probability falls "
        "downwards, its exponent on a logarithmic scale. Vertical lines: fan-ins of the paper's "
        "CIFAR-10 network."
    ),
    alt=(
        "Left: on a logarithmic axis both probabilities fall along nearly straight lines from "
        "above a tenth at n = 2 to below a hundred-thousandth near n = 27; the points lie on the "
        "lines, uniform entries below them. Right: the exponents grow in proportion to n, past "
        "ten to the minus one hundred before n = 500 and past ten to the minus one thousand "
        "before n = 8192."
    ),
)

# %%
table = exact.loc[list(seen)]


def written(probability):
    """A probability with two digits, small ones as a power of ten."""
    if probability == 0:
        return "0"
    return f"{probability:.2g}" if probability >= 1e-3 else scientific(probability)


pd.DataFrame(
    {
        "overlap": table["overlap"].map(written),
        "diff. / s.e.": (
            (points["overlap"]["value"] - table["overlap"])
            / np.sqrt(table["overlap"] / sizes.separation_samples)
        ).round(1),
        "closer": table["closer"].map(written),
        "diff. / s.e. ": (
            (points["closer"]["value"] - table["closer"])
            / np.sqrt(table["closer"] * (1 - table["closer"]) / sizes.separation_samples)
        ).round(1),
        "closer, uniform entries": points["closer, uniform"]["value"].map(written),
    }
)  # fmt: skip

# %% [markdown]
# (Standard errors here are those that the exact law predicts, since a probability of which no
# case was seen has no other.) From which dimension on is an error rate reached? The table counts
# once with the best threshold, where both angles may stray, and once for the probability that a
# random direction comes within the limit of {glue:text}`limit-gaussian:.2f`°. The second table is
# for the layers of the paper's network: mean and standard deviation of the angles, by theory.

# %%
rates = (0.1, 0.05, 0.01, 1e-3, 1e-4, 1e-6, 1e-9, 1e-12)


def first_below(rate):
    """Smallest n in which a random direction is within the limit less often than that."""
    return next(n for n in range(2, 200) if pair_angle_logcdf(gaussian_limit, n) < np.log(rate))


begins = pd.DataFrame(
    {
        "n: best threshold": [separation_dimension(rate) for rate in rates],
        "its angle (°)": [
            round(separation_at(separation_dimension(rate)).threshold, 1) for rate in rates
        ],
        "n: within the limit": [first_below(rate) for rate in rates],
    },
    index=pd.Index(
        ["0.1", "0.05", "0.01", "10⁻³", "10⁻⁴", "10⁻⁶", "10⁻⁹", "10⁻¹²"], name="error rate below"
    ),
)
glue("n-hundredth", int(begins.loc["0.01", "n: best threshold"]))
glue("n-thousandth", int(begins.loc["10⁻³", "n: best threshold"]))
glue("n-millionth", int(begins.loc["10⁻⁶", "n: best threshold"]))
begins

# %%
superscript = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
rows = {}
for n in layers:
    zeros = float(pair_angle_logcdf(gaussian_limit, n)) / ln10
    rows[n] = {
        "uniform (°)": f"{mean_angle(UNIFORM, n):.2f} ± {angle_sd(UNIFORM, n):.2f}",
        "Gaussian (°)": f"{mean_angle(GAUSSIAN, n):.2f} ± {angle_sd(GAUSSIAN, n):.2f}",
        "a pair (°)": f"90 ± {pair_angle_sd(n):.2f}",
        "P(pair within the limit)": "10" + f"{zeros:.0f}".translate(superscript),
    }
glue("tail-27", scientific(float(pair_angle_cdf(gaussian_limit, 27))))
glue("tail-1152", scientific(float(pair_angle_cdf(gaussian_limit, 1152))))
pd.DataFrame(rows).T.rename_axis("n").astype(str)

# %% [markdown]
# “Moderately high” begins at $n =$ {glue:text}`n-hundredth` for an error rate of a hundredth, at
# {glue:text}`n-thousandth` for a thousandth and at {glue:text}`n-millionth` for a millionth: a few
# tens. The smallest weight vectors of the paper's convolutional network, those of its first layer,
# have $n = 27$ entries, and a random direction comes within the limit with probability
# {glue:text}`tail-27`. In the second layer, $n = 1152$, it is {glue:text}`tail-1152`, which no
# simulation could ever find.
#
# All lines are for directions uniform on the sphere. Uniform entries follow {eq}`eq-tail` near
# 90° but not in its far tail, where they are separated better: their vectors lie nearer to their
# binarizations and seldom near each other.
#
# ## Is every direction near a binary vector?
#
# The paper concludes that binary vectors form “a highly expressive set of feature extractors”. Of
# all $2^n$ binary vectors none is closer to $v$ than $\mathrm{bin}(v)$, since it makes every term
# of $v\cdot b$ positive. By {eq}`eq-cosine`, then, the angle from $v$ to the nearest binary
# vector depends on how evenly $v$ spreads over its entries. A direction with $k$ entries that are
# not zero has
#
# $$
# \cos\angle\bigl(v, \mathrm{bin}(v)\bigr)
#   = \sqrt{\frac kn}\;\cos\angle\bigl(v', \mathrm{bin}(v')\bigr) ,
# $$ (eq-sparse)
#
# where $v'$ is $v$ without its zeros. The worst of all is an axis, $k = 1$, at
# $\arccos n^{-1/2}$. {numref}`fig-nearest` shows what lies between.

# %%
few = generator.standard_normal((50, 10))
corners = 2.0 * (np.arange(2**10)[:, None] >> np.arange(10) & 1) - 1
nearest = corners[np.argmax(few @ corners.T, axis=1)]
assert np.array_equal(nearest, np.where(few > 0, 1.0, -1.0))

width = 1000
rows = []
for n in sizes.angle_dimensions:
    low, high = np.quantile(kept["Gaussian", n].binarized_angle, (0.05, 0.95))
    tenth = np.arange(n) < max(1, n // 10)
    rows.append(
        {
            "n": n,
            "uniform": kept["Gaussian", n].binarized_angle.mean(),
            "low": low,
            "high": high,
            "tenth": float(angles.nearest_binary_angle(tenth)),
            "axis": float(angles.nearest_binary_angle(np.arange(n) < 1)),
            "pair": 90 - 2 * pair_angle_sd(n),
        }
    )
reach = pd.DataFrame(rows)
assert np.allclose(reach["axis"], [worst_binary_angle(n) for n in reach["n"]])
counts = np.unique(np.append(np.geomspace(1, 900, 40).astype(int), np.arange(900, width + 1, 4)))
drawn = []
for k in (1, 3, 10, 30, 100, 300, 1000):
    v = np.zeros((100, width))
    v[:, :k] = generator.standard_normal((100, k))  # which entries they are makes no difference
    found = angles.nearest_binary_angle(v)
    drawn.append((k, k / width, found.mean(), found.std() / np.sqrt(len(found))))
drawn = pd.DataFrame(drawn, columns=["k", "fraction", "angle", "error"]).set_index("k", drop=False)


def sparse_angle(k, cosine):
    """Angle of the mean cosine of directions with k entries that are not zero, degrees."""
    return np.degrees(np.arccos(np.sqrt(k / width) * cosine))


even = np.array([sparse_angle(k, 1.0) for k in counts])
uneven = np.array([sparse_angle(k, mean_cosine(GAUSSIAN, int(k))) for k in counts])
figure, axes = plots.new_figure(1, 2, height=3.8)
figures.plot_nearest(reach, axes[0, 0], bound=45.0)
figures.plot_sparse(
    [("Gaussian entries", counts / width, uneven), ("equal entries", counts / width, even)],
    drawn,
    axes[0, 1],
    pair=90 - 2 * pair_angle_sd(width),
    bound=45.0,
)
axes[0, 1].set_title(f"n = {width:,}")
figure.legend(*figures.merged_legend([axes[0, 0]]), loc="outside lower center", ncols=2)
show(
    figure,
    name="fig-nearest",
    caption=(
        "Angle from a direction to the nearest of the $2^n$ binary vectors. Left: directions drawn "
        f"uniformly (mean and the middle 90 % of {samples:,}), those that a tenth of the entries "
        "share equally, and an axis, the worst case. Right: directions of which a part of the "
        f"entries is zero; lines: theory; points: simulated, 100 directions each, seed {seed}. "
        "Dotted: 45°. Grey: within two standard deviations of the angle between two random "
        "vectors."
    ),
    alt=(
        "Left: directions drawn uniformly stay near 37 degrees with a band that narrows; a tenth "
        "of the entries stays level far above; an axis rises into the grey band of two random "
        "vectors. Right: from near a right angle with one entry of a thousand the angle falls to "
        "zero for equal entries and to 37 degrees for Gaussian ones."
    ),
)

# %%
for row in reach[reach["n"].isin([10, 100, 1000])].itertuples():
    spread = kept["Gaussian", row.n].binarized_angle.std()
    for kind, value, error in (
        ("drawn uniformly", row.uniform, spread / np.sqrt(samples)),
        ("a tenth of the entries", row.tenth, None),
        ("an axis", row.axis, None),
    ):
        records.record(
            "expressive",
            value,
            uncertainty=error,
            preset=preset,
            figure="fig-nearest",
            note=f"{kind}, n = {row.n:,}",
        )
beyond = {n: np.exp(float(binarized_angle_logsf(45.0, n))) for n in (10, 27, 100, 300)}
glue("axis-1000", float(worst_binary_angle(1000)))
glue("beyond-10", 100 * beyond[10])
glue("beyond-100", scientific(beyond[100]))
glue("beyond-300", scientific(beyond[300]))
pd.DataFrame(
    {
        "drawn uniformly (°)": reach["uniform"].round(2),
        "5 % below": reach["low"].round(1),
        "5 % above": reach["high"].round(1),
        "a tenth (°)": reach["tenth"].round(2),
        "an axis (°)": reach["axis"].round(2),
    }
).set_index(reach["n"])

# %%
pd.DataFrame(
    {
        "Gaussian entries (°)": [sparse_angle(k, mean_cosine(GAUSSIAN, k)) for k in drawn["k"]],
        "simulated": drawn["angle"],
        "s.e.": drawn["error"],
        "equal entries (°)": [sparse_angle(k, 1.0) for k in drawn["k"]],
    },
    index=pd.Index(drawn["k"], name=f"not zero, of {width:,}"),
).round(2)

# %% [markdown]
# Almost every direction has a binary vector within 45°: of those drawn uniformly all but
# {glue:text}`beyond-10:.1f` % for $n = 10$, a part of {glue:text}`beyond-100` for $n = 100$ and one
# of {glue:text}`beyond-300` for $n = 300$, by the exact tail. But not every one. An
# axis of a thousand dimensions is {glue:text}`axis-1000:.1f`° away from the nearest. Its cosine
# $n^{-1/2}$ is just one standard deviation of the cosine of two random vectors: *no binary vector
# is nearer to an axis than a random vector usually is.* In between, the angle is a matter of the
# number of entries that take part. For equal ones half of them suffice for 45°, and Gaussian ones
# need more than three quarters (exercise 3).
#
# So the set is expressive for features that many inputs share. A feature that is one input in a
# thousand it cannot express. The ledger therefore calls this claim true in part.
#
# ## Entries of any kind
#
# By {eq}`eq-limit` one number says all about the limit, $E|w|/\sqrt{E w^2}$: how even the entries
# are. {numref}`fig-laws` puts it to the test, on the left for distributions from $\pm1$ to one
# that is zero nine times in ten, and on the right for weights that were trained. For these a
# binary multilayer perceptron learns MNIST {cite}`lecun1998` as in {doc}`training`; the ratio is
# that of all weights of a layer taken together, and the angle is measured filter by filter.

# %% tags=["nbval-ignore-output"]
from bnn_geometry import data, training
from bnn_geometry.networks import layers

mnist = data.load("mnist", source=source)
mlp = training.live_run(sizes.mlp, mnist, seed=1)  # the run of the chapter on training

# %%
high = 10_000
kinds = {
    **entry_laws,
    "Gaussian, half zero": sparse(0.5),
    "Gaussian, 90 % zero": sparse(0.1),
}
rows = {}
for name, law in kinds.items():
    row = angles.summarize(angles.sample_angles(high, vectors(high), law, generator))
    rows[name] = {"ratio": limit_cosine(law), "limit": limit_angle(law)}
    rows[name] |= {key: row[key] for key in ("angle", "angle_se", "angle_theory", "angle_z")}
simulated = pd.DataFrame(rows).T

# %% tags=["nbval-ignore-output"]
dealer = np.random.default_rng([seed, 1])
rows = []
for when, network in (("start", mlp.untrained()), ("trained", mlp.network())):
    for name, layer in layers.weight_layers(network).items():
        w = layer.weight.detach().double().numpy()
        # to three decimals: a law of a thousand values instead of all weights
        law = empirical(np.round(w.ravel(), 3), name)
        filters, n = w.shape
        found = angles.nearest_binary_angle(w)
        # each input's weights dealt out anew: no longer filters, but the same inputs
        dealt = angles.nearest_binary_angle(dealer.permuted(w, axis=0))
        rows.append(
            {
                "when": when,
                "layer": name,
                "n": n,
                "filters": filters,
                "ratio": law.m1 / np.sqrt(law.m2),
                "limit": limit_angle(law),
                "expected": mean_angle(law, n),
                "angle": found.mean(),
                "error": found.std() / np.sqrt(filters),
                "sd_expected": angle_sd(law, n),
                "sd": found.std(ddof=1),
                "sd_dealt": dealt.std(ddof=1),
                "clipped": np.mean(np.abs(w) >= 1),
            }
        )
latents = pd.DataFrame(rows).set_index(["when", "layer"])
start, trained = latents.loc["start"], latents.loc["trained"]
ratio = np.linspace(0.2, 1, 200)
close = np.linspace(0.84, 0.88, 50)
marked = [("weights before training", start), ("trained weights", trained)]
figure, axes = plots.new_figure(1, 2, height=3.9)
figures.plot_limits(
    (ratio, np.degrees(np.arccos(ratio))),
    {name: (row["ratio"], row["angle"]) for name, row in simulated.iterrows()},
    [],
    axes[0, 0],
    labels={"±1": (-8, 0), "uniform": (-8, -6), "Gaussian": (-8, -6), "Laplace": (7, 4)},
)
axes[0, 0].set(title=f"random vectors, n = {high:,}", ylabel="mean angle to bin(w) (degrees)")
figures.plot_limits(
    (close, np.degrees(np.arccos(close))),
    {"uniform": tuple(simulated.loc["uniform", ["ratio", "angle"]])},
    marked,
    axes[0, 1],
    labels={"uniform": (7, 4)},
)
axes[0, 1].set_title("layers of a binary network")
axes[0, 1].legend()
show(
    figure,
    name="fig-laws",
    caption=(
        "Angle between a vector and its binarization against $E|w|/\\sqrt{Ew^2}$. Line: the limit. "
        f"Left: simulated, {vectors(high):,} vectors of {high:,} entries for each distribution, "
        f"seed {seed}; standard errors are smaller than the symbols. Right: mean angle of the "
        f"filters of each layer of a perceptron, width {sizes.mlp.width:g}, before and after "
        f"training on {mnist.provenance.title}, preset {preset}, one run; error bars: standard "
        "errors over filters. The axes of the right panel show a small part of the left."
    ),
    alt=(
        "Left: points of seven distributions on one falling curve, from sparse vectors at the "
        "top to zero for entries plus and minus one. Right, enlarged about 30 degrees: layers "
        "before training near 30 and trained layers higher up on the same curve, within their "
        "error bars of it."
    ),
)

# %%
pd.DataFrame(
    {
        "E|w| / √E w²": simulated["ratio"].round(3),
        "limit (°)": simulated["limit"].round(2),
        f"theory, n = {high:,}": simulated["angle_theory"].round(2),
        "simulated (°)": simulated["angle"].round(2),
        "diff. / s.e.": simulated["angle_z"].round(1) + 0.0,
    }
)

# %% tags=["nbval-ignore-output"]
assert (start["angle"] - start["expected"]).abs().le(5 * start["error"] + 0.05).all()
assert (trained["angle"] - trained["expected"]).abs().max() < 2
assert latents["angle"].between(0, 60).all()
glue("mlp-data", mnist.provenance.title)
glue("trained-low", trained["angle"].min())
glue("trained-high", trained["angle"].max())
glue("trained-off", (trained["angle"] - trained["expected"]).abs().max())
glue("clipped-low", 100 * trained["clipped"].min())
glue("clipped-high", 100 * trained["clipped"].max())
pd.DataFrame(
    {
        "n": latents["n"],
        "limit (°)": latents["limit"].round(2),
        "mean, theory": latents["expected"].round(2),
        "measured": latents["angle"].round(2),
        "s.e.": latents["error"].round(2),
    }
)

# %% tags=["nbval-ignore-output"]
# weights dealt anew have the spread of independent ones
dealt_off = (trained["sd_dealt"] / trained["sd_expected"] - 1) * np.sqrt(2 * trained["filters"])
assert dealt_off.abs().max() < 5
pd.DataFrame(
    {
        "filters": trained["filters"],
        "s.d., theory (°)": trained["sd_expected"].round(2),
        "measured": trained["sd"].round(2),
        "s.e.": (trained["sd_expected"] / np.sqrt(2 * trained["filters"])).round(2),
        "dealt anew": trained["sd_dealt"].round(2),
    }
)

# %% [markdown]
# The network was trained on {glue:text}`mlp-data`. It began with uniform weights, at 30°, and
# training took its layers to between {glue:text}`trained-low:.1f`° and
# {glue:text}`trained-high:.1f`°; {glue:text}`clipped-low:.0f` to {glue:text}`clipped-high:.0f` % of
# the latent weights ended at the clips, $\pm1$. The mean angle of the filters is that of a random
# vector whose entries are drawn from the whole layer, to {glue:text}`trained-off:.2f`°. It would be
# smaller if filters differed much in size. The spread over filters, in the second table, tells
# more. Where it is below that of the theory, filters are more alike than independent draws would
# be. The last column deals each input's weights out anew among the filters: the inputs remain what
# they are, and the filters become random again.
#
# **Heavy tails.** The theory promises a limit only if $E w^2$ is finite. Student's t distribution
# with $\nu$ degrees of freedom has a density that falls like $|w|^{-\nu-1}$, and for $\nu\le2$
# its variance is infinite: then $\lVert w\rVert_2^2$ is a matter of the few largest entries. For
# $1<\nu<2$ the largest of $n$ entries is of the order $n^{1/\nu}$, which puts
# $\lVert w\rVert_2$ at that order too, while $\lVert w\rVert_1$ still grows like $n$. Hence
#
# $$
# \cos\angle\bigl(w, \mathrm{bin}(w)\bigr) \;\sim\; \frac{n}{\sqrt n\; n^{1/\nu}}
#   = n^{\frac12-\frac1\nu} ,
# $$ (eq-heavy)
#
# and the angle tends to 90°. {numref}`fig-tails` shows it beside distributions that keep the
# promise.


# %%
def heavy_vectors(n):
    """As vectors, but fewer: entries with heavy tails take longer to draw."""
    return max(200, vectors(n) // 10)


heavy = {df: student_t(df) for df in (1.5, 2, 3)}
dimensions = [n for n in sizes.trend_dimensions if n <= 100_000]
tails = {
    df: pd.DataFrame(
        [
            angles.summarize(angles.sample_angles(n, heavy_vectors(n), law, generator))
            for n in dimensions
        ]
    )
    for df, law in heavy.items()
}
grid = np.unique(np.geomspace(2, 1e6, 25).astype(int))
figure, axes = plots.new_figure(1, 2, height=4.2)
figures.plot_convergence(
    [
        ("uniform", trends["uniform"][trends["uniform"]["n"] <= 100_000], uniform_limit),
        ("Gaussian", trends["Gaussian"][trends["Gaussian"]["n"] <= 100_000], gaussian_limit),
        *((f"Student t, ν = {df}", tails[df], limit_angle(heavy[df])) for df in (3, 2, 1.5)),
    ],
    axes[0, 0],
)
figures.plot_tails(
    [
        (
            "",
            pd.DataFrame({"n": grid, "cosine": [mean_cosine(law, int(n)) for n in grid]}),
            table,
        )
        for law, table in (
            (UNIFORM, trends["uniform"]),
            (GAUSSIAN, trends["Gaussian"]),
            *((heavy[df], tails[df]) for df in (3, 2, 1.5)),
        )
    ],
    (grid, np.array([pair_cosine_sd(int(n)) for n in grid])),
    axes[0, 1],
)
figure.legend(*figures.merged_legend(axes.flat), loc="outside lower center", ncols=3)
show(
    figure,
    name="fig-tails",
    caption=(
        "Where the limit exists and where it does not. Left: mean angle between a vector and its "
        "binarization; the bars at the right edge are the limits. Right: mean cosine; lines: "
        "exact. Grey: cosines of two random vectors up to one standard deviation. Simulated, "
        f"{heavy_vectors(2):,} heavy-tailed vectors in low dimension to "
        f"{heavy_vectors(100_000):,} in high, seed {seed}."
    ),
    alt=(
        "Left: angles against n. Uniform and Gaussian entries reach their limits of 30 and 37 "
        "degrees early, Student's t with three degrees of freedom its own slowly; with "
        "two and with one and a half degrees the angle keeps growing towards 90. Right: the "
        "cosine of the last falls as a straight line on logarithmic axes, but far less steeply "
        "than the grey region of two random vectors."
    ),
)


# %%
def local_slope(law):
    """Slope of log cosine against log n where n is huge; + 0 turns a rounded −0 into 0."""
    cosines = [mean_cosine(law, n) for n in (10**8, 10**9)]
    return round(angles.log_slope([1e8, 1e9], cosines), 3) + 0.0


pd.DataFrame(
    {
        f"ν = {df}": {
            "limit (°)": f"{limit_angle(law):.2f}",
            **{
                f"exact cosine, n = {label}": f"{mean_cosine(law, n):.4f}"
                for label, n in (("10", 10), ("10³", 10**3), ("10⁶", 10**6), ("10⁹", 10**9))
            },
            "slope, 10⁸ to 10⁹": f"{local_slope(law):.3f}",
            "1/2 − 1/ν, or 0": f"{min(0.0, 1 / 2 - 1 / df):.3f}",
            "largest |diff.| / s.e.": f"{tails[df]['cosine_z'].abs().max():.1f}",
        }
        for df, law in heavy.items()
    }
)  # fmt: skip

# %%
sixth = mean_cosine(heavy[1.5], 10**6)
glue("heavy-cosine", sixth)
glue("heavy-angle", float(np.degrees(np.arccos(sixth))))
glue("heavy-sds", sixth / pair_cosine_sd(10**6))

# %% [markdown]
# With $\nu = 1.5$ the cosine has fallen to {glue:text}`heavy-cosine:.2f` at $n = 10^6$, an angle of
# {glue:text}`heavy-angle:.0f`°. With $\nu = 2$, the boundary, it falls like $1/\sqrt{\log n}$:
# without a limit, but hardly noticeably. And yet binarization keeps the direction even here, in
# the paper's sense of “relative”. The pair's cosine has the standard deviation $n^{-1/2}$ for
# every symmetric distribution, heavy tails or not, and {glue:text}`heavy-cosine:.2f` is
# {glue:text}`heavy-sds:.0f` of them. The binary vector is no good approximation then, but no random
# vector is anywhere near as close.
#
# The clipping of the latent weights rules such tails out. Weights of networks that were trained
# without it are another matter ({doc}`pretrained`), and so are data: what this chapter does *not*
# yet say is that dot products with *data* are preserved, since data are not random vectors. That
# is a statement about trained networks. {doc}`training` trains one, and {doc}`dot_products` tests
# it there.
#
# ## Exercises
#
# The solutions are folded away, and so are the cells that compute and check their numbers.
#
# **1. In the plane.** For $n = 2$ find the law of the angle between $w$ and $\mathrm{bin}(w)$, once
# for Gaussian and once for uniform entries, and the mean for the latter. How often is a random
# direction closer to a random direction than its binarization is?
#
# ```{dropdown} Solution 1
# The binary vectors point along the diagonals, so the angle $\theta$ lies between 0 and 45°. A
# Gaussian direction is uniform on the circle, and $\theta$ is uniform on $[0, 45^\circ]$. For
# uniform entries the distance to the boundary of the square in the direction at angle $\theta$
# from the diagonal is $1/\cos(45^\circ-\theta)$, and the area of a narrow sector is half its
# square: the density is $1/\cos^2(45^\circ-\theta) = 2/(1+\sin2\theta)$ per radian. With $\psi =
# \frac\pi4-\theta$ the mean is $\frac\pi4 - \int_0^{\pi/4}\psi\,\sec^2\psi\,d\psi =
# \frac\pi4-\bigl[\psi\tan\psi+\ln\cos\psi\bigr]_0^{\pi/4} = \frac12\ln2$, or
# {glue:text}`solution-plane:.2f`°. A second direction is at an angle uniform on $[0, 180^\circ]$;
# given $\theta$ it is closer with probability $\theta/180^\circ$, on average $22.5/180 = \frac18$.
# ```

# %% tags=["hide-cell"]
assert np.isclose(mean_angle(UNIFORM, 2), np.degrees(np.log(2) / 2))
assert np.isclose(mean_angle(GAUSSIAN, 2), 22.5)
assert np.isclose(closer_probability(2), 1 / 8, rtol=1e-3)
assert abs(points["closer"].loc[2, "value"] - 1 / 8) < 4 * points["closer"].loc[2, "error"]
glue("solution-plane", np.degrees(np.log(2) / 2))

# %% [markdown]
# **2. Positive entries.** Draw the entries uniformly from $[0, 1]$, as activations that are never
# negative. What do both angles tend to? Which assumption of this chapter fails?
#
# ```{dropdown} Solution 2
# $\mathrm{bin}(w)$ is the vector of ones, whatever $w$ is, and the angle to it still tends to 30°:
# {eq}`eq-limit` knows $|w|$ alone. But the signs are no coin tosses any more. The cosine between
# two such vectors tends to $(E w)^2/E w^2 = \frac14/\frac13 = \frac34$, an angle of
# {glue:text}`solution-positive:.1f`°. All vectors share one binarization, which tells none from any
# other. Subtracting the mean repairs it, as batch norm does.
# ```

# %% tags=["hide-cell"]
u, v = np.random.default_rng(seed).random((2, 200, 10_000))
between = angles.angle(u, v)
positive = np.degrees(np.arccos(3 / 4))
# the mean of the angle differs from its limit by terms of order 1/n, a thousandth of a degree
assert abs(between.mean() - positive) < 4 * between.std() / np.sqrt(200) + 1e-2
assert abs(angles.nearest_binary_angle(u).mean() - 30) < 0.1
assert abs(angles.angle(u - u.mean(), v - v.mean()).mean() - 90) < 0.2
glue("solution-positive", positive)

# %% [markdown]
# **3. Sparse directions.** A part $p$ of the entries is not zero, the others are. For which $p$ is
# the angle to the nearest binary vector 45° in the limit, if the entries that are not zero are
# equal, uniform, Gaussian or Laplace?
#
# ```{dropdown} Solution 3
# By {eq}`eq-sparse` the cosine is $\sqrt p\,c$ with the limit $c$ for the entries that are not
# zero, so $p = 1/(2c^2)$: $\frac12$ for equal entries, $\frac23$ for uniform ones, $\frac\pi4 =$
# {glue:text}`solution-sparse:.3f` for Gaussian ones, and 1 for Laplace: they are at 45° with no
# zeros at all.
# ```

# %% tags=["hide-cell"]
for law, part in (
    (SIGNS, 1 / 2),
    (UNIFORM, 2 / 3),
    (GAUSSIAN, np.pi / 4),
    (LAPLACE, 1.0),
):
    assert np.isclose(1 / (2 * limit_cosine(law) ** 2), part)
assert np.isclose(limit_angle(sparse(np.pi / 4)), 45)
glue("solution-sparse", np.pi / 4)

# %% [markdown]
# **4. The best threshold.** In the table above it lies far above the limit of
# {glue:text}`limit-gaussian:.0f`°. Bound the probability that a direction is farther than
# $\varphi$ from every binary vector, by comparing volumes, and find where the threshold tends to.
#
# ```{dropdown} Solution 4
# If a unit vector $v$ is farther than $\varphi$ from all of them, $\lVert v\rVert_1 <
# \sqrt n\cos\varphi$, and so is $\lVert rv\rVert_1$ for $0\le r\le1$. The part of the unit ball in
# such directions therefore lies in the cross-polytope of that radius, and the part of the sphere
# is at most the ratio of the volumes,
# $\frac{(2\sqrt n\cos\varphi)^n}{n!}\Big/\frac{\pi^{n/2}}{\Gamma(n/2+1)}
# \approx \bigl(\sqrt{2e/\pi}\,\cos\varphi\bigr)^n/\sqrt2$
# by Stirling's formula. The pair's tail {eq}`eq-tail` falls like $\sin^n\varphi$. At the best
# threshold both must fall equally fast. If the bound gives the true rate, $\tan\varphi =
# \sqrt{2e/\pi}$ and $\varphi =$ {glue:text}`solution-threshold:.1f`°. There $\sin\varphi =$
# {glue:text}`solution-rate:.3f`; ten more dimensions divide the error rate by
# {glue:text}`solution-factor:.1f`. For $n = 300$ the exact threshold is
# {glue:text}`solution-300:.1f`°.
# ```

# %% tags=["hide-cell"]
threshold = np.arctan(np.sqrt(2 * np.e / np.pi))
for n in (10, 100, 300):
    for phi in (46, 50, 55):
        log_bound = (
            n * np.log(2 * np.sqrt(n) * np.cos(np.radians(phi)) / np.sqrt(np.pi))
            + special.gammaln(n / 2 + 1)
            - special.gammaln(n + 1)
        )
        assert binarized_angle_logsf(phi, n) < log_bound
        rough = np.sqrt(2 * np.e / np.pi) * np.cos(np.radians(phi))
        assert abs(log_bound - n * np.log(rough) + np.log(2) / 2) < 0.1
best = {n: separation_at(n) for n in (200, 300)}
decay = np.exp((best[300].log_error - best[200].log_error) / 100)
assert abs(best[300].threshold - np.degrees(threshold)) < 1
assert abs(decay - np.sin(threshold)) < 0.01
glue("solution-threshold", np.degrees(threshold))
glue("solution-rate", np.sin(threshold))
glue("solution-factor", np.sin(threshold) ** -10)
glue("solution-300", best[300].threshold)
