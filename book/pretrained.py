# ---
# jupyter:
#   bnn_geometry:
#     after: [training]
#     data: [cifar10]
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
# magnitudes was worth.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of both training runs and of the choice of images
images = 0  # images to refit and to measure with; 0 takes the preset's number

# %% tags=["nbval-ignore-output"]
import numpy as np
import pandas as pd
import torch

from bnn_geometry import (
    claims,
    convert,
    data,
    laws,
    layers,
    plots,
    presets,
    probes,
    runs,
    theory,
    training,
)
from bnn_geometry.notebook import glue, show, width

sizes = presets.preset(preset)
images = images or sizes.converted_images
cifar10 = data.load("cifar10", source=source)
bnn = runs.live(sizes.convnet, cifar10, seed=seed)
continuous = runs.live(sizes.continuous, cifar10, seed=seed)

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
claims.record(
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
    "uniform entries": theory.limit_angle(laws.UNIFORM),
    "Gaussian entries": theory.limit_angle(laws.GAUSSIAN),
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
kept = {
    "nothing": network,
    "weights: bin(w)": convert.binarize(network),
    "weights: α bin(w)": convert.binarize(network, scaled=True),
    "activations": convert.binarize(network, weights=False, activations=True),
    "weights and activations": convert.binarize(network, activations=True),
}
refitted = {k: convert.refit_batch_norm(net, training_images) for k, net in kept.items()}


def measure(network):
    """Test error on the chosen images, and its standard error: fractions, points."""
    error = training.evaluate(network, chosen)
    return error, standard_error(error, images=test_images)


rows = {}
for name in kept:
    (p, p_error), (q, q_error) = measure(kept[name]), measure(refitted[name])
    rows[name] = {
        "kept": 100 * p,
        "kept_error": p_error,
        "refitted": 100 * q,
        "refitted_error": q_error,
    }
converted = pd.DataFrame.from_dict(rows, orient="index")
converted.index.name = "binarized"
binary_error = 100 * measure(bnn.network())[0]

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(height=3.4)
plots.plot_conversion(
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
assert converted.to_numpy().min() >= 0
assert converted.to_numpy().max() <= 100
assert converted.loc[WEIGHTS, "kept"] > binary_error, "binarizing did no harm"
for what, column in ((WEIGHTS, "kept"), (BOTH, "kept"), (BOTH, "refitted")):
    error = converted.loc[what, column]
    claims.record(
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
with torch.no_grad():
    x = training.scale_images(chosen.images)
    same, other = (
        torch.cat([refitted[name](part).argmax(1) for part in x.split(500)])
        for name in (WEIGHTS, SCALED)
    )
changed = int((same != other).sum())
assert changed <= 0.05 * test_images, "a scale survived batch norm"
scales = {
    name: convert.optimal_scale(layer.weight)
    for name, layer in layers.weight_layers(network).items()
}
angles = {"continuous": probes.weight_angles(network), "BNN": probes.weight_angles(bnn.network())}
residual = np.concatenate([scale.residual for scale in scales.values()])
sine = np.sin(np.radians(angles["continuous"]["angle"]))
assert np.abs(residual - sine**2).max() < 1e-9
local = probes.as_table(probes.probe_weights(network, chosen.images[:100]))
glue("changed", changed)
glue("residual-low", min(float(scale.residual.median()) for scale in scales.values()))
glue("residual-high", max(float(scale.residual.median()) for scale in scales.values()))
pd.DataFrame(
    {
        "n": local["n"],
        "α, median": {k: float(s.alpha.median()) for k, s in scales.items()},
        "α, largest/smallest": {k: float(s.alpha.max() / s.alpha.min()) for k, s in scales.items()},
        "slope of x·w on x·bin(w)": local["slope"],
        "residual, median": {k: float(s.residual.median()) for k, s in scales.items()},
    }
).round(3)

# %% [markdown]
# Refitted, the plain and the scaled network put {glue:text}`changed` of {glue:text}`test-images`
# test images into different classes: the scale of a filter, the only magnitude that $\alpha$
# restores, does not matter to a network that may measure its batch norm again. Without refitting,
# $\mathrm{bin}(w)$ makes every dot product $1/\alpha$ times as large as batch norm expects, and the
# activations saturate. For white inputs $\alpha$ is also the slope of the regression of $x\cdot w$
# on $x\cdot\mathrm{bin}(w)$; the table has both.
#
# What no scale restores is the residual of {eq}`eq-best-scale`: its median is between
# {glue:text}`residual-low:.2f` and {glue:text}`residual-high:.2f` of $\|w\|^2$, depending on the
# layer.
#
# ## The direction of a weight vector
#
# {numref}`fig-pretrained-angles` compares the angle between weights and binary weights in the two
# networks. Both start from uniform weights; only the binary network's are clipped.

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(height=3.9)
plots.plot_angle_comparison(
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
probed = chosen.images[:100]
weights_only = probes.layer_agreement(network, refitted[WEIGHTS], probed)
with_activations = probes.layer_agreement(network, refitted[BOTH], probed)
binary = probes.as_table(probes.probe_weights(bnn.network(), probed))
figure, axes = plots.new_figure(height=3.8)
plots.plot_r_by_layer(
    [
        ("this layer's weights alone", local),
        ("weights of all layers", weights_only),
        ("all weights and activations", with_activations),
        ("in the network trained binary", binary),
    ],
    axes[0, 0],
)
axes[0, 0].set_ylim(bottom=0)
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
binary = probes.as_table(probes.probe_weights(bnn.network(), probed))
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
# So the paper's reason holds with a distinction. The *length* of a weight vector is no obstacle
# where batch norm follows and may be measured again; no scale factor is needed there. What a
# continuous network is free to use, and a binary one is not, are the magnitudes within a weight
# vector and those of its activations.
