# ---
# jupyter:
#   bnn_geometry:
#     after: []
#     data: [cifar10, mnist]
#     runs:
#       - ablations
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.125-s1
#       - cifar10-convnet-fast-w0.0625-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
#       - mnist-mlp-fast-w0.5-s1
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

from bnn_geometry import (
    ablations,
    claims,
    data,
    latents,
    laws,
    layers,
    plots,
    presets,
    probes,
    quantize,
    recipes,
    runs,
    theory,
    training,
)
from bnn_geometry import plots_training as figures
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
# ## The recipes
#
# The table lists every constant. The recipe named `original` is that of the code which
# Courbariaux and others published: hundreds of epochs, a learning rate that falls exponentially,
# a squared hinge loss. `fast` is ours, for runs of a few epochs: Adam {cite}`kingma2015` with a
# learning rate that rises and falls within the epochs there are. What makes the networks binary
# is the same in both, the estimator {eq}`eq-ste` and the clipping. Both also multiply each
# layer's update by $1/\sqrt{1.5/(n_\text{in} + n_\text{out})}$, as that code does and the code of
# the paper's own authors does not: in the convolutional network of this build by
# {glue:text}`scale-low:.1f` to {glue:text}`scale-high:.1f`. The last two columns are what this
# build trains, with `fast` made smaller and its learning rate raised.

# %%
columns = {
    f"{recipe.name}, {'CIFAR-10' if recipe.dataset == 'cifar10' else 'MNIST'}": recipe
    for recipe in recipes.RECIPES.values()
}
recipe = recipe_table(columns | {"here, CIFAR-10": sizes.convnet, "here, MNIST": sizes.mlp})
recipe.drop(["name", "model", "dataset"])

# %% [markdown]
# ### What the choices in `fast` are worth
#
# The constants of `fast` for CIFAR-10 were chosen by ablation: one thing at a time is changed and
# the network is trained again from the same seeds on the same images. {numref}`fig-ablations`
# shows what each change adds to the error on images that were held out from training. This table
# is published with the book, since it takes longer than a build may; this command makes it anew:
#
# ```bash
# python tools/ablations.py --work FOLDER
# ```

# %%
published_ablations = ablations.read(runs.published_root() / "ablations")
summary = ablations.summarize(published_ablations.table)
base = published_ablations.reference
seeds = published_ablations.table["seed"].nunique()
chosen = summary.drop(index=["reference", *ablations.MISTAKES, *ablations.CONTINUOUS])
figure, axes = plots.new_figure(height=0.9 + 0.3 * len(chosen))
figures.plot_ablations(chosen.sort_values("difference"), axes[0, 0])
show(
    figure,
    name="fig-ablations",
    caption=(
        "Error on held-out images of variants of a recipe, minus that of the reference with the "
        f"same seed: mean over {seeds} seeds with its standard error. Convolutional network, width "
        f"{width(base.width)}, {base.epochs} epochs of {base.train_images:,} images of "
        f"{published_ablations.data['title']}. A published table, not made by this build."
    ),
    alt=(
        "Points with error bars, one for each variant of the recipe, ordered by what it adds to "
        "the error; a vertical line at zero. The table below has the numbers."
    ),
)


# %%
def printed(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "error, held-out images (%)": table["validation"].round(1),
            "test error (%)": table["test"].round(1),
            "difference (points)": table["difference"].round(1),
            "s.e.": table["difference_se"].round(1),
        }
    )


glue("ablation-spread", summary["difference_se"].drop("reference").median())
glue("ablation-seeds", int(seeds))
printed(summary.drop(index=[*ablations.MISTAKES, *ablations.CONTINUOUS]))

# %% [markdown]
# With {glue:text}`ablation-seeds` seeds the standard error of a difference is typically
# {glue:text}`ablation-spread:.1f` points: smaller differences mean nothing. These are narrow
# networks after a short training; what is best for them need not be best for wide ones trained
# long. Augmentation and label smoothing, for instance, are remedies against overfitting, of which
# there is little in so few epochs.
#
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
# ### Published runs
#
# Wider networks take longer than a build may. The book comes with runs that were trained
# beforehand, each in a folder with its recipe, the versions, the fingerprint of its images, its
# history and a hash over them all. {numref}`fig-published` shows them. They are not the paper's
# networks after the original's 500 epochs either: the convolutional network has
# {glue:text}`published-width` of the paper's width and {glue:text}`published-epochs` epochs. The
# commands that made them, and the one that would make the paper's, are:
#
# ```bash
# bnn-geometry train cifar10-convnet --recipe fast --width 0.5 --epochs 6 --seed 1 \
#     --measure 500 --out RUN          # and with --width 0.125 and 0.0625
# bnn-geometry train cifar10-convnet --recipe fast --activation hardtanh --width 0.5 \
#     --epochs 6 --seed 1 --measure 500 --out RUN
# bnn-geometry train mnist-mlp --recipe fast --width 0.5 --seed 1 --measure 500 --out RUN
# bnn-geometry publish RUN
#
# bnn-geometry train cifar10-convnet --recipe original --seed 1 --measure 500 --out RUN
# ```

# %%
wide = runs.published("cifar10-convnet-fast-w0.5-s1")
continuous = runs.published("cifar10-convnet-fast-hardtanh-w0.5-s1")
perceptron = runs.published("mnist-mlp-fast-w0.5-s1")
figure, axes = plots.new_figure(1, 2, height=3.4)
figures.plot_errors(
    [("binary", wide.history), ("continuous, hard tanh", continuous.history)],
    axes[0, 0],
    title=f"{wide.data['title']}, width {width(wide.recipe.width)}",
)
figures.plot_errors(
    [("binary", perceptron.history)],
    axes[0, 1],
    title=f"{perceptron.data['title']}, width {width(perceptron.recipe.width)}",
)
show(
    figure,
    name="fig-published",
    caption=(
        "Error of the published runs while they trained: lines with marks on "
        f"{wide.data['test_images']:,} test images, thin lines on training images, mean over an "
        f"epoch. Left: convolutional network, width {width(wide.recipe.width)}, "
        f"{wide.data['title']}, binary and continuous (hard tanh, no binarization) with the same "
        f"recipe. Right: perceptron, {perceptron.data['title']}. Seed {wide.seed}, one run each; "
        "not made by this build."
    ),
    alt=(
        "Two plots of error against epoch, for two convolutional networks and for a perceptron, "
        "each with a curve for test and one for training images. The table below has where they "
        "end."
    ),
)

# %%
published = pd.DataFrame(
    [
        {
            "network": name,
            "width": width(run.recipe.width),
            "epochs": len(run.history),
            "training error (%)": round(100 * run.kept["train_error"], 2),
            "test error (%)": round(100 * run.kept["test_error"], 2),
            "hours": round(run.info["seconds"] / 3600, 2),
        }
        for name, run in (
            *(
                ("convolutional, binary", runs.published(f"cifar10-convnet-fast-w{w:g}-s1"))
                for w in (1 / 16, 1 / 8)
            ),
            ("convolutional, binary", wide),
            ("convolutional, hard tanh", continuous),
            ("perceptron, binary", perceptron),
        )
    ]
).set_index("network")
by_width = published.loc["convolutional, binary", "test error (%)"]
glue("published-narrow", by_width.iloc[0])
gap = 100 * (wide.kept["test_error"] - continuous.kept["test_error"])
glue("published-width", width(wide.recipe.width))
glue("published-epochs", len(wide.history))
glue("published-gap", gap)
glue("published-error", 100 * wide.kept["test_error"])
glue("published-mnist", 100 * perceptron.kept["test_error"])
published

# %% [markdown]
# The binary convolutional network ends at a test error of {glue:text}`published-error:.1f` %, the
# perceptron at {glue:text}`published-mnist:.2f` %. Width counts: with the same recipe the narrowest
# convolutional network of the table ends at {glue:text}`published-narrow:.1f` %.
#
# ### Binary against continuous
#
# At width {glue:text}`published-width` and with the same budget the binary network makes
# {glue:text}`published-gap:.1f` points more errors than the same network without binarization.
# One run each says little about so small a number of points; the narrow networks of the ablations
# were trained from several seeds:

# %%
printed(summary.loc[["reference", *ablations.CONTINUOUS]])

# %% [markdown]
# The claim that binary networks do about as well as continuous ones was made for wide networks
# after hundreds of epochs. {doc}`pretrained` returns to it with the networks of this build, and
# {doc}`claims` has the verdict.
#
# ## Where the latent weights go
#
# The latent weights began uniformly spread over $[-1, 1]$, which puts the angle between $w^c$ and
# $w^b$ near 30° ({numref}`fig-angles`). {numref}`fig-weight-angles` shows where training takes
# them.

# %% tags=["nbval-ignore-output"]
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
#
# {numref}`fig-latents` has the latent weights themselves, of the wider published run. Nothing but
# the clipping keeps them from leaving $[-1, 1]$, and a weight whose sign is never in doubt is
# pushed against the end. How many get there, and how many still change sign, {numref}`fig-flips`
# shows epoch by epoch.

# %%
histograms = probes.latent_histograms(wide.network())
layer_names = list(layers.weight_layers(wide.network()))
figure, axes = plots.new_figure(3, 3, height=6, sharex=True, sharey=True)
figures.plot_latent_histograms(histograms, axes.flat, start=1 / 2)
for ax in axes[:, 0]:
    ax.set_ylabel("density")
for ax in axes[-1]:
    ax.set_xlabel("latent weight $w^c$")
show(
    figure,
    name="fig-latents",
    caption=(
        "Distribution of the latent weights of each layer after training, density on a logarithmic "
        "scale; dashed: the uniform distribution at which all began. Published run, width "
        f"{width(wide.recipe.width)}, {len(wide.history)} epochs, {wide.data['title']}, seed "
        f"{wide.seed}; not made by this build."
    ),
    alt=(
        "Nine histograms of latent weights between minus one and one, a panel for each layer, with "
        "a dashed line at the height of the uniform distribution. The text says how they differ "
        "from it."
    ),
)

# %%
by_layer = training.layer_history(wide.history)
figure, axes = plots.new_figure(1, 2, height=3.4)
shown = by_layer.assign(
    flips=100 * by_layer["flips"].where(by_layer["flips"] > 0),  # a logarithm has no zero
    ends=100 * by_layer["ends"],
)
figures.plot_by_layer(shown, axes[0, 0], column="flips", ylabel="binary weights that flipped (%)")
axes[0, 0].set_yscale("log")
figures.plot_by_layer(shown, axes[0, 1], column="ends", ylabel="latent weights at ±1 (%)")
axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    name="fig-flips",
    caption=(
        "Left: part of each layer's binary weights that have another sign after an epoch than "
        "before it, on a logarithmic scale; no mark where none has. Right: part of its latent "
        "weights that lie at the ends of [−1, 1] after it. Published run, width "
        f"{width(wide.recipe.width)}, {wide.data['title']}, seed {wide.seed}; not made by this "
        "build."
    ),
    alt=(
        "Two plots against the epoch with a line for each of nine layers: weights that flipped and "
        "latent weights at plus or minus one, both in percent."
    ),
)

# %%
first, last = (by_layer[by_layer["epoch"] == e].set_index("layer") for e in (1, len(wide.history)))
dots = 100 * pd.DataFrame(
    {
        "flipped in the first epoch (%)": first["flips"],
        "in the last (%)": last["flips"],
        "at ±1 in the end (%)": last["ends"],
    }
)
glue("flips-first-low", dots.iloc[:, 0].min())
glue("flips-first-high", dots.iloc[:, 0].max())
glue("flips-last-low", dots.iloc[:, 1].min())
glue("flips-last-high", dots.iloc[:, 1].max())
glue("ends-low", dots.iloc[:, 2].min())
glue("ends-low-layer", dots.iloc[:, 2].idxmin())
glue("ends-high", dots.iloc[:, 2].max())
glue("ends-high-layer", dots.iloc[:, 2].idxmax())
dots.round(2)

# %% [markdown]
# In the first epoch between {glue:text}`flips-first-low:.1f` and
# {glue:text}`flips-first-high:.1f` % of a layer's binary weights change sign, in the last between
# {glue:text}`flips-last-low:.2f` and {glue:text}`flips-last-high:.2f` %: the learning rate has
# fallen, and the network has settled. At the ends of the interval lie between
# {glue:text}`ends-low:.1f` % ({glue:text}`ends-low-layer`) and {glue:text}`ends-high:.1f` %
# ({glue:text}`ends-high-layer`) of the latent weights.
#
# ## What the first layer looks for
#
# The filters of the first layer work on colours, so they can be looked at: {numref}`fig-filters`
# has some, as pictures of three by three pixels. A binary filter knows each colour only as present
# or absent, eight colours in all. This is the layer with the smallest dimension, $n = 27$.

# %%
conv1 = layers.weight_layers(wide.network())["conv1"]
steady = conv1.latent_angles().argsort()[torch.linspace(0, len(conv1.weight) - 1, 12).long()]
latent = conv1.weight.detach()[steady]
figure, axes = plots.new_figure(2, 1, height=2.2)
figures.plot_filters(torch.stack([latent, quantize.binarize(latent)], 1).numpy(), axes[:, 0])
angle_range = conv1.latent_angles()[steady]
show(
    figure,
    name="fig-filters",
    caption=(
        f"{len(steady)} of the {len(conv1.weight)} filters of the first layer, from the one whose "
        f"binarization turns it least ({angle_range[0]:.0f}°) to the one whose turns it most "
        f"({angle_range[-1]:.0f}°): latent weights above, binary ones below; red, green and blue "
        "from none at −1 to full at +1. Published run, width "
        f"{width(wide.recipe.width)}, {wide.data['title']}; not made by this build."
    ),
    alt=(
        "Two rows of small colour pictures, three by three pixels each: latent filters above, in "
        "muted colours, and the same filters with every colour fully on or off below."
    ),
)

# %% [markdown]
# ## Where common code goes wrong
#
# Questions in the trackers of public implementations come back to the same few mistakes. What do
# they cost? The first two are variants in the table of ablations; for the third the latent weights
# of the convolutional network of this build are counted.

# %%
printed(summary.loc[["reference", *ablations.MISTAKES]])

# %% tags=["nbval-ignore-output"]
zeros = {}
for name, layer in layers.weight_layers(convnet.network()).items():
    w = layer.weight.detach()
    zeros[name] = {
        "weights": w.numel(),
        "0 in float32": int((w == 0).sum()),
        "0 in bfloat16": int((w.bfloat16() == 0).sum()),
        "0 in float16": int((w.half() == 0).sum()),
    }
zeros = pd.DataFrame(zeros).T
assert (zeros["0 in float32"] <= zeros["0 in float16"]).all()
glue("zeros-weights", f"{zeros['weights'].sum():,}")
glue("zeros-float16", int(zeros["0 in float16"].sum()))
glue("zeros-float32", int(zeros["0 in float32"].sum()))
unclipped, pooled = (summary.loc[name, "difference"] for name in ablations.MISTAKES)
glue("cost-clip", f"{unclipped:+.1f}".replace("-", "−"))
glue("cost-pool", f"{pooled:+.1f}".replace("-", "−"))
zeros

# %% [markdown]
# - **The clamp is missing.** Latent weights that are never clipped grow, and take ever longer to
#   come back through zero. Here that changes the error by {glue:text}`cost-clip` points. Some code
#   clamps the biases and not the weights, which is the same mistake: the clamp of a bias has no
#   effect at all, since the batch norm that follows subtracts it.
# - **The signs are pooled** instead of the real numbers before batch norm: the largest of four
#   signs is nearly always $+1$, and little is left to learn from. Cost: {glue:text}`cost-pool`
#   points.
# - **sign(0) = 0**, as numerical libraries define it: a third value in a network of two. Of the
#   {glue:text}`zeros-weights` latent weights of this network {glue:text}`zeros-float32` are exactly
#   zero in float32 and {glue:text}`zeros-float16` after a cast to float16, which rounds the
#   smallest numbers away. Binarized first and cast then, no weight can become zero.
#
# ## What eight bits cost
#
# The published runs keep their latent weights in eight bits, with a level for each of
# {glue:text}`eight-levels` magnitudes and the exact sign, so that the binary network is the very
# same. What changes are the measurements of the latent weights, by this much:

# %%
cost = pd.DataFrame(wide.info["published"]["layers"]).set_index("layer")
glue("eight-levels", latents.LEVELS)
glue("eight-images", wide.info["published"]["images"])
glue("eight-angle", cost["angle_change"].max())
glue("eight-r", (cost["r"] - cost["r_rounded"]).abs().max())
continuous_cost = continuous.info["published"]
glue("eight-before", 100 * continuous_cost["test_error"])
glue("eight-after", 100 * continuous_cost["test_error_rounded"])
assert wide.info["published"]["test_error"] == wide.info["published"]["test_error_rounded"]
pd.DataFrame(
    {
        "n": cost["n"],
        "angle, mean change (°)": cost["angle_change"].round(4),
        "r in float32": cost["r"].round(5),
        "r in eight bits": cost["r_rounded"].round(5),
    }
)

# %% [markdown]
# No layer's mean angle changes by more than {glue:text}`eight-angle:.3f`° and no $r$, on
# {glue:text}`eight-images` test images, by more than {glue:text}`eight-r:.5f`. The continuous
# network computes with the rounded weights themselves: its test error was
# {glue:text}`eight-before:.2f` % before and is {glue:text}`eight-after:.2f` % after.
