# ---
# jupyter:
#   sphinx_papermill:
#     after: [training]
#     data: [cifar10]
#     runs:
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.5-s2
#       - cifar10-convnet-fast-w0.5-s3
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s2
#       - cifar10-convnet-fast-hardtanh-w0.5-s3
#       - pretrained
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
# # Binarizing a pretrained network
#
# If binarization hardly turns a weight vector, why train a binary network at all? One could train
# an ordinary network and binarize it afterwards. Section 5.2 of the paper {cite}`anderson2018`
# says why its theory does not cover this. In a binary network batch norm divides the magnitude of
# every dot product out and bin discards what is left of it, so training "is forced to find a
# solution where the magnitude of the weight vectors are not used"; a continuous network is trained
# "with the possibility of the magnitude of the dot products playing an important role".
#
# This chapter tries it: it trains the continuous counterpart of the network of {doc}`training`,
# takes its weights and activations apart into signs and magnitudes, and measures what each of the
# magnitudes was worth; where in the network the loss comes about; and how much of it a short
# training repairs. At the end the same is done with the published pair of networks of
# {doc}`training`, which are wider and were trained for longer.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of both training runs and of the choice of images
images = 0  # images to refit and to measure with; 0 takes the preset's number

# %% tags=["nbval-ignore-output"]
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets, records
from bnn_geometry.book.display import glue, show, width
from bnn_geometry.book.plots import pretrained as figures
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM
from bnn_geometry.geometry.quantizers import limit_angle, limit_cosine
from bnn_geometry.networks import batch_norm, conversion, inference, layers, magnitudes
from bnn_geometry.probing import agreement, dot_products
from bnn_geometry.probing.weights import weight_angles
from bnn_geometry.studies import pretrained as conversions
from bnn_geometry.studies import replicates as seeds
from bnn_geometry.studies import tables
from bnn_geometry.training import fine_tuning

sizes = presets.sizes("pretrained", preset)
images = images or sizes.converted_images
cifar10 = data.load("cifar10", source=source)
bnn = training.live_run(sizes.convnet, cifar10, seed=seed)
continuous = training.live_run(sizes.continuous, cifar10, seed=seed)

# %% [markdown]
# ## The continuous counterpart
#
# The two networks have the same layers, and batch norm after each of them. One has $w^b$ and bin
# where the other has $w$ and the hard tanh, $\max(-1, \min(1, x))$: the function whose derivative
# the straight-through estimator {eq}`eq-ste` puts in the place of bin's. They are trained on the
# same images for the same number of epochs.


# %% tags=["nbval-ignore-output"]
def standard_error(*errors, images):
    """Of an error rate, or of the difference of two, on so many images: binomial, in points."""
    return 100 * np.sqrt(sum(p * (1 - p) for p in errors) / images)


counterparts = {"binary": bnn, "continuous": continuous}
errors = {name: run.kept["test_error"] for name, run in counterparts.items()}
gap = 100 * (errors["binary"] - errors["continuous"])
gap_error = standard_error(*errors.values(), images=cifar10.provenance.test_images)
records.record(
    "accuracy",
    gap,
    uncertainty=gap_error,
    preset=preset,
    data=cifar10.provenance,
    figure="fig-converted",
    note=f"one seed, width {width(sizes.convnet.width)}, {sizes.convnet.epochs} epochs",
)
glue("bnn-error", 100 * errors["binary"])
glue("continuous-error", 100 * errors["continuous"])
glue("gap", gap)
glue("gap-error", gap_error)
glue("data", cifar10.provenance.title)
glue("width", width(sizes.convnet.width))
glue("epochs", sizes.convnet.epochs)
assert max(errors.values()) < 0.85, "a network has learned nothing"
pd.DataFrame(
    {
        "activation": [run.recipe.activation for run in counterparts.values()],
        "learning rate": [run.recipe.lr for run in counterparts.values()],
        "epochs": [run.recipe.epochs for run in counterparts.values()],
        "training error (%)": [
            round(100 * run.kept["train_error"], 2) for run in counterparts.values()
        ],
        "test error (%)": [round(100 * p, 2) for p in errors.values()],
    },
    index=pd.Index(counterparts, name="network"),
)

# %% [markdown]
# On {glue:text}`data` the binary network ends at a test error of {glue:text}`bnn-error:.1f` %, the
# continuous one at {glue:text}`continuous-error:.1f` %: a difference of {glue:text}`gap:+.1f` ±
# {glue:text}`gap-error:.1f` percentage points (standard error from the number of test images; one
# seed of each). The claim that the paper takes from earlier work {cite}`courbariaux2016`, that
# binary networks perform like their continuous counterparts, is about networks of full size after
# hundreds of epochs; these have width {glue:text}`width` and {glue:text}`epochs` epochs.
#
# ## Binarized after the fact
#
# Replacing $w$ by $\mathrm{bin}(w)$ changes its direction a little and its length a lot. A scale
# factor per filter makes up for the length. The closest vector of the form $\alpha b$, with any
# number $\alpha$ and any binary vector $b$, is
#
# $$
# \begin{gathered}
# b = \mathrm{bin}(w),\quad \alpha = \frac1n \sum_i |w_i|,\\
# \text{leaving}\quad \frac{\|w - \alpha b\|^2}{\|w\|^2} = \sin^2\angle(w, \mathrm{bin}(w)),
# \end{gathered}
# $$ (eq-best-scale)
#
# the approach of Rastegari and others {cite}`rastegari2016` that the paper points to. What is left
# over is the angle of {numref}`fig-angles` once more: for random vectors with many entries the
# part of $\|w\|^2$ in this table.

# %%
limits = {
    "uniform entries": limit_angle(UNIFORM),
    "Gaussian entries": limit_angle(GAUSSIAN),
}
pd.DataFrame(
    {
        "angle (°)": limits,
        "residual": {k: np.sin(np.radians(v)) ** 2 for k, v in limits.items()},
    }
).round(4)

# %% [markdown]
# Batch norm remembers mean and variance of the dot products it saw in training. After the weights
# or activations have been replaced these no longer fit; they can be measured again on training
# images, without changing any weight. {numref}`fig-converted` shows the continuous network
# binarized in each way, with its batch norm as trained and with its batch norm refitted. Its first
# row is a control: nothing binarized, only refitted.

# %% tags=["nbval-ignore-output"]
chosen = cifar10.test.sample(images, seed)
of_training, _ = training.split_indices(cifar10.train.labels, sizes.continuous)
training_images = cifar10.train.images[of_training[:images]]
test_images = len(chosen.labels)

network = continuous.network()
parts = conversions.table(network, conversions.parts(), training_images, chosen)
converted = conversions.in_percent(parts)
converted.index.name = "binarized"
binary_error = 100 * training.evaluate(bnn.network(), chosen)

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(height=3.4)
figures.plot_conversion(
    converted,
    axes[0, 0],
    references={
        "trained continuous": converted.loc["nothing", "kept"],
        "trained binary": binary_error,
        "guessing": 90.0,
    },
)
axes[0, 0].set_title(f"{cifar10.provenance.title}, {test_images} test images")
show(
    figure,
    name="fig-converted",
    caption=(
        "Test error of the continuous network after parts of it were binarized. Circles: batch "
        "norm with the statistics of training; squares: with statistics measured again. Bars: one "
        "standard error, from the number of test images. Lines: the continuous network, the "
        f"network trained binary, guessing. {test_images} test images of "
        f"{cifar10.provenance.title}; width {width(sizes.continuous.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Test error for five versions of the continuous network, from nothing binarized to weights "
        "and activations binarized, each with batch norm as trained and refitted, beside vertical "
        "lines for the continuous network, the network trained binary and guessing. The same "
        "numbers stand in the table that follows."
    ),
)

# %% tags=["nbval-ignore-output"]
WEIGHTS, SCALED, BOTH = "weights: bin(w)", "weights: α bin(w)", "weights and activations"
start = converted.loc["nothing", "kept"]
assert converted[["kept", "refitted"]].stack().between(0, 100).all()
assert converted.loc[WEIGHTS, "kept"] > binary_error, "binarizing did no harm"
for what, column in ((WEIGHTS, "kept"), (BOTH, "kept"), (BOTH, "refitted")):
    error = converted.loc[what, column]
    records.record(
        "pretrained",
        error - binary_error,
        uncertainty=standard_error(error / 100, binary_error / 100, images=test_images),
        preset=preset,
        data=cifar10.provenance,
        figure="fig-converted",
        note=f"{'weights' if what == WEIGHTS else what} binarized, batch norm "
        f"{'as trained' if column == 'kept' else 'refitted'}",
    )
both_refitted = converted.loc[BOTH, "refitted"]
to_binary = both_refitted - binary_error
to_binary_error = standard_error(both_refitted / 100, binary_error / 100, images=test_images)
glue("test-images", test_images)
glue("start", start)
glue("binary", binary_error)
glue("plain", converted.loc[WEIGHTS, "kept"])
glue("scaled", converted.loc[SCALED, "kept"])
glue("plain-refitted", converted.loc[WEIGHTS, "refitted"])
glue("both", converted.loc[BOTH, "kept"])
glue("both-refitted", both_refitted)
glue("distance", abs(to_binary))
glue("distance-error", to_binary_error)
glue("side", "above" if to_binary > 0 else "below")
converted[["kept", "refitted"]].round(1).rename(
    columns={"kept": "test error (%)", "refitted": "refitted: test error (%)"}
)

# %% [markdown]
# On the same {glue:text}`test-images` test images the continuous network has an error of
# {glue:text}`start:.1f` % and the network trained binary {glue:text}`binary:.1f` %. Taking the
# signs of the continuous network's weights, and nothing else, leads to {glue:text}`plain:.1f` %;
# with the best scale to {glue:text}`scaled:.1f` %; with batch norm refitted to
# {glue:text}`plain-refitted:.1f` %.
#
# These networks have binary weights but real activations. The one that computes as the binary
# network does, with both binary, has {glue:text}`both:.1f` %, and {glue:text}`both-refitted:.1f` %
# once refitted. That is {glue:text}`distance:.1f` ± {glue:text}`distance-error:.1f` points
# {glue:text}`side` the network of the same kind that was trained binary.
#
# ## The magnitude of a weight vector
#
# In these networks batch norm follows every layer, in the continuous one too. If it measures the
# variance of what it is given, it divides a filter's scale out again,
#
# $$
# \frac{\alpha z - \mathrm{E}[\alpha z]}{\sqrt{\mathrm{Var}[\alpha z] + \epsilon}}
# = \frac{z - \mathrm{E}[z]}{\sqrt{\mathrm{Var}[z] + \epsilon/\alpha^2}},
# $$ (eq-scale-in-norm)
#
# so that the scale can matter only where batch norm is *not* refitted, and through $\epsilon$.

# %% tags=["nbval-ignore-output"]
few = chosen.sample(images // 2, seed)
refit_images = training_images[: images // 4]
plain, scaled = (
    batch_norm.refit_batch_norm(conversion.binarize_network(network, scaled=k), refit_images)
    for k in (False, True)
)
with torch.no_grad():
    x = inference.scale_images(few.images)
    same, other = (
        torch.cat([net(part).argmax(1) for part in x.split(500)]) for net in (plain, scaled)
    )
changed = int((same != other).sum())
assert changed <= 0.05 * len(few.labels), "a scale survived batch norm"
of_magnitudes = conversions.in_percent(
    conversions.table(network, conversions.of_magnitudes(), refit_images, few)
)
few_start = 100 * training.evaluate(network, few)
unit = of_magnitudes.loc["filters of length 1"]
divided = of_magnitudes.loc["filters of length 1, statistics divided"]
scales = magnitudes.scales(network)
by_layer = scales.groupby("layer", sort=False)
lengths = by_layer["rms"].max() / by_layer["rms"].min()
assert abs(divided["kept"] - few_start) <= 1, "batch norm keeps a length"
glue("changed", changed)
glue("few-images", len(few.labels))
glue("few-start", few_start)
glue("unit-kept", unit["kept"])
glue("unit-refitted", unit["refitted"])
glue("unit-divided", divided["kept"])
glue("lengths-least", lengths.min())
glue("lengths-most", lengths.max())
pd.DataFrame(
    {
        "batch norm as trained (%)": [few_start, unit["kept"], divided["kept"]],
        "batch norm refitted (%)": [np.nan, unit["refitted"], divided["refitted"]],
    },
    index=["as trained", "filters of length 1", "… and the statistics divided by the length"],
).round(1).astype(object).fillna("")

# %% [markdown]
# The largest filter of a layer is {glue:text}`lengths-least:.1f` to {glue:text}`lengths-most:.1f`
# times as long as the smallest. Nothing depends on it. With every filter divided by its length, and
# the statistics of batch norm divided with it, the error on {glue:text}`few-images` test images is
# {glue:text}`unit-divided:.1f` %, and it was {glue:text}`few-start:.1f` %; with statistics measured
# again it is {glue:text}`unit-refitted:.1f` %. Only the old statistics with the new lengths do
# harm: {glue:text}`unit-kept:.1f` %. And of the networks binarized plainly and with $\alpha$, both
# refitted, {glue:text}`changed` of {glue:text}`few-images` test images are put into different
# classes. So much for the length: without refitting,
# $\mathrm{bin}(w)$ makes every dot product about $1/\alpha$ times as large as batch norm expects,
# and the activations saturate. But with $\alpha$ the length is right, and yet the old statistics do
# not fit: the last table of this section says why.
#
# {numref}`fig-scales` sets the scale of every filter beside its theory. In units of the root mean
# square of its weights $\alpha$ is the cosine of the angle, so that it tells the law of the
# entries: one for $\pm1$, $\sqrt3/2$ for uniform, $\sqrt{2/\pi}$ for Gaussian entries. The residual
# of {eq}`eq-best-scale` is compared with that of independent entries in the same dimension, whose
# mean $1 - \mathrm{E}\cos^2$ is known exactly ({doc}`random_vectors`): for uniform entries,
# Gaussian ones, and entries drawn from all the weights of the layer.

# %% tags=["nbval-ignore-output"]
expected = magnitudes.expected_residuals(network)
figure, axes = plots.new_figure(1, 2, height=3.8)
figures.plot_scales(
    scales,
    axes[0, 0],
    ratios={
        "±1 entries": 1.0,
        "uniform entries": limit_cosine(UNIFORM),
        "Gaussian entries": limit_cosine(GAUSSIAN),
    },
)
figures.plot_residuals(scales, expected, axes[0, 1])
figure.suptitle(f"trained on {cifar10.provenance.title}")
show(
    figure,
    name="fig-scales",
    caption=(
        "Left: the best scale of every filter of the continuous network against the root mean "
        "square of its weights, with the ratio for three laws of the entries. Right: what the best "
        "scale leaves over; boxes: quartiles over filters; lines and diamonds: independent entries "
        "in the same dimension, mean (and standard deviation over filters for the "
        "layer's own law). "
        f"{cifar10.provenance.title}, width {width(sizes.continuous.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Left, scales of all filters against their root mean square on logarithmic axes, between "
        "three parallel lines. Right, box plots of the residual for nine layers between a line for "
        "uniform and one for Gaussian entries, and a diamond for each layer's own law. The table "
        "below has the numbers."
    ),
)

# %% tags=["nbval-ignore-output"]
angles = {"continuous": weight_angles(network), "BNN": weight_angles(bnn.network())}
sine = np.sin(np.radians(angles["continuous"]["angle"]))
assert np.abs(scales["residual"].to_numpy() - sine.to_numpy() ** 2).max() < 1e-9
probed = chosen.images[:100]
local = dot_products.as_table(dot_products.probe_weights(network, probed))
slopes = local["slope"] / by_layer["alpha"].median()
off = (expected["measured"] - expected["own"]).abs()
wider = expected["measured_sd"] / expected["own_sd"]
glue("residual-low", by_layer["residual"].median().min())
glue("residual-high", by_layer["residual"].median().max())
glue("own-off", off.max())
glue("own-off-layer", off.idxmax())
glue("own-wider-low", wider.min())
glue("own-wider-high", wider.max())
spread = local["filter_r"] / slopes
assert (spread > 0).all()
glue("spread-low", spread.min())
glue("spread-high", spread.max())
glue("slope-low", slopes.min())
glue("slope-high", slopes.max())
pd.DataFrame(
    {
        "n": expected["n"],
        "α, median": by_layer["alpha"].median(),
        "slope of x·w on x·bin(w)": local["slope"],
        "residual, mean": expected["measured"],
        "own law": expected["own"],
        "uniform": expected["uniform"],
        "Gaussian": expected["gaussian"],
        "s.d.": expected["measured_sd"],
        "own law, s.d.": expected["own_sd"],
    }
).round(3)

# %% [markdown]
# The median residual is between {glue:text}`residual-low:.2f` and {glue:text}`residual-high:.2f` of
# $\|w\|^2$. Both networks began with uniform weights. Independent entries of the layer's own law
# predict the mean of a layer to {glue:text}`own-off:.3f` ({glue:text}`own-off-layer`), and the
# spread over its filters is {glue:text}`own-wider-low:.1f` to {glue:text}`own-wider-high:.1f` times
# what they predict. For white inputs $\alpha$ is also the slope of the regression of $x\cdot w$ on
# $x\cdot\mathrm{bin}(w)$; for the inputs that occur here the slope is
# {glue:text}`slope-low:.2f` to {glue:text}`slope-high:.2f` times $\alpha$. The standard deviation
# of $\alpha\,x\cdot\mathrm{bin}(w)$, which is $\alpha r/\text{slope}$ times that of $x\cdot w$,
# is then {glue:text}`spread-low:.2f` to {glue:text}`spread-high:.2f` of what batch norm expects
# (medians of a layer, with the activations that the continuous network has): the scale that is best
# for the weights is not the one that is best for what they compute, and from layer to layer such
# errors multiply. A refitted batch norm corrects both.
#
# ## Magnitudes within a weight vector
#
# What no scale restores is that the magnitudes within a vector differ. {numref}`fig-magnitudes`
# shows how they are distributed in both networks, in units of the filter's mean.

# %% tags=["nbval-ignore-output"]
t = np.linspace(0, 4, 200)
histograms = {
    "continuous network, w": magnitudes.magnitude_histograms(network),
    "binary network, latent w": magnitudes.magnitude_histograms(bnn.network()),
}
figure, axes = plots.new_figure(3, 3, height=6.6, sharex=True, sharey=True)
figures.plot_magnitudes(
    list(histograms.items()),
    axes,
    laws={
        "uniform entries": (t, np.where(t <= 2, 0.5, np.nan)),
        "Gaussian entries": (t, 2 / np.pi * np.exp(-(t**2) / np.pi)),
    },
)
for ax in axes[-1]:
    ax.set_xlabel("|w| / mean |w| of the filter")
for ax in axes[:, 0]:
    ax.set_ylabel("density")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
show(
    figure,
    name="fig-magnitudes",
    caption=(
        "How the magnitudes of the weights are distributed, in units of the mean of their filter: "
        "in the continuous network (solid) and among the latent weights of the binary one (dashed);"
        " thin: uniform and Gaussian entries. "
        f"{cifar10.provenance.title}, width {width(sizes.continuous.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Nine panels, one for each layer, with the density of the relative magnitudes of the "
        "weights in two networks and curves for uniform and Gaussian entries."
    ),
)

# %% tags=["nbval-ignore-output"]
small_part = {
    label: {
        layer: float((rows["density"] * (rows["right"] - rows["left"]))[rows["right"] <= 0.2].sum())
        for layer, rows in table.groupby("layer", sort=False)
    }
    for label, table in histograms.items()
}
small_weights = (100 * pd.DataFrame(small_part)).set_axis(["continuous", "BNN"], axis=1)
ends = {
    name: float((layer.weight.detach().abs() >= 1).double().mean())
    for name, layer in layers.weight_layers(bnn.network()).items()
}
assert small_weights.stack().between(0, 100).all()
inner = small_weights.iloc[1:]
glue("small-continuous", inner["continuous"].mean())
glue("small-bnn", inner["BNN"].mean())
glue("at-ends", 100 * float(np.mean(list(ends.values())[1:])))
small_weights.assign(ends=100 * pd.Series(ends)).round(1).rename(
    columns={
        "continuous": "|w| below a fifth of the mean: continuous (%)",
        "BNN": "BNN (%)",
        "ends": "BNN, at ±1 (%)",
    }
)

# %% [markdown]
# In the continuous network {glue:text}`small-continuous:.0f` % of the weights (mean over the layers
# after the first) are smaller than a fifth of their filter's mean, in the binary one
# {glue:text}`small-bnn:.0f` %, and {glue:text}`at-ends:.0f` % of its latent weights were at
# $\pm1$ when training ended. A continuous network can say that an input does not matter by a weight
# near zero; a binary one has no such word.
#
# Do these magnitudes matter? They can be made more even, $w \to \mathrm{bin}(w)\,|w|^p$ from $p =
# 1$, the network as it is, to $p = 0$, where only signs are left; or less even, with $p > 1$. They
# can be dealt anew among the weights of a filter, which keeps the signs and the distribution and
# destroys only *which* weight is large; or the signs can be dealt anew and the magnitudes kept.
# Each turns the weight vectors by some angle, and there is a control for that: turn every filter by
# the same angle in a random direction. {numref}`fig-turns` shows the error against the angle,
# always with batch norm refitted.

# %% tags=["nbval-ignore-output"]
few_converted = of_magnitudes[["angle", "refitted", "refitted_error"]]
groups = {
    "magnitudes raised, $|w|^p$": few_converted.loc[
        [f"|w|^{p:g}" for p in conversions.POWERS]
    ].set_axis([f"p = {p:g}" for p in conversions.POWERS]),
    "magnitudes dealt anew": few_converted.loc[["magnitudes dealt anew"]].set_axis([""]),
    "signs dealt anew": few_converted.loc[["signs dealt anew"]].set_axis([""]),
    "random turn": few_converted.loc[
        ["random turn, as |w|^0", "random turn, as dealt anew"]
    ].set_axis(["", ""]),
}
figure, axes = plots.new_figure(height=3.8)
figures.plot_turns(groups, axes[0, 0], start=few_start, chance=90.0)
axes[0, 0].set_title(f"{cifar10.provenance.title}, {len(few.labels)} test images")
show(
    figure,
    name="fig-turns",
    caption=(
        "Test error of the continuous network after its weights, and nothing else, were changed in "
        "several ways, against the median angle by which that turned them; batch norm refitted. "
        "Bars: one standard error, from the number of test images. "
        f"{len(few.labels)} test images of {cifar10.provenance.title}; width "
        f"{width(sizes.continuous.width)}, preset {preset}, seed {seed}."
    ),
    alt=(
        "Test error against the angle by which filters were turned, for powers of the magnitudes, "
        "magnitudes dealt anew, signs dealt anew and random turns, with lines for the network as "
        "trained and for guessing. The table below has the numbers."
    ),
)

# %% tags=["nbval-ignore-output"]
turned = few_converted.loc[[name for name in few_converted.index if not name.startswith("filters")]]
signs_only, half = turned.loc["|w|^0"], turned.loc["|w|^0.5"]
dealt, random_turn = turned.loc["magnitudes dealt anew"], turned.loc["random turn, as |w|^0"]
random_dealt = turned.loc["random turn, as dealt anew"]
assert turned.loc["signs dealt anew", "refitted"] > 60, "the signs hold little"
dealt_limit = np.degrees(np.arccos(np.cos(np.radians(signs_only["angle"])) ** 2))
difference = random_turn["refitted"] - signs_only["refitted"]
# of errors on different images; on the same ones it is smaller
control_error = np.hypot(signs_only["refitted_error"], random_turn["refitted_error"])
glue("half-angle", half["angle"])
glue("half-cost", half["refitted"] - few_start)
glue("signs-angle", signs_only["angle"])
glue("signs-cost", signs_only["refitted"] - few_start)
glue("dealt-angle", dealt["angle"])
glue("dealt-limit", dealt_limit)
glue("dealt-cost", dealt["refitted"] - few_start)
glue("random-cost", random_turn["refitted"] - few_start)
glue("random-difference", difference)
glue("random-difference-error", control_error)
better = "better" if difference > 0 else "worse"
verdict = "neither better nor worse" if abs(difference) <= 2 * control_error else better
glue("random-verdict", verdict)
glue("random-dealt-cost", random_dealt["refitted"] - few_start)
glue("square-cost", turned.loc["|w|^2", "refitted"] - few_start)
glue("square-angle", turned.loc["|w|^2", "angle"])
glue("signs-dealt", turned.loc["signs dealt anew", "refitted"])
turned.drop(columns="refitted_error").round(1).rename(
    columns={"angle": "angle (°)", "refitted": "refitted: test error (%)"}
)

# %% [markdown]
# The square roots of the magnitudes ($p = \frac12$) turn the filters by
# {glue:text}`half-angle:.0f`° and change the error by {glue:text}`half-cost:+.1f` points; signs
# alone by {glue:text}`signs-angle:.0f`° and {glue:text}`signs-cost:+.1f` points. Squares, which are
# less even, turn by {glue:text}`square-angle:.0f`° and cost {glue:text}`square-cost:+.1f`.
# Magnitudes that were dealt anew are worse than none: {glue:text}`dealt-angle:.0f`° (in high
# dimension $\arccos(\cos^2\theta)$ or {glue:text}`dealt-limit:.0f`°, see the second exercise) and
# {glue:text}`dealt-cost:+.1f` points. With the signs dealt anew the error is
# {glue:text}`signs-dealt:.0f` %: the magnitudes by themselves hold next to nothing, the signs hold
# most.
#
# Is it the signs that cost so much, or the angle? A random turn by the same angle changes the error
# by {glue:text}`random-cost:+.1f` points, {glue:text}`random-difference:+.1f` ±
# {glue:text}`random-difference-error:.1f` from what taking the signs costs; a random turn by the
# angle of the magnitudes dealt anew by {glue:text}`random-dealt-cost:+.1f`. Taking the signs is
# {glue:text}`random-verdict` than turning the vectors anywhere else, as far as
# {glue:text}`few-images` images can tell.
#
# ## The direction of a weight vector
#
# {numref}`fig-pretrained-angles` compares the angle between weights and binary weights in the two
# networks. Both start from uniform weights; only the binary network's are clipped.

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(height=3.9)
figures.plot_angle_comparison(
    [("continuous network, w", angles["continuous"]), ("binary network, latent w", angles["BNN"])],
    axes[0, 0],
    limits=limits,
)
axes[0, 0].set_title(f"trained on {cifar10.provenance.title}")
show(
    figure,
    name="fig-pretrained-angles",
    caption=(
        "Angle between the weights of a filter and their binarization: of the continuous network, "
        "and of the latent weights of the binary one. Boxes: quartiles over filters. Lines: limits "
        f"for random vectors. {cifar10.provenance.title}, width {width(sizes.continuous.width)}, "
        f"preset {preset}, seed {seed}."
    ),
    alt=(
        "Pairs of box plots of the angle between weights and binary weights for nine layers, one "
        "of each pair for the continuous network and one for the binary network, with lines at 30 "
        "and 37 degrees."
    ),
)

# %% [markdown]
# The angle is about one layer. In a network all layers are binarized, and each receives
# activations that the layers before it have already changed. {numref}`fig-pretrained-r` shows
# both: the correlation of $x\cdot w$ with $x\cdot\mathrm{bin}(w)$ for the same $x$, and that of
# the dot products in the continuous network with those in its refitted binary versions, each with
# its own activations. Beside them is the correlation in the network that was trained binary, whose
# activations are binary for both of its weights.

# %% tags=["nbval-ignore-output"]
both = batch_norm.refit_batch_norm(
    conversion.binarize_network(network, activations=True), refit_images
)
weights_only = agreement.layer_agreement(network, plain, probed)
with_activations = agreement.layer_agreement(network, both, probed)
binary = dot_products.as_table(dot_products.probe_weights(bnn.network(), probed))
figure, axes = plots.new_figure(height=3.8)
plots.by_layer(
    {
        "this layer's weights alone": local,
        "weights of all layers": weights_only,
        "all weights and activations": with_activations,
        "in the network trained binary": binary,
    },
    axes[0, 0],
    column="filter_r",
)
axes[0, 0].set(ylabel="r of a filter (median, quartiles)", ylim=(0, 1.01))
axes[0, 0].legend(loc="lower left", ncols=2)
axes[0, 0].set_title(f"{cifar10.provenance.title}, {len(probed)} test images")
show(
    figure,
    name="fig-pretrained-r",
    caption=(
        "Correlation of the continuous network's dot products, within a filter, with those after "
        "binarizing this layer's weights alone (circles), the weights of all layers (squares), and "
        "all weights and activations (triangles); diamonds: of $x\\cdot w^b$ with $x\\cdot w^c$ in "
        "the network trained binary. Median and quartiles of each layer. "
        f"{len(probed)} test images of {cifar10.provenance.title}; width "
        f"{width(sizes.continuous.width)}, preset {preset}, seed {seed}."
    ),
    alt=(
        "Median correlation for nine layers, with quartiles, for three kinds of binarization (of "
        "this layer alone, of all weights, of all weights and activations) and for the network "
        "trained binary."
    ),
)

# %% tags=["nbval-ignore-output"]
medians = pd.DataFrame(
    {
        "angle, continuous (°)": angles["continuous"]
        .groupby("layer", sort=False)["angle"]
        .median(),
        "angle, BNN (°)": angles["BNN"].groupby("layer", sort=False)["angle"].median(),
        "r, this layer alone": local["filter_r"],
        "r, all weights": weights_only["filter_r"],
        "r, weights and activations": with_activations["filter_r"],
        "r in the BNN": binary["filter_r"],
    }
)
# nothing comes before the first layer
assert abs(medians["r, this layer alone"].iloc[0] - medians["r, all weights"].iloc[0]) < 0.01
larger = medians["angle, continuous (°)"] > medians["angle, BNN (°)"]
glue("larger", int(larger.sum()))
glue("layers", len(medians))
glue("angle-difference", float((medians.iloc[:, 0] - medians.iloc[:, 1]).abs().max()))
glue("r-alone", medians["r, this layer alone"].min())
glue("r-weights", medians["r, all weights"].min())
glue("r-both", medians["r, weights and activations"].min())
glue("r-bnn", medians["r in the BNN"].min())
medians.round(2)

# %% [markdown]
# The median angle is larger in the continuous network in {glue:text}`larger` of
# {glue:text}`layers` layers; the two networks differ by {glue:text}`angle-difference:.1f`° at
# most. Still, a layer that is binarized alone keeps its dot products: the median correlation is
# {glue:text}`r-alone:.2f` or more in every layer (in the binary network {glue:text}`r-bnn:.2f` or
# more). With all weights binarized the lowest is {glue:text}`r-weights:.2f`, with the activations
# as well {glue:text}`r-both:.2f`. In the binary network every layer is binarized too, but each
# was trained on what the binary layers before it put out.
#
# ## Layer by layer
#
# Is there one layer that binarization breaks? {numref}`fig-layers` has each layer binary alone, its
# weights and what enters it, and then the layers from the first one on, until the whole network is
# binary.

# %% tags=["nbval-ignore-output"]
fewer = chosen.sample(images // 4, seed)
by_layers = {
    group: table.drop(columns=["group", "angle"])
    for group, table in conversions.in_percent(
        conversions.table(
            network,
            [c for c in conversions.layer_by_layer(network) if c.group != "from the last"],
            refit_images,
            fewer,
        )
    ).groupby("group", sort=False)
}
fewer_start = 100 * training.evaluate(network, fewer)
figure, axes = plots.new_figure(1, 2, height=3.6, sharey=True)
references = {"nothing binary": fewer_start, "guessing": 90.0}
for (group, title), ax in zip(
    (("one layer", "this layer alone"), ("from the first", "all layers up to this one")),
    axes[0],
    strict=True,
):
    figures.plot_layer_errors(by_layers[group], ax, references=references)
    ax.set_title(title)
axes[0, 1].set_ylabel("")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
show(
    figure,
    name="fig-layers",
    caption=(
        "Test error of the continuous network with one layer binary, its weights and its input "
        "(left), and with all layers up to one binary (right); batch norm as trained and refitted "
        f"on {len(refit_images)} training images. Bars: one standard error, from the number of "
        f"test images. {len(fewer.labels)} test images of {cifar10.provenance.title}; width "
        f"{width(sizes.continuous.width)}, preset {preset}, seed {seed}."
    ),
    alt=(
        "Two panels of test error for nine layers, with batch norm as trained and refitted: one "
        "layer binary at a time, and layers binarized from the first on, with lines for the "
        "network as trained and for guessing. The table below has the numbers."
    ),
)

# %% tags=["nbval-ignore-output"]
alone = by_layers["one layer"] - fewer_start
up_to = by_layers["from the first"]
assert alone["refitted"].max() <= 90, "more than guessing"
glue("fewer-images", len(fewer.labels))
glue("alone-worst", alone["refitted"].max())
glue("alone-worst-layer", alone["refitted"].idxmax())
glue("alone-least", alone["refitted"].min())
glue("alone-median", alone["refitted"].median())
glue("alone-kept", alone["kept"].max())
glue("alone-kept-layer", alone["kept"].idxmax())
glue("alone-sum", alone["refitted"].sum())
glue("together", up_to["refitted"].iloc[-1] - fewer_start)
pd.DataFrame(
    {
        "alone (%)": by_layers["one layer"]["kept"],
        "alone, refitted (%)": by_layers["one layer"]["refitted"],
        "up to it (%)": up_to["kept"],
        "up to it, refitted (%)": up_to["refitted"],
    }
).round(1)

# %% [markdown]
# Alone, with batch norm refitted, a layer costs between {glue:text}`alone-least:+.1f` and
# {glue:text}`alone-worst:+.1f` points ({glue:text}`alone-worst-layer`; median
# {glue:text}`alone-median:+.1f`, on {glue:text}`fewer-images` test images); with the statistics of
# training up to {glue:text}`alone-kept:+.1f` ({glue:text}`alone-kept-layer`). The costs of single
# layers add up to {glue:text}`alone-sum:.0f` points, and all layers together cost
# {glue:text}`together:.0f`. The loss is gathered along the network.
#
# ## What was lost where
#
# The same test errors, as steps from the continuous network to its binary version, in this
# order:

# %% tags=["nbval-ignore-output"]
steps = pd.Series(
    {
        "directions of the weights": converted.loc[WEIGHTS, "refitted"] - start,
        "magnitudes of the activations": (
            converted.loc[BOTH, "refitted"] - converted.loc[WEIGHTS, "refitted"]
        ),
        "statistics of batch norm": converted.loc[BOTH, "kept"] - converted.loc[BOTH, "refitted"],
    },
    name="percentage points",
)
assert abs(start + steps.sum() - converted.loc[BOTH, "kept"]) < 1e-9
glue("largest", steps.idxmax())
glue("largest-step", steps.max())
glue("step-directions", steps.iloc[0])
glue("step-activations", steps.iloc[1])
glue("step-statistics", steps.iloc[2])
steps.round(1).to_frame()

# %% [markdown]
# Turning the weight vectors costs {glue:text}`step-directions:+.1f` points when batch norm is
# refitted. Reducing the activations to signs as well costs another
# {glue:text}`step-activations:+.1f`: this is where the magnitude of a dot product mattered, for
# the hard tanh lets it through and bin does not. Keeping statistics that no longer fit costs
# {glue:text}`step-statistics:+.1f` on top. The largest step comes from the
# {glue:text}`largest` ({glue:text}`largest-step:.1f` points).
#
# ## What a short training repairs
#
# Weights that were trained continuously are a place to start from. Their signs are taken over as
# they are, by scaling each filter to the mean size that latent weights have at the beginning of
# binary training, and the network is trained as a binary one ({doc}`training`) for a short time:
# {glue:text}`tuning-epochs` epoch on {glue:text}`tuning-images` images, with a learning rate of
# {glue:text}`tuning-lr`. As long a training from random weights stands beside it, with the learning
# rate {glue:text}`anew-lr` of the whole training, and the whole training itself,
# {glue:text}`epochs` epochs on {glue:text}`whole-images` images. So short a training leaves the
# running averages of batch norm behind: after both they are measured again.

# %% tags=["nbval-ignore-output"]
recipe = sizes.fine_tuning
anew = recipe.with_(lr=sizes.convnet.lr)
measured_on = replace(cifar10, test=fewer)  # the history's errors are not what is shown
short = {
    name: training.train(net, measured_on, how, seed=seed)
    for name, net, how in (
        ("pretrained", fine_tuning.as_latents(network, recipe), recipe),
        ("random weights", training.build_network(anew, seed), anew),
    )
}
tuned = {
    name: 100
    * training.evaluate(batch_norm.refit_batch_norm(trained.network, refit_images), chosen)
    for name, trained in short.items()
}
before, after = (
    [layer.weight > 0 for layer in layers.weight_layers(net).values()]
    for net in (network, short["pretrained"].network)
)
flips = [float((a != b).double().mean()) for a, b in zip(before, after, strict=True)]
tuned_error = standard_error(tuned["pretrained"] / 100, images=test_images)
both_refitted = converted.loc[BOTH, "refitted"]
recovered = 100 * (both_refitted - tuned["pretrained"]) / (both_refitted - start)
assert max(tuned.values()) <= 92, "worse than guessing"
glue("tuning-epochs", recipe.epochs)
glue("tuning-images", f"{recipe.train_images or cifar10.provenance.train_images:,}")
glue("tuning-lr", recipe.lr)
glue("anew-lr", anew.lr)
glue("whole-images", f"{sizes.convnet.train_images or cifar10.provenance.train_images:,}")
glue("tuned", tuned["pretrained"])
glue("tuned-error", tuned_error)
glue("tuned-scratch", tuned["random weights"])
glue("tuned-flips", 100 * float(np.mean(flips)))
glue("recovered", recovered)
glue("tuned-to-binary", tuned["pretrained"] - binary_error)
pd.DataFrame(
    {
        "test error (%)": {
            "continuous": start,
            "binarized, batch norm refitted": both_refitted,
            "short training from pretrained weights": tuned["pretrained"],
            "short training from random weights": tuned["random weights"],
            "trained binary, whole budget": binary_error,
        }
    }
).round(1)

# %% [markdown]
# Refitted, the binarized network had {glue:text}`both-refitted:.1f` %. The short training takes it
# to {glue:text}`tuned:.1f` ± {glue:text}`tuned-error:.1f` %, {glue:text}`recovered:.0f` % of the
# way back to the continuous network, by changing the signs of {glue:text}`tuned-flips:.0f` % of the
# weights (mean over layers). From random weights the same training reaches
# {glue:text}`tuned-scratch:.1f` %. From the network that was trained binary for the whole budget
# the fine-tuned one differs by {glue:text}`tuned-to-binary:+.1f` points. (That is no fair race
# between the two: the continuous training came before.)
#
# ## A wider network
#
# These networks are narrow. The published pair of {doc}`training`, of width
# {glue:text}`wide-width`, was binarized and changed in the same ways by this command, whose table
# is in `runs/pretrained`. It is not made by this build, and on few images, since so wide a network
# is slow. Without the options the command also goes through the layers and trains for a short time.
#
# ```bash
# bnn-geometry study pretrained --work FOLDER --variants parts magnitudes
# ```

# %%
wide = tables.published("pretrained")
wide_continuous = training.published_run(wide.settings["continuous"])
of_wide = wide.tables["conversions"].groupby("activation")
wide_errors = conversions.in_percent(of_wide.get_group(wide_continuous.recipe.activation))
wide_parts = wide_errors[wide_errors["group"] == "parts"]
wide_binary_error = conversions.in_percent(of_wide.get_group("binary")).loc["nothing", "kept"]
figure, axes = plots.new_figure(height=3.4)
figures.plot_conversion(
    wide_parts,
    axes[0, 0],
    references={
        "trained continuous": wide_parts.loc["nothing", "kept"],
        "trained binary": wide_binary_error,
        "guessing": 90.0,
    },
)
axes[0, 0].set_title(f"{wide.data['title']}, {wide.settings['test_images']} test images")
show(
    figure,
    name="fig-wide",
    caption=(
        "Test error of the published continuous network of width "
        f"{width(wide_continuous.recipe.width)} after parts of it were binarized; circles: batch "
        "norm with the statistics of training, squares: refitted on "
        f"{wide.settings['refit_images']} training images. Bars: one standard error. Lines: the "
        "continuous network, the published binary one, guessing. "
        f"{wide.settings['test_images']} test images of {wide.data['title']}. A published table, "
        "not made by this build."
    ),
    alt=(
        "Test error for five versions of the published continuous network, from nothing binarized "
        "to weights and activations binarized, each with batch norm as trained and refitted, "
        "beside vertical lines for both published networks and guessing. The table below has the "
        "numbers."
    ),
)

# %%
assert wide_errors[["kept", "refitted"]].stack().between(0, 100).all()
wide_both = wide_parts.loc[BOTH, "refitted"]
wide_signs, wide_turn = (wide_errors.loc[name] for name in (WEIGHTS, "random turn, as |w|^0"))
wide_data = data.Provenance(**wide_continuous.data)
SEEDS = (1, 2, 3)  # the first are the pair that was converted
wide_gap = seeds.difference(
    *(
        [training.published_run(wide.settings[kind].removesuffix("-s1") + f"-s{s}") for s in SEEDS]
        for kind in ("binary", "continuous")
    )
)
records.record(
    "accuracy",
    wide_gap.mean,
    uncertainty=wide_gap.error,
    preset=preset,
    data=wide_data,
    note=(
        f"{len(SEEDS)} seeds, width {width(wide_continuous.recipe.width)}, "
        f"{wide_continuous.recipe.epochs} epochs"
    ),
    run=wide.settings["binary"],
)
for what, column in ((WEIGHTS, "kept"), (BOTH, "kept"), (BOTH, "refitted")):
    error = wide_parts.loc[what, column]
    records.record(
        "pretrained",
        error - wide_binary_error,
        uncertainty=standard_error(
            error / 100, wide_binary_error / 100, images=wide.settings["test_images"]
        ),
        preset=preset,
        data=wide_data,
        figure="fig-wide",
        note=f"{'weights' if what == WEIGHTS else what} binarized, batch norm "
        f"{'as trained' if column == 'kept' else 'refitted'}",
        run=wide.settings["continuous"],
    )
glue("wide-width", width(wide_continuous.recipe.width))
glue("wide-images", wide.settings["test_images"])
glue("wide-start", wide_parts.loc["nothing", "kept"])
glue("wide-binary", wide_binary_error)
glue("wide-plain", wide_signs["kept"])
glue("wide-scaled", wide_parts.loc[SCALED, "kept"])
glue("wide-refitted", wide_signs["refitted"])
glue("wide-angle", wide_signs["angle"])
glue("wide-both", wide_parts.loc[BOTH, "kept"])
glue("wide-both-refitted", wide_both)
glue("wide-both-error", wide_parts.loc[BOTH, "refitted_error"])
glue("wide-random", wide_turn["refitted"])
glue("wide-random-error", np.hypot(wide_turn["refitted_error"], wide_signs["refitted_error"]))
glue("wide-random-difference", wide_turn["refitted"] - wide_signs["refitted"])
glue("wide-dealt", wide_errors.loc["magnitudes dealt anew", "refitted"])
wide_errors[["angle", "kept", "refitted"]].round(1).rename(
    columns={
        "angle": "angle (°)",
        "kept": "test error (%)",
        "refitted": "refitted: test error (%)",
    }
)

# %% [markdown]
# On {glue:text}`wide-images` test images ({numref}`fig-wide`) the continuous network has
# {glue:text}`wide-start:.1f` % and the binary one {glue:text}`wide-binary:.1f` %. Signs of the
# weights alone give {glue:text}`wide-plain:.1f` %, with the best scale {glue:text}`wide-scaled:.1f`
# %, with batch norm refitted {glue:text}`wide-refitted:.1f` %: wide layers bear a turn by
# {glue:text}`wide-angle:.0f`° in this way. A random turn by the same angle gives
# {glue:text}`wide-random:.1f` %, {glue:text}`wide-random-difference:+.1f` ±
# {glue:text}`wide-random-error:.1f` from the signs, and magnitudes dealt anew
# {glue:text}`wide-dealt:.1f` %. With the activations binary as well it is
# {glue:text}`wide-both:.1f` %, and refitted {glue:text}`wide-both-refitted:.1f` ±
# {glue:text}`wide-both-error:.1f` %.
#
# ## What follows
#
# Plain signs fail first of all because batch norm keeps the statistics of another network. Measured
# again they make up for it, and then no scale factor is needed: the *length* of a weight vector
# means nothing to a network with batch norm. So far the paper's reason does not apply.
#
# What remains is that the vectors were turned ({glue:text}`step-directions:+.1f` points), by about
# the angle that random vectors of high dimension are turned by. Taking the signs is
# {glue:text}`random-verdict` than any other turn by that angle would be. Each layer by itself bears
# it better than all of them together, since every layer passes on what the next was not trained to
# receive.
#
# The *magnitudes of the activations* cost {glue:text}`step-activations:+.1f` points more. There the
# paper's reason applies in full: the hard tanh lets the size of a dot product through, a continuous
# network is free to use it, and bin discards it; a binary network has been trained to do without. A
# short training as a binary network finds out how, starting from the signs that continuous training
# had found.
#
# ## Exercises
#
# The solutions are folded away, and so are the cells that compute and check their numbers.
#
# **1. The best scale for an output.** For inputs $x$ with mean zero and covariance $\Sigma$, which
# number $\alpha$ minimizes $\mathrm{E}(x\cdot w - \alpha\,x\cdot b)^2$, and which part of the
# variance of $x\cdot w$ is left? When is it the $\alpha$ of {eq}`eq-best-scale`?
#
# ```{dropdown} Solution 1
# The mean square is $w^T\Sigma w - 2\alpha\,w^T\Sigma b + \alpha^2\,b^T\Sigma b$, so that
# $\alpha = w^T\Sigma b/b^T\Sigma b$, the slope of the regression of $x\cdot w$ on $x\cdot b$, and
# the part $1 - r^2$ is left, with the correlation $r$ of {eq}`eq-predicted-r`. For white inputs,
# $\Sigma = \sigma^2 I$, they are $\alpha = w\cdot b/n$, the mean of $|w|$, and
# $1 - r^2 = \sin^2\theta$. In the last layer of this network the median of $r$ is
# {glue:text}`solution-r:.2f`: inputs in which some directions dominate leave
# {glue:text}`solution-left:.2f` where the residual is {glue:text}`solution-residual:.2f`.
# ```

# %% tags=["hide-cell", "nbval-ignore-output"]
rng = np.random.default_rng(seed)
w, root = rng.standard_normal(40), rng.standard_normal((40, 40))
b, sigma = np.where(w > 0, 1.0, -1.0), root @ root.T
best_alpha = (w @ sigma @ b) / (b @ sigma @ b)


def left(alpha, covariance):
    """What α leaves of the variance of the dot product."""
    d = w - alpha * b
    return (d @ covariance @ d) / (w @ covariance @ w)


r = (w @ sigma @ b) / np.sqrt((w @ sigma @ w) * (b @ sigma @ b))
assert np.isclose(left(best_alpha, sigma), 1 - r**2)
assert all(left(k * best_alpha, sigma) > left(best_alpha, sigma) for k in (0.9, 1.1))
white = conversion.optimal_scale(torch.tensor(w)[None])
assert np.isclose(left(float(white.alpha), np.eye(40)), float(white.residual))
last = local.index[-1]
glue("solution-r", local.loc[last, "filter_r"])
glue("solution-left", 1 - local.loc[last, "filter_r"] ** 2)
glue("solution-residual", float(by_layer["residual"].median()[last]))

# %% [markdown]
# **2. Powers and shuffles.** By which angle does $w \to \mathrm{bin}(w)\,|w|^p$ turn a vector of
# many independent entries, and by which angle do magnitudes that are dealt anew? Evaluate both for
# Gaussian entries.
#
# ```{dropdown} Solution 2
# By the law of large numbers the cosine is a ratio of moments $m_k = \mathrm{E}|w|^k$,
#
# $$\cos = \frac{m_{1+p}}{\sqrt{m_2\,m_{2p}}},$$
#
# and for Gaussian entries $m_k = 2^{k/2}\,\Gamma(\frac{k+1}2)/\sqrt\pi$. Without magnitudes, $p =
# 0$, it is the $\sqrt{2/\pi}$ of {doc}`random_vectors`, {glue:text}`solution-p0:.1f`°; $p =
# \frac12$ gives {glue:text}`solution-p05:.1f`°, and $p = 2$ with {glue:text}`solution-p2:.1f`°
# turns the vector by less than taking its signs does. Magnitudes dealt anew are independent of
# those that were there: $\cos = (\mathrm{E}|w|)^2/\mathrm{E}w^2$, the square of the cosine of the
# signs, {glue:text}`solution-shuffled:.1f`°. Wrong magnitudes are worse than none, for every law of
# the entries.
# ```

# %% tags=["hide-cell"]
from scipy.special import gamma


def moment(k):
    """E|w|^k of a standard normal number."""
    return 2 ** (k / 2) * gamma((k + 1) / 2) / np.sqrt(np.pi)


def power_angle(p):
    return np.degrees(np.arccos(moment(1 + p) / np.sqrt(moment(2) * moment(2 * p))))


layer = layers.BinaryLinear(200_000, 1, binary=False)
with torch.no_grad():
    layer.weight.normal_(generator=torch.Generator().manual_seed(seed))
for p in (0.0, 0.5, 2.0):
    found = magnitudes.rotation_angles(layer, magnitudes.raise_magnitudes(layer, p))
    assert abs(found["angle"].iloc[0] - power_angle(p)) < 0.3
shuffled = magnitudes.shuffle_magnitudes(layer, torch.Generator().manual_seed(seed))
shuffled_angle = np.degrees(np.arccos(2 / np.pi))
assert abs(magnitudes.rotation_angles(layer, shuffled)["angle"].iloc[0] - shuffled_angle) < 0.3
assert np.isclose(power_angle(0), limit_angle(GAUSSIAN))
glue("solution-p0", power_angle(0))
glue("solution-p05", power_angle(0.5))
glue("solution-p2", power_angle(2))
glue("solution-shuffled", shuffled_angle)

# %% [markdown]
# **3. A network without batch norm after its last layer.** Leave the last batch norm away, so that
# the class scores are the dot products themselves. Does $\alpha$ matter then, and to what?
#
# ```{dropdown} Solution 3
# It can change which class is chosen only where the filters of the last layer have different
# scales: a common factor multiplies all scores, and the largest stays the largest. With one
# $\alpha$ for each filter, $\mathrm{bin}(w)$ takes away what made some classes' scores larger than
# others. In the last layer of this network the largest $\alpha$ is {glue:text}`solution-ratio:.2f`
# times the smallest; on its own inputs, plain and scaled signs choose different classes for
# {glue:text}`solution-differ:.0f` of {glue:text}`few-images` test images, and one common scale for
# {glue:text}`solution-common:.0f`.
# ```

# %% tags=["hide-cell", "nbval-ignore-output"]
last_layer = layers.weight_layers(network)[last]
entering = []
handle = last_layer.register_forward_hook(lambda module, args, z: entering.append(args[0]))
with torch.no_grad():
    for part in x.split(500):
        network(part)
handle.remove()
z = torch.cat(entering)
alpha = conversion.optimal_scale(last_layer.weight).alpha.float()
with torch.no_grad():
    scores = z @ last_layer.binary_weight.T
differ = int(((scores * alpha).argmax(1) != scores.argmax(1)).sum())
common = int(((scores * alpha.mean()).argmax(1) != scores.argmax(1)).sum())
assert common <= 1  # a tie, which rounding may break
glue("solution-ratio", float(alpha.max() / alpha.min()))
glue("solution-differ", differ)
glue("solution-common", common)
