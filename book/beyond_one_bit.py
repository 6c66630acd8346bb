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
# {glue:text}`binary:.0f`°. Is that the price of one bit, or of this way to spend it? The paper
# speaks of binary vectors alone, but says that its theory “serves as a foundation for
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

from bnn_geometry.book import presets
from bnn_geometry.book.display import glue, show
from bnn_geometry.book.plots import quantization as figures
from bnn_geometry.book.plots import style as plots
from bnn_geometry.geometry import angles, quantizers, rotation
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM

sizes = presets.sizes("beyond_one_bit", preset)
samples = samples or sizes.quantized_samples
n = sizes.quantized_dimension
generator = np.random.default_rng(seed)
densities = {"Gaussian": GAUSSIAN, "uniform": UNIFORM, "Laplace": LAPLACE}


def simulate(law, quantizer):
    """Angle of the mean cosine and its standard error, degrees."""
    return quantizers.angle_of_mean(
        quantizers.sample_cosines(law, quantizer, n, samples, generator)
    )


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
thresholds = np.arange(0, 1.7, 0.2)
curves, best, simulations = [], [], {}
for name, law in densities.items():
    grid = np.linspace(0, 1.7, 171)
    exact = [quantizers.limit_angle(law, quantizers.ternary(t * law.m1)) for t in grid]
    points = pd.DataFrame(
        [(t, *simulate(law, quantizers.ternary(t * law.m1))) for t in thresholds],
        columns=["threshold", "angle", "angle_se"],
    )
    points["exact"] = [
        quantizers.limit_angle(law, quantizers.ternary(t * law.m1)) for t in thresholds
    ]
    optimum = quantizers.best_ternary(law)
    best.append((optimum.thresholds[1] / law.m1, quantizers.limit_angle(law, optimum)))
    curves.append((name, pd.DataFrame({"threshold": grid, "angle": exact}), points))
    simulations[name] = points

authors_threshold = 0.02 / 0.18  # threshold / σ: the two numbers of the authors' code
authors_angle = np.degrees(0.5956)  # the limit that their plots draw, in radians there


def gaussian_angle(t):
    """Limit angle of a Gaussian vector to its ternary version with threshold t, degrees."""
    return quantizers.limit_angle(GAUSSIAN, quantizers.ternary(t))


figure, axes = plots.new_figure(1, 1, height=4.0)
figures.plot_ternary(
    curves,
    axes[0, 0],
    best=best,
    rule=0.7,
    point=(
        authors_threshold / GAUSSIAN.m1,
        gaussian_angle(authors_threshold),
        "the authors' threshold",
    ),
)
show(
    figure,
    name="fig-ternary",
    caption=(
        "Angle between a random vector and its ternary version, against the threshold below which "
        "entries are set to zero. Lines: the limit for $n\\to\\infty$. Points: simulated, "
        f"{samples:,} vectors of {n:,} entries each, seed {seed}; standard errors are smaller than "
        "the symbols. Dotted: the rule of ternary weight networks."
    ),
    alt=(
        "Three curves of angle against threshold for Gaussian, uniform and Laplace entries. Each "
        "falls from its value for binarization, 37, 30 and 45 degrees, to a minimum and rises "
        "again. Near its minimum each curve is flat; the simulated points lie on the curves."
    ),
)


# %%
def in_errors(simulated, exact, error):
    """Difference in standard errors; + 0 turns a rounded −0 into 0."""
    return ((simulated - exact) / error).astype(float).round(1) + 0.0


pd.concat(
    {
        name: pd.DataFrame(
            {
                "limit (°)": points["exact"].round(2),
                "diff. / s.e.": in_errors(points["angle"], points["exact"], points["angle_se"]),
            }
        ).set_index(thresholds.round(1))
        for name, points in simulations.items()
    },
    axis=1,
).rename_axis("threshold / E|w|")

# %% [markdown]
# The table gives the limit and how far the simulation is from it, in standard errors.
#
# The next table lists the best thresholds. Its last columns follow a rule: ternary weight
# networks {cite}`li2016` take 0.7 times the mean size of a vector's entries, a compromise between
# uniform entries (2/3) and Gaussian ones (about 3/4). It is simulated as they do it, with the
# mean of each vector itself.


# %%
def rule_quantizer(w):
    """Ternary, each vector with its own threshold."""
    size = np.abs(w)
    return np.sign(w) * (size > 0.7 * size.mean(axis=-1, keepdims=True))


rows = {}
for name, law in densities.items():
    optimum = quantizers.best_ternary(law)
    simulated, error = simulate(law, rule_quantizer)
    rows[name] = {
        "binary (°)": quantizers.limit_angle(law, quantizers.BINARY),
        "best t / σ": optimum.thresholds[1] / np.sqrt(law.m2),
        "t / E|w|": optimum.thresholds[1] / law.m1,
        "zeros (%)": 100 * quantizers.zero_fraction(law, optimum),
        "ternary (°)": quantizers.limit_angle(law, optimum),
        "rule (°)": quantizers.limit_angle(law, quantizers.ternary(0.7 * law.m1)),
        "simulated (°)": simulated,
        "s.e.": error,
    }
ternary_table = pd.DataFrame(rows).T
loss = ternary_table["rule (°)"] - ternary_table["ternary (°)"]
glue("rule-loss-gaussian", loss["Gaussian"])
glue("rule-loss-uniform", loss["uniform"])
glue("rule-loss-laplace", loss["Laplace"])
glue("ternary-gaussian", ternary_table.loc["Gaussian", "ternary (°)"])
glue("best-threshold", ternary_table.loc["Gaussian", "best t / σ"])
glue("best-zeros", ternary_table.loc["Gaussian", "zeros (%)"])
glue("binary", ternary_table.loc["Gaussian", "binary (°)"])
glue("authors-threshold", authors_threshold)
glue("authors-law", gaussian_angle(authors_threshold))
authors_quantizer = quantizers.ternary(authors_threshold)
glue("authors-zeros", 100 * quantizers.zero_fraction(GAUSSIAN, authors_quantizer))
glue("authors-angle", authors_angle)
glue("authors-other", optimize.brentq(lambda t: gaussian_angle(t) - authors_angle, 0, 0.6))
ternary_table.round(
    {c: 3 if "t / " in c or c == "s.e." else 1 if "%" in c else 2 for c in ternary_table}
)

# %% [markdown]
# For Gaussian entries the best threshold is {glue:text}`best-threshold:.3f`$\,\sigma$. It sets
# {glue:text}`best-zeros:.0f` % of the entries to zero, and the angle falls from
# {glue:text}`binary:.2f`° to {glue:text}`ternary-gaussian:.2f`°. The authors' code works at
# {glue:text}`authors-threshold:.3f`$\,\sigma$, the ratio that it found in a trained ternary
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
counts = (2, 3, 4, 8, 16)
rows = []
for law in (GAUSSIAN, UNIFORM):
    for k in range(2, counts[-1] + 1):
        quantizer = quantizers.lloyd_max(law, k)
        error = quantizers.distortion(law, quantizer)
        assert abs(quantizers.limit_cosine(law, quantizer) ** 2 - (1 - error)) < 1e-12
        row = {
            "law": law.name,
            "k": k,
            "bits": np.log2(k),
            "entropy": quantizers.entropy(law, quantizer),
            "distortion": error,
            "angle": quantizers.limit_angle(law, quantizer),
        }
        if k in counts:
            row["simulated"], row["se"] = simulate(law, quantizer)
        rows.append(row)
table = pd.DataFrame(rows)
gaussian = table[table["law"] == GAUSSIAN.name].set_index("k")
uniform = table[table["law"] == UNIFORM.name].set_index("k")


def as_curve(label, data, bits):
    """A curve for the figure: every k as a line, those that were simulated as points."""
    line = pd.DataFrame({"bits": data[bits], "angle": data["angle"]})
    chosen = data.loc[list(counts)]
    points = {"bits": chosen[bits], "angle": chosen["simulated"], "angle_se": chosen["se"]}
    return label, line, pd.DataFrame(points)


bound_bits = np.linspace(0, 4.2, 106)
figure, axes = plots.new_figure(1, 1, height=4.2)
figures.plot_bits(
    [
        as_curve("Gaussian, k levels: log₂ k bits", gaussian, "bits"),
        as_curve("Gaussian, k levels: entropy", gaussian, "entropy"),
        as_curve("uniform, k levels: log₂ k bits", uniform, "bits"),
    ],
    axes[0, 0],
    bound=(bound_bits, np.array([quantizers.rate_distortion_angle(bits) for bits in bound_bits])),
)
show(
    figure,
    name="fig-bits",
    caption=(
        "Angle between a random vector and its quantization to $k = 2, 3, 4, 8, 16$ levels "
        "(Lloyd–Max), against the bits that a weight takes. Thick line: the rate-distortion bound "
        "for Gaussian entries; no code for them reaches into the grey region. Thin lines: the "
        f"limit for every $k$ up to 16. Points: simulated, {samples:,} vectors of {n:,} entries "
        f"each, seed {seed}; standard errors are smaller than the symbols."
    ),
    alt=(
        "Angle on a logarithmic axis against bits per weight. The bound is a nearly straight line "
        "that falls from 30 degrees at one bit. Gaussian entries lie above it by a factor that "
        "grows with the bits, less if their levels are entropy-coded. Uniform entries lie on the "
        "line."
    ),
)

# %%
chosen = gaussian.loc[list(counts)]
bits_table = pd.DataFrame(
    {
        "bits": chosen["bits"],
        "angle (°)": chosen["angle"],
        "simulated": chosen["simulated"],
        "diff. / s.e.": in_errors(chosen["simulated"], chosen["angle"], chosen["se"]),
        "bound (°)": chosen["bits"].map(quantizers.rate_distortion_angle),
        "entropy": chosen["entropy"],
        "bound there": chosen["entropy"].map(quantizers.rate_distortion_angle),
        "uniform (°)": uniform.loc[list(counts), "angle"],
    }
)
glue("lloyd-2", bits_table.loc[2, "angle (°)"])
glue("lloyd-3", bits_table.loc[3, "angle (°)"])
glue("lloyd-4", bits_table.loc[4, "angle (°)"])
glue("lloyd-8", bits_table.loc[8, "angle (°)"])
glue("lloyd-16", bits_table.loc[16, "angle (°)"])
glue("bound-1", bits_table.loc[2, "bound (°)"])
glue("loss-1", bits_table.loc[2, "angle (°)"] - bits_table.loc[2, "bound (°)"])
glue("factor-2", bits_table.loc[2, "angle (°)"] / bits_table.loc[2, "bound (°)"])
glue("factor-16", bits_table.loc[16, "angle (°)"] / bits_table.loc[16, "bound (°)"])
glue("factor-16-entropy", bits_table.loc[16, "angle (°)"] / bits_table.loc[16, "bound there"])
bits_table.round(2)

# %% [markdown]
# {numref}`fig-bits` compares quantizers and bound. With 2, 3, 4, 8 and 16 levels the angle is
# {glue:text}`lloyd-2:.2f`°, {glue:text}`lloyd-3:.2f`°, {glue:text}`lloyd-4:.2f`°,
# {glue:text}`lloyd-8:.2f`° and {glue:text}`lloyd-16:.2f`°. At one bit per weight taking the sign
# loses {glue:text}`loss-1:.1f`° to the bound of {glue:text}`bound-1:.0f`°. So the answer to the
# question at the head of this chapter is: most of the angle is the price of one bit. No set of
# $2^n$ directions comes nearer than the bound to most others, however cleverly it is chosen.
#
# With more levels the angle exceeds the bound by a factor that grows from
# {glue:text}`factor-2:.2f` at two levels to {glue:text}`factor-16:.2f` at sixteen. A part of it is
# won back when the levels, which are not equally frequent, are written in a code of variable
# length; at sixteen levels the factor is {glue:text}`factor-16-entropy:.2f` then.
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
figure, axes = plots.new_figure(3, 1, height=6.6, sharex=True)
rows = []
for dimension, ax in zip(sizes.rotated_dimensions, axes.flat, strict=True):
    scales = rotation.exponential_scales(dimension, rate)
    shape = (sizes.rotations * sizes.rotated_vectors, dimension)
    x = generator.standard_normal(shape) * scales
    matrices = stats.ortho_group.rvs(dimension, sizes.rotations, random_state=generator)
    sample = rotation.sample_rotations(x, matrices, generator)
    pairs = angles.angle(x[::2], x[1::2])
    figures.plot_rotation_histogram(sample, ax, pairs=pairs, limit=limit)
    for way, cosines, exact in (
        ("not rotated", sample.plain, rotation.scaled_mean_cosine(scales)),
        # vectors under one rotation share it: their mean is one observation
        ("Haar", sample.haar.mean(axis=1), mean_cosine(GAUSSIAN, dimension)),
        ("signs + Hadamard", sample.hadamard, rotation.hadamard_mean_cosine(scales)),
    ):
        angle, error = quantizers.angle_of_mean(cosines)
        rows.append((dimension, way, angle, error, np.degrees(np.arccos(exact)), pairs.std()))
    ax.set_xlabel("angle (degrees)" if ax is axes[-1, 0] else "")
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3)
padded = ", ".join(str(rotation.next_power_of_two(d)) for d in sizes.rotated_dimensions)
show(
    figure,
    name="fig-rotation",
    caption=(
        "Angle between a Gaussian vector with entries of scale $e^{0.1(i-n/2)}$ and its "
        "binarization: as it is, after a Haar-random rotation, and after random signs and a "
        f"Hadamard transform (in dimension {padded}). Grey: the angle between two such "
        f"vectors. {shape[0]:,} vectors per panel under {sizes.rotations} Haar-random rotations, "
        f"seed {seed}."
    ),
    alt=(
        "Histograms for n = 10, 100 and 500. Without rotation the angle is near 37 degrees for n "
        "= 10 and much larger for the others. With either rotation it stays near 37 degrees; "
        "under the Haar-random one the peak becomes narrow. The angle between two vectors is "
        "spread widely about 90 degrees in all panels."
    ),
)

# %%
rotated = pd.DataFrame(
    rows, columns=["n", "binarized", "simulated (°)", "s.e.", "exact (°)", "pair's s.d. (°)"]
).set_index(["n", "binarized"])
rotated.insert(
    3,
    "diff. / s.e.",
    in_errors(rotated["simulated (°)"], rotated["exact (°)"], rotated["s.e."]),
)
few, _, many = sizes.rotated_dimensions
glue("n-few", few)
glue("n-many", many)
glue("plain-few", rotated.loc[(few, "not rotated"), "exact (°)"])
glue("haar-few", rotated.loc[(few, "Haar"), "exact (°)"])
glue("plain-many", rotated.loc[(many, "not rotated"), "exact (°)"])
glue("haar-many", rotated.loc[(many, "Haar"), "exact (°)"])
glue("hadamard-many", rotated.loc[(many, "signs + Hadamard"), "exact (°)"])
glue("pair-sd", rotated.loc[(many, "Haar"), "pair's s.d. (°)"])
glue("dense", many**2)
transformed = rotation.next_power_of_two(many)
glue("fast", transformed * int(np.log2(transformed)))
scales = rotation.exponential_scales(many, rate)
glue("effective", np.sum(scales**2) ** 2 / np.sum(scales**4))
rotated.round({"simulated (°)": 2, "s.e.": 3, "exact (°)": 2, "pair's s.d. (°)": 1})

# %% [markdown]
# {numref}`fig-rotation` shows what the rotation does. For $n =$ {glue:text}`n-few` the scales
# differ little and there is little to gain: {glue:text}`plain-few:.1f`° without and
# {glue:text}`haar-few:.1f`° with a rotation. For $n =$ {glue:text}`n-many` the vector is in effect
# one of $(\sum s_i^2)^2/\sum s_i^4 \approx$ {glue:text}`effective:.0f` entries, and its binary
# version spends most bits on the others: {glue:text}`plain-many:.1f`°. After a Haar-random
# rotation it is {glue:text}`haar-many:.1f`°. The Hadamard transform comes to
# {glue:text}`hadamard-many:.1f`° on average, since a sum of few terms with random signs is less
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
# {glue:text}`binary:.0f`°, the good ones too. For large $n$ it helps where
# $\lVert w\rVert_1/(\sqrt n\,\lVert w\rVert_2) < \sqrt{2/\pi}$, and does harm where the vector lies
# nearer to a binary one than that. {numref}`fig-rotation-kinds` compares kinds of vectors from the
# most uneven, an axis, to the evenest. “Half clipped” stands for what clipping to $[-1, 1]$ can do
# to the latent weights of a binary network: half of the entries are $\pm1$, the others uniform.
# {doc}`training` shows where trained weights really are.

# %%
size = 512  # a power of two, so that the Hadamard transform appends no zeros
count = sizes.rotations * sizes.rotated_vectors
tenth = size // 10
scales = rotation.exponential_scales(size, rate)


def equal_entries(k):
    """The first k entries 1, the others 0; one vector, repeated."""
    return np.tile((np.arange(size) < k).astype(float), (count, 1))


signs = 2.0 * generator.integers(0, 2, (count, size)) - 1
flat = generator.uniform(-1, 1, (count, size))
clipped = np.where(generator.random((count, size)) < 0.5, signs, flat)
gaussians = generator.standard_normal((count, size))
everywhere = rotation.hadamard_mean_cosine(np.ones(size))
kinds = {  # vectors, mean cosine not rotated, mean cosine after Hadamard where it is known
    "an axis": (equal_entries(1), size**-0.5, rotation.rademacher_mean_cosine(1)),
    "two equal entries": (
        equal_entries(2),
        (2 / size) ** 0.5,
        rotation.rademacher_mean_cosine(2),
    ),
    "exponential scales": (
        gaussians * scales,
        rotation.scaled_mean_cosine(scales),
        rotation.hadamard_mean_cosine(scales),
    ),
    "a tenth of the entries": (
        equal_entries(tenth),
        (tenth / size) ** 0.5,
        rotation.rademacher_mean_cosine(tenth),
    ),
    "Laplace": (LAPLACE.draw(generator, (count, size)), None, None),
    "Gaussian": (gaussians, mean_cosine(GAUSSIAN, size), everywhere),
    "uniform": (flat, mean_cosine(UNIFORM, size), None),
    "half clipped": (clipped, None, None),
    "±1": (signs, 1.0, rotation.rademacher_mean_cosine(size)),
}
haar_exact = mean_cosine(GAUSSIAN, size)
matrices = stats.ortho_group.rvs(size, sizes.rotations, random_state=generator)
rows = {}
for kind, (x, plain_exact, hadamard_exact) in kinds.items():
    sample = rotation.sample_rotations(x, matrices, generator)
    row = rows[kind] = {}
    for way, cosines, exact in (
        ("plain", sample.plain, plain_exact),
        ("haar", sample.haar.mean(axis=1), haar_exact),
        ("hadamard", sample.hadamard, hadamard_exact),
    ):
        row[way], row[f"{way}_se"] = quantizers.angle_of_mean(cosines)
        row[f"{way}_exact"] = np.nan if exact is None else np.degrees(np.arccos(exact))
kind_table = pd.DataFrame(rows).T
figure, axes = plots.new_figure(1, 1, height=4.0)
figures.plot_rotation_kinds(kind_table, axes[0, 0])
show(
    figure,
    name="fig-rotation-kinds",
    caption=(
        f"Angle of the mean cosine between vectors of {size} entries and their binarization, as "
        f"they are and after rotations. {count:,} vectors of each kind under {sizes.rotations} "
        f"Haar-random rotations, seed {seed}; standard errors are smaller than the symbols. An "
        "axis, two and a tenth of equal entries are one vector each; their Hadamard transforms "
        "have new random signs every time."
    ),
    alt=(
        "Nine kinds of vectors, from an axis to vectors of entries plus and minus one. Not "
        "rotated, the angle falls from nearly a right angle to zero. After a Haar-random rotation"
        " it is 37 degrees for all. After signs and Hadamard it is near 37 for most, but zero for"
        " an axis and 45 degrees for two equal entries."
    ),
)

# %%
glue("axis-haar", kind_table.loc["an axis", "haar"])
glue("axis-plain", kind_table.loc["an axis", "plain"])
glue("axis-hadamard", abs(kind_table.loc["an axis", "hadamard"]))
glue("two-hadamard", kind_table.loc["two equal entries", "hadamard"])
glue("uniform-plain", kind_table.loc["uniform", "plain"])
glue("uniform-haar", kind_table.loc["uniform", "haar"])
glue("clipped-plain", kind_table.loc["half clipped", "plain"])
glue("clipped-haar", kind_table.loc["half clipped", "haar"])
glue("signs-haar", kind_table.loc["±1", "haar"])
shown = kind_table[
    ["plain", "plain_exact", "haar", "haar_exact", "hadamard", "hadamard_exact"]
].abs()
shown.columns = ["not rotated (°)", "exact", "Haar (°)", "exact", "Hadamard (°)", "exact"]
shown.round(1).astype(object).where(shown.notna(), "")

# %% [markdown]
# An axis goes from {glue:text}`axis-plain:.1f`° to {glue:text}`axis-haar:.0f`° under a
# Haar-random rotation, and to {glue:text}`axis-hadamard:.0f`° under the Hadamard transform, which
# takes it to a vector of equal sizes. Two equal entries are the worst case of the bound,
# {glue:text}`two-hadamard:.0f`°. For even vectors the rotation does harm: uniform entries go from
# {glue:text}`uniform-plain:.1f`° to {glue:text}`uniform-haar:.1f`°, the half clipped ones from
# {glue:text}`clipped-plain:.1f`° to {glue:text}`clipped-haar:.1f`°, and vectors that are binary
# already, from 0° to {glue:text}`signs-haar:.1f`°.
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
glue("solution-uniform", uniform_angle)

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
    assert np.isclose(uniform.loc[k, "distortion"], k**-2.0)
    assert np.isclose(uniform.loc[k, "angle"], quantizers.rate_distortion_angle(np.log2(k)))
shannon = 6 / (np.pi * np.e) / 4
assert np.isclose(shannon, 2.0 ** (2 * 1 - 2 * 1) / (2 * np.pi * np.e) / UNIFORM.m2)
glue("solution-shannon", np.degrees(np.arcsin(np.sqrt(shannon))))

# %% [markdown]
# **3. Laplace entries.** The rule of 0.7 mean sizes costs the Laplace distribution more than a
# degree. Which multiple of $E|w|$ is the best, and what fraction of the entries becomes zero?
#
# ```{dropdown} Solution 3
# For the density $\frac12e^{-|w|}$ the mean size is 1, and the entries beyond $t$ exceed it by 1 on
# average, whatever $t$ is (the exponential distribution has no memory). The best threshold is half
# the mean size of those that pass, $t = \frac12(t+1)$, so $t = 1$: the mean size itself. Then
# $\cos^2 = \frac12(1+t)^2e^{-t} = 2/e$, an angle of {glue:text}`solution-laplace:.2f`° with
# $1 - 1/e =$ {glue:text}`solution-zeros:.0f` % zeros. The rule gives
# {glue:text}`solution-rule:.2f`°.
# ```

# %% tags=["hide-cell"]
laplace = quantizers.best_ternary(LAPLACE)
laplace_angle = quantizers.limit_angle(LAPLACE, laplace)
rule_angle = quantizers.limit_angle(LAPLACE, quantizers.ternary(0.7 * LAPLACE.m1))
assert np.isclose(laplace.thresholds[1], 1)
assert np.isclose(np.cos(np.radians(laplace_angle)) ** 2, 2 / np.e)
assert np.isclose(quantizers.zero_fraction(LAPLACE, laplace), 1 - 1 / np.e)
assert np.isclose(np.cos(np.radians(rule_angle)) ** 2, 1.7**2 * np.exp(-0.7) / 2)
glue("solution-laplace", laplace_angle)
glue("solution-zeros", 100 * quantizers.zero_fraction(LAPLACE, laplace))
glue("solution-rule", rule_angle)

# %% [markdown]
# **4. Equal entries under Hadamard.** Find the mean cosine {eq}`eq-signs` for a vector of $k$ equal
# entries. Why does it go up and down with $k$, and where does it end?
#
# ```{dropdown} Solution 4
# It is $E|S_k|/\sqrt k$ with the sum $S_k$ of $k$ random signs, the end of a random walk. An even
# walk can end at zero, and an entry that is zero contributes nothing to the cosine. Counting paths,
# $E|S_k| = 2^{1-k}\lceil k/2\rceil\binom{k}{\lceil k/2\rceil}$. For $k = 1, 2, 3, 4$ the angle of
# the mean cosine is {glue:text}`solution-k1:.1f`°, {glue:text}`solution-k2:.1f`°,
# {glue:text}`solution-k3:.1f`° and {glue:text}`solution-k4:.1f`°; by the central limit theorem it
# tends to that of a Gaussian number, {glue:text}`binary:.2f`°.
# ```

# %% tags=["hide-cell"]
for k in range(1, 11):
    walks = 2 * (np.arange(2**k)[:, None] >> np.arange(k) & 1) - 1  # all of them
    counted = np.abs(walks.sum(axis=1)).mean() / np.sqrt(k)
    assert np.isclose(rotation.rademacher_mean_cosine(k), counted)
walk_angles = {
    k: np.degrees(np.arccos(rotation.rademacher_mean_cosine(k))) for k in (1, 2, 3, 4, 10_000)
}
assert abs(walk_angles[10_000] - limit) < 0.01
glue("solution-k1", walk_angles[1])
glue("solution-k2", walk_angles[2])
glue("solution-k3", walk_angles[3])
glue("solution-k4", walk_angles[4])
