# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#     data: [cifar10, mnist]
#     runs:
#       - ablations
#       - cifar10-convnet-fast-w1-s1
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.5-s2
#       - cifar10-convnet-fast-w0.5-s3
#       - cifar10-convnet-fast-w0.25-s1
#       - cifar10-convnet-fast-w0.125-s1
#       - cifar10-convnet-fast-w0.0625-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s2
#       - cifar10-convnet-fast-hardtanh-w0.5-s3
#       - mnist-mlp-fast-w0.5-s1
#       - mnist-mlp-fast-w1-s1
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
# and with binarized activations $\mathrm{bin}(x)$. (The original code gives $+1$ at zero;
# an input of exactly zero hardly occurs.) The derivative of bin is zero wherever there is
# one, so the backward pass puts something else in its place, the *straight-through estimator*:
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

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets, records
from bnn_geometry.book.display import glue, recipe_table, show, width
from bnn_geometry.book.plots import training as figures
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM
from bnn_geometry.geometry.quantizers import limit_angle
from bnn_geometry.networks import layers, straight_through, variants
from bnn_geometry.probing.weights import latent_histograms, weight_angles
from bnn_geometry.studies import ablations, tables
from bnn_geometry.studies import replicates as seeds
from bnn_geometry.training import int8, recipes, schedule

sizes = presets.sizes("training", preset)
cifar10 = data.load("cifar10", source=source)
mnist = data.load("mnist", source=source)

# %%
points = [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
arriving = torch.arange(1.0, 8.0)  # g, another one at each point
returned = {}
for name, estimator in (
    ("weight", straight_through.binarize_weight),
    ("activation", straight_through.binarize_activation),
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
records.record("ste", equal, preset=preset, note="at −1.5, −1, …, 1.5")
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
# followed by batch norm, and all but the last by binarization; after every second convolution max
# pooling comes first. The input stays real. What matters for the geometry is the number $n$ of
# weights that enter one unit, the dimension of the vectors of the last chapter.

# %%
networks = {
    "convolutional": training.build_network(sizes.convnet, seed),
    "perceptron": training.build_network(sizes.mlp, seed),
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
scales = [schedule.layer_scale(x) for x in layers.weight_layers(networks["convolutional"]).values()]
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
# The table lists what the recipes set; both train with Adam {cite}`kingma2015` and its usual
# constants. The recipe named `original` is that of the code which Courbariaux and others
# published: hundreds of epochs, a learning rate that falls exponentially, a squared hinge loss.
# `fast` is ours, for runs of a few epochs: cross-entropy, and a learning rate that falls linearly
# within the epochs there are. What makes the networks binary is the same in both, the estimator
# {eq}`eq-ste` and the clipping. Both also multiply the update of each layer of binary weights by
# $1/\sqrt{1.5/(n_\text{in} + n_\text{out})}$, as that code does and the code of the paper's own
# authors does not. There $n_\text{in}$ is the $n$ of the table above and $n_\text{out}$ the
# number of outputs that one input reaches, which in a convolution is the number of filters times
# the size of a filter; in the convolutional network of this build the factor is
# {glue:text}`scale-low:.1f` to {glue:text}`scale-high:.1f`. The last two columns are what this
# build trains: at the presets `smoke` and `book` smaller variants of `fast`, with the differences
# that the table shows.

# %%
columns = {
    f"{recipe.name}, {'CIFAR-10' if recipe.dataset == 'cifar10' else 'MNIST'}": recipe
    for recipe in recipes.RECIPES.values()
}
recipe = recipe_table(columns | {"here, CIFAR-10": sizes.convnet, "here, MNIST": sizes.mlp})
recipe.drop(["name", "model", "dataset"])

# %% [markdown]
# ### What single choices are worth
#
# Schedule, augmentation and loss of `fast` for CIFAR-10 were chosen by ablation. From a first
# guess, a {glue:text}`base-schedule` schedule with a peak rate of {glue:text}`base-lr` and, for
# augmentation, flips and crops of images padded by {glue:text}`base-padding` pixels, one thing at
# a time is changed, and a narrow network is trained again from the same seeds on the same images.
# {numref}`fig-ablations` shows what each change adds to the error on images that were held out
# from training. Not everything that helped was taken over: the learning rate of `fast` is a
# compromise between narrow and wide networks, and batches are larger than what was best, for
# speed. The row *all that fast has* is what was taken over, together. This table is published
# with the book, since it takes longer than a build may; these commands make one like it:
#
# ```bash
# bnn-geometry study ablations --work FOLDER --seeds 1 2 3
# bnn-geometry study ablations --work FOLDER --seeds 3 4 --add \
#     --variants reference "batch norm after the signs" "all that fast has"
# ```

# %%
published_ablations = tables.published("ablations")
ablation_errors = published_ablations.tables["errors"]
summary = ablations.summarize(ablation_errors)
base = published_ablations.recipe
chosen = summary.drop(index=["reference", *ablations.MISTAKES, *ablations.CONTINUOUS])
ablation_seeds = " or ".join(str(count) for count in sorted(chosen["runs"].unique()))
figure, axes = plots.new_figure(height=0.9 + 0.3 * len(chosen))
figures.plot_ablations(chosen.sort_values("difference"), axes[0, 0])
show(
    figure,
    name="fig-ablations",
    caption=(
        "Error on held-out images of variants of a recipe, minus that of the reference with the "
        f"same seed: mean over {ablation_seeds} seeds with its standard error. Convolutional "
        f"network, width {width(base.width)}, {base.epochs} epochs of {base.train_images:,} images "
        f"of {published_ablations.data['title']}. A published table, not made by this build."
    ),
    alt=(
        "Points with error bars, one for each variant of the recipe, ordered by what it adds to "
        "the error; a vertical line at zero. The table below has the numbers."
    ),
)


# %%
def printed(table: pd.DataFrame) -> pd.DataFrame:
    error = table["difference_se"].map("{:.1f}".format)
    return pd.DataFrame(
        {
            "seeds": table["runs"],
            "error, held-out images (%)": table["validation"].round(1),
            "test error (%)": table["test"].round(1),
            "difference (points)": table["difference"].round(1) + 0.0,  # never −0
            # the reference is what the others are compared with
            "s.e.": error.where(table.index != "reference", ""),
        }
    )


glue("base-schedule", base.schedule)
glue("base-lr", f"{base.lr:g}")
glue("base-padding", base.crop_padding)
glue("ablation-spread", chosen["difference_se"].median())
glue("ablation-spread-low", chosen["difference_se"].min())
glue("ablation-spread-high", chosen["difference_se"].max())
glue("ablation-seeds", ablation_seeds)
unaugmented = ablation_errors.set_index("variant").loc["no augmentation"].mean()
glue("unaugmented-train", 100 * unaugmented["train_error"])
glue("unaugmented-held", 100 * unaugmented["validation_error"])
printed(summary.drop(index=[*ablations.MISTAKES, *ablations.CONTINUOUS]))

# %% [markdown]
# A difference is taken between runs of the same seed on the same machine, so it need not equal
# the difference of two rows. From {glue:text}`ablation-seeds` seeds its standard
# error is itself uncertain: it ranges from {glue:text}`ablation-spread-low:.1f` to
# {glue:text}`ablation-spread-high:.1f` points, with a median of {glue:text}`ablation-spread:.1f`.
# A difference of a point or two is not established, whatever its own standard error. And these
# are narrow networks after a short training; what is best for them need not be best for wide ones
# trained long. Augmentation and label smoothing, for instance, are remedies against overfitting,
# of which there is little in so few epochs: without augmentation the error is
# {glue:text}`unaugmented-train:.1f` % on training and {glue:text}`unaugmented-held:.1f` % on
# held-out images.
#
# ## Learning curves
#
# {numref}`fig-history` shows the error of both networks, epoch by epoch.

# %% tags=["nbval-ignore-output"]
convnet = training.live_run(sizes.convnet, cifar10, seed=seed)
mlp = training.live_run(sizes.mlp, mnist, seed=seed)

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(1, 2, height=3.4)
figures.plot_history(convnet.history, axes[0, 0], title=cifar10.provenance.title)
figures.plot_history(mlp.history, axes[0, 1], title=mnist.provenance.title)
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
# activations is $\pm1$ (batch norm stays real, and the border that convolutions pad is zero).
#
# ### Published runs
#
# Wider networks take longer than a build may. The book comes with runs that were trained
# beforehand, each in a folder with its recipe, the versions, the fingerprint of its images, its
# history and a hash of each file. {numref}`fig-published` shows the networks of the original code
# at their full width, and a perceptron of half of it besides, but not after the original's
# {glue:text}`original-epochs` and {glue:text}`original-mnist-epochs` epochs: the convolutional
# network has {glue:text}`published-epochs`, the perceptrons have
# {glue:text}`published-mnist-epochs`, each with a schedule laid out for just that many. The
# commands that made them are these; the machine chooses the number format, and another one gives
# other numbers:
#
# ```bash
# bnn-geometry train cifar10-convnet --recipe fast --width 1 \
#     --epochs 8 --seed 1 --measure 500 --out RUN
# # and --width 0.25, 0.125, 0.0625; and --seed 2, 3:
# bnn-geometry train cifar10-convnet --recipe fast --width 0.5 \
#     --epochs 6 --seed 1 --measure 500 --out RUN
# # and --seed 2, 3:
# bnn-geometry train cifar10-convnet --recipe fast --width 0.5 \
#     --activation hardtanh --epochs 6 --seed 1 --measure 500 --out RUN
# # and --width 0.5:
# bnn-geometry train mnist-mlp --recipe fast --seed 1 \
#     --measure 500 --out RUN
# bnn-geometry publish RUN
# ```
#
# (With `publish --without-weights` for the perceptron of full width and for the later seeds: their
# histories and measurements are here, their weights are not.) This one would make the
# paper's, in at least {glue:text}`paper-hours` hours at the speed of the first:
#
# ```bash
# bnn-geometry train cifar10-convnet --recipe original --seed 1 \
#     --measure 500 --out RUN
# ```

# %%
full = training.published_run("cifar10-convnet-fast-w1-s1")
perceptrons = {w: training.published_run(f"mnist-mlp-fast-w{w:g}-s1") for w in (1 / 2, 1)}
figure, axes = plots.new_figure(1, 2, height=3.4)
figures.plot_errors(
    [("binary", full.history)],
    axes[0, 0],
    title=f"{full.data['title']}, width {width(full.recipe.width)}",
)
figures.plot_errors(
    [(f"binary, width {width(w)}", run.history) for w, run in perceptrons.items()],
    axes[0, 1],
    title=perceptrons[1].data["title"],
)
show(
    figure,
    name="fig-published",
    caption=(
        "Error of the published runs while they trained: lines with marks on "
        f"{full.data['test_images']:,} test images, thin lines on training images, augmented and "
        f"while the weights change, mean over an epoch. Left: convolutional network, width "
        f"{width(full.recipe.width)}, {len(full.history)} epochs, {full.data['title']}. Right: "
        f"perceptrons, {perceptrons[1].data['title']}. Seed {full.seed}, one run each; not made by "
        "this build."
    ),
    alt=(
        "Two plots of error against epoch, for a convolutional network and for two perceptrons, "
        "each with a curve for test and one for training images. The table below has where they "
        "end."
    ),
)

# %%
WIDTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
SEEDS = (1, 2, 3)
by_width = {w: training.published_run(f"cifar10-convnet-fast-w{w:g}-s1") for w in WIDTHS}
same_seeds = {
    label: [training.published_run(f"cifar10-convnet-fast{kind}-w0.5-s{s}") for s in SEEDS]
    for label, kind in (("binary", ""), ("continuous, hard tanh", "-hardtanh"))
}
published = pd.DataFrame(
    [
        {
            "network": name,
            "width": width(run.recipe.width),
            "seed": run.seed,
            "epochs": len(run.history),
            "training error (%)": f"{100 * run.kept['train_error']:.2f}",
            "test error (%)": f"{100 * run.kept['test_error']:.2f}",
            "computed in": run.computed_in,
            "hours": f"{run.info['seconds'] / 3600:.2f}",
        }
        for name, several in (
            ("binary", [by_width[w] for w in WIDTHS if w < 1 / 2]),
            ("binary", same_seeds["binary"]),
            ("binary", [full]),
            ("hard tanh", same_seeds["continuous, hard tanh"]),
            ("perceptron", perceptrons.values()),
        )
        for run in several
    ]
).set_index(["network", "width"])
narrowest, half = by_width[WIDTHS[0]], by_width[1 / 2]
original = recipes.ORIGINAL_CIFAR10
images_a_second = full.recipe.epochs * full.data["train_images"] / full.info["seconds"]
images_in_all = original.epochs * (full.data["train_images"] - original.validation_images)
glue("original-epochs", original.epochs)
glue("original-mnist-epochs", recipes.ORIGINAL_MNIST.epochs)
glue("paper-hours", f"{images_in_all / images_a_second / 3600:.0f}")
glue("published-epochs", len(full.history))
glue("published-error", 100 * full.kept["test_error"])
glue("published-mnist-epochs", len(perceptrons[1].history))
glue("published-mnist-half", 100 * perceptrons[1 / 2].kept["test_error"])
glue("published-mnist", 100 * perceptrons[1].kept["test_error"])
apart = perceptrons[1 / 2].kept["test_error"] - perceptrons[1].kept["test_error"]
glue("published-mnist-apart", f"{abs(apart) * perceptrons[1].data['test_images']:.0f}")
glue("published-float32", 100 * full.info["published"]["test_error"])
glue("published-data", full.data["title"])
glue("published-seed", full.seed)
glue("published-half", 100 * half.kept["test_error"])
glue("published-half-width", width(half.recipe.width))
glue("published-half-epochs", len(half.history))
glue("published-narrow", 100 * narrowest.kept["test_error"])
glue("published-narrow-width", width(narrowest.recipe.width))
published

# %% [markdown]
# At full width the binary convolutional network ends at a test error of
# {glue:text}`published-error:.1f` % on {glue:text}`published-data`, measured in the number format
# of the training; in float32 it is {glue:text}`published-float32:.1f` %. With
# {glue:text}`published-half-epochs` epochs each, the network of width
# {glue:text}`published-narrow-width` ends at {glue:text}`published-narrow:.1f` % and that of
# width {glue:text}`published-half-width` at {glue:text}`published-half:.1f` % (seed
# {glue:text}`published-seed`). The perceptrons end at {glue:text}`published-mnist-half:.2f` %
# with half the units and {glue:text}`published-mnist:.2f` % with all of them, which is
# {glue:text}`published-mnist-apart` images apart: one seed of each does not tell which is better.
# While the learning rate is high, the test error jumps from epoch to epoch. Hours cannot be
# compared between rows, since the runs had one thread or two, on more than one machine, and
# seldom the machine to themselves.
#
# Networks of this kind, with all weights and hidden activations binary, took others many times as
# many epochs {cite}`courbariaux2016,geiger2020,helwegen2019`. The numbers are theirs, on the
# official images; nothing of it was run here. The first convolution of the last two has no padding,
# which leaves them fewer weights, and the number of Larq is that of its best epoch on the test
# images.

# %%
# as their documentation states it
pd.DataFrame(
    [
        ("BinaryNet, Theano (Courbariaux and others)", 500, "none", 100 - 88.6),
        ("Larq, tutorial", 100, "none", 100 - 83.2),
        ("Bop (Helwegen and others)", 500, "crops and flips", 100 - 91.3),
    ],
    columns=["reported by", "epochs", "augmentation", "test error (%)"],
).set_index("reported by").round(1)

# %% [markdown]
# ### Binary against continuous
#
# The same network without any binarization, trained on the same images with the same schedule for
# as long, is what a binary network has to be compared with. Its weights begin in a smaller
# interval {cite}`glorot2010`, are not clipped, and their updates are not scaled by layer; the
# learning rate was chosen for binary networks. {numref}`fig-seeds` compares them at width
# {glue:text}`pair-width`, from {glue:text}`pair-seeds` seeds.

# %%
pair = same_seeds["binary"][0]
figure, axes = plots.new_figure(height=3.4, width=6.0)
figures.plot_seeds(
    seeds.curves(same_seeds),
    axes[0, 0],
    title=f"{pair.data['title']}, width {width(pair.recipe.width)}",
)
show(
    figure,
    name="fig-seeds",
    caption=(
        "Test error of binary networks and of their continuous counterparts while they trained: "
        f"mean over {len(SEEDS)} seeds, and a band from the least to the largest. Published runs, "
        f"convolutional network, width {width(pair.recipe.width)}, {pair.recipe.epochs} epochs, "
        f"{pair.data['test_images']:,} test images of {pair.data['title']}; not made by this build."
    ),
    alt=(
        "Two curves of test error against epoch, each with a band over seeds: binary networks "
        "(circles, solid) and continuous ones (squares, dashed). The table below has where they "
        "end."
    ),
)

# %%
ends = {label: seeds.final_errors(several) for label, several in same_seeds.items()}
gap = seeds.difference(*same_seeds.values())
glue("pair-width", width(pair.recipe.width))
glue("pair-seeds", len(SEEDS))
glue("pair-epochs", pair.recipe.epochs)
glue("published-gap", f"{gap.mean:+.1f}".replace("-", "−"))
glue("published-gap-error", gap.error)
pd.DataFrame(
    {
        "test error, mean (%)": {label: f"{e.mean():.2f}" for label, e in ends.items()},
        "s.d. over seeds": {label: f"{e.std(ddof=1):.2f}" for label, e in ends.items()},
        "least": {label: f"{e.min():.2f}" for label, e in ends.items()},
        "largest": {label: f"{e.max():.2f}" for label, e in ends.items()},
    }
).rename_axis("network")

# %% [markdown]
# After {glue:text}`pair-epochs` epochs the test error of the binary networks less that of the
# continuous ones is {glue:text}`published-gap` ± {glue:text}`published-gap-error:.1f` points. The
# standard error is from the spread over {glue:text}`pair-seeds` seeds; other widths and recipes
# are not in it. The narrow networks of the ablations, of width {glue:text}`base-width` after
# {glue:text}`base-epochs` epochs, were trained with both kinds of continuous unit. Here the
# difference is the other way round, continuous less binary:

# %%
glue("base-width", width(base.width))
glue("base-epochs", base.epochs)
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
angles = weight_angles(convnet.network())
figure, axes = plots.new_figure(height=3.4)
figures.plot_weight_angles(
    angles,
    axes[0, 0],
    limits={
        "uniform entries": limit_angle(UNIFORM),
        "Gaussian entries": limit_angle(GAUSSIAN),
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
# {numref}`fig-latents` has the latent weights themselves, of the published run of full width.
# Nothing but the clipping keeps them in $[-1, 1]$. {numref}`fig-flips` shows epoch by epoch how
# many lie exactly at an end, and how many binary weights have changed sign.

# %%
histograms = latent_histograms(full.network())
layer_names = list(layers.weight_layers(full.network()))
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
        "scale; dashed: the uniform distribution in which all began. Published run, width "
        f"{width(full.recipe.width)}, {len(full.history)} epochs, {full.data['title']}, seed "
        f"{full.seed}; not made by this build."
    ),
    alt=(
        "Nine histograms of latent weights between minus one and one, a panel for each layer, with "
        "a dashed line at the height of the uniform distribution. The text says how they differ "
        "from it."
    ),
)

# %%
by_layer = training.layer_history(full.history)
figure, axes = plots.new_figure(1, 2, height=3.4)
shown = by_layer.assign(
    flips=100 * by_layer["flips"].where(by_layer["flips"] > 0),  # a logarithm has no zero
    ends=100 * by_layer["clipped_fraction"],
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
        f"{width(full.recipe.width)}, {full.data['title']}, seed {full.seed}; not made by this "
        "build."
    ),
    alt=(
        "Two plots against the epoch with a line for each of nine layers: weights that flipped and "
        "latent weights at plus or minus one, both in percent."
    ),
)

# %%
first, last = (by_layer[by_layer["epoch"] == e].set_index("layer") for e in (1, len(full.history)))
dots = 100 * pd.DataFrame(
    {
        "flipped in the first epoch (%)": first["flips"],
        "in the last (%)": last["flips"],
        "at ±1 in the end (%)": last["clipped_fraction"],
        "within 0.1 of ±1 (%)": {
            name: float((layer.weight.detach().abs() >= 0.9).double().mean())
            for name, layer in layers.weight_layers(full.network()).items()
        },
    }
)
largest_ends = 100 * by_layer.groupby("epoch")["clipped_fraction"].max()
glue("flips-first-low", dots.iloc[:, 0].min())
glue("flips-first-high", dots.iloc[:, 0].max())
glue("flips-last-low", dots.iloc[:, 1].min())
glue("flips-last-high", dots.iloc[:, 1].max())
halfway = by_layer[by_layer["epoch"] == len(full.history) // 2].set_index("layer")["flips"]
glue("flips-halfway", 100 * halfway.max())
glue("flips-halfway-layer", halfway.idxmax())
glue("ends-most", largest_ends.max())
glue("ends-most-epoch", largest_ends.idxmax())
glue("ends-high", dots.iloc[:, 2].max())
glue("near-low", dots.iloc[:, 3].min())
glue("near-low-layer", dots.iloc[:, 3].idxmin())
glue("near-high", dots.iloc[:, 3].max())
glue("near-high-layer", dots.iloc[:, 3].idxmax())
dots.round(2)

# %% [markdown]
# In the first epoch between {glue:text}`flips-first-low:.1f` and
# {glue:text}`flips-first-high:.1f` % of a layer's binary weights change sign; half would be signs
# that have nothing to do with those before. In the last it is between
# {glue:text}`flips-last-low:.1f` and {glue:text}`flips-last-high:.1f` %. The learning rate falls to
# nearly zero within the run, so this does not show that the signs would stay where they are at a
# larger one: half-way through the run {glue:text}`flips-halfway:.0f` % of those of one layer
# ({glue:text}`flips-halfway-layer`) change within an epoch. A smaller rate might serve so wide a
# network better.
#
# The number of latent weights at the ends depends on the rate too: after epoch
# {glue:text}`ends-most-epoch` a layer has up to {glue:text}`ends-most:.1f` % there, after the
# last at most {glue:text}`ends-high:.1f` %. A weight that is clipped leaves the end again with
# the next step against it, and smaller steps leave fewer exactly there. Within a tenth of an end
# lie {glue:text}`near-low:.1f` % ({glue:text}`near-low-layer`) to {glue:text}`near-high:.1f` %
# ({glue:text}`near-high-layer`) of a layer's weights, a tenth being what a uniform distribution
# has.
#
# ## What the first layer looks for
#
# The filters of the first layer work on colours, so they can be looked at: {numref}`fig-filters`
# has some, as pictures of three by three pixels. A binary filter adds or subtracts each colour at
# each pixel: eight combinations, drawn here as eight colours. This is the layer with the smallest
# dimension, $n = 27$.

# %%
conv1 = layers.weight_layers(full.network())["conv1"]
steady = conv1.latent_angles().argsort()[torch.linspace(0, len(conv1.weight) - 1, 12).long()]
latent = conv1.weight.detach()[steady]
figure, axes = plots.new_figure(2, 1, height=2.2)
figures.plot_filters(
    torch.stack([latent, straight_through.binarize(latent)], 1).numpy(), axes[:, 0]
)
angle_range = conv1.latent_angles()[steady]
show(
    figure,
    name="fig-filters",
    caption=(
        f"{len(steady)} of the {len(conv1.weight)} filters of the first layer, from the one whose "
        f"binarization turns it least ({angle_range[0]:.0f}°) to the one whose turns it most "
        f"({angle_range[-1]:.0f}°): latent weights above, binary ones below; red, green and blue "
        "from none at −1 to full at +1. Published run, width "
        f"{width(full.recipe.width)}, {full.data['title']}; not made by this build."
    ),
    alt=(
        "Two rows of small colour pictures, three by three pixels each: latent filters above, in "
        "muted colours, and the same filters with every colour fully on or off below."
    ),
)

# %% [markdown]
# ## Where common code goes wrong
#
# Some mistakes are easily made, and users of public code ask about their traces. What do they cost?
# Three were trained as variants in the table of ablations:

# %%
unclipped, pooled, normed = (summary.loc[name] for name in ablations.MISTAKES)
glue("cost-clip", f"{unclipped['difference']:+.1f}".replace("-", "−"))
glue("cost-clip-error", unclipped["difference_se"])
glue("cost-pool", f"{pooled['difference']:+.1f}".replace("-", "−"))
glue("cost-pool-error", pooled["difference_se"])
glue("cost-norm", f"{normed['difference']:+.1f}".replace("-", "−"))
glue("cost-norm-error", normed["difference_se"])
printed(summary.loc[["reference", *ablations.MISTAKES]])

# %% [markdown]
# - **The clamp is missing.** Latent weights are not kept in $[-1, 1]$, and those that have gone far
#   take long to come back through zero. The difference here is {glue:text}`cost-clip` ±
#   {glue:text}`cost-clip-error:.1f` points after {glue:text}`base-epochs` epochs; over hundreds of
#   epochs it was not measured.
# - **Biases are clamped instead of weights.** A bias in front of batch norm, which subtracts it,
#   has no effect, clamped or not: what is left is the mistake above.
# - **The signs are pooled** instead of the real numbers before batch norm: the largest of four
#   independent fair signs is $+1$ fifteen times in sixteen. The difference is
#   {glue:text}`cost-pool` ± {glue:text}`cost-pool-error:.1f` points.
# - **Batch norm comes after the signs** and not before. What is binarized then are the dot products
#   themselves, most of them larger than one in size, where {eq}`eq-ste` cancels the gradient; and
#   what the next layer gets is no longer $\pm1$. The difference is {glue:text}`cost-norm` ±
#   {glue:text}`cost-norm-error:.1f` points for both together.
#
# One more needs no training: **sign(0) = 0**, as numerical libraries define it, a third value in
# a network of two. (The border that convolutions pad is the one zero that belongs there.) A
# latent weight is hardly ever exactly zero, unless it is first rounded to a grid that has a level
# there and its sign is taken then. This table counts such weights in the convolutional network of
# this build, and has the test error with them.

# %% tags=["nbval-ignore-output"]
trained = convnet.network()
shown_images = cifar10.test.sample(sizes.converted_images, seed)
error = 100 * training.evaluate(trained, shown_images)
rounded = {}
for label, dtype in (
    ("float32, as trained", torch.float32),
    ("rounded to bfloat16", torch.bfloat16),
    ("rounded to float16", torch.float16),
    ("8 bits with a level at 0", torch.int8),
):
    changed = variants.signs_after_rounding(trained, dtype)
    weights = torch.cat(
        [layer.weight.flatten() for layer in layers.weight_layers(changed).values()]
    )
    rounded[label] = {
        "weights at 0": int((weights == 0).sum()),
        "test error (%)": 100 * training.evaluate(changed, shown_images),
    }
rounded = pd.DataFrame(rounded).T.rename_axis("latent weights before the sign")
assert rounded["weights at 0"].iloc[0] <= rounded["weights at 0"].iloc[-1]
assert (rounded["test error (%)"] < 90).all()
glue("zeros-weights", f"{len(weights):,}")
glue("zeros-images", f"{len(shown_images.images):,}")
glue("zeros-eight", f"{rounded['weights at 0'].iloc[-1]:,.0f}")
glue("zeros-error", error)
glue("zeros-one", 100 / len(shown_images.images))
glue("zeros-cost", f"{rounded['test error (%)'].iloc[-1] - error:+.1f}".replace("-", "−"))
rounded.astype({"weights at 0": int}).round(2)

# %% [markdown]
# Of {glue:text}`zeros-weights` weights, {glue:text}`zeros-eight` become zero when they are
# rounded to eight bits, which changes the error of {glue:text}`zeros-error:.1f` % on
# {glue:text}`zeros-images` test images by {glue:text}`zeros-cost` points, where one image is
# {glue:text}`zeros-one:.2f`. Whatever the error, such a network is no longer binary, and code that
# packs its weights into single bits computes something else. Binarized first and rounded then, no
# weight can become zero.
#
# ## What eight bits cost
#
# The published runs keep their latent weights in eight bits, with a level for each of
# {glue:text}`eight-levels` magnitudes and the exact sign, so that the binary network is the very
# same. What changes are the measurements of the latent weights, by this much:

# %%
cost = pd.DataFrame(full.info["published"]["layers"]).set_index("layer")
glue("eight-levels", int8.LEVELS)
glue("eight-images", full.info["published"]["images"])
glue("eight-angle", cost["angle_change"].max())
glue("eight-r", (cost["r"] - cost["r_rounded"]).abs().max())
continuous_cost = same_seeds["continuous, hard tanh"][0].info["published"]
glue("eight-before", 100 * continuous_cost["test_error"])
glue("eight-after", 100 * continuous_cost["test_error_rounded"])
assert full.info["published"]["test_error"] == full.info["published"]["test_error_rounded"]
pd.DataFrame(
    {
        "n": cost["n"],
        "angle, mean change (°)": cost["angle_change"].round(4),
        "r in float32": cost["r"].round(5),
        "r in eight bits": cost["r_rounded"].round(5),
    }
)

# %% [markdown]
# In no layer does the angle change by more than {glue:text}`eight-angle:.3f`° in the mean over
# filters, nor $r$, the correlation of $x\cdot w^b$ with $x\cdot w^c$ ({doc}`dot_products`), by more
# than {glue:text}`eight-r:.5f` on {glue:text}`eight-images` test images. The continuous network of
# width {glue:text}`pair-width` computes with the rounded weights themselves: its test error was
# {glue:text}`eight-before:.2f` % before and is {glue:text}`eight-after:.2f` % after.
