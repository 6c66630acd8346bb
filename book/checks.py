# ---
# jupyter:
#   sphinx_papermill:
#     after: [training]
#     data: [cifar10]
#     runs:
#       - ablations
#       - choices
#       - cifar10-convnet-long-w1-s1
#       - geometry-cifar10-convnet-long-w1-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
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
# # Checks
#
# What a doubter may want to see, and the argument does not need: what single choices of a recipe
# are worth, what common mistakes cost, and what is lost when {term}`latent weights <latent weight>`
# are kept in eight bits. In {glue:text}`epochs` epochs of a narrow network the costliest of a
# recipe's choices, {glue:text}`costliest`, adds {glue:text}`most:.0f` points to the error. Of
# common mistakes, leaving the clipping away changes it by {glue:text}`clip` points, putting
# {term}`batch norm` after the signs by {glue:text}`norm`. Eight bits move no correlation of the
# network of full width by more than {glue:text}`eight-r:.5f`.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of the training run

# %%
import numpy as np
import pandas as pd
import torch

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, at_most, glue, show, table, width
from bnn_geometry.networks import layers, variants
from bnn_geometry.studies import ablations, tables
from bnn_geometry.studies.geometry_results import published_geometry
from bnn_geometry.training import schedule

sizes = presets.sizes("checks", preset)
cifar10 = data.load("cifar10", source=source)

# %% [markdown]
# ## What single choices are worth
#
# From a reference recipe, one thing is changed, and a narrow network is trained again on the same
# images, from the same seed as a reference ({numref}`fig-ablations`): from one that is near `fast`,
# and from a short `long`, the recipe of the paper's network in {doc}`training`. The errors are
# those on images held out from training, of the epoch that is best on them. One variant changes
# three things at once, to all that `fast` has; another has neither the cosine nor the warm-up. A
# {term}`standard error` from two or three seeds says little; the one shown is pooled over all
# variants of a recipe. Published tables, made by
#
# ```bash
# bnn-geometry study ablations --work FOLDER
# bnn-geometry study choices --work FOLDER
# ```

# %%
published = {name: tables.published(name) for name in ("ablations", "choices")}
base, long = (study.recipe for study in published.values())
summaries = {k: ablations.summarize(study.tables["errors"]) for k, study in published.items()}
summary = summaries["ablations"]
apart_from = ["reference", *ablations.MISTAKES, *ablations.CONTINUOUS]
apart = {
    k: rows.drop(index=apart_from, errors="ignore").sort_values("difference")
    for k, rows in summaries.items()
}
figure, axes = plots.new_figure(
    2, 1, height=1.9 + 0.34 * sum(map(len, apart.values())), sharex=True,
    height_ratios=[len(rows) + 0.5 for rows in apart.values()],
)  # fmt: skip
titles = ("from a recipe near fast", "from long")
for table_of, recipe, title, ax in zip(
    apart.values(), (base, long), titles, axes.flat, strict=True
):
    shown = table_of.rename(columns={"difference": "value", "pooled_se": "value_se"})
    plots.by_layer({"variant": shown}, ax, column="value", sideways=True, lines={"reference": 0.0})
    ax.set_title(f"{title}, width {width(recipe.width)}")
axes[1, 0].set(xlabel="error above the reference (points)")
assert base.train_images == long.train_images
words = f"{base.epochs} epochs above, {long.epochs} below, of {base.train_images:,} images of "
words += f"{published['ablations'].data['title']}; "
words += "published tables, not made by this build"
seeds = pd.concat(apart.values())["runs"]
show(
    figure,
    "fig-ablations",
    "Error on held-out images of variants of a recipe, minus that of the reference with the same "
    f"seed: mean over {seeds.min()} or {seeds.max()} seeds, with the pooled standard error, "
    "below smaller than the symbols.",
    Origin(words=words),
    alt="Two panels of points, one for each variant, from the lowest error to the highest, with a "
    "line at zero. Above, with error bars, from seven points below the reference, all that fast "
    "has, to more than seventeen above, no per-layer scale. Below, four are one to three points "
    "below the reference; half the rate is three above, the exponential schedule six.",
)
single = apart["ablations"].drop(index="all that fast has")["difference"]
glue(costliest=single.idxmax(), most=single.max(), cheapest=single.idxmin(), least=-single.min())
assert single.idxmax() == "no per-layer scale"
network = training.build_network(base, seed)
smaller = [schedule.layer_scale(layer) for layer in layers.weight_layers(network).values()]
glue(smaller={"least": min(smaller), "most": max(smaller)})
pooled = apart["ablations"].loc[single.idxmin(), "pooled_se"]
assert single.max() - single.nlargest(2).iloc[1] > 3 * pooled
assert single.min() < -3 * pooled
# two variants differ by as much as one from the reference, which is as uncertain
glue(rivals=int((single < single.min() + 2 * pooled).sum() - 1))
of_long = apart["choices"]["difference"]
assert apart["choices"]["pooled_se"].max() < 0.3  # points; a symbol is as wide
by_seed = published["choices"].tables["errors"].groupby("variant")["validation_error"]
# two means over the same seeds, the reference as uncertain as the others
of_two = 100 * np.sqrt(2 * by_seed.var().mean() / by_seed.size().min())
better, worse = of_long[of_long < -4 * of_two], of_long[of_long > 4 * of_two]
unsure = len(of_long) - len(better) - len(worse)
assert {"twice the rate", "flips alone, no crops"} <= set(better.index)
glue(long_better=len(better), long_worse=len(worse), long_variants=len(of_long), long_unsure=unsure)
glue(long_best=better.idxmin(), long_gain=-better.min(), long_rate=-better["twice the rate"])
glue(long_epochs=long.epochs)

# %% [markdown]
# Of the single changes of the first recipe *{glue:text}`costliest`* costs most,
# {glue:text}`most:.1f` points (steps {glue:text}`smaller-least:.0f` to
# {glue:text}`smaller-most:.0f` times smaller, at the same rate), and *{glue:text}`cheapest`* gains
# most, {glue:text}`least:.1f` points; {glue:text}`rivals` others are not told apart from it.
#
# What `long` has is not what {glue:text}`long-epochs` epochs ask for: of
# {glue:text}`long-variants` changes {glue:text}`long-better` are better by more than four standard
# errors, of the seeds alone, {glue:text}`long-worse` worse, and {glue:text}`long-unsure` differs by
# fewer. *{glue:text}`long-best`* gains most, {glue:text}`long-gain:.1f` points, and twice the
# rate {glue:text}`long-rate:.1f`. Whether that holds for as many epochs as `long` is meant for,
# this table cannot say. {doc}`training` tried all images and more epochs: there twice the rate
# was no better at this width, and a larger step worse at half of it.

# %% [markdown]
# ## What common mistakes cost
#
# - **The clamp is missing**: latent weights are not kept in $[-1, 1]$, and those that have gone far
#   take long to come back.
# - **The signs are pooled**, not the real numbers before batch norm: the largest of four fair signs
#   is $+1$ fifteen times in sixteen.
# - **Batch norm comes after the signs**: what is binarized are dot products, most of them larger
#   than one in size, where the {term}`straight-through estimator` cancels the gradient.

# %%
mistakes = summary.loc[list(ablations.MISTAKES)]
cost = mistakes["difference"].map("{:+.1f}".format).str.replace("-", "−")
glue(clip=cost.iloc[0], norm=cost.iloc[2], epochs=base.epochs)
assert mistakes["difference"].idxmax() == ablations.MISTAKES[2]
errors = published["ablations"].tables["errors"].set_index(["variant", "seed"])["validation_error"]
apart = 100 * (errors.unstack() - errors["reference"]).loc[list(ablations.MISTAKES)]
spread = mistakes.assign(lowest=apart.min(axis=1), highest=apart.max(axis=1))
assert spread["lowest"].iloc[1] > 0 < spread["lowest"].iloc[2]
columns = {"runs": "seeds", "difference": "difference (points) | +.1f"}
table(spread, columns | {"lowest": "lowest seed | +.1f", "highest": "highest | +.1f"})
unclear = spread.index[(spread["lowest"] < 0) & (spread["highest"] > 0)]
assert list(unclear) == [ablations.MISTAKES[0]]

# %% [markdown]
# In trainings this short the missing clamp costs nothing that the seeds could show; the other two
# mistakes cost points in every seed.

# %% [markdown]
# ## sign(0) = 0
#
# Numerical libraries define a third sign, 0. A latent weight is hardly ever exactly zero, unless it
# is first rounded to a grid that has a level there. Below, the latent weights of this build's
# network are rounded and their signs taken then: each zero is a weight that has left the network.

# %% tags=["nbval-ignore-output"]
trained = training.live_run(sizes.convnet, cifar10, seed=seed).network()
images = cifar10.test.sample(sizes.converted_images, seed)
rounded = {}
for label, dtype in (
    ("float32, as trained", torch.float32),
    ("bfloat16", torch.bfloat16),
    ("float16", torch.float16),
    ("8 bits with a level at 0", torch.int8),
):
    changed = variants.signs_after_rounding(trained, dtype)
    weights = [layer.weight.flatten() for layer in layers.weight_layers(changed).values()]
    zeros = int((torch.cat(weights) == 0).sum())
    rounded[label] = {"zeros": zeros, "error": training.evaluate(changed, images)}
rounded = pd.DataFrame(rounded).T.astype({"zeros": int}).rename_axis("rounded to")
assert rounded["zeros"].iloc[0] == 0 < rounded["zeros"].iloc[-1]
tested = f"{len(images.labels):,}"
table(rounded, {"zeros": "weights at 0", "error": f"error on {tested} test images (%) | .1%"})

# %% [markdown]
# ## Eight bits
#
# The published runs keep their latent weights in eight bits, with the exact sign, so that the
# binary network is the very same. What changes are the measurements of the latent weights, by this
# much:

# %%
full = training.published_run("cifar10-convnet-long-w1-s1").info["published"]
eight = pd.DataFrame(full["layers"]).set_index("layer")
eight["change"] = (eight["r"] - eight["r_rounded"]).abs()
eight["millionths"] = 1e6 * eight["change"]
continuous = training.published_run("cifar10-convnet-fast-hardtanh-w0.5-s1").info["published"]
glue(eight_r=at_most(eight["change"].max(), 5), images=full["images"])
glue(before=100 * continuous["test_error"], after=100 * continuous["test_error_rounded"])
assert full["test_error"] == full["test_error_rounded"]
of_all = published_geometry("cifar10-convnet-long-w1-s1").layers
of_all = of_all.query("comparison == 'weights' and control == 'measured'").set_index("layer")
assert (eight["change"] < of_all["r_se"]).all()
glue(all_images=f"{of_all['images'].max():,}")
columns = {"n": "n", "angle_change": "mean change of the angle (°) | .4f", "r": "r | .5f"}
table(eight, columns | {"millionths": "change of r (10⁻⁶) | .0f"})

# %% [markdown]
# ($r$ on {glue:text}`images` test images. No change is as large as the standard error of $r$ over
# {glue:text}`all-images`.) A continuous network computes with the rounded weights
# themselves: the published one of half width has a test error of {glue:text}`before:.2f` % before
# and {glue:text}`after:.2f` % after.
