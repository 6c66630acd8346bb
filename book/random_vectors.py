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
# # Random vectors
#
# Binarizing a random vector turns it by {glue:text}`limit-uniform:.0f`° if its entries are uniform
# and by {glue:text}`limit-gaussian:.0f`° if they are Gaussian, while an independent vector stands
# at 90° ({claim}`angle-limit`). Both angles gather about these values like $n^{-1/2}$
# ({claim}`angle-spread`, {claim}`quasi-orthogonal`). That an independent vector is closer to $w$
# than $w$'s own {term}`binarization` is therefore rare in few dimensions already: in $n = 27$, the
# smallest layer of the paper's network, it has probability {glue:text}`closer-27` if the entries
# are Gaussian ({claim}`separation`), and a theorem of four lines says that it falls exponentially.
#
# Not every direction is near a binary vector: an axis in a thousand dimensions is
# {glue:text}`axis-1000:.0f`° away from all of them. In random subspaces, of ten dimensions or of a
# tenth of $n$, the worst direction that a search finds is {glue:text}`worst-low:.0f`° to
# {glue:text}`worst-high:.0f`° away ({claim}`expressive`). And the entries must not have heavy
# tails: with Student's t, $\nu = 1.5$, an independent vector is still closer in
# {glue:text}`heavy-100:.1f` % of all pairs at $n = 100$.
#
# {numref}`fig-angles` is Figure 2 of the paper {cite}`anderson2017`, to touch.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 2018  # of all random numbers in this chapter
samples = 0  # random vectors per histogram; 0 takes the preset's number

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from scipy import stats

from bnn_geometry.book import interactive, plots, presets, records
from bnn_geometry.book.display import Origin, glue, scientific, show, table
from bnn_geometry.book.plots.angles import plot_angle_histograms
from bnn_geometry.geometry import angles, separation, subspaces
from bnn_geometry.geometry.binarized_angle import (
    angle_sd,
    angle_sd_rate,
    binarized_angle_density,
    binarized_angle_logsf,
    mean_angle,
    worst_binary_angle,
)
from bnn_geometry.geometry.correlation import predicted_correlation
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, SIGNS, UNIFORM, student_t
from bnn_geometry.geometry.pair_angle import (
    pair_angle_density,
    pair_angle_sd,
)
from bnn_geometry.geometry.quantizers import limit_angle

sizes = presets.sizes("random_vectors", preset)
samples = samples or sizes.angle_samples
generator = np.random.default_rng(seed)
origin = Origin(preset=preset, seed=seed)
HEAVY = student_t(1.5)
entry_laws = {"uniform": UNIFORM, "Gaussian": GAUSSIAN, "Laplace": LAPLACE, "±1": SIGNS}
entry_laws["Student t"] = HEAVY


def histograms_of(sample):
    """Both histograms with their laws: exact, or from n = 10 on asymptotic, where there are any."""
    law, n = sample.law, sample.n
    smooth = law not in (SIGNS, HEAVY)
    exact = law is GAUSSIAN or (law is UNIFORM and n <= 3) or (law is LAPLACE and n == 2)
    own = smooth and (exact or n >= 10)
    pair = smooth and (law is GAUSSIAN or n >= 10)
    return interactive.angle_histograms(
        sample,
        binarized_density=(lambda t: binarized_angle_density(t, law, n)) if own else None,
        pair_density=(lambda t: pair_angle_density(t, n, law)) if pair else None,
    )


drawn = {
    (name, n): angles.sample_angles(n, samples, law, generator)
    for name, law in entry_laws.items()
    for n in sizes.explored_dimensions
}
histograms = {key: histograms_of(sample) for key, sample in drawn.items()}
figure, axes = plots.new_figure(len(sizes.angle_dimensions), height=7.0, width=7.2, sharex=True)
for ax, n in zip(axes.flat, sizes.angle_dimensions, strict=True):
    plot_angle_histograms(histograms["uniform", n], ax)
    ax.set_ylabel(f"n = {n:,}")
axes[-1, 0].set_xlabel("angle (degrees)")
figure.legend(*axes[-1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
interactive.show_histograms(
    list(histograms.values()),
    static=figure,
    name="fig-angles",
    caption=(
        "Figure 2 of the paper. Angle between a random vector and its binarization (vermilion) and "
        "between two independent random vectors (blue, hatched). On the web page a slider chooses "
        "the dimension n and a list the distribution of the entries; in print they are uniform on "
        "$[-1, 1]$. Curves: laws, exact for Gaussian entries and for n = 3, asymptotic from n = "
        f"10 on. Dotted: limit for large n. {samples:,} pairs each, preset {preset}, seed {seed}."
    ),
    alt=(
        "Five histograms of uniform entries, n = 3 to 1000. At n = 3 the two angles overlap "
        "widely; at 27 they touch in their tails only; at 1000 both are narrow peaks, at 30 and 90 "
        "degrees."
    ),
    n=27,
)

# %% [markdown]
# ## Thirty degrees or thirty-seven
#
# Take a vector $w$ with $n$ entries and binarize it: {term}`bin` makes $+1$ of a positive entry and
# $-1$ of any other. Since $w_i\,\mathrm{bin}(w)_i = |w_i|$, the angle between the two depends on
# the vector's norms alone,
#
# $$
# \cos\angle\bigl(w, \mathrm{bin}(w)\bigr)
#   = \frac{\lVert w\rVert_1}{\sqrt n\,\lVert w\rVert_2} .
# $$ (eq-cosine)
#
# It says how even the entries are. If they are independent draws from one distribution, the law of
# large numbers gives, for large $n$,
#
# $$
# \cos\angle\bigl(w, \mathrm{bin}(w)\bigr) \;\longrightarrow\; \frac{E|w|}{\sqrt{E\,w^2}} .
# $$ (eq-limit)
#
# The paper draws its entries uniformly from $[-1, 1]$, because training clips the
# {term}`latent weights <latent weight>` to that interval: the cosine tends to $\sqrt3/2$, an angle
# of {glue:text}`limit-uniform:.2f`°. The direction of a Gaussian vector is uniform on the sphere,
# so its $\sqrt{2/\pi}$ or {glue:text}`limit-gaussian:.2f`° is the angle of “a direction drawn at
# random”. Uniform entries favour the corners of the cube, where the binary vectors are.
#
# Neither is a small angle. The paper's “small amount relative to the angle between two random
# vectors” is meant beside 90°.
#
# ## Both angles gather like $n^{-1/2}$
#
# The table has both laws, in degrees: mean and standard deviation of the angle to the binarization,
# and the standard deviation of the angle of a pair, whose mean is 90°. Simulation agrees with them.

# %%
trends = pd.concat(
    {
        name: pd.DataFrame(
            angles.summarize(
                angles.sample_angles(
                    n, int(np.clip(sizes.trend_values // n, 200, 50_000)), law, generator
                )
            )
            for n in sizes.trend_dimensions
        )
        for name, law in (("uniform", UNIFORM), ("Gaussian", GAUSSIAN))
    },
    names=["entries", None],
)
for quantity in ("cosine", "angle", "angle_sd"):
    off = trends[quantity] - trends[f"{quantity}_theory"]
    assert (off.abs() < 4 * trends[f"{quantity}_se"]).all(), quantity
for (name, _), row in trends.iterrows():
    n, options = int(row["n"]), {"preset": preset, "figure": "fig-angles"}
    words = f"entries {entry_laws[name].name}, n = {n:,}"
    records.record(
        "angle-limit",
        row["cosine"],
        uncertainty=row["cosine_se"],
        theory=row["cosine_theory"],
        null=0.0,
        against="an independent vector",
        note=f"{words}: {row['angle']:.1f}°",
        **options,
    )
    records.record(
        "angle-spread",
        row["angle_sd"] * n**0.5,
        uncertainty=row["angle_sd_se"] * n**0.5,
        theory=row["angle_sd_theory"] * n**0.5,
        note=words,
        **options,
    )
of_pairs = np.random.default_rng(seed)
for n in sizes.trend_dimensions:
    count = int(np.clip(sizes.trend_values // n, 200, 50_000))
    apart = np.arccos(angles.sample_angles(n, count, GAUSSIAN, of_pairs).pairs)
    found = np.degrees(np.sqrt(np.mean((apart - np.pi / 2) ** 2)))
    assert abs(found / pair_angle_sd(n) - 1) < 4 / np.sqrt(2 * count)
for n in (2, 3, *sizes.trend_dimensions):
    count = int(np.clip(sizes.trend_values // n, 200, 50_000))
    cosines = angles.sample_angles(n, count, SIGNS, generator).pairs
    found = np.sqrt(n * np.mean(cosines**2))  # about the mean that is known: zero
    error = np.sqrt((2 - 2 / n) / (4 * count))  # E cos⁴ is (3 − 2/n)/n²
    assert abs(found - 1) < 4 * error
    records.record(
        "quasi-orthogonal",
        found,
        uncertainty=error,
        theory=1.0,
        note=f"entries ±1, n = {n:,}",
        **options,
    )
glue(limit={"uniform": limit_angle(UNIFORM), "gaussian": limit_angle(GAUSSIAN)})
wide = [pair_angle_sd(1000) / angle_sd(law, 1000) for law in (UNIFORM, GAUSSIAN)]
assert 2.8 < min(wide) < max(wide) < 3.2  # about three times
glue(rate={"uniform": angle_sd_rate(UNIFORM), "gaussian": angle_sd_rate(GAUSSIAN)})
shown = (3, 10, 27, 100, 1000, 10_000)
laws = {
    n: {
        "uniform": mean_angle(UNIFORM, n),
        "its s.d.": angle_sd(UNIFORM, n),
        "Gaussian": mean_angle(GAUSSIAN, n),
        "its s.d. ": angle_sd(GAUSSIAN, n),
        "pair's s.d. (Gaussian)": pair_angle_sd(n),
    }
    for n in shown
}
table(pd.DataFrame(laws).T.rename_axis("n"), ".1f")

# %% [markdown]
# For the pair this is the hyperdimensional computing of Kanerva {cite}`kanerva2009`, from which the
# paper sets out: the cosine between two random $\pm1$ vectors has mean zero and a standard
# deviation proportional to $n^{-1/2}$. The constant is one, *exactly*, and not for $\pm1$ alone.
# Given the sizes of all entries the signs are independent coin tosses, so the products $u_iv_i$ are
# uncorrelated and
#
# $$
# \begin{aligned}
# E\cos^2 &= \sum_i E\Bigl[\frac{u_i^2}{\lVert u\rVert^2}\Bigr]
#   E\Bigl[\frac{v_i^2}{\lVert v\rVert^2}\Bigr] \\
#   &= n\cdot\frac1n\cdot\frac1n = \frac1n .
# \end{aligned}
# $$
#
# The angle to the binarization is narrower: its standard deviation tends to
# {glue:text}`rate-uniform:.1f`° over $\sqrt n$ for uniform entries and to
# {glue:text}`rate-gaussian:.1f`° over $\sqrt n$ for Gaussian ones, by the {term}`delta method`. So
# the pair, whose spread is about three times as wide, decides when the two are apart.
#
# ## How many dimensions suffice
#
# One question has one answer, with no threshold to choose: how often is an independent vector
# closer to $w$ than $\mathrm{bin}(w)$ is? {numref}`fig-separation` shows it. For directions uniform
# on the sphere the probability follows from two exact laws, that of the angle between two of them
# {cite}`cai2013` and that of the angle to the binarization.

# %%
seen = (2, 3, 4, 6, 8, 10, 13, 16, 20, 27)
exact = pd.Series({n: separation.closer_probability(n) for n in range(2, 41)})
bound = pd.Series(separation.closer_bound(exact.index), exact.index)
closer = {}
for name in ("Gaussian", "uniform"):
    found = {}
    for n in seen:
        sample = angles.sample_angles(n, sizes.separation_samples, entry_laws[name], generator)
        found[n] = np.mean(sample.pairs > sample.binarized)
    closer[name] = pd.Series(found)
law = exact[list(seen)]
error = np.sqrt(law * (1 - law) / sizes.separation_samples)
assert ((closer["Gaussian"] - law).abs() < 4 * error + 1 / sizes.separation_samples).all()
figure, [[ax]] = plots.new_figure(height=4.0, width=5.8)
plots.series(
    {
        f"{name} entries": pd.DataFrame(
            {"p": p, "se": np.sqrt(p * (1 - p) / sizes.separation_samples)}
        )[p * sizes.separation_samples >= 5]
        for name, p in closer.items()
    },
    ax,
    theory={"Gaussian entries": exact, "the theorem": bound},
    joined=False,
)
ax.set(yscale="log", xlabel="dimension n", ylabel="P(closer than bin(w))", ylim=(1e-9, 3))
ax.legend()
show(
    figure,
    "fig-separation",
    "Probability that an independent vector is closer to w than bin(w) is. Line: exact, for "
    "Gaussian entries. Points: simulated, with standard errors, where it happened to five pairs or "
    "more. Dashed: the bound of the theorem.",
    origin.but(words=f"{sizes.separation_samples:,} pairs for each point"),
    alt="On a logarithmic axis the exact probability falls along a nearly straight line from an "
    "eighth at n = 2 to one in a million at n = 27 and below 10 to the minus 8 at n = 40. "
    "Simulated points lie on it, those of uniform entries below it. The bound falls far more "
    "slowly.",
)

# %%


def record_closer(n, p, pairs, null, words, name, theory=None):
    """Note how often a vector was closer; 95 % intervals of Clopper and Pearson."""
    count = round(p * pairs)
    low = stats.beta.ppf(0.025, count, pairs - count + 1) if count else 0.0
    records.record(
        "separation",
        p,
        theory=theory,
        null=null,
        against="the same in 3 dimensions",
        interval=(low, stats.beta.ppf(0.975, count + 1, pairs - count)),
        preset=preset,
        figure=name,
        note=f"entries {words}, n = {n:,}: {count:,} of {pairs:,} pairs",
    )


for name, p in closer.items():
    for n in seen[seen.index(13) :]:
        theory = exact[n] if name == "Gaussian" else None
        words = entry_laws[name].name
        record_closer(n, p[n], sizes.separation_samples, p[3], words, "fig-separation", theory)
thousandth = int(exact.index[exact < 1e-3][0])
assert (closer["uniform"] < closer["Gaussian"])[[4, 6]].all()
assert thousandth < 27
assert exact[27] < 1e-6
fall = {n: separation.closer_probability(n) for n in (80, 100)}
rate = np.log(fall[80] / fall[100]) / 20
assert abs(rate - np.log(2 * np.pi / np.e) / 2) < 0.01
assert (exact < bound).all()
glue(closer_27=scientific(exact[27]), closer_3=100 * exact[3], thousandth=thousandth)
glue(bound_1024=scientific(float(separation.closer_bound(1024))))

# %% [markdown]
# With Gaussian entries it happens in three dimensions to {glue:text}`closer-3:.0f` % of all pairs,
# from $n =$ {glue:text}`thousandth` on to fewer than one in a thousand, and at $n = 27$ with
# probability {glue:text}`closer-27`. The paper asks for “a moderately high dimension”: a dozen or
# two will do.
#
# Uniform entries do better: their binarizations are nearer.
#
# ## The theorem
#
# **Theorem.** Let $v$ and $w$ be independent and uniform on the sphere. The probability that $v$ is
# closer to $w$ than $\mathrm{bin}(w)$ is at most $2e^{-(n-1)/4\pi}$.
#
# *Proof.* (1) On the unit sphere the cosine {eq}`eq-cosine` is $f(w) = \lVert w\rVert_1/\sqrt n$.
# It is 1-Lipschitz, since $\lVert w - w'\rVert_1\le\sqrt n\,\lVert w - w'\rVert_2$, and so
# concentrates {cite}`ledoux2001`: $P(f \le Ef - t) \le e^{-(n-1)t^2/2}$. (2) In every dimension
#
# $$
# Ef = \sqrt{\frac n\pi}\,\frac{\Gamma(n/2)}{\Gamma((n+1)/2)} \ge \sqrt{\frac2\pi} .
# $$ (eq-mean)
#
# (3) A cap of the sphere is small {cite}`ball1997`: $P(\cos\angle(w, v)\ge t)\le e^{-nt^2/2}$. (4)
# Take $t = \frac12\sqrt{2/\pi}$, so that $t^2/2 = 1/4\pi$. If $v$ is closer than $\mathrm{bin}(w)$,
# then $f(w)\le t$ or $\cos\angle(w, v)\ge t$; the two probabilities add up to the bound.
# $\blacksquare$
#
# At $n = 27$ it says little. At 1,024, the next smallest {term}`fan-in` of the paper's network, it
# is {glue:text}`bound-1024`. The true probability falls faster still, like $(e/2\pi)^{n/2}$
# (exercise 3). For entries uniform on $[-1, 1]$ Hoeffding's inequality {cite}`hoeffding1963` takes
# the place of steps (1) and (3), with other constants. What the proof needs is that no single entry
# counts.
#
# ## An axis fails, a random subspace much less
#
# The paper concludes that binary vectors form “a highly expressive set of feature extractors”. Of
# the $2^n$ binary vectors none is nearer to $v$ than $\mathrm{bin}(v)$, which makes no term of
# $v\cdot b$ negative. So {eq}`eq-cosine` answers for each direction, and it is worst for an axis:
# one entry that is not zero, an angle of $\arccos n^{-1/2}$. Its cosine is one standard deviation
# of that of two random vectors: no binary vector is nearer to an axis than a random vector usually
# is. If $k$ entries share the vector equally, the cosine is $\sqrt{k/n}$.
#
# Single directions say little of a network, though, whose units look at combinations of features.
# Draw a subspace of $k$ dimensions at random: then the angle between a vector in it and its
# binarization stays below a bound for *every* such vector, with a probability that tends to one.
# For dimensions in proportion to $n$ this is the theorem of Kashin {cite}`kashin1977` and of
# Figiel, Lindenstrauss and Milman {cite}`figiel1977`; by Gordon's inequality {cite}`gordon1988` the
# cosine is at least
#
# $$
# \frac{\sqrt{2/\pi} - \sqrt{k/n}}{1 + \sqrt{k/n}}
# $$ (eq-subspace)
#
# up to fluctuations of order $n^{-1/2}$. {numref}`fig-nearest` shows the worst direction that a
# search finds.

# %%
grid = sorted({*sizes.subspace_dimensions, 10, 30})
typical = {n: angles.sample_angles(n, 2000, GAUSSIAN, generator).binarized_angle for n in grid}
worst = {
    label: pd.Series(
        {
            n: float(
                angles.nearest_binary_angle(
                    subspaces.farthest_direction(
                        subspaces.random_subspace(n, dimension(n), generator), generator
                    )
                )
            )
            for n in sizes.subspace_dimensions
        }
    )
    for label, dimension in (
        ("n/10 dimensions", lambda n: n // 10),
        ("10 dimensions", lambda n: 10),
    )
}
axis = pd.Series({n: worst_binary_angle(n) for n in grid})
figure, [[ax]] = plots.new_figure(height=4.2, width=5.8)
plots.series(
    {
        "an axis": axis,
        **{f"worst found in {label}": found for label, found in worst.items()},
        "a random direction": pd.Series({n: a.mean() for n, a in typical.items()}),
    },
    ax,
)
usual = [90 - 2 * pair_angle_sd(n) for n in grid]
ax.fill_between(grid, usual, 90, color="0.88", lw=0, label="a random vector, 2 s.d.")
plots.log_axis(ax, "x", grid)
ax.set(xlabel="dimension n", ylabel="angle to nearest (degrees)", ylim=(0, 92))
ax.set_yticks([0, 30, 45, 60, 90])
ax.legend(fontsize="small", loc="lower right")
show(
    figure,
    "fig-nearest",
    "Angle from a direction to the nearest of the $2^n$ binary vectors: for an axis, for the worst "
    "direction found in a random subspace of $n/10$ and of 10 dimensions (one of each), and for a "
    "direction drawn uniformly (mean of 2,000). Grey: where a random vector usually is.",
    origin,
    alt="An axis rises from 72 degrees at n = 10 within the grey band of random vectors. The worst "
    "direction in a tenth of the dimensions stays at 45 to 49 degrees, that in ten dimensions "
    "falls towards 37 degrees, where a random direction is in all dimensions.",
)

# %%
top = max(sizes.subspace_dimensions)
for label, found in worst.items():
    for n, value in found.items():
        k = 10 if label == "10 dimensions" else n // 10
        assert typical[n].mean() < value < np.degrees(np.arccos(subspaces.subspace_cosine(n, k)))
        assert value < 90 - 2 * pair_angle_sd(n) - 20
assert worst["10 dimensions"][top] < worst["10 dimensions"].iloc[0]
assert worst["n/10 dimensions"].max() < 52
for n in sizes.subspace_dimensions:
    tenth = angles.nearest_binary_angle(np.arange(n) < n // 10)
    for kind, value, error in (
        ("a random direction", typical[n].mean(), angle_sd(GAUSSIAN, n) / 2000**0.5),
        ("a tenth of the entries, equal", tenth, None),
        ("worst found in a random subspace of n/10 dimensions", worst["n/10 dimensions"][n], None),
        ("worst found in a random subspace of 10 dimensions", worst["10 dimensions"][n], None),
        ("an axis", axis[n], None),
    ):  # fmt: skip
        records.record(
            "expressive",
            value,
            uncertainty=error,
            null=90 - 2 * pair_angle_sd(n),
            against="a random vector, two standard deviations below 90°",
            preset=preset,
            figure="fig-nearest",
            note=f"{kind}, n = {n:,}",
        )
beyond = float(np.exp(binarized_angle_logsf(45.0, 100)))
glue(axis_1000=worst_binary_angle(1000), beyond_100=scientific(beyond), top=f"{top:,}")
found = pd.concat(worst)
glue(worst_low=found.min(), worst_high=found.max())
glue(worst={"tenth": worst["n/10 dimensions"][top], "ten": worst["10 dimensions"][top]})
glue(guarantee=np.degrees(np.arccos(subspaces.subspace_cosine(1000, 100))))
pixels = np.arange(1000)
beside = np.where(np.abs(pixels - 500) <= 7, 1.0, (-1.0) ** pixels)  # fifteen, the others alternate
images = 0.9 ** np.abs(pixels[:, None] - pixels)
one_pixel = {
    "white": float(predicted_correlation(1.0 * (pixels == 500), beside, np.eye(1000))),
    "smooth": float(predicted_correlation(1.0 * (pixels == 500), beside, images)),
}
assert abs(one_pixel["white"]) < 0.05
assert one_pixel["smooth"] > 0.7
glue(pixel=one_pixel)

# %% [markdown]
# At $n =$ {glue:text}`top` the worst direction found among those of $n/10$ dimensions is
# {glue:text}`worst-tenth:.0f`° from its binarization, with {eq}`eq-subspace` guaranteeing
# {glue:text}`guarantee:.0f`°, and among those of ten {glue:text}`worst-ten:.0f`°. Of single
# directions drawn uniformly in a hundred dimensions a part of {glue:text}`beyond-100` is more than
# 45° away.
#
# So the set is expressive for nearly all directions and not for all ({claim}`expressive`).
#
# A caution the other way: angles speak of *white* inputs. Neighbouring pixels are alike, and then a
# single pixel is within reach. With pixels in a row whose correlation falls as $0.9^{|i-j|}$, a
# binary vector of fifteen equal signs about a pixel and alternating ones elsewhere has correlation
# {glue:text}`pixel-smooth:.2f` with that pixel, and {glue:text}`pixel-white:.2f` if all pixels are
# {term}`white`.
#
# ## Heavy tails break it
#
# The limit {eq}`eq-limit` supposes that $E\,w^2$ is finite, and the theorem that no entry counts
# alone. Student's t distribution with $\nu$ degrees of freedom has a density that falls like
# $|w|^{-\nu-1}$. For $\nu<2$ a few entries make up most of the length; the cosine {eq}`eq-cosine`
# tends to zero, like $n^{1/2-1/\nu}$ for $1<\nu<2$, and the binarization ends at 90° as well. What
# falls exponentially for light tails falls as a power of $n$ here ({numref}`fig-tails`): it is
# enough that in one place the product of the two entries exceeds $E|w|\,\sqrt n\,\lVert v\rVert$.
# Such a product has a tail like $x^{-\nu}\log x$, and so the probability falls like
# $n^{-\nu/2}\log n$ for $1<\nu<2$, and like $n^{1-\nu}\log n$ for $\nu>2$.

# %%
tails = {}
for label, law in (("Student t, ν = 1.5", HEAVY), ("Student t, ν = 3", student_t(3))):
    rows = {}
    for n in sizes.tail_dimensions:
        sample = angles.sample_angles(n, min(sizes.tail_values // n, 100_000), law, generator)
        rate = np.mean(sample.pairs > sample.binarized)
        rows[n] = (rate, np.sqrt(rate * (1 - rate) / len(sample.pairs)), len(sample.pairs))
    tails[label] = pd.DataFrame(rows, index=["p", "se", "pairs"]).T
figure, [[ax]] = plots.new_figure(height=4.0, width=5.8)
often = {label: t.loc[t["p"] * t["pairs"] >= 5, ["p", "se"]] for label, t in tails.items()}
plots.series(often, ax)
ax.plot(exact.index, exact, color="black", ls="-.", label="Gaussian, exact")
ax.set(yscale="log", ylim=(1e-6, 0.3), xlabel="dimension n", ylabel="P(closer than bin(w))")
plots.log_axis(ax, "x", sizes.tail_dimensions)
ax.legend()
show(
    figure,
    "fig-tails",
    "Probability that an independent vector is closer to w than bin(w) is, for entries with heavy "
    "tails, on logarithmic axes. Points: simulated, with standard errors, where it happened to "
    "five pairs or more.",
    origin.but(
        words=f"{min(sizes.tail_values // 3, 100_000):,} pairs at n = 3 to "
        f"{sizes.tail_values // max(sizes.tail_dimensions):,} in the highest dimension"
    ),
    alt="Two curves of Student's t fall as nearly straight lines, that of three degrees of freedom "
    "more steeply than that of one and a half, while the Gaussian one drops below both before n = "
    "10 and out of the figure before n = 30.",
)

# %%
heavy = tails["Student t, ν = 1.5"]
gaussian_100 = separation.closer_probability(100)
assert heavy["p"][100] > 2e-3 > 1e15 * gaussian_100
slopes = {k: np.log(t["p"][30] / t["p"][3]) / np.log(10) for k, t in tails.items()}
assert -1.2 < slopes["Student t, ν = 1.5"] < -0.5
assert -2.6 < slopes["Student t, ν = 3"] < -1.4  # −2, and a logarithm
glue(heavy_100=100 * heavy["p"][100], gaussian_100=scientific(gaussian_100))

# %% [markdown]
# With $\nu = 1.5$ and $n = 100$ an independent vector is closer than the binarization in
# {glue:text}`heavy-100:.1f` % of the pairs drawn; for Gaussian entries the probability is
# {glue:text}`gaussian-100`. Clipping the latent weights to $[-1, 1]$ rules such tails out. Weights
# that were trained without it may have them, and so may data.
#
# ## Binarizing both vectors keeps their angle
#
# Signs keep the angle *between* two vectors as well: if both are rotated at random before they are
# binarized, the expected part of the signs in which they differ is their angle over 180°, which is
# the arcsine law of {doc}`theory`.
#
# All of it is about *random* vectors. That dot products with data are preserved is a statement
# about trained networks, whose weights are not random and whose inputs are not white.
# {doc}`training` trains one, and {doc}`dot_products` tests it there.
#
# ## Exercises
#
# **1. A stricter question.** Judge the two angles of {numref}`fig-angles` without comparing them
# pair by pair: call a vector $\mathrm{bin}(w)$ if its angle to $w$ is below the best threshold,
# $\mathrm{bin} (w)$ and an independent vector being equally likely. Its error rate is half of the
# {term}`overlapping coefficient` {cite}`inman1989`. Put `separation.separation_at(n).error` in the
# place of `closer_probability` in the cell of {numref}`fig-separation`. Which $n$ brings the error
# below a thousandth?
#
# ```{dropdown} Solution 1
# $n =$ {glue:text}`strict-thousandth`, where the first question needed {glue:text}`thousandth`. At
# $n = 27$ the two curves overlap by {glue:text}`strict-27`: more than $\mathrm{bin}(w)$ is beaten,
# for now a stray binarization is an error whether or not the other vector is closer.
# ```

# %% tags=["hide-cell"]
strict = {n: separation.separation_at(n) for n in range(2, 41)}
strict_thousandth = next(n for n in strict if strict[n].error < 1e-3)
assert thousandth < strict_thousandth < 27
assert all(strict[n].overlap > exact[n] for n in strict)
glue(strict_thousandth=strict_thousandth, strict_27=scientific(strict[27].overlap))

# %% [markdown]
# **2. Positive entries.** Draw vectors with entries uniform on $[0, 1]$ by `generator.random`, like
# activations that are never negative, and hand them to `angles.nearest_binary_angle` and
# `angles.angle`. What do both angles tend to, and what does subtracting the mean change?
#
# ```{dropdown} Solution 2
# The angle to the binarization still tends to {glue:text}`positive-own:.0f`°: {eq}`eq-limit` knows
# $|w|$ alone. But the signs are no coin tosses any more, and two such vectors are at
# {glue:text}`positive-pair:.0f`°, the cosine being $(E w)^2/E w^2 = \frac34$. All of them share one
# binarization. With the mean subtracted, as {term}`batch norm` does, they are at
# {glue:text}`positive-centred:.0f`° again.
# ```

# %% tags=["hide-cell"]
u, v = np.random.default_rng(seed).random((2, 200, 10_000))
positive = {
    "own": angles.nearest_binary_angle(u).mean(),
    "pair": angles.angle(u, v).mean(),
    "centred": angles.angle(u - u.mean(), v - v.mean()).mean(),
}
for key, expected in (("own", 30), ("pair", np.degrees(np.arccos(3 / 4))), ("centred", 90)):
    assert abs(positive[key] - expected) < 0.2
glue(positive=positive)

# %% [markdown]
# **3. The true rate** (with pencil). Show that a uniform direction is farther than
# $\varphi\ge45^\circ$ from its binarization with probability
# $\bigl(\sqrt{2e/\pi}\,\cos\varphi\bigr)^{n+o(n)}$, and find the rate of {numref}`fig-separation`.
#
# ```{dropdown} Solution 3
# Let $c = \cos\varphi$. *At most:* the directions with $\lVert v\rVert_1 < c\sqrt n$, times radii
# up to one, lie in the cross-polytope $\lVert x\rVert_1 < c\sqrt n$. The ratio of its volume to the
# ball's, $\frac{(2c\sqrt n)^n}{n!}\,\frac{\Gamma(n/2+1)}{\pi^{n/2}}$, is
# $\bigl(\sqrt{2e/\pi}\,c\bigr)^n$ up to a constant. *At least:* let $y$ be uniform in the
# cross-polytope of radius $(1-\epsilon)c\sqrt n$ in $n-1$ dimensions. Its entries are nearly
# independent Laplace numbers with mean size $(1-\epsilon)c/\sqrt n$, the law of largest entropy
# with that mean, so that $\lVert y\rVert^2$ concentrates below $2c^2\le1$. A first entry of size
# $\sqrt{1-\lVert y\rVert^2}\le1$ makes a unit vector of it, whose 1-norm is at most
# $(1-\epsilon)c\sqrt n+1 < c\sqrt n$ for large $n$. Such vectors have, up to factors $e^{o(n)}$,
# the polytope's volume over the ball's; let $\epsilon\to0$. The angle must be at least 45° for
# $2c^2\le1$. *The rate:* being closer at angle $\theta$ costs
# $\bigl(\sqrt{2e/\pi}\,\cos\theta\,\sin\theta\bigr)^n$, largest at $\theta = 45^\circ$:
# $(e/2\pi)^{n/2}$. (At 45° the two exponents' slopes cancel; below, the first grows more slowly, by
# convexity, and the second falls faster.) In the limit ten more dimensions divide the
# probability by {glue:text}`ten-more:.0f`; from 30 to 40, by powers of $n$ besides,
# {glue:text}`ten-here:.0f`.
# ```

# %% tags=["hide-cell"]
for phi in (47.0, 50.0):
    claimed = np.log(np.sqrt(2 * np.e / np.pi) * np.cos(np.radians(phi)))
    tail = {n: float(binarized_angle_logsf(phi, n)) for n in (80, 100)}
    assert tail[100] < 100 * claimed
    assert abs((tail[100] - tail[80]) / 20 - claimed) < 0.02
glue(ten_more=(2 * np.pi / np.e) ** 5, ten_here=exact[30] / exact[40])
