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
# # Beyond one bit
#
# Binarization keeps one bit of every weight and turns a Gaussian vector by
# {glue:text}`gaussian-binary:.0f`°. Is that the price of one bit, or of this way to spend it? The
# paper speaks of binary vectors alone, but says that its theory “serves as a foundation for
# understanding not only BNNs but networks that make use of low precision weights and activations”
# {cite}`anderson2018`. The authors' code for the longer version {cite}`andersoncode` draws two
# steps in that direction: vectors with entries $-1, 0, 1$, and vectors that are *rotated* before
# they are binarized. This chapter repeats both. The laws beside the simulations, more than three
# levels, the bound that no quantizer passes and the fast rotations are this book's.
#
# Let $q$ replace every entry of a vector by one of a few levels. When the entries are independent
# draws from one distribution, the law of large numbers gives, as for $\mathrm{bin}$ in
# {doc}`random_vectors`,
#
# $$
# \cos\angle\bigl(w, q(w)\bigr) \;\longrightarrow\;
#   \frac{E[w\,q(w)]}{\sqrt{E w^2\;E\,q(w)^2}} \qquad (n\to\infty).
# $$ (eq-quantized)
#
# A common factor of all levels makes no difference to the angle, nor to a network that divides
# the magnitude out by batch norm.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 1605  # of all random numbers in this chapter
samples = 0  # random vectors per quantizer; 0 takes the preset's number

# %%
import numpy as np
import pandas as pd
from scipy import optimize, stats

from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, glue, show, table
from bnn_geometry.geometry import angles, quantizers, rotation
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM
from bnn_geometry.studies import quantized_angles as study

sizes = presets.sizes("beyond_one_bit", preset)
samples = samples or sizes.quantized_samples
n = sizes.quantized_dimension
origin = Origin(words=f"{samples:,} vectors of {n:,} entries each", seed=seed)
generator = np.random.default_rng(seed)
simulate = study.Simulation(n, samples, generator)
densities = {"Gaussian": GAUSSIAN, "uniform": UNIFORM, "Laplace": LAPLACE}

# %% [markdown]
# ## Three levels
#
# A ternary vector keeps the sign of the entries larger than a threshold $t$ and sets the others
# to zero. For Gaussian entries {eq}`eq-quantized` becomes, with the density $\varphi$ and the
# upper tail $Q$ of the standard normal distribution and $t$ in units of the standard deviation
# $\sigma$,
#
# $$
# \cos\angle\bigl(w, \mathrm{ter}_t(w)\bigr) \;\longrightarrow\; \frac{2\varphi(t)}{\sqrt{2Q(t)}} .
# $$ (eq-ternary)
#
# A threshold of zero is binarization. A higher one gives up the signs of small entries, which say
# little of the direction, and takes the error with which they were represented away. For entries
# of any distribution the derivative of {eq}`eq-quantized` vanishes where the threshold is *half
# the mean size of the entries that pass it*. {numref}`fig-ternary` shows the angle for three
# distributions; the threshold is given in units of the mean size of an entry, $E|w|$.

# %%
thresholds = np.arange(0, 1.7, 0.2).round(1)  # in units of E|w|
fine = np.linspace(0, 1.7, 171)
points = {k: simulate.table(law, study.ternary(law, thresholds)) for k, law in densities.items()}
exact = {k: study.limits(law, study.ternary(law, fine)) for k, law in densities.items()}
best = study.best_ternary(densities, simulate)
t_authors = 0.02 / 0.18  # threshold / σ: the two numbers of the authors' code
authors = quantizers.ternary(t_authors)
law_authors = quantizers.limit_angle(GAUSSIAN, authors)
figure, [[ax]] = plots.new_figure(height=4.0)
plots.series({k: found[["angle", "angle_se"]] for k, found in points.items()}, ax, theory=exact)
ax.plot(best["means"], best["ternary"], "k*", ms=13, mfc="none", label="best threshold")
ax.plot(t_authors / GAUSSIAN.m1, law_authors, "kD", ms=8, mfc="none", label="the authors'")
ax.axvline(study.RULE, color="black", lw=1, ls=":", label=f"threshold {study.RULE} E|w|")
ax.set(xlabel="threshold / E|w|", ylabel="angle to the ternary vector (degrees)", xlim=(0, None))
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    "fig-ternary",
    "Angle between a random vector and its ternary version, against the threshold below which "
    "entries are set to zero. Lines: the limit for $n\\to\\infty$. Points: simulated; standard "
    "errors are smaller than the symbols. Dotted: the rule of ternary weight networks.",
    origin,
    alt="Three curves of angle against threshold for Gaussian, uniform and Laplace entries. Each "
    "falls from its value for binarization, 37, 30 and 45 degrees, to a minimum and rises again. "
    "Near its minimum each curve is flat; the simulated points lie on the curves.",
)

# %%
shown = pd.concat(points, axis=1).rename_axis("threshold / E|w|")
table(shown, {"exact": "limit (°) | .2f", "off": "diff. / s.e. | .1f"})

# %% [markdown]
# The table gives the limit and how far the simulation is from it, in standard errors.
#
# The next table lists the best thresholds. Its last columns follow a rule: ternary weight
# networks {cite}`li2016` take $0.7$ times the mean size of a vector's entries, a compromise between
# uniform entries (2/3) and Gaussian ones (about 3/4). It is simulated as they do it, with the
# mean of each vector itself.


# %%
def off_authors(t):
    """Limit angle at a threshold minus the limit that the authors' plots draw, 0.5956 radians."""
    return quantizers.limit_angle(GAUSSIAN, quantizers.ternary(t)) - np.degrees(0.5956)


glue(gaussian=best.loc["Gaussian"], rule_loss=best["loss"])
glue(authors_threshold=t_authors, authors_law=law_authors, authors_angle=np.degrees(0.5956))
glue(authors_zeros=100 * quantizers.zero_fraction(GAUSSIAN, authors))
glue(authors_other=optimize.brentq(off_authors, 0, 0.6))
headings = {"binary": "binary (°) | .2f", "sigmas": "best t / σ | .3f", "means": "t / E|w| | .3f"}
headings |= {"zeros": "zeros (%) | .1f", "ternary": "ternary (°) | .2f", "rule": "rule (°) | .2f"}
table(best, headings | {"angle": "simulated (°) | .2f", "angle_se": "s.e. | .3f"})

# %% [markdown]
# For Gaussian entries the best threshold is {glue:text}`gaussian-sigmas:.3f`$\,\sigma$. It sets
# {glue:text}`gaussian-zeros:.0f` % of the entries to zero, and the angle falls from
# {glue:text}`gaussian-binary:.2f`° to {glue:text}`gaussian-ternary:.2f`°. The authors' code works
# at {glue:text}`authors-threshold:.3f`$\,\sigma$, the ratio that it found in a trained ternary
# network, with {glue:text}`authors-zeros:.0f` % zeros and an angle of
# {glue:text}`authors-law:.2f`°: most of what a third level can give is left there. (Its plots draw
# the limit at {glue:text}`authors-angle:.2f`°, which by {eq}`eq-ternary` belongs to
# {glue:text}`authors-other:.3f`$\,\sigma$.) A network may have other reasons for few zeros; the
# direction of its weights is none.
#
# The minimum is flat, so the rule costs little where it was meant to be used:
# {glue:text}`rule-loss-gaussian:.2f`° for Gaussian entries and {glue:text}`rule-loss-uniform:.2f`°
# for uniform ones. For Laplace entries, more of which are very small or very large, it costs
# {glue:text}`rule-loss-laplace:.1f`°.
#
# ## More levels, and the bound
#
# With $k$ levels, which ones are best? The angle does not care for a common factor, so we may
# choose it to make the error $E(w-q(w))^2 = D\,E w^2$ as small as possible. The best levels are
# each the mean of the entries that they stand for, the *centroid* of their cell. Then $E[w\,q(w)]
# = E\,q(w)^2$, and
#
# $$
# \cos^2\angle\bigl(w, q(w)\bigr) = \frac{E\,q(w)^2}{E w^2} = 1 - D, \qquad
# \sin\angle\bigl(w, q(w)\bigr) = \sqrt D :
# $$ (eq-distortion)
#
# the smallest angle and the smallest squared error are the same problem. It was solved for
# telephone signals by Lloyd {cite}`lloyd1982` and Max {cite}`max1960`: besides the levels being
# centroids, each threshold must be the midpoint of its two levels. Alternating the two conditions
# converges, and for densities whose logarithm is concave, such as all three here, there is only
# one solution {cite}`kieffer1983`. Two levels give $\mathrm{bin}$ and three the ternary vectors
# above.
#
# How far is that from the best that any code could do? Rate-distortion theory answers: for
# Gaussian entries and $R$ bits per entry $D \ge 2^{-2R}$ {cite}`cover2006`, so that
#
# $$
# \angle\bigl(w, q(w)\bigr) \;\ge\; \arcsin 2^{-R} .
# $$ (eq-rate)
#
# There is a geometric way to see it. A code of $R$ bits per entry is a set of $2^{nR}$ directions.
# For each of them, the directions within an angle $\theta$ are a share of about $\sin^n\theta$ of
# the sphere; to reach almost all directions the $2^{nR}$ shares must sum to one at least. Codes
# that come arbitrarily close exist, but they quantize many entries together.

# %%
counts = [2, 3, 4, 8, 16]
of_gaussian, of_uniform = (study.lloyd_max(law, counts, simulate) for law in (GAUSSIAN, UNIFORM))
bits = np.linspace(0, 4.2, 106)
bound = pd.Series([quantizers.rate_distortion_angle(b) for b in bits], bits)
curves = {
    "Gaussian, k levels: log₂ k bits": of_gaussian.set_index("bits"),
    "Gaussian, k levels: entropy": of_gaussian.set_index("entropy"),
    "uniform, k levels: log₂ k bits": of_uniform.set_index("bits"),
}
points = {label: curve[["angle", "angle_se"]].dropna() for label, curve in curves.items()}
limits = {label: curve["exact"] for label, curve in curves.items()}
figure, [[ax]] = plots.new_figure(height=4.2)
plots.series(points, ax, theory=limits | {"bound, Gaussian entries": bound})
ax.fill_between(bits, bound, 1, color="0.93", lw=0)
ax.set(xlabel="bits per weight", ylabel="angle (degrees)", xlim=(0, 4.2), ylim=(3, 60))
plots.log_axis(ax, "y", [3, 5, 10, 20, 30, 45, 60])
ax.legend(loc="lower left")
show(
    figure,
    "fig-bits",
    "Angle between a random vector and its quantization to $k = 2, 3, 4, 8, 16$ levels "
    "(Lloyd–Max), against the bits that a weight takes. Black: the rate-distortion bound for "
    "Gaussian entries; no code for them reaches into the grey region. Coloured lines: the limit "
    "for every $k$ up to 16. Points: simulated; standard errors are smaller than the symbols.",
    origin,
    alt="Angle on a logarithmic axis against bits per weight. The bound is a nearly straight line "
    "that falls from 30 degrees at one bit. Gaussian entries lie above it by a factor that grows "
    "with the bits, less if their levels are entropy-coded. Uniform entries lie on the line.",
)

# %%
chosen = of_gaussian.loc[counts].assign(uniform=of_uniform["exact"])
glue(lloyd=chosen["exact"], bound=chosen["bound"], loss=chosen["exact"] - chosen["bound"])
glue(factor=chosen["exact"] / chosen["bound"])
glue(entropy_factor=chosen["exact"] / chosen["entropy_bound"])
headings = {"bits": "bits | .2f", "exact": "angle (°) | .2f", "angle": "simulated | .2f"}
headings |= {"off": "diff. / s.e. | .1f", "bound": "bound (°) | .2f", "entropy": "entropy | .2f"}
table(chosen, headings | {"entropy_bound": "bound there | .2f", "uniform": "uniform (°) | .2f"})

# %% [markdown]
# {numref}`fig-bits` compares quantizers and bound. With 2, 3, 4, 8 and 16 levels the angle is
# {glue:text}`lloyd-2:.2f`°, {glue:text}`lloyd-3:.2f`°, {glue:text}`lloyd-4:.2f`°,
# {glue:text}`lloyd-8:.2f`° and {glue:text}`lloyd-16:.2f`°. At one bit per weight taking the sign
# loses {glue:text}`loss-2:.1f`° to the bound of {glue:text}`bound-2:.0f`°. So the answer to the
# question at the head of this chapter is: most of the angle is the price of one bit. No set of
# $2^n$ directions comes nearer than the bound to most others, however cleverly it is chosen.
#
# With more levels the angle exceeds the bound by a factor that grows from
# {glue:text}`factor-2:.2f` at two levels to {glue:text}`factor-16:.2f` at sixteen. A part of it is
# won back when the levels, which are not equally frequent, are written in a code of variable
# length; at sixteen levels the factor is {glue:text}`entropy-factor-16:.2f` then.
#
# ## Rotate, then binarize
#
# All of this is about entries alike. In {doc}`random_vectors` an axis, a vector with one entry
# that is not zero, was the worst case: at large $n$ no binary vector is near it. The authors' way
# out is to rotate by an orthogonal matrix $R$, to binarize, and to rotate back. Rotations change
# no angles, so that
#
# $$
# \angle\bigl(w,\; R^\mathsf{T}\mathrm{bin}(Rw)\bigr) = \angle\bigl(Rw,\; \mathrm{bin}(Rw)\bigr),
# $$ (eq-rotation)
#
# and if $R$ is drawn uniformly from all orthogonal matrices (the Haar measure
# {cite}`mezzadri2007`), the direction of $Rw$ is uniform on the sphere *whatever $w$ is*. The
# mean cosine is then that of Gaussian vectors, $\sqrt{n/\pi}\;\Gamma(\frac
# n2)/\Gamma(\frac{n+1}2)$, exactly.
#
# The authors' example are Gaussian vectors with entries of very different size,
# $x_i = s_i z_i$ with $s_i = e^{0.1\,(i - n/2)}$. Their mean cosine with $\mathrm{bin}(x)$ is an
# integral of the kind that {doc}`random_vectors` uses for equal scales,
#
# $$
# E\cos\angle\bigl(x, \mathrm{bin}(x)\bigr) = \frac{\sqrt2}{\pi\sqrt n}\int_0^\infty t^{-1/2}
#   \sum_i \frac{s_i}{\sqrt{1 + 2ts_i^2}}\;\prod_j \frac{1}{\sqrt{1 + 2ts_j^2}}\;dt ,
# $$ (eq-exponential)
#
# close to $\sqrt{2/\pi}\,\lVert s\rVert_1/(\sqrt n\,\lVert s\rVert_2)$ when many entries count.
#
# A Haar-random matrix is a dense one: $n^2$ numbers to keep and as many multiplications for every
# vector. A cheaper kind is widely used {cite}`ailon2009`: multiply every entry by a random sign
# and apply the Hadamard matrix, which has entries $\pm1/\sqrt n$ and takes $n\log_2 n$ additions.
# It exists for $n = 2^m$; other vectors are continued by zeros, and their binary version then has
# that many entries more. Each entry of the result is a sum of all entries of $x$ with random signs,
# $\pm x_1 \pm x_2 \pm \dots$, over $\sqrt n$, so that
#
# $$
# E\cos = \frac{E\,\lvert \pm x_1 \pm x_2 \pm \dots \pm x_n\rvert}{\lVert x\rVert_2} .
# $$ (eq-signs)
#
# It is not uniform on the sphere: what it does depends on $x$. But it is never bad. For every $x$
# the mean cosine is at least $1/\sqrt2$ {cite}`szarek1976`: at most 45° on average.

# %%
rate = 0.1  # the authors' k
limit = quantizers.limit_angle(GAUSSIAN)
vectors = sizes.rotations * sizes.rotated_vectors
by_dimension = {}
figure, axes = plots.new_figure(3, 1, height=6.6, sharex=True)
for dimension, ax in zip(sizes.rotated_dimensions, axes.flat, strict=True):
    scales = rotation.exponential_scales(dimension, rate)
    x = generator.standard_normal((vectors, dimension)) * scales
    matrices = stats.ortho_group.rvs(dimension, sizes.rotations, random_state=generator)
    sample = rotation.sample_rotations(x, matrices, generator)
    pairs = angles.angle(x[::2], x[1::2])
    exact = {"plain": rotation.scaled_mean_cosine(scales)}
    exact["hadamard"] = rotation.hadamard_mean_cosine(scales)
    by_dimension[dimension] = study.rotated(sample, **exact).assign(pairs=pairs.std())
    plots.histograms(
        study.rotated_histograms(sample),
        ax,
        bins=np.arange(0, 181, 1.5),
        beside={"two vectors": pairs},
        lines={"limit for uniform directions": limit},
    )
    ax.set(title=f"n = {dimension}", xlim=(0, 180), xticks=range(0, 181, 30))
axes[-1, 0].set_xlabel("angle (degrees)")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
padded = ", ".join(str(rotation.next_power_of_two(d)) for d in sizes.rotated_dimensions)
show(
    figure,
    "fig-rotation",
    "Angle between a Gaussian vector with entries of scale $e^{0.1(i-n/2)}$ and its binarization: "
    "as it is, after a Haar-random rotation, and after random signs and a Hadamard transform (in "
    f"dimension {padded}). Grey: the angle between two such vectors.",
    origin.but(
        words=f"{vectors:,} vectors per panel under {sizes.rotations} Haar-random rotations"
    ),
    alt="Histograms for n = 10, 100 and 500. Without rotation the angle is near 37 degrees for n = "
    "10 and much larger for the others. With either rotation it stays near 37 degrees; under the "
    "Haar-random one the peak becomes narrow. The angle between two vectors is spread widely about "
    "90 degrees in all panels.",
)

# %%
rotated = pd.concat(by_dimension, names=["n", "binarized"])
few, _, many = sizes.rotated_dimensions
scales = rotation.exponential_scales(many, rate)
transformed = rotation.next_power_of_two(many)
glue(n_few=few, n_many=many, few=rotated.loc[few, "exact"], many=rotated.loc[many, "exact"])
glue(pair_sd=rotated.loc[(many, "Haar"), "pairs"])
glue(dense=many**2, fast=transformed * int(np.log2(transformed)))
glue(effective=np.sum(scales**2) ** 2 / np.sum(scales**4))
headings = {"angle": "simulated (°) | .2f", "angle_se": "s.e. | .3f", "exact": "exact (°) | .2f"}
table(rotated, headings | {"off": "diff. / s.e. | .1f", "pairs": "pair's s.d. (°) | .1f"})

# %% [markdown]
# {numref}`fig-rotation` shows what the rotation does. For $n =$ {glue:text}`n-few` the scales
# differ little and there is little to gain: {glue:text}`few-not-rotated:.1f`° without and
# {glue:text}`few-haar:.1f`° with a rotation. For $n =$ {glue:text}`n-many` the vector is in effect
# one of $(\sum s_i^2)^2/\sum s_i^4 \approx$ {glue:text}`effective:.0f` entries, and its binary
# version spends most bits on the others: {glue:text}`many-not-rotated:.1f`°. After a Haar-random
# rotation it is {glue:text}`many-haar:.1f`°. The Hadamard transform comes to
# {glue:text}`many-hadamard:.1f`° on average, since a sum of few terms with random signs is less
# often near zero than a Gaussian number is, and it varies more from vector to vector. It takes
# {glue:text}`fast:,` additions instead of {glue:text}`dense:,` multiplications; those are counts of
# operations, not times.
#
# The grey histograms are a warning. No rotation changes the angle between two vectors, and two
# vectors of so few effective entries are not nearly orthogonal: the standard deviation of their
# angle is {glue:text}`pair-sd:.0f`° at $n =$ {glue:text}`n-many`. Rotation makes the binarization
# as faithful as in high dimension. It does not make the data high-dimensional.
#
# ## When a rotation hurts
#
# A Haar-random rotation forgets what it was given. It takes *every* vector to
# {glue:text}`gaussian-binary:.0f`°, the good ones too. For large $n$ it helps where
# $\lVert w\rVert_1/(\sqrt n\,\lVert w\rVert_2) < \sqrt{2/\pi}$, and does harm where the vector lies
# nearer to a binary one than that. {numref}`fig-rotation-kinds` compares kinds of vectors from the
# most uneven, an axis, to the evenest. “Half clipped” stands for what clipping to $[-1, 1]$ can do
# to the latent weights of a binary network: half of the entries are $\pm1$, the others uniform.
# {doc}`training` shows where trained weights really are.

# %%
size = 512  # a power of two, so that the Hadamard transform appends no zeros
kinds = study.kinds_of_vectors(size, vectors, rate, generator)
matrices = stats.ortho_group.rvs(size, sizes.rotations, random_state=generator)
found = {
    kind: study.rotated(
        rotation.sample_rotations(x, matrices, generator), plain=plain, hadamard=hadamard
    )
    for kind, (x, plain, hadamard) in kinds.items()
}
by_kind = pd.concat(found, names=["vectors", "binarized"])
by_way = {way: by_kind.xs(way, level="binarized") for way in study.WAYS}
figure, [[ax]] = plots.new_figure(height=4.0)
plots.by_layer(by_way, ax, column="angle", sideways=True)
ax.set(xlabel="angle to the binarization (degrees)", xlim=(-3, 93), xticks=[0, 30, 45, 60, 90])
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    "fig-rotation-kinds",
    f"Angle of the mean cosine between vectors of {size} entries and their binarization, as they "
    "are and after rotations; standard errors are smaller than the symbols. An axis, two and a "
    "tenth of equal entries are one vector each; their Hadamard transforms have new random signs "
    "every time.",
    origin.but(words=f"{vectors:,} vectors of each kind under {sizes.rotations} rotations"),
    alt="Nine kinds of vectors, from an axis to vectors of entries plus and minus one. Not "
    "rotated, the angle falls from nearly a right angle to zero. After a Haar-random rotation it "
    "is 37 degrees for all. After signs and Hadamard it is near 37 for most, but zero for an axis "
    "and 45 degrees for two equal entries.",
)

# %%
angle = by_kind["angle"].unstack("binarized")
glue(axis=angle.loc["an axis"], two=angle.loc["two equal entries"], uniform=angle.loc["uniform"])
glue(clipped=angle.loc["half clipped"], signs=angle.loc["±1"])
table(pd.concat(by_way, axis=1), {"angle": "angle (°) | .1f", "exact": "exact | .1f"}, gap="")

# %% [markdown]
# An axis goes from {glue:text}`axis-not-rotated:.1f`° to {glue:text}`axis-haar:.0f`° under a
# Haar-random rotation, and to {glue:text}`axis-hadamard:.0f`° under the Hadamard transform, which
# takes it to a vector of equal sizes. Two equal entries are the worst case of the bound,
# {glue:text}`two-hadamard:.0f`°. For even vectors the rotation does harm: uniform entries go from
# {glue:text}`uniform-not-rotated:.1f`° to {glue:text}`uniform-haar:.1f`°, the half clipped ones
# from {glue:text}`clipped-not-rotated:.1f`° to {glue:text}`clipped-haar:.1f`°, and vectors that are
# binary already, from 0° to {glue:text}`signs-haar:.1f`°.
#
# That is the difference between weights and data. The latent weights of a binary network are
# clipped to the cube, and what training moves towards its corners a rotation would move away.
# Inputs such as the pixels of an image, or weights trained without binarization, may be as uneven
# as the vectors of {numref}`fig-rotation`. And a rotation is not free: since $x\cdot w = Rx\cdot
# Rw$, whoever rotates the weights has to rotate every input.
#
# ## Exercises
#
# The solutions are folded away, and so are the cells that compute and check their numbers.
#
# **1. Ternary, uniform entries.** Find the angle between a vector with entries uniform on
# $[-1, 1]$ and its ternary version in closed form, and its best threshold.
#
# ```{dropdown} Solution 1
# Entries larger than $t$ have probability $1-t$, and $E[|w|;\,|w|>t] = (1-t^2)/2$. With $E w^2 =
# \frac13$, {eq}`eq-quantized` is $\cos = \frac{\sqrt3}2\,(1+t)\sqrt{1-t}$. The derivative of
# $(1+t)^2(1-t)$ vanishes at $t = \frac13$, where $\cos^2 = \frac89$: the angle is
# $\arcsin\frac13$, or {glue:text}`solution-uniform:.2f`°. A third of the entries is zero; all
# three levels are equally frequent, and the thresholds are those of three equal cells.
# ```

# %% tags=["hide-cell"]
for t in (0.1, 1 / 3, 0.8):
    closed_form = np.sqrt(3) / 2 * (1 + t) * np.sqrt(1 - t)
    assert np.isclose(quantizers.limit_cosine(UNIFORM, quantizers.ternary(t)), closed_form)
assert np.isclose(quantizers.best_ternary(UNIFORM).thresholds[1], 1 / 3)
uniform_angle = quantizers.limit_angle(UNIFORM, quantizers.ternary(1 / 3))
assert np.isclose(uniform_angle, np.degrees(np.arcsin(1 / 3)))
glue(solution_uniform=uniform_angle)

# %% [markdown]
# **2. On the bound.** In {numref}`fig-bits` the uniform entries lie on the bound for Gaussian ones.
# Show that they do so exactly, and say why this does not make $k$ equal steps an ideal code.
#
# ```{dropdown} Solution 2
# The best quantizer of uniform entries has $k$ equal cells of width $2/k$ with the levels in their
# middles. The squared error is that of a uniform number on such a cell, $(2/k)^2/12 = 1/(3k^2)$; as
# a fraction of $E w^2 = \frac13$ it is $D = k^{-2}$. By {eq}`eq-distortion` the angle is
# $\arcsin(1/k)$, and $1/k = 2^{-R}$. But the bound is for Gaussian entries. Of all distributions
# with the same variance the Gaussian is the hardest to encode; for uniform entries the Shannon
# lower bound {cite}`cover2006` is $D \ge \frac{1}{2\pi e}\,2^{2h}\,2^{-2R}/E w^2$ with the
# differential entropy $h = \log_2 2 = 1$ bit, that is $D \ge \frac{6}{\pi e}\,2^{-2R}$. At one bit
# it leaves room down to {glue:text}`solution-shannon:.1f`°.
# ```

# %% tags=["hide-cell"]
for k in counts:
    assert np.isclose(quantizers.distortion(UNIFORM, quantizers.lloyd_max(UNIFORM, k)), k**-2.0)
    assert np.isclose(of_uniform.loc[k, "exact"], quantizers.rate_distortion_angle(np.log2(k)))
shannon = 6 / (np.pi * np.e) / 4
assert np.isclose(shannon, 2.0 ** (2 * 1 - 2 * 1) / (2 * np.pi * np.e) / UNIFORM.m2)
glue(solution_shannon=np.degrees(np.arcsin(np.sqrt(shannon))))

# %% [markdown]
# **3. Laplace entries.** The rule of $0.7$ mean sizes costs the Laplace distribution more than a
# degree. Which multiple of $E|w|$ is the best, and what fraction of the entries becomes zero?
#
# ```{dropdown} Solution 3
# For the density $\frac12e^{-|w|}$ the mean size is 1, and the entries beyond $t$ exceed it by 1 on
# average, whatever $t$ is (the exponential distribution has no memory). The best threshold is half
# the mean size of those that pass, $t = \frac12(t+1)$, so $t = 1$: the mean size itself. Then
# $\cos^2 = \frac12(1+t)^2e^{-t} = 2/e$, an angle of {glue:text}`laplace-ternary:.2f`° with
# $1 - 1/e =$ {glue:text}`laplace-zeros:.0f` % zeros. The rule gives
# {glue:text}`laplace-rule:.2f`°.
# ```

# %% tags=["hide-cell"]
by_rule = best.loc["Laplace"]
assert np.isclose(by_rule["means"], 1)
assert np.isclose(np.cos(np.radians(by_rule["ternary"])) ** 2, 2 / np.e)
assert np.isclose(by_rule["zeros"], 100 * (1 - 1 / np.e))
assert np.isclose(np.cos(np.radians(by_rule["rule"])) ** 2, 1.7**2 * np.exp(-0.7) / 2)
glue(laplace=by_rule)

# %% [markdown]
# **4. Equal entries under Hadamard.** Find the mean cosine {eq}`eq-signs` for a vector of $k$ equal
# entries. Why does it go up and down with $k$, and where does it end?
#
# ```{dropdown} Solution 4
# It is $E|S_k|/\sqrt k$ with the sum $S_k$ of $k$ random signs, the end of a random walk. An even
# walk can end at zero, and an entry that is zero contributes nothing to the cosine. Counting paths,
# $E|S_k| = 2^{1-k}\lceil k/2\rceil\binom{k}{\lceil k/2\rceil}$. For $k = 1, 2, 3, 4$ the angle of
# the mean cosine is {glue:text}`solution-k-1:.1f`°, {glue:text}`solution-k-2:.1f`°,
# {glue:text}`solution-k-3:.1f`° and {glue:text}`solution-k-4:.1f`°; by the central limit theorem it
# tends to that of a Gaussian number, {glue:text}`gaussian-binary:.2f`°.
# ```

# %% tags=["hide-cell"]
for k in range(1, 11):
    walks = 2 * (np.arange(2**k)[:, None] >> np.arange(k) & 1) - 1  # all of them
    counted = np.abs(walks.sum(axis=1)).mean() / np.sqrt(k)
    assert np.isclose(rotation.rademacher_mean_cosine(k), counted)
cosines = pd.Series({k: rotation.rademacher_mean_cosine(k) for k in (1, 2, 3, 4, 10_000)})
assert abs(np.degrees(np.arccos(cosines[10_000])) - limit) < 0.01
glue(solution_k=np.degrees(np.arccos(cosines)))
