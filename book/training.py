# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#     data: [cifar10, mnist]
#     runs:
#       - cifar10-convnet-fast-w1-s1
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.5-s2
#       - cifar10-convnet-fast-w0.5-s3
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s2
#       - cifar10-convnet-fast-hardtanh-w0.5-s3
#       - cifar10-convnet-long-w0.125-s1
#       - cifar10-convnet-long-hardtanh-w0.125-s1
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
# Networks whose weights and hidden activations are all ±1 train by ordinary gradient descent, on
# continuous {term}`latent weights <latent weight>` of which the network sees only the signs
# ({claim}`ste`). The paper's convolutional network, at its full width, reached a test error of
# {glue:text}`wide-error:.1f` % on {glue:text}`wide-data` in {glue:text}`wide-epochs` epochs. That
# is far from the {glue:text}`theirs-error:.1f` % of the original code in
# {glue:text}`original-epochs` epochs. Its step was {glue:text}`step-ratio:.0f` times the
# original's, and in its widest layers at least {glue:text}`flips-least:.0f` % of the signs changed
# in each of its middle epochs ({numref}`fig-flips`). At half the width, signs cost
# {glue:text}`gap:.1f` points against the same network without them, and {glue:text}`narrow-gap:.1f`
# at an eighth of it, under another recipe ({claim}`accuracy`).
#
# ## Two functions where there was one
#
# Each binary weight $w^b$ has a continuous companion $w^c$. The network
# computes with
#
# $$
# \begin{gathered}
# w^b = \mathrm{bin}(w^c), \\
# \mathrm{bin}(x) = \begin{cases} +1 & x > 0,\\ -1 & \text{otherwise,}\end{cases}
# \end{gathered}
# $$ (eq-binarize)
#
# and with binarized activations {cite}`courbariaux2016,hubara2016`. The derivative of
# {term}`bin` is zero wherever there is one, so the backward pass puts something else in its place,
# the {term}`straight-through estimator`:
#
# $$
# \begin{aligned}
# \frac{\partial C}{\partial w^c} &= \frac{\partial C}{\partial w^b}, \\
# \frac{\partial C}{\partial x} &= \frac{\partial C}{\partial\,\mathrm{bin}(x)}\;
#   \mathbf 1\bigl[|x| \le 1\bigr].
# \end{aligned}
# $$ (eq-ste)
#
# The optimizer moves $w^c$ in small steps; a binary weight flips when its latent weight crosses
# zero. After each update the latent weights are clipped to $[-1, 1]$: beyond, they could grow
# without any effect and would only take longer to come back. The cell below compares
# {eq}`eq-ste` with what automatic differentiation returns.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of initial weights, order of the images, augmentation and dropout

# %%
import pandas as pd
import torch

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets, records
from bnn_geometry.book.display import Origin, glue, recipe_table, show, table, width
from bnn_geometry.networks import layers, straight_through
from bnn_geometry.studies import replicates
from bnn_geometry.training import recipes, schedule

sizes = presets.sizes("training", preset)
cifar10 = data.load("cifar10", source=source)
mnist = data.load("mnist", source=source)

# %%
points = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
arriving = torch.arange(1.0, 8.0)  # a gradient, another one at each point
returned = {}
for estimator in (straight_through.binarize_weight, straight_through.binarize_activation):
    at = points.clone().requires_grad_()
    estimator(at).backward(arriving)
    returned[estimator.__name__] = at.grad
layer = layers.BinaryLinear(len(points), 1)
layer.load_state_dict({"weight": points[None]})
layer.clip_latent()
equal = (
    torch.equal(returned["binarize_weight"], arriving)
    and torch.equal(returned["binarize_activation"], arriving * (points.abs() <= 1))
    and torch.equal(layer.weight[0], points.clip(-1, 1))
    and torch.equal(layer.binary_weight[0], torch.where(points > 0, 1.0, -1.0))
)
records.record("ste", equal, preset=preset, note="at −1.5, −1, …, 1.5")
print("equal" if equal else "not equal")

# %% [markdown]
# ## The paper's two networks
#
# The convolutional network has six layers of 3 × 3 filters and three dense ones, trained on
# CIFAR-10 {cite}`krizhevsky2009`; the perceptron has three layers of 4096 units, trained on MNIST
# {cite}`lecun1998`. Each layer is followed by {term}`batch norm`, and all but the last by
# binarization; the input stays real. What matters for the geometry is the {term}`fan-in` $n$, the
# dimension of a unit's weight vector: {glue:text}`n-first` in the first layer and up to
# {glue:text}`n-most` in the others.
#
# The recipe `original` is that of the code which Courbariaux and others published. `fast` is ours,
# for a few epochs; `long`, for many, is the one that the next section argues for. What makes the
# networks binary is the same in all of them.

# %%
full_size = training.build_network(recipes.ORIGINAL_CIFAR10, seed)
fan_in = {name: layer.fan_in for name, layer in layers.weight_layers(full_size).items()}
glue(n_first=fan_in["conv1"], n_most=f"{max(fan_in.values()):,}")
columns = {r.name: r for r in recipes.RECIPES.values() if r.dataset == "cifar10"}
settings = ["epochs", "batch_size", "loss", "schedule", "lr", "lr_width_power", "augment"]
table(recipe_table(columns).loc[settings])

# %% [markdown]
# ## The step must not grow with the width
#
# A latent weight can only accumulate many small changes if one step is small against the interval
# $[-1, 1]$. Adam {cite}`kingma2015` moves every weight by about its learning rate, and all recipes
# multiply the update of a binary layer by $1/\sqrt{1.5/(n_\text{in} + n_\text{out})}$, as the
# original code does. This factor grows with the width. If a part $p$ of a layer's signs flips
# together, its dot products move by $pn$ against their spread of $\sqrt n$, so the step should
# *fall*, as $n^{-1/2}$. A learning rate proportional to 1/width does both: it undoes the factor and
# lets the step fall, as the rule of Yang and others for Adam {cite}`yang2022` says of hidden
# layers.
#
# At full width the largest step of `original` is {glue:text}`step-original:.3f`, of `fast`
# {glue:text}`step-fast:.2f` and of `long` {glue:text}`step-long:.3f`.

# %%
scale = max(schedule.layer_scale(layer) for layer in layers.weight_layers(full_size).values())
steps = {name: recipe.lr * scale for name, recipe in columns.items()}  # at width 1
WIDE = "cifar10-convnet-fast-w1-s1"
wide = training.published_run(WIDE)
assert wide.recipe.lr == columns["fast"].lr
assert wide.recipe.width == 1
assert steps["fast"] > 4 * steps["original"]
assert steps["long"] <= steps["original"]
by_layer = training.layer_history(wide.history)
flips = 100 * by_layer.pivot(index="epoch", columns="layer", values="flips")[list(fan_in)]
origin = Origin(words=f"published run, {len(wide.history)} epochs, not made by this build")
figure, [[ax]] = plots.new_figure(height=4.2)
plots.series({name: flips[name] for name in flips}, ax)
ax.set(xlabel="epoch", ylabel="signs that changed in the epoch (%)", yscale="log")
plots.log_axis(ax, "y", [5, 10, 20, 50])
ax.legend(ncols=2)
show(
    figure,
    "fig-flips",
    "Part of each layer's binary weights whose sign after an epoch differs from that before it, in "
    "the network of full width: `fast`, whose learning rate falls linearly to nearly zero.",
    origin.but(width=wide.recipe.width, seed=wide.seed),
    alt="Nine curves, one for each layer, of the signs that changed, on a logarithmic axis against "
    "the epoch. Those of the widest layers stay near forty per cent until the last epochs.",
)

# %%
middle = flips.loc[2 : len(flips) - 2]  # after the first epoch, before the rate is nearly zero
widest = ["conv6", "fc1"]
share = sum(full_size.get_submodule(k).weight.numel() for k in widest) / sum(
    layer.weight.numel() for layer in layers.weight_layers(full_size).values()
)
assert (middle[widest] > 38).all(axis=None)
assert share > 0.7
glue(step_original=steps["original"], step_fast=steps["fast"], step_long=steps["long"])
glue(step_ratio=steps["fast"] / steps["original"])
glue(flips_least=middle[widest].min().min())
glue(flips_last=flips.iloc[-1][widest].min(), widest_share=100 * share)

# %% [markdown]
# {numref}`fig-flips` is what too large a step looks like. In conv6 and fc1, which have
# {glue:text}`widest-share:.0f` % of all weights, at least {glue:text}`flips-least:.0f` % of the
# signs changed in every epoch but the first and the last ones; half would be signs that have
# nothing to do with those of the epoch before. These latents accumulate little until the rate has
# fallen. Even in the last epoch at least {glue:text}`flips-last:.0f` % change.
#
# Everything that the following chapters show of the paper's network at full width is about this
# run. A network of that width has not been trained by `long` yet; the command is
#
# ```bash
# bnn-geometry train cifar10-convnet --recipe long --epochs 100 \
#     --measure 500 --keep 8 50 --out RUN
# bnn-geometry publish RUN
# ```
#
# The rule is not the whole remedy. To a network of width {glue:text}`narrow-width`, trained by
# `long` for {glue:text}`narrow-epochs` epochs, it allows a step of {glue:text}`narrow-step:.2f`. In
# epoch {glue:text}`narrow-worst`, near the peak of the rate, {glue:text}`narrow-most:.0f` % of the
# signs of a layer change, about as many as above; in the last, {glue:text}`narrow-last:.1f` % at
# most. In both runs flips become few only as the rate falls, and for `original` it is low for
# hundreds of epochs. That a smaller step helps is argued here, not measured; nor is what the length
# of the training is worth.

# %%
narrow = training.published_run("cifar10-convnet-long-w0.125-s1")
narrow_flips = 100 * training.layer_history(narrow.history).pivot(
    index="epoch", columns="layer", values="flips"
)
worst = narrow_flips.max(axis=1).iloc[1:].idxmax()
assert abs(narrow_flips.loc[worst].max() - middle[widest].max().max()) < 5
assert narrow_flips.iloc[-1].max() < 5
assert (flips.iloc[-1] < 0.6 * middle.iloc[0]).all()
glue(narrow_width=width(narrow.recipe.width), narrow_epochs=len(narrow.history))
glue(narrow_most=narrow_flips.loc[worst].max(), narrow_last=narrow_flips.iloc[-1].max())
narrow_rate = narrow.recipe.lr * narrow.recipe.width**-narrow.recipe.lr_width_power
narrow_layers = layers.weight_layers(narrow.network()).values()
glue(narrow_worst=worst)
glue(narrow_step=narrow_rate * max(schedule.layer_scale(layer) for layer in narrow_layers))

# %% [markdown]
# ## What binary networks reach
#
# {numref}`fig-published` has the test error of the published networks, epoch by epoch.

# %%
SEEDS = (1, 2, 3)
names = {"binary": "cifar10-convnet-fast-w0.5", "hard tanh": "cifar10-convnet-fast-hardtanh-w0.5"}
half = {k: [training.published_run(f"{name}-s{s}") for s in SEEDS] for k, name in names.items()}
curves = {"binary, full width": 100 * wide.history.set_index("epoch")["test_error"]}
for label, runs in half.items():
    errors = pd.concat([100 * run.history.set_index("epoch")["test_error"] for run in runs], axis=1)
    spread = {"mean": errors.mean(axis=1), "sd": errors.std(axis=1)}
    curves[f"{label}, half width"] = pd.DataFrame(spread)
figure, [[ax]] = plots.new_figure(height=3.8)
plots.series(curves, ax)
ax.set(xlabel="epoch", ylabel="test error (%)", ylim=(0, None))
ax.legend()
show(
    figure,
    "fig-published",
    "Test error of the published convolutional networks while they trained, by `fast`: binary at "
    "full width, and binary and continuous (hard tanh in the place of every sign) at half of it, "
    "these the mean over three seeds with their standard deviation. Each learning rate falls to "
    "nearly zero within the epochs there are.",
    origin.but(data=None, words=f"{wide.data['test_images']:,} test images of "
               f"{wide.data['title']}; published runs, not made by this build"),
    alt="Three falling curves of test error against epoch: the continuous networks lowest, the "
    "binary ones of half width highest and with jumps, that of full width between them at the end.",
)  # fmt: skip

# %%
glue(wide_error=100 * wide.kept["test_error"], wide_data=wide.data["title"])
glue(wide_epochs=len(wide.history), wide_train=100 * wide.kept["train_error"])
glue(original_epochs=recipes.ORIGINAL_CIFAR10.epochs, theirs_error=100 - 88.6)
reported = pd.DataFrame(  # as their documentation states it
    [
        ("BinaryNet, Theano", 500, "none", 100 - 88.6),
        ("Larq, tutorial", 100, "none", 100 - 83.2),
        ("Bop", 500, "crops and flips", 100 - 91.3),
    ],
    columns=["reported by", "epochs", "augmentation", "test error"],
).set_index("reported by")
mine = pd.DataFrame(
    [("this book, full width", len(wide.history), "flips", 100 * wide.kept["test_error"])],
    columns=["reported by", *reported.columns],
).set_index("reported by")
assert wide.kept["test_error"] > reported["test error"].max() / 100
longer = reported["epochs"] / len(wide.history)
assert 10 < longer.min() < longer.max() < 65
assert wide.recipe.augment
assert not wide.recipe.crop_padding
table(pd.concat([mine, reported]), {"epochs": "epochs", "augmentation": "augmentation",
                                    "test error": "test error (%) | .1f"})  # fmt: skip

# %% [markdown]
# The network of full width is worse than any of the three that others report
# {cite}`courbariaux2016,geiger2020,helwegen2019` for the same layers, whose training was ten to
# sixty times as long, on the official images. Its error of {glue:text}`wide-train:.1f` % on the
# training images says that it has not fitted them yet.
#
# ## What signs cost
#
# The same network with a hard tanh in the place of every binarization, trained on the same images
# for as long, is the nearest comparison. Its weights begin in a smaller interval
# {cite}`glorot2010` and are not clipped.

# %%
for runs in half.values():
    assert [run.seed for run in runs] == list(SEEDS)
gap = replicates.difference(*half.values())
made = [[(run.info["precision"], run.info["threads"]) for run in runs] for runs in half.values()]
assert made[0] == made[1]
within = "within" if gap.high < 2 else "more than" if gap.low > 2 else "perhaps within"
glue(gap=gap.mean, gap_low=gap.low, gap_high=gap.high, gap_df=gap.df, gap_within=within)
glue(gap_remark=gap.remark, gap_epochs=half["binary"][0].recipe.epochs)
assert gap.low > 0
smooth = training.published_run("cifar10-convnet-long-hardtanh-w0.125-s1")
narrow_gap = 100 * (narrow.kept["test_error"] - smooth.kept["test_error"])
assert narrow_gap > 2 * gap.high
assert narrow.kept["train_error"] > smooth.kept["train_error"] + 0.1
assert smooth.recipe.lr != narrow.recipe.lr
assert narrow.recipe.name != half["binary"][0].recipe.name
glue(narrow_gap=narrow_gap, narrow_error=100 * narrow.kept["test_error"])
glue(narrow_continuous=100 * smooth.kept["test_error"])
glue(narrow_train=100 * narrow.kept["train_error"])
glue(smooth_train=100 * smooth.kept["train_error"])
ends = {
    label: {"seeds": len(runs), **dict(zip(SEEDS, replicates.final_errors(runs), strict=True))}
    for label, runs in half.items()
}
table(pd.DataFrame(ends).T.astype({"seeds": int}),
      {"seeds": "seeds", **{s: f"seed {s} (%) | .2f" for s in SEEDS}})  # fmt: skip

# %% [markdown]
# After {glue:text}`gap-epochs` epochs at half width the binary networks' test error is
# {glue:text}`gap:.1f` points above that of the continuous ones, with a 95 % interval from
# {glue:text}`gap-low:.1f` to {glue:text}`gap-high:.1f` (Welch, {glue:text}`gap-df:.1f` degrees of
# freedom): {glue:text}`gap-within` the two points that we read “similar performance” as.
# {glue:text}`gap-remark` Seed by seed both sides share format and threads. The learning rate was
# chosen for the binary networks alone, which favours them: signs may cost more.
#
# At width {glue:text}`narrow-width`, after {glue:text}`narrow-epochs` epochs of `long`, each side
# at a rate of its own choosing, the gap is wider: the binary network errs
# {glue:text}`narrow-gap:.1f` points more (one seed of each), {glue:text}`narrow-error:.1f` %
# against {glue:text}`narrow-continuous:.1f` %. It does not fit its training images either:
# {glue:text}`narrow-train:.0f` % of them are wrong, where the continuous network has
# {glue:text}`smooth-train:.0f` %. Recipe, length and width differ at once between the two
# comparisons, so they do not say what the width alone does.
#
# ## Yours
#
# This build trained a narrow convolutional network and a narrow perceptron
# ({numref}`fig-history`), which the chapters
# after this one probe beside the published ones.

# %% tags=["nbval-ignore-output"]
convnet = training.live_run(sizes.convnet, cifar10, seed=seed)
mlp = training.live_run(sizes.mlp, mnist, seed=seed)
live = {"convolutional": convnet, "perceptron": mlp}
figure, [[ax]] = plots.new_figure(height=3.4)
held_out = {k: 100 * r.history.set_index("epoch")["validation_error"] for k, r in live.items()}
plots.series(held_out, ax)
ax.set(xlabel="epoch", ylabel="error on images held out (%)", ylim=(0, None))
ax.locator_params(axis="x", integer=True)
ax.legend()
show(
    figure,
    "fig-history",
    "Error of the networks of this build on training images held out, on which the best epoch is "
    "kept: convolutional, width "
    f"{width(sizes.convnet.width)}, "
    f"on {cifar10.provenance.title}; perceptron, width {width(sizes.mlp.width)}, on "
    f"{mnist.provenance.title}.",
    Origin(preset=preset, seed=seed),
    alt="Two falling curves of error against epoch, one for each network.",
)

# %% tags=["nbval-ignore-output"]
for run in live.values():
    assert run.kept["test_error"] < 0.85  # guessing is wrong nine times in ten
    for name, layer in layers.weight_layers(run.network()).items():
        assert layer.weight.abs().max() <= 1, f"{name} has latent weights outside [−1, 1]"
ended = {
    k: {
        "width": width(run.recipe.width),
        "epochs": len(run.history),
        "error": run.kept["test_error"],
    }
    for k, run in live.items()
}
table(
    pd.DataFrame(ended).T, {"width": "width", "epochs": "epochs", "error": "test error (%) | .1%"}
)

# %% [markdown]
# ## Exercises
#
# 1. A mistake of common code is to leave the clipping away. Train this build's perceptron with
#    `clip=False`: how far do latent weights go, and what does it cost in so few epochs?
# 2. Multiply its learning rate by ten and look at the flips of its last epoch.

# %% tags=["hide-cell", "nbval-ignore-output"]
variants = {
    "as it is": {},
    "not clipped": {"clip": False},
    "ten times the rate": {"lr": 10 * sizes.mlp.lr},
}
short = sizes.mlp.with_(
    epochs=2, validation_images=0, train_images=min(2000, sizes.mlp.train_images or 2000)
)
found = {}
for label, changes in variants.items():
    run = training.live_run(short.with_(**changes), mnist, seed=seed)
    weights = torch.cat(
        [x.weight.detach().flatten() for x in layers.weight_layers(run.network()).values()]
    )
    last = training.layer_history(run.history).query("epoch == 2")["flips"]
    found[label] = {
        "largest": float(weights.abs().max()),
        "flips": float(last.mean()),
        "error": run.kept["test_error"],
    }
found = pd.DataFrame(found).T
assert found["largest"]["not clipped"] > 1 >= found["largest"]["as it is"]
assert found["flips"]["ten times the rate"] > found["flips"]["as it is"]
headings = {"largest": "largest latent weight | .2f", "flips": "flips, last epoch (%) | .1%"}
table(found, headings | {"error": "test error (%) | .1%"})
