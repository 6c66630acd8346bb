# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#     runs:
#       - cifar10-convnet-long-w0.125-s1
#       - cifar10-convnet-long-w0.125-s2
#       - cifar10-convnet-long-w0.125-s3
#       - cifar10-convnet-long-ternary-twn-w0.125-s1
#       - cifar10-convnet-long-ternary-absmean-w0.125-s1
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
# Binarization turns a Gaussian vector by {glue:text}`levels-2:.0f`° ({claim}`angle-limit`). Of
# these {glue:text}`bound-2:.0f`° are the price of one bit: no set of $2^n$ directions comes nearer
# to most others, however it is chosen. A third level takes the angle to {glue:text}`levels-3:.0f`°.
# An axis, which no binary vector is near ({claim}`expressive`), is at {glue:text}`axis-haar:.0f`°
# after a random rotation, as every vector is: uneven vectors gain by it, and vectors that are
# nearly binary lose.
#
# The paper speaks of binary vectors alone, but says that its theory “serves as a foundation for
# understanding not only BNNs but networks that make use of low precision weights and activations”
# {cite}`anderson2017`. Ternary vectors and rotations are in its authors' code for the longer
# version {cite}`andersoncode`; more levels, the bound and fast rotations are added here.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 1605  # of all random numbers in this chapter
samples = 0  # random vectors per quantizer; 0 takes the preset's number

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from scipy import stats

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, glue, show, table
from bnn_geometry.geometry import angles, quantizers, rotation
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM
from bnn_geometry.studies import quantized_angles as study
from bnn_geometry.studies import replicates, ternary

sizes = presets.sizes("beyond_one_bit", preset)
samples = samples or sizes.quantized_samples
n = sizes.quantized_dimension
origin = Origin(words=f"{samples:,} vectors of {n:,} entries each", preset=preset, seed=seed)
generator = np.random.default_rng(seed)
simulate = study.Simulation(n, samples, generator)

# %% [markdown]
# ## Thirty of thirty-seven degrees are the price of one bit
#
# Let $q$ replace every entry of a vector by one of $k$ levels. As for {term}`bin` in
# {doc}`random_vectors`, the law of large numbers gives
#
# $$
# \cos\angle\bigl(w, q(w)\bigr) \;\longrightarrow\;
#   \frac{E[w\,q(w)]}{\sqrt{E w^2\;E\,q(w)^2}} .
# $$ (eq-quantized)
#
# A common factor of all levels makes no difference to the angle, nor to a network with
# {term}`batch norm`. So choose it to make the error $E(w-q(w))^2 = D\,E w^2$ small. The best level
# is the mean of the entries that it stands for; then $E[w\,q(w)] = E\,q(w)^2$, and
#
# $$
# \sin\angle\bigl(w, q(w)\bigr) = \sqrt D :
# $$ (eq-distortion)
#
# the smallest angle and the smallest squared error are one problem. Lloyd {cite}`lloyd1982` and Max
# {cite}`max1960` solved it for telephone signals: each threshold must lie midway between its
# levels. For densities whose logarithm is concave the solution is unique {cite}`kieffer1983`. Two
# levels give $\mathrm{bin}$.
#
# What can any code do? With $\ell$ bits for each of many Gaussian entries the squared error is at
# least $2^{-2\ell}$ in the mean over $w$ {cite}`cover2006`, so that
#
# $$
# \sqrt{E\sin^2\angle\bigl(w, q(w)\bigr)} \;\ge\; 2^{-\ell} .
# $$ (eq-rate)
#
# For single vectors it says nothing: one that is binary already is at 0°. The geometry behind it:
# the directions within $\theta$ of a given one are a share of about $\sin^n\theta$ of the sphere,
# and $2^{n\ell}$ such shares must sum to one to reach almost all. Codes that come arbitrarily close
# exist, but they quantize many entries together.

# %%
counts = [2, 3, 4, 8, 16]
levels = study.lloyd_max(GAUSSIAN, counts, simulate)
bits = np.linspace(0, 4.2, 106)
bound = pd.Series([quantizers.rate_distortion_angle(b) for b in bits], bits)
curves = {
    "k levels: log₂ k bits": levels.set_index("bits"),
    "k levels: entropy": levels.set_index("entropy"),
}
points = {label: curve[["angle", "angle_se"]].dropna() for label, curve in curves.items()}
limits = {label: curve["exact"] for label, curve in curves.items()}
figure, [[ax]] = plots.new_figure(height=4.2, width=5.8)
plots.series(points, ax, theory=limits | {"bound": bound})
ax.fill_between(bits, bound, 1, color="0.93", lw=0)
ax.set(xlabel="bits per weight", ylabel="angle (degrees)", xlim=(0, 4.2), ylim=(3, 60))
plots.log_axis(ax, "y", [3, 5, 10, 20, 30, 45, 60])
ax.legend(loc="lower left")
show(
    figure,
    "fig-bits",
    "Angle between a Gaussian vector and its quantization to $k = 2, 3, 4, 8, 16$ levels against "
    "the bits that a weight takes. Dashed black: the bound; no code reaches into the grey region. "
    "Lines: the limit for every $k$ up to 16. Points: simulated, standard errors smaller than the "
    "symbols.",
    origin,
    alt="Angle on a logarithmic axis against bits per weight. The bound is a nearly straight line "
    "that falls from 30 degrees at one bit. The quantizers begin at 37 degrees and lie above it by "
    "a factor that grows with the bits, less if their levels are entropy-coded.",
)

# %%
assert (levels["off"].dropna().abs() < 4).all()
chosen = levels.loc[counts]
excess = chosen["exact"] / chosen["bound"]
assert np.isclose(chosen.loc[2, "bound"], 30)
assert 0.8 < chosen.loc[2, "bound"] / chosen.loc[2, "exact"] < 0.82
assert excess.is_monotonic_increasing
coded = chosen["exact"] / chosen["entropy_bound"]
assert (coded[counts[1:]] < excess[counts[1:]]).all()
glue(levels=chosen["exact"], bound=chosen["bound"], excess=excess, coded=coded)

# %% [markdown]
# At one bit, taking the sign, the angle is {glue:text}`levels-2:.2f`° against a bound of
# {glue:text}`bound-2:.0f`° ({numref}`fig-bits`). With more levels the ratio to the bound grows, to
# {glue:text}`excess-16:.2f` at sixteen. A part of it is won back when the levels, which are not
# equally frequent, are written in a code of variable length: then it is {glue:text}`coded-16:.2f`.
#
# ## A third level takes eleven degrees
#
# A ternary vector keeps the sign of the entries larger than a threshold $t$ and sets the others to
# zero. For Gaussian entries, with the density $\varphi$ and the upper tail $Q$ of the standard
# normal distribution and $t$ in standard deviations, {eq}`eq-quantized` becomes
#
# $$
# \cos\angle\bigl(w, \mathrm{ter}_t(w)\bigr) \;\longrightarrow\; \frac{2\varphi(t)}{\sqrt{2Q(t)}} .
# $$ (eq-ternary)
#
# The best threshold is, for any distribution, *half the mean size of the entries that pass it*.

# %%
densities = {"Gaussian": GAUSSIAN, "uniform": UNIFORM, "Laplace": LAPLACE}
thresholds = np.arange(0, 1.7, 0.2).round(1)  # in units of E|w|
fine = np.linspace(0, 1.7, 171)
points = {k: simulate.table(law, study.ternary(law, thresholds)) for k, law in densities.items()}
exact = {k: study.limits(law, study.ternary(law, fine)) for k, law in densities.items()}
best = study.best_ternary(densities)
t_authors = 0.02 / 0.18  # threshold / σ: the two numbers of the authors' code
law_authors = quantizers.limit_angle(GAUSSIAN, quantizers.ternary(t_authors))
figure, [[ax]] = plots.new_figure(height=4.2, width=5.8)
plots.series({k: found[["angle", "angle_se"]] for k, found in points.items()}, ax, theory=exact)
ax.plot(best["means"], best["ternary"], "k*", ms=13, mfc="none", label="best threshold")
ax.plot(t_authors / GAUSSIAN.m1, law_authors, "kD", ms=8, mfc="none", label="the authors'")
ax.axvline(study.RULE, color="black", lw=1, ls=":", label=f"threshold {study.RULE} E|w|")
ax.set(xlabel="threshold / E|w|", ylabel="angle (degrees)", xlim=(0, None), ylim=(15, 70))
ax.legend(loc="upper right", ncols=2, fontsize="small")
show(
    figure,
    "fig-ternary",
    "Angle between a random vector and its ternary version against the threshold, in mean sizes of "
    "an entry. Lines: the limit. Points: simulated, standard errors smaller than the symbols. "
    "Dotted: the rule of ternary weight networks.",
    origin,
    alt="Three curves of angle against threshold for Gaussian, uniform and Laplace entries. Each "
    "falls from its value for binarization, 37, 30 and 45 degrees, to a flat minimum and rises "
    "again; the simulated points lie on the curves.",
)

# %%
assert all((found["off"].abs() < 4).all() for found in points.values())
assert best.loc["Gaussian", "loss"] < 0.2
assert best.loc["uniform", "loss"] < 0.2
assert best.loc["Laplace", "loss"] > 1
gain = best["binary"] - best["ternary"]
assert 11 < gain["Gaussian"] < 11.5
taken = (best.loc["Gaussian", "binary"] - law_authors) / gain["Gaussian"]
assert taken < 1 / 3
glue(best=best.loc["Gaussian"], loss=best["loss"], authors=law_authors)

# %% [markdown]
# For Gaussian entries it is {glue:text}`best-sigmas:.2f`$\,\sigma$, which sets
# {glue:text}`best-zeros:.0f` % of them to zero ({numref}`fig-ternary`). The minimum is flat. The
# rule of ternary weight networks {cite}`li2016`, $0.7$ mean sizes, costs Gaussian and uniform
# entries less than a fifth of a degree and Laplace entries {glue:text}`loss-laplace:.1f`°. The
# threshold that the authors' code found in a trained network, $0.11\,\sigma$, lies at
# {glue:text}`authors:.1f`°: it takes less than a third of what a third level can give.
#
# ## A rotation makes every vector a random one
#
# All of this is about entries alike. An axis is not near any binary vector. The authors' way out is
# to rotate by an orthogonal matrix $R$, to binarize, and to rotate back. Rotations change no
# angles, so
#
# $$
# \begin{aligned}
# &\angle\bigl(w,\, R^\mathsf{T}\mathrm{bin}(Rw)\bigr) \\
# &\quad = \angle\bigl(Rw,\, \mathrm{bin}(Rw)\bigr),
# \end{aligned}
# $$ (eq-rotation)
#
# and if $R$ is drawn uniformly from all of them (the Haar measure {cite}`mezzadri2007`), the
# direction of $Rw$ is uniform on the sphere *whatever $w$ is*. Their example are Gaussian vectors
# with entries of scale $s_i = e^{0.1\,(i - n/2)}$.
#
# A Haar-random matrix costs $n^2$ multiplications for every vector. A cheaper rotation multiplies
# every entry by a random sign and applies the Hadamard matrix, of entries $\pm1/\sqrt n$, in
# $n\log_2 n$ additions {cite}`ailon2009`. Each entry of the result is $\pm x_1 \pm x_2 \pm \dots$
# over $\sqrt n$, so
#
# $$
# E\cos = \frac{E\,\lvert \pm x_1 \pm x_2 \pm \dots \pm x_n\rvert}{\lVert x\rVert_2} .
# $$ (eq-signs)
#
# What it does depends on $x$, but it is never bad: the mean cosine is at least $1/\sqrt2$ for every
# $x$ {cite}`szarek1976`.

# %%
rate = 0.1  # the authors' k
limit = quantizers.limit_angle(GAUSSIAN)
vectors = sizes.rotations * sizes.rotated_vectors
by_dimension = {}
figure, axes = plots.new_figure(3, 1, height=6.6, width=5.8, sharex=True)
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
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
show(
    figure,
    "fig-rotation",
    "Angle between a Gaussian vector with entries of scale $e^{0.1(i-n/2)}$ and its binarization: "
    "as it is, after a Haar-random rotation, and after random signs and a Hadamard transform "
    "(zeros appended up to a power of two). Grey: the angle between two such vectors.",
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
assert (rotated["off"].abs() < 4.5).all()
many = max(sizes.rotated_dimensions)
by_way = rotated.loc[many, "exact"]
scales = rotation.exponential_scales(many, rate)
effective = np.sum(scales**2) ** 2 / np.sum(scales**4)
equal = pd.Series({k: rotation.rademacher_mean_cosine(k) for k in range(2, 12)})
assert (equal[::2] < np.sqrt(2 / np.pi)).all()  # even
assert (equal[1::2] > np.sqrt(2 / np.pi)).all()
assert equal.idxmin() == 2
assert by_way["not rotated"] > 70
assert by_way["Hadamard"] < by_way["Haar"] < 37.1
assert rotated.loc[(many, "Haar"), "pairs"] > 10
glue(n_many=many, many=by_way, effective=effective, pair_sd=rotated.loc[(many, "Haar"), "pairs"])

# %% [markdown]
# For $n =$ {glue:text}`n-many` such a vector is in effect one of
# $(\sum s_i^2)^2/\sum s_i^4 \approx$ {glue:text}`effective:.0f` entries, and its binary version
# spends most bits on the others: {glue:text}`many-not-rotated:.0f`° ({numref}`fig-rotation`). After
# a Haar-random rotation it is at {glue:text}`many-haar:.1f`°, and after signs and Hadamard at
# {glue:text}`many-hadamard:.1f`°, a little nearer because the sizes are *unequal*: where one entry
# outweighs the others, every sum in {eq}`eq-signs` has nearly the same size. An even
# number of *equal* entries does worse than many, an odd one better; two are the worst case.
#
# The grey histograms are a warning. No rotation changes the angle between two vectors, and vectors
# of so few effective entries are not nearly orthogonal: at $n =$ {glue:text}`n-many` the standard
# deviation of their angle is {glue:text}`pair-sd:.0f`°. Rotation makes the binarization as faithful
# as in high dimension. It does not make the data high-dimensional.
#
# ## A rotation spoils vectors that are nearly binary
#
# A Haar-random rotation takes *every* vector to {glue:text}`levels-2:.0f`°, the good ones too
# ({numref}`fig-rotation-kinds`). It helps where $\lVert w\rVert_1/(\sqrt n\,\lVert w\rVert_2)$ is
# below $\sqrt{2/\pi}$, and does harm above. “Half clipped” stands for what clipping can do to
# {term}`latent weights <latent weight>`: half of the entries are $\pm1$, the others uniform.

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
figure, [[ax]] = plots.new_figure(height=4.4, width=5.8)
plots.by_layer(by_way, ax, column="angle", sideways=True)
ax.set(xlabel="angle (degrees)", xlim=(-3, 93), xticks=[0, 30, 45, 60, 90])
ax.legend(loc="lower right")
show(
    figure,
    "fig-rotation-kinds",
    f"Angle of the mean cosine between vectors of {size} entries and their binarization, as they "
    "are and after rotations; standard errors are smaller than the symbols.",
    origin.but(words=f"{vectors:,} vectors of each kind under {sizes.rotations} rotations"),
    alt="Nine kinds of vectors, from an axis to vectors of entries plus and minus one. Not "
    "rotated, the angle falls from nearly a right angle to zero. After a Haar-random rotation it "
    "is 37 degrees for all. After signs and Hadamard it is near 37 for most, but zero for an axis "
    "and 45 degrees for two equal entries.",
)

# %%
angle = by_kind["angle"].unstack("binarized")
gains = angle["not rotated"] - angle["Haar"]
assert gains["an axis"] > 45
assert (gains[["uniform", "half clipped", "±1"]] < -6).all()
assert abs(gains["Gaussian"]) < 0.5
assert angle["Hadamard"].idxmax() == "two equal entries"
glue(axis=angle.loc["an axis"], clipped=angle.loc["half clipped"])

# %% [markdown]
# An axis goes from {glue:text}`axis-not-rotated:.0f`° to {glue:text}`axis-haar:.0f`°, vectors half
# clipped from {glue:text}`clipped-not-rotated:.0f`° to {glue:text}`clipped-haar:.0f`°. That is the
# difference between weights and data. What training moves towards the corners of the cube a
# rotation moves away; inputs such as pixels, or weights trained without binarization, may be as
# uneven as the vectors of {numref}`fig-rotation`. And a rotation is not free: since
# $x\cdot w = Rx\cdot Rw$, whoever rotates the weights has to rotate every input.
#
# ## A network trained with three values
#
# What is a third level worth in a network? The network of an eighth of the width in {doc}`training`
# was trained again, with the same images and the same initial latents. Its activations are signs,
# its weights $-1$, $0$ and $+1$. The threshold follows the mean size of the layer's latents: $0.7$
# of it in ternary weight networks {cite}`li2016`, half of it in BitNet
# {cite}`ma2024`. Both multiply the weights of a layer by a common factor. Here there is none: the
# {term}`batch norm` behind the layer would divide it out again. The gradient passes to the latents
# unchanged, and they are clipped to $[-1, 1]$, as with signs.

# %%
NETWORKS = {
    "signs": "",
    "threshold 0.7 means": "-ternary-twn",
    "threshold 0.5 means": "-ternary-absmean",
}
runs = {
    label: training.published_run(f"cifar10-convnet-long{kind}-w0.125-s1")
    for label, kind in NETWORKS.items()
}
layers = ternary.by_layer(runs)
trained = ternary.summary(runs, layers)
of_signs = runs["signs"]
of_runs = Origin(
    data=data.Provenance(**of_signs.data),
    images=of_signs.info["measured_images"],
    width=of_signs.recipe.width,
    words=f"{of_signs.recipe.epochs} epochs; published runs",
    seed=of_signs.seed,
)
figure, axes = plots.new_figure(3, 1, height=7.5, width=6.5, sharex=True)
labels = {"angle": "angle (degrees)", "r": "r", "zeros": "zeros (%)"}
shown = layers.assign(zeros=100 * layers["zeros"])
for (column, label), ax in zip(labels.items(), axes.flat, strict=True):
    plots.by_layer({k: shown.loc[k] for k in runs}, ax, column=column)
    ax.set(ylabel=label)
    ax.label_outer()
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
show(
    figure,
    "fig-ternary-layers",
    "Three networks, trained with signs and with three values by two rules, layer by layer: angle "
    "between latent weights and those that the network computes with (median over filters), "
    "correlation of their dot products with the layer's inputs, and share of zeros.",
    of_runs,
    alt="Three panels, one above the other, with nine layers along the axis and three symbols for "
    "each layer: the angle, the correlation r, and the share of zeros, which is nought for the "
    "network trained with signs.",
)

# %%
table(
    trained.assign(angle=layers["angle"].groupby("weights").median()),
    {
        "error": "test error (%) | .1%",
        "error_se": "standard error of the image sample | .1%",
        "zeros": "zeros (%) | .1%",
        "angle": "angle, median layer (°) | .1f",
    },
)

# %%
names = dict(zip(runs, ("signs", "twn", "absmean"), strict=True))
rules = list(runs)[1:]
other_seeds = [training.published_run(f"cifar10-convnet-long-w0.125-s{s}") for s in (2, 3)]
of_seeds = [of_signs, *other_seeds]
seeds = replicates.final_errors(of_seeds)
# where another network with signs would lie, on the same images: a prediction interval
margin = stats.t.ppf(0.975, len(seeds) - 1) * seeds.std(ddof=1) * np.sqrt(1 + 1 / len(seeds))
low, high = seeds.mean() - margin, seeds.mean() + margin
found = 100 * trained["error"][rules]
words = ["fewer" if e < low else "more" if e > high else "about as many" for e in found]
by_network = {column: layers[column].unstack("weights") for column in ("angle", "r")}
turned, correlated = (of[rules].sub(of["signs"], axis=0) for of in by_network.values())
assert (layers.loc["signs", "zeros"] == 0).all()
assert (layers.loc[rules, "zeros"] > 0).all()
glue(trained_error=found.rename(names))
glue(trained_zeros=100 * trained["zeros"].rename(names))
glue(trained_seeds=len(seeds), trained_mean=seeds.mean(), trained_low=low, trained_high=high)
glue(trained_mistakes=pd.Series(dict(zip(("twn", "absmean"), words, strict=True))))
glue(angle_smaller=int((turned < 0).all(axis=1).sum()), trained_layers=len(turned))
glue(r_higher=int((correlated > 0).all(axis=1).sum()))
glue(trained_remark=replicates.unlike([*runs.values(), *other_seeds]))

# %% [markdown]
# With signs the network is wrong on {glue:text}`trained-mean:.1f` % of the test images, in the mean
# over {glue:text}`trained-seeds` seeds; on the same images another seed is expected between
# {glue:text}`trained-low:.1f` and {glue:text}`trained-high:.1f` % (Student's t, $95\,\%$). Compared
# with that the rule of ternary weight networks makes {glue:text}`trained-mistakes-twn` mistakes,
# {glue:text}`trained-error-twn:.1f` %, and that of BitNet {glue:text}`trained-mistakes-absmean`,
# {glue:text}`trained-error-absmean:.1f` %, one seed of each. {glue:text}`trained-remark`
#
# In {glue:text}`angle-smaller` of {glue:text}`trained-layers` layers the angle is smaller with
# either rule than with signs. In {glue:text}`r-higher` the correlation is higher
# ({numref}`fig-ternary-layers`). The rule of BitNet sets {glue:text}`trained-zeros-absmean:.0f` %
# of the weights to zero, the other {glue:text}`trained-zeros-twn:.0f` %.
#
# ## Exercises
#
# **1. On the bound?** Put `UNIFORM` in the place of `GAUSSIAN` in the cell of {numref}`fig-bits`.
# Where do the points lie, and does it make $k$ equal steps an ideal code?
#
# ```{dropdown} Solution 1
# Exactly on the line: the squared error of $k$ equal cells is $k^{-2}$ of $E w^2$, an angle of
# $\arcsin(1/k)$. But the line is the bound for *Gaussian* entries, of all with the same variance
# the hardest to encode. For uniform ones the Shannon lower bound {cite}`cover2006` is
# $D \ge \frac{6}{\pi e}\,2^{-2\ell}$, and at one bit leaves room down to {glue:text}`shannon:.0f`°.
# ```

# %% tags=["hide-cell"]
uniform = study.lloyd_max(UNIFORM, counts, study.Simulation(1000, 20, np.random.default_rng(seed)))
assert np.allclose(uniform["exact"], uniform["bound"])
assert np.allclose(uniform["exact"], np.degrees(np.arcsin(1 / uniform.index)))
shannon = np.degrees(np.arcsin(np.sqrt(6 / (np.pi * np.e) / 4)))
assert shannon < uniform.loc[2, "exact"] - 4
glue(shannon=shannon)

# %% [markdown]
# **2. How uneven?** Set `rate = 0.02` in the cell of {numref}`fig-rotation`. Where does the peak of
# $n = 500$ without rotation lie now? Which one lay there at $0.1$, and in what do the two differ?
#
# ```{dropdown} Solution 2
# The one of $n = 100$: {glue:text}`slow-500:.1f`° without rotation against
# {glue:text}`fast-100:.1f`°. The angle depends on how the scales are spread, and both run over the
# same ratio, $e^{10}$, from the smallest to the largest. Dimension alone does not move the peak. It
# makes all of them narrower, the grey one too: in effect there are {glue:text}`slow-effective:.0f`
# entries, not {glue:text}`fast-effective:.0f`.
# ```

# %% tags=["hide-cell"]
scales = {
    name: rotation.exponential_scales(entries, spread)
    for name, entries, spread in (("slow", 500, 0.02), ("fast", 100, 0.1), ("none", 500, 0.0))
}
uneven = {k: np.degrees(np.arccos(rotation.scaled_mean_cosine(v))) for k, v in scales.items()}
count = {k: np.sum(v**2) ** 2 / np.sum(v**4) for k, v in scales.items()}
assert abs(uneven["slow"] - uneven["fast"]) < 1.5
assert uneven["slow"] > uneven["none"] + 20
assert count["slow"] > 4 * count["fast"]
glue(slow_500=uneven["slow"], fast_100=uneven["fast"])
glue(slow_effective=count["slow"], fast_effective=count["fast"])
