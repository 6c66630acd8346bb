# ---
# jupyter:
#   bnn_geometry:
#     after: []
#     data: [cifar10, mnist]
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
# # Training
#
# The claims of the paper are about networks *trained* with binary weights and activations, by the
# method of Courbariaux, Hubara and others {cite}`courbariaux2016,hubara2016`. This chapter trains
# two of them: the paper's convolutional network on CIFAR-10 {cite}`krizhevsky2009` and a
# multilayer perceptron on MNIST {cite}`lecun1998`. The next chapter looks inside.
#
# ## Two functions where there was one
#
# Each binary weight $w^b$ has a continuous companion $w^c$, its *latent* weight. The network
# computes with
#
# $$
# w^b = \mathrm{bin}(w^c), \qquad
# \mathrm{bin}(x) = \begin{cases} +1 & x > 0,\\ -1 & \text{otherwise,}\end{cases}
# $$ (eq-binarize)
#
# and with binarized activations $\mathrm{bin}(x)$. Neither has a useful derivative, so the
# backward pass replaces them by something else, the *straight-through estimator*:
#
# $$
# \frac{\partial C}{\partial w^c} = \frac{\partial C}{\partial w^b}, \qquad
# \frac{\partial C}{\partial x} = \frac{\partial C}{\partial\,\mathrm{bin}(x)}\;
#   \mathbf 1\bigl[|x| \le 1\bigr].
# $$ (eq-ste)
#
# The optimizer moves $w^c$, in steps that are smaller than the distance between $-1$ and $+1$; a
# binary weight flips when its latent weight has crossed zero. After each update the latent
# weights are clipped to $[-1, 1]$: beyond, they could grow without any effect on the network and
# would only take longer to come back.
#
# The table below sets {eq}`eq-ste` beside what automatic differentiation returns from the
# functions with which the networks are built. Whatever gradient $g$ arrives at
# $\mathrm{bin}(w^c)$ goes on to $w^c$ unchanged; a gradient that arrives at $\mathrm{bin}(x)$
# goes on to $x$ where $|x| \le 1$, the ends included, and no further elsewhere.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of initial weights, order of the images, augmentation and dropout

# %%
import pandas as pd
import torch

from bnn_geometry import claims, data, laws, layers, plots, presets, quantize, runs, training
from bnn_geometry.notebook import glue, recipe_table, show, width

sizes = presets.preset(preset)
cifar10 = data.load("cifar10", source=source)
mnist = data.load("mnist", source=source)

# %%
points = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
arriving = torch.arange(1.0, 8.0)  # g, another one at each point
returned = {}
for name, estimator in (
    ("weight", quantize.binarize_weight),
    ("activation", quantize.binarize_activation),
):
    at = torch.tensor(points, requires_grad=True)
    estimator(at).backward(arriving)
    returned[name] = at.grad.tolist()
by_hand = {
    "weight": arriving.tolist(),
    "activation": [
        g if abs(x) <= 1 else 0.0 for x, g in zip(points, arriving.tolist(), strict=True)
    ],
}
layer = layers.BinaryLinear(len(points), 1)
layer.load_state_dict({"weight": torch.tensor([points])})
layer.clip_latent()
clipped = layer.weight[0].tolist()
equal = (
    returned == by_hand
    and clipped == [min(1.0, max(-1.0, w)) for w in points]
    and layer.binary_weight[0].tolist() == [1.0 if w > 0 else -1.0 for w in points]
)
claims.record("ste", equal, preset=preset, note="at −1.5, −1, …, 1.5")
pd.DataFrame(
    {
        "gradient that arrives": arriving.tolist(),
        "at a weight, by hand": by_hand["weight"],
        "by autograd": returned["weight"],
        "at an activation, by hand": by_hand["activation"],
        "by autograd ": returned["activation"],
        "latent weight, clipped": clipped,
    },
    index=pd.Index(points, name="w or x"),
)

# %% tags=["nbval-ignore-output"]
for dataset in (cifar10, mnist):
    assert dataset.train.images.shape[0] == dataset.provenance.train_images
pd.DataFrame(
    {
        "used here": [d.provenance.title for d in (cifar10, mnist)],
        "training images": [f"{d.provenance.train_images:,}" for d in (cifar10, mnist)],
        "test images": [f"{d.provenance.test_images:,}" for d in (cifar10, mnist)],
    },
    index=pd.Index(["CIFAR-10", "MNIST"], name="data set of the paper"),
)

# %% [markdown]
# ## The networks
#
# The convolutional network has six layers of 3 × 3 filters and three dense layers. Each is
# followed by batch norm, and all but the last by binarization; max pooling comes before batch
# norm. The input stays real. What matters for the geometry is the number $n$ of weights that
# enter one unit, the dimension of the vectors of the last chapter.

# %%
networks = {
    "convolutional": training.start(sizes.convnet, seed),
    "perceptron": training.start(sizes.mlp, seed),
}
shapes = pd.DataFrame(
    [
        {
            "network": network,
            "layer": name,
            "n": layer.fan_in,
            "units": len(layer.weight),
            "weights": layer.weight.numel(),
        }
        for network, module in networks.items()
        for name, layer in layers.weight_layers(module).items()
    ]
).set_index(["network", "layer"])
glue("convnet-weights", f"{shapes.loc['convolutional', 'weights'].sum():,}")
glue("convnet-width", width(sizes.convnet.width))
glue("mlp-width", width(sizes.mlp.width))
scales = [training.layer_scale(x) for x in layers.weight_layers(networks["convolutional"]).values()]
glue("scale-low", min(scales))
glue("scale-high", max(scales))
shapes

# %% [markdown]
# At the paper's size, width 1, the convolutional network has filters of up to 8192 weights. Here
# its hidden layers are {glue:text}`convnet-width` times as wide, which leaves
# {glue:text}`convnet-weights` binary weights, and those of the perceptron {glue:text}`mlp-width`
# times the 4096 units of the original code, so that both train while the book is being built.
#
# ## The recipe
#
# The table lists every constant. The recipe named `original` is that of the code which
# Courbariaux and others published: hundreds of epochs, a learning rate that falls exponentially,
# a squared hinge loss. `fast` is for short runs: Adam {cite}`kingma2015` with a learning rate
# that rises and falls within the few epochs there are; its peak was chosen by the test error of
# trial runs, so the errors below are a little optimistic. What makes the networks binary is the
# same in both, the estimator {eq}`eq-ste` and the clipping. Both also multiply each layer's
# update by $1/\sqrt{1.5/(n_\text{in} + n_\text{out})}$, as that code does and the code of the
# paper's own authors does not: in this convolutional network by {glue:text}`scale-low:.1f` to
# {glue:text}`scale-high:.1f`.

# %%
recipe = recipe_table({"convolutional": sizes.convnet, "perceptron": sizes.mlp})
recipe.drop(["model", "dataset"])

# %% [markdown]
# ## Learning curves
#
# {numref}`fig-history` shows the error of both networks, epoch by epoch.

# %% tags=["nbval-ignore-output"]
convnet = runs.live(sizes.convnet, cifar10, seed=seed)
mlp = runs.live(sizes.mlp, mnist, seed=seed)

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(1, 2, height=3.4)
plots.plot_history(convnet.history, axes[0, 0], title=cifar10.provenance.title)
plots.plot_history(mlp.history, axes[0, 1], title=mnist.provenance.title)
show(
    figure,
    name="fig-history",
    caption=(
        "Error of the binary networks while they train; training error is the mean over an epoch. "
        f"Left: convolutional network, width {width(sizes.convnet.width)}, "
        f"{cifar10.provenance.title}. "
        f"Right: perceptron, width {width(sizes.mlp.width)}, {mnist.provenance.title}. "
        f"Preset {preset}, seed {seed}, one run each."
    ),
    alt=(
        "Two plots of classification error against the epoch, one for each network, with one "
        "curve for training images and one for test images. The table below has where they end."
    ),
)

# %% tags=["nbval-ignore-output"]
results = pd.DataFrame(
    [
        {
            "network": name,
            "images": run.data["title"],
            "training error (%)": round(100 * run.kept["train_error"], 2),
            "test error (%)": round(100 * run.kept["test_error"], 2),
            "epochs": len(run.history),
            "seconds": round(run.info["seconds"], 1),
        }
        for name, run in (("convolutional", convnet), ("perceptron", mlp))
    ]
).set_index("network")
# guessing is wrong nine times in ten
assert (results["test error (%)"] < 85).all()
for run in (convnet, mlp):
    for name, layer in layers.weight_layers(run.network()).items():
        assert layer.weight.abs().max() <= 1, f"{name} has latent weights outside [-1, 1]"
glue("convnet-error", 100 * convnet.kept["test_error"])
glue("mlp-error", 100 * mlp.kept["test_error"])
glue("convnet-data", cifar10.provenance.title)
glue("mlp-data", mnist.provenance.title)
results

# %% [markdown]
# The convolutional network ends at a test error of {glue:text}`convnet-error:.1f` % on
# {glue:text}`convnet-data`, the perceptron at {glue:text}`mlp-error:.1f` % on
# {glue:text}`mlp-data`. At the presets `smoke` and `book` these are narrow networks after short
# training, and no statement about what binary networks can reach. They are what the following
# chapters need: networks that have learned something, each of whose weights and hidden
# activations is $\pm1$.
#
# ## Where the latent weights go
#
# The latent weights began uniformly spread over $[-1, 1]$, which puts the angle between $w^c$ and
# $w^b$ near 30° ({numref}`fig-angles`). {numref}`fig-weight-angles` shows where training takes
# them.

# %% tags=["nbval-ignore-output"]
from bnn_geometry import probes, theory

angles = probes.weight_angles(convnet.network())
figure, axes = plots.new_figure(height=3.4)
plots.plot_weight_angles(
    angles,
    axes[0, 0],
    limits={
        "uniform entries": theory.limit_angle(laws.UNIFORM),
        "Gaussian entries": theory.limit_angle(laws.GAUSSIAN),
    },
)
axes[0, 0].set_title(f"trained on {cifar10.provenance.title}")
show(
    figure,
    name="fig-weight-angles",
    caption=(
        "Angle between the latent and the binary weights of every filter of the convolutional "
        f"network after training on {cifar10.provenance.title}; boxes: "
        "quartiles with the median; whiskers: to the farthest filter within 1.5 box lengths; "
        f"circles: filters beyond. Preset {preset}, seed {seed}. Lines: the limits for random "
        "vectors."
    ),
    alt=(
        "Box plots of the angle between latent and binary weights, one for each of nine layers, "
        "with horizontal lines at 30 and 37 degrees."
    ),
)

# %% tags=["nbval-ignore-output"]
medians = angles.groupby("layer", sort=False)["angle"].median()
assert medians.between(0, 60).all()
glue("angle-low", medians.min())
glue("angle-high", medians.max())
medians.round(1).to_frame("median angle (°)")

# %% [markdown]
# The layers' medians lie between {glue:text}`angle-low:.1f`° and {glue:text}`angle-high:.1f`°.
# The angle itself depends on how a network was initialized and how long it was trained; whether
# dot products survive it is the question of {doc}`dot_products`.
