# ---
# jupyter:
#   sphinx_papermill:
#     after: [training]
#     data: [cifar10, mnist]
#     runs:
#       - cifar10-convnet-fast-w1-s1
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.25-s1
#       - cifar10-convnet-fast-w0.125-s1
#       - cifar10-convnet-fast-w0.0625-s1
#       - mnist-mlp-fast-w0.5-s1
#       - probe-cifar10-convnet-fast-w1-s1
#       - probe-mnist-mlp-fast-w0.5-s1
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
# # Dot products
#
# The paper's central prediction is about what a network computes. It predicts that, for the
# activations $x$ that really occur in the network,
#
# $$
# x\cdot w^b \;\sim\; x\cdot w^c, \qquad w^b = \mathrm{bin}(w^c),
# $$ (eq-dot)
#
# where $\sim$ means “proportional to”: the factor does not matter, because batch norm divides it
# out (section 2 of the paper {cite}`anderson2018`). A small angle between $w^b$ and $w^c$ does
# not guarantee this. If activations varied along a few directions only, two weight vectors 30°
# apart could respond to them quite differently, or almost alike. The paper, too, says that the
# relation “isn't going to be true in general, but is a consequence of the conditions set up by
# the learning algorithm”. So it has to be measured, and an *untrained* network has to be measured
# beside it.
#
# We take the convolutional network of {doc}`training` and run it on test images. For every layer,
# every filter and every position we record both dot products, with the same $x$: the one that
# occurs in the binary network.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of the training run
images = 0  # test images to measure on; 0 takes the preset's number

# %% tags=["nbval-ignore-output"]
import numpy as np
import pandas as pd
import torch

from bnn_geometry import data, training
from bnn_geometry.book import claims, presets
from bnn_geometry.book.display import glue, show, width
from bnn_geometry.book.plots import dot_products as figures
from bnn_geometry.book.plots import style as plots
from bnn_geometry.book.plots import training as training_figures
from bnn_geometry.geometry.binarized_angle import angle_sd
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM, empirical
from bnn_geometry.geometry.quantizers import limit_angle
from bnn_geometry.networks import batch_norm, conversion
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import bases, controls, directions, dot_products, layer_inputs, results
from bnn_geometry.probing.weights import weight_angles

sizes = presets.sizes("dot_products", preset)
images = images or sizes.probe_images
cifar10 = data.load("cifar10", source=source)
run = training.live_run(sizes.convnet, cifar10, seed=seed)
test_images = cifar10.test.sample(images, seed).images
images = len(test_images)
glue("images", images)
glue("error", 100 * run.kept["test_error"])
glue("data", cifar10.provenance.title)

network = run.network()
comparisons = (dot_products.WEIGHTS, dot_products.ACTIVATIONS)
measured_now = dot_products.probe(network, test_images, comparisons)
trained = measured_now["weights"]
untrained = dot_products.probe_weights(run.untrained(), test_images)
assert len(trained) == len(untrained) == 9

# %% [markdown]
# ## Figure 3: every weight layer
#
# {numref}`fig-dot-products` repeats the paper's Figure 3 for all nine weight layers of our
# network, on {glue:text}`images` test images of {glue:text}`data` (its error on the whole test
# set is {glue:text}`error:.1f` %). Each panel is a two-dimensional histogram of all filters
# together; its colours are logarithmic, from dark for a single pair of dot products to yellow for
# the most frequent. In the grey quadrants the two dot products have different signs.

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(3, 3, height=8.4)
for statistics, ax in zip(trained, axes.flat, strict=True):
    plots.plot_dot_products(statistics, ax)
figure.suptitle(f"{cifar10.provenance.title}, {images} test images")
show(
    figure,
    name="fig-dot-products",
    caption=(
        "Figure 3 of the paper. Dot products of the activations with the binary weights "
        "(horizontal) and with the latent weights (vertical) in every weight layer of the trained "
        f"network, all filters together; line: regression; $r$: Pearson correlation. {images} test "
        f"images of {cifar10.provenance.title}; network of width {width(run.recipe.width)}, "
        f"preset {preset}, seed {seed}."
    ),
    alt=(
        "Nine two-dimensional histograms, one per weight layer, each an elongated cloud along a "
        "rising line: the dot products with binary and with latent weights are correlated. The "
        "correlation of each layer stands in its title."
    ),
)

# %% tags=["nbval-ignore-output"]
table = dot_products.as_table(trained)
table_untrained = dot_products.as_table(untrained)
assert table["r"].between(-1, 1).all()
dot_products.for_readers(table).join(
    dot_products.for_readers(table_untrained)[["r", "median r of a filter"]].add_prefix(
        "untrained: "
    )
)

# %% tags=["nbval-ignore-output"]
assert len(table) == 9
claims.record_layers(
    "dot-products", table, preset=preset, data=cifar10.provenance, figure="fig-dot-products"
)

# %% [markdown]
# ### The paper's network, all test images
#
# A network as wide as can be trained in this time is still narrow. {numref}`fig-wide-dot-products`
# is about the paper's own, at its full width: the published run of {doc}`training`, on
# {glue:text}`published-images` test images of {glue:text}`published-data`, after
# {glue:text}`published-epochs` epochs. To train it and to probe it takes longer than a build may;
# its histograms and correlations come from this command, which anyone can repeat:
#
# ```bash
# bnn-geometry probe runs/cifar10-convnet-fast-w1-s1 --images 10000 \
#     --out runs/probe-cifar10-convnet-fast-w1-s1
# ```

# %%
WIDE = "cifar10-convnet-fast-w1-s1"
wide = training.published_run(WIDE)
wide_probed = results.published(WIDE)
wide_images = f"{wide_probed.images:,} test images of {wide_probed.data.title}"
wide_table = dot_products.as_table(wide_probed.statistics["weights"])
figure, axes = plots.new_figure(3, 3, height=8.4)
for statistics, ax in zip(wide_probed.statistics["weights"], axes.flat, strict=True):
    plots.plot_dot_products(statistics, ax)
figure.suptitle(f"published run, width {width(wide.recipe.width)}, {wide_images}")
show(
    figure,
    name="fig-wide-dot-products",
    caption=(
        "Figure 3 of the paper for the published run, as {numref}`fig-dot-products`. Width "
        f"{width(wide.recipe.width)}, {len(wide.history)} epochs, test error "
        f"{100 * wide.kept['test_error']:.1f} %; {wide_images}; not made by this build."
    ),
    alt=(
        "Nine two-dimensional histograms, one per weight layer, each an elongated cloud along a "
        "rising line, narrower than in the figure before. The correlation of each layer stands in "
        "its title."
    ),
)

# %%
claims.record_layers(
    "dot-products",
    wide_table,
    preset=preset,
    data=wide_probed.data,
    figure="fig-wide-dot-products",
    run=WIDE,
)
deeper = wide_table.drop(index="conv1")
glue("published-images", f"{wide_probed.images:,}")
glue("published-data", wide_probed.data.title)
glue("published-epochs", len(wide.history))
glue("wide-first", wide_table.loc["conv1", "r"])
glue("wide-low", deeper["r"].min())
glue("wide-high", deeper["r"].max())
glue("wide-first-low", wide_table.loc["conv1", "filter_r_25"])
dot_products.for_readers(wide_table)

# %% [markdown]
# There $r$ is {glue:text}`wide-first:.2f` in the first layer, where a quarter of the filters are
# below {glue:text}`wide-first-low:.2f`, and from {glue:text}`wide-low:.3f` to
# {glue:text}`wide-high:.3f` in all others.
#
# ## Geometry or training?
#
# How much of this correlation is the geometry of {doc}`random_vectors`, and how much has been
# learned? For inputs whose entries are uncorrelated and have equal variance (“white” inputs) the
# correlation of $x\cdot w^b$ with $x\cdot w^c$ is, for one filter, just the cosine of the angle
# between $w^b$ and $w^c$; in general the covariance of the inputs decides, by {eq}`eq-predicted-r`.
#
# The latent weights of the untrained network are uniform, which makes that cosine close to
# $\sqrt3/2$. {numref}`fig-r-by-layer` compares trained and untrained networks filter by filter, so
# that differences between filters do not count as correlation.

# %% tags=["nbval-ignore-output"]
figure, axes = plots.new_figure(height=3.8)
plots.plot_r_by_layer([("trained", table), ("untrained", table_untrained)], axes[0, 0])
axes[0, 0].axhline(np.sqrt(3) / 2, color="black", lw=1, ls="--")
axes[0, 0].set_title(f"{cifar10.provenance.title}, {images} test images")
show(
    figure,
    name="fig-r-by-layer",
    caption=(
        "Correlation of $x\\cdot w^b$ with $x\\cdot w^c$ within a filter: median and quartiles of "
        "each layer, trained and untrained. Dashed: what white inputs and uniform "
        f"weights would give, $\\sqrt{{3}}/2$. {images} test images of {cifar10.provenance.title}; "
        f"preset {preset}, seed {seed}."
    ),
    alt=(
        "Median correlation of a filter for nine layers, with quartiles, for the trained network "
        "(circles) and the untrained one (squares), and a dashed line at 0.87."
    ),
)

# %% tags=["nbval-ignore-output"]
inner = [name for name in table.index if name.startswith("conv") and name != "conv1"]
first = table.loc["conv1", "filter_r"]
for found, where in (
    (table, {"data": cifar10.provenance, "figure": "fig-r-by-layer"}),
    (wide_table, {"data": wide_probed.data, "figure": "fig-wide-dot-products", "run": WIDE}),
):
    for layer in inner:
        claims.record(
            "low-dimension-weaker",
            found.loc[layer, "filter_r"] - found.loc["conv1", "filter_r"],
            uncertainty=np.hypot(*found.loc[[layer, "conv1"], "filter_r_se"]),
            preset=preset,
            note=f"layer {layer}",
            **where,
        )
assert table["filter_r"].between(-1, 1).all()
weaker = bool(first < table.loc[inner, "filter_r"].min())
gain = table["filter_r"] - table_untrained["filter_r"]
angles = weight_angles(network)
cosines = np.cos(np.radians(angles.groupby("layer")["angle"].median()))
glue("cosine-low", cosines.min())
glue("cosine-high", cosines.max())
glue("r-first-least", np.nanmin(trained[0].filter_r))
glue("pooled-untrained", table_untrained.loc["conv1", "r"])
glue("pooled-trained", table.loc["conv1", "r"])
glue("r-first", first)
glue("r-low", table.loc[inner, "filter_r"].min())
glue("r-high", table.loc[inner, "filter_r"].max())
glue("ordering", "is weaker" if weaker else "is not weaker")
glue("gain-low", gain.min())
glue("gain-high", gain.max())
glue("gains", int((gain > 0).sum()))
glue("layers", len(gain))
gain.round(3).to_frame("trained − untrained, median r")

# %% [markdown]
# In this network the median correlation of a filter is {glue:text}`r-first:.2f` in the first
# layer ($n = 27$; the smallest is {glue:text}`r-first-least:.2f`) and between
# {glue:text}`r-low:.2f` and {glue:text}`r-high:.2f` in the other convolutions. The paper notes
# that the correlation is weaker in low dimension, by its first layer; here the correlation of the
# first layer {glue:text}`ordering` than that of every other convolution. With all filters pooled,
# as in the figure, $r$ of the first layer goes from {glue:text}`pooled-untrained:.2f` untrained
# to {glue:text}`pooled-trained:.2f` trained; pooling adds what differs between the filters' means
# and scales.
#
# Training raised the median in {glue:text}`gains` of {glue:text}`layers` layers; the differences
# from the untrained network range from {glue:text}`gain-low:+.2f` to {glue:text}`gain-high:+.2f`.
# So a correlation near the white-input value is there before any training, in most layers: it is
# geometry, and in that sense the relation does not need the learning algorithm. What training
# adds does not come from a smaller angle alone: the cosine of the median angle between $w^b$ and
# $w^c$ lies between {glue:text}`cosine-low:.2f` and {glue:text}`cosine-high:.2f` in the trained
# layers. Where $r$ is larger than that, the weights have turned towards the directions in which
# their inputs vary. (Between the two networks the inputs $x$ of the inner layers differ as well
# as the weights.)

# %% [markdown]
# ## Controls
#
# A correlation near one could come about in ways that say nothing about training. Each of the
# controls in {numref}`fig-controls` takes away one thing, on a random sample of the vectors that
# enter each layer of the trained network:
#
# - *permuted inputs*: each coordinate is permuted across images and positions by itself. Its
#   distribution stays and the covariance goes; what is left is {eq}`eq-predicted-r` with the
#   variances alone;
# - *random weights*: the layer's latent weights dealt anew among its filters and coordinates, and
#   binarized. The marginal distribution stays, the alignment with the inputs goes;
# - *wrong pairing*: the latent weights of one filter with the binary ones of another.

# %% tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(seed)
layers = weight_layers(network)
test_sample = layer_inputs.sample_inputs(
    network, test_images, samples=sizes.input_samples, generator=generator
)
by_control = {
    name: controls.quartile_table(
        controls.control_correlations(layer.weight, test_sample[name].x, generator)
    )
    for name, layer in layers.items()
}


def of_control(control: str) -> pd.DataFrame:
    """Quartiles of one control, by layer."""
    rows = {name: found.loc[control] for name, found in by_control.items()}
    return pd.DataFrame(rows).T.assign(n=[layer.fan_in for layer in layers.values()])


shown = [
    ("trained", of_control("measured")),
    ("untrained", table_untrained),
    *((name, of_control(name)) for name in ("permuted inputs", "random weights", "wrong pairing")),
]
figure, axes = plots.new_figure(height=4.2)
figures.plot_r_of_controls(shown, axes[0, 0])
axes[0, 0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5)
axes[0, 0].set_title(f"{cifar10.provenance.title}, {images} test images")
show(
    figure,
    name="fig-controls",
    caption=(
        "Correlation of $x\\cdot w^b$ with $x\\cdot w^c$ within a filter, and what it is compared "
        "with: median and quartiles of each layer. "
        f"{sizes.input_samples:,} input vectors at most of each layer, from {images} test images "
        "of "
        f"{cifar10.provenance.title}; width {width(run.recipe.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Medians with quartiles of five correlations for each of nine layers: trained, untrained, "
        "permuted inputs, random weights, wrong pairing. The table below has the medians."
    ),
)

# %% tags=["nbval-ignore-output"]
medians = pd.DataFrame({label: found["filter_r"] for label, found in shown})
assert (medians.drop(columns="wrong pairing") > 0).all(axis=None)
alignment = medians["trained"] - medians["random weights"]
geometry = medians["permuted inputs"]
glue("geometry-low", geometry.min())
glue("geometry-high", geometry.max())
glue("dealt-low", medians["random weights"].min())
glue("dealt-high", medians["random weights"].max())
glue("alignment-low", alignment.min())
glue("alignment-high", alignment.max())
glue("wrong-high", medians["wrong pairing"].abs().max())
glue("wrong-high-layer", medians["wrong pairing"].abs().idxmax())
medians.astype(float).round(3)

# %% [markdown]
# With permuted inputs the medians lie between {glue:text}`geometry-low:.2f` and
# {glue:text}`geometry-high:.2f`: that much is geometry, the angle between $w^b$ and $w^c$ and
# nothing else. Real inputs with weights that were dealt anew give medians between
# {glue:text}`dealt-low:.2f` and {glue:text}`dealt-high:.2f`; the trained weights are above them by
# {glue:text}`alignment-low:+.2f` to {glue:text}`alignment-high:+.2f`, which is what alignment with
# the inputs adds. The wrong pairing has a median of up to {glue:text}`wrong-high:.2f` in size
# ({glue:text}`wrong-high-layer`): it need not vanish where the inputs are not white, since two
# filters then share directions of large variance.
#
# ## Predicting r from the covariance
#
# Over inputs with covariance $\Sigma$ the correlation is $w^T\Sigma b/\sqrt{w^T\Sigma w\;b^T\Sigma
# b}$ ({eq}`eq-predicted-r`). With $\Sigma$ of the same inputs that is an identity. It becomes a
# prediction with $\Sigma$ of *training* images and $r$ measured on *test* images, filter by filter
# ({numref}`fig-predicted`); and it becomes an explanation where a part of $\Sigma$ suffices
# ({numref}`fig-models`): no covariance at all (the identity), the variances of the coordinates, a
# product of a covariance between channels and one between the pixels of a patch, or the leading
# principal components.

# %% tags=["nbval-ignore-output"]
train_split = cifar10.train.sample(sizes.converted_images, seed)
train_sample = layer_inputs.sample_inputs(
    network, train_split.images, samples=sizes.input_samples, generator=generator
)
kept = (10, 100)
predicted = {
    name: controls.predicted_correlations(layer, train_sample[name].x, components=kept, seed=seed)
    for name, layer in layers.items()
}
measured = {s.layer: s.filter_r for s in trained}
figure, axes = plots.new_figure(3, 3, height=8.0)
for ax, name in zip(axes.flat, layers, strict=True):
    points = pd.DataFrame({"predicted": predicted[name]["covariance"], "measured": measured[name]})
    figures.plot_predictions(points, ax, title=name)
for ax in axes[-1]:
    ax.set_xlabel("r, predicted")
for ax in axes[:, 0]:
    ax.set_ylabel("r, measured")
show(
    figure,
    name="fig-predicted",
    caption=(
        "Correlation of each filter on test images against that which the covariance of its inputs "
        f"on {len(train_split.images):,} other, training images predicts; dashed: equality. "
        f"{cifar10.provenance.title}, {images} test images; width {width(run.recipe.width)}, "
        "preset "
        f"{preset}, seed {seed}."
    ),
    alt=(
        "Nine scatter plots, one for each layer, of measured against predicted correlation, a "
        "point for each filter, with the line of equality."
    ),
)

# %% tags=["nbval-ignore-output"]
apart = pd.DataFrame(
    {
        name: {
            model: float(np.nanmedian(np.abs(r.numpy() - measured[name])))
            for model, r in models.items()
        }
        for name, models in predicted.items()
    }
).T
assert (apart["covariance"] < 0.2).all()
models = pd.DataFrame(
    {
        "measured": {name: np.nanmedian(r) for name, r in measured.items()},
        **{
            label: {
                name: float(found[model].nanmedian()) if model in found else np.nan
                for name, found in predicted.items()
            }
            for label, model in (
                ("all of Σ", "covariance"),
                ("channel × space", "channel × space"),
                ("diagonal", "diagonal"),
                ("identity", "identity"),
            )
        },
    }
)
figure, axes = plots.new_figure(height=3.6)
figures.plot_models(models, axes[0, 0])
axes[0, 0].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    name="fig-models",
    caption=(
        "Median correlation of a filter as measured on test images, and as predicted from parts of "
        f"the covariance on {len(train_split.images):,} training images. Dense layers have no "
        "pixels "
        f"in their patches. {cifar10.provenance.title}; width {width(run.recipe.width)}, preset "
        f"{preset}, seed {seed}."
    ),
    alt=(
        "Five curves over nine layers: the measured median correlation and its prediction from all "
        "of the covariance, from a product of channels and space, from the diagonal, and from none."
    ),
)

# %% tags=["nbval-ignore-output"]
identity_gap = (models["measured"] - models["identity"]).abs()
product_gap = (models["measured"] - models["channel × space"]).abs().dropna()
assert apart.notna().any(axis=None)
glue("off-covariance", apart["covariance"].max())
glue("off-covariance-layer", apart["covariance"].idxmax())
glue("off-identity", identity_gap.max())
glue("off-diagonal", (models["measured"] - models["diagonal"]).abs().max())
glue("off-product", product_gap.max())
apart.round(3).astype(object).where(apart.notna(), "—")

# %% [markdown]
# The table has the median over filters of the difference between predicted and measured $r$. With
# all of $\Sigma$ it is at most {glue:text}`off-covariance:.3f` ({glue:text}`off-covariance-layer`):
# {eq}`eq-predicted-r` says what the correlation of a filter will be on images it has not seen. The
# layers' medians are off by up to {glue:text}`off-identity:.2f` without any covariance, by up to
# {glue:text}`off-diagonal:.2f` with the variances alone, and by up to
# {glue:text}`off-product:.2f` with the product of channels and space.
#
# ## The angles of the layers
#
# {numref}`fig-angle-densities` shows the angle between $w^b$ and $w^c$ for all filters, with the
# limits for uniform and for Gaussian entries and the limit that the layer's own latent weights
# predict, $\arccos(E|w|/\sqrt{E w^2})$ ({doc}`random_vectors`). With the original recipe latent
# weights begin uniformly on $[-1, 1]$, at 30°; the code of the paper's authors begins with Gaussian
# ones, at 37°, and both are seen in its figures. Where training takes them depends on how many are
# pushed to the ends, which turns a vector towards its binarization, and how many wait about zero,
# which turns it away.

# %% tags=["nbval-ignore-output"]
own = {
    name: limit_angle(empirical(layer.weight.detach().flatten().numpy()))
    for name, layer in layers.items()
}
lines = {
    "uniform entries": dict.fromkeys(layers, limit_angle(UNIFORM)),
    "Gaussian entries": dict.fromkeys(layers, limit_angle(GAUSSIAN)),
    "the layer's own entries": own,
}
figure, axes = plots.new_figure(3, 3, height=6.4, sharex=True)
figures.plot_angle_densities(angles, axes.flat, lines=lines)
for ax in axes[-1]:
    ax.set_xlabel("angle (degrees)")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
show(
    figure,
    name="fig-angle-densities",
    caption=(
        "Angle between latent and binary weights over the filters of each layer, with three "
        f"limits for high dimension. Trained on {cifar10.provenance.title}; width "
        f"{width(run.recipe.width)}, preset {preset}, seed {seed}."
    ),
    alt=(
        "Nine histograms of angles, one for each layer, with vertical lines at the limits for "
        "uniform entries, for Gaussian entries and for the layer's own entries."
    ),
)

# %% tags=["nbval-ignore-output"]
spread = pd.DataFrame(
    {
        name: {
            "n": layer.fan_in,
            "sd": float(found["angle"].std()),
            "sd_error": float(found["angle"].std() / np.sqrt(2 * (len(found) - 1))),
            "theory": angle_sd(
                empirical(layer.weight.detach().flatten()[:20_000].numpy()), layer.fan_in
            ),
            "uniform": angle_sd(UNIFORM, layer.fan_in),
            "own limit": own[name],
            "median": float(found["angle"].median()),
        }
        for (name, layer), (_, found) in zip(
            layers.items(), angles.groupby("layer", sort=False), strict=True
        )
    }
).T
slope = np.polyfit(np.log(spread["n"]), np.log(spread["sd"]), 1)[0]
figure, axes = plots.new_figure(height=3.4, width=6.0)
figures.plot_spread(spread, axes[0, 0])
show(
    figure,
    name="fig-spread",
    caption=(
        "Standard deviation of that angle over the filters of a layer against the fan-in, with "
        "its standard error, and what independent entries would give: uniform ones, in any "
        "dimension, and ones with the layer's own distribution. Trained on "
        f"{cifar10.provenance.title}; width {width(run.recipe.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Standard deviation of the angle against fan-in on logarithmic axes, a labelled point with "
        "error bar for each layer with a mark for independent entries near it, and a falling line "
        "for uniform ones."
    ),
)

# %% tags=["nbval-ignore-output"]
assert (spread["sd"] > 0).all()
off = (spread["median"] - spread["own limit"]).abs()
glue("slope", slope)
glue("own-off", off.max())
glue("own-off-layer", off.idxmax())
spread.assign(n=spread["n"].astype(int)).drop(columns="uniform").rename(
    columns={
        "sd": "s.d. of the angle (°)",
        "sd_error": "s.e.",
        "theory": "s.d., independent (°)",
        "own limit": "limit of own entries (°)",
        "median": "median angle (°)",
    }
).round(2)

# %% [markdown]
# The median of a layer is within {glue:text}`own-off:.1f`° ({glue:text}`own-off-layer`) of the
# limit that its own entries predict, whether that is 30°, 37° or neither. The standard deviation
# ({numref}`fig-spread`) falls with $n$, by a fitted power of {glue:text}`slope:.2f`, where
# independent entries give $-\tfrac12$.
#
# ## Is it dimension that makes r?
#
# The paper puts the weaker correlation of the first layer down to its dimension. Layers differ in
# more than that, so {numref}`fig-r-against-n` changes the dimension of each of them: it has
# published runs with the same recipe and {glue:text}`sweep-widths` widths ({doc}`training`), and
# the layers of the widest against the epoch.

# %%
SWEEP = {w: f"cifar10-convnet-fast-w{w:g}-s1" for w in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)}


def at_the_end(found: training.Run) -> pd.DataFrame:
    """What was measured on a run after the epoch whose weights it kept, by layer."""
    table = found.measurements
    return table[table["epoch"] == found.info["kept_epoch"]].set_index("layer")


swept = {w: training.published_run(name) for w, name in SWEEP.items()}
shorter = " or ".join(sorted({str(len(r.history)) for w, r in swept.items() if w < max(SWEEP)}))
by_width = pd.concat({w: at_the_end(found) for w, found in swept.items()}, names=["width"])
figure, axes = plots.new_figure(1, 2, height=3.8)
figures.plot_r_against_fan_in(by_width.reset_index(), axes[0, 0])
axes[0, 0].axhline(np.sqrt(3) / 2, color="black", lw=1, ls="--")
training_figures.plot_by_layer(
    wide.measurements, axes[0, 1], column="filter_r", ylabel="r of a filter (median)"
)
axes[0, 1].axhline(np.sqrt(3) / 2, color="black", lw=1, ls="--", label=r"$\sqrt{3}/2$")
axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    name="fig-r-against-n",
    caption=(
        "Median correlation of a filter. Left: against the fan-in, a line for each layer, its "
        "marks "
        f"the networks of width {', '.join(width(w) for w in SWEEP)}; the first layer has $n = 27$ "
        "in all of them. Right: in the widest after each epoch. Dashed: white inputs and uniform "
        f"weights. Published runs, {shorter} epochs, the widest {len(wide.history)}; "
        f"{wide.info['measured_images']} test images of {wide.data['title']}, seed {wide.seed}; "
        "not "
        "made by this build."
    ),
    alt=(
        "Left, correlation against fan-in with a line for each of nine layers over the widths; "
        "right, correlation against the epoch with a line for each layer, and a dashed line at "
        "0.87."
    ),
)

# %%
r_by_width = by_width["filter_r"].unstack("width").loc[list(layers)]
widest = r_by_width.columns.max()
change = r_by_width[widest] - r_by_width[r_by_width.columns.min()]
rank = {
    label: float(found["n"].astype(float).corr(found["filter_r"].astype(float), method="spearman"))
    for label, found in (("wide", by_width.loc[widest]), ("untrained", table_untrained))
}
glue("sweep-widths", len(SWEEP))
glue("sweep-epochs", shorter)
glue("rank-wide", rank["wide"])
glue("rank-untrained", rank["untrained"])
glue("sweep-first-low", r_by_width.loc["conv1"].min())
glue("sweep-first-high", r_by_width.loc["conv1"].max())
glue("sweep-more", int((change.drop("conv1") > 0).sum()))
glue("sweep-layers", len(change) - 1)
glue("sweep-change-low", change.drop("conv1").min())
glue("sweep-change-high", change.drop("conv1").max())
glue("sweep-narrow-low", r_by_width.drop("conv1").iloc[:, 0].min())
glue("sweep-wide-low", r_by_width.drop("conv1")[widest].min())
by_epoch = wide.measurements.pivot(index="epoch", columns="layer", values="filter_r")
began, ended = by_epoch.iloc[0], by_epoch.iloc[-1]
glue("epoch-first-low", began.min())
glue("epoch-first-high", began.max())
glue("epoch-first-conv1", began["conv1"])
glue("epoch-last-conv1", ended["conv1"])
glue("epoch-fallen", int((ended < began).sum()))
glue("epoch-layers", len(began))
glue("sweep-factor", f"{widest / r_by_width.columns.min():.0f}")
r_by_width.rename(columns=width).round(3)

# %% [markdown]
# The first layer has the same dimension in all of them and a median of
# {glue:text}`sweep-first-low:.2f` to {glue:text}`sweep-first-high:.2f`. Of the other
# {glue:text}`sweep-layers`, {glue:text}`sweep-more` have a larger $r$ at
# {glue:text}`sweep-factor` times the width; the changes range from
# {glue:text}`sweep-change-low:+.3f` to {glue:text}`sweep-change-high:+.3f`, from at least
# {glue:text}`sweep-narrow-low:.2f` in the narrowest to at least {glue:text}`sweep-wide-low:.2f`
# in the widest (which was trained for {glue:text}`published-epochs` epochs, the others for
# {glue:text}`sweep-epochs`). Over the layers of the widest the rank correlation of $r$ with $n$
# is {glue:text}`rank-wide:+.2f`, over those of the untrained network of this build
# {glue:text}`rank-untrained:+.2f`.
#
# An untrained network sits near $\sqrt3/2$ in any dimension: dimension does not make $r$ larger
# than that, but where weights are trained alike, the wider network has the larger $r$. Nor does $r$
# grow as training goes on. After the first epoch the medians of the widest lie between
# {glue:text}`epoch-first-low:.3f` and {glue:text}`epoch-first-high:.3f`, the first layer among them
# with {glue:text}`epoch-first-conv1:.3f`; after the last the first layer has come down to
# {glue:text}`epoch-last-conv1:.3f`, and {glue:text}`epoch-fallen` of the {glue:text}`epoch-layers`
# layers are below where they were. One reading is that weights turn at once towards the directions
# in which their inputs vary, and later, in part, away from them again.
#
# ## The first layer
#
# The inputs of the first layer are patches of images, and nearly all of their variance lies along a
# few directions, brightness first. {numref}`fig-components` shows how the variance of the inputs
# and the weights are shared out among the principal components.

# %% tags=["nbval-ignore-output"]
first_layer = layers["conv1"]
patches = test_sample["conv1"].x.double()
patches = patches - patches.mean(0)
_, sizes_of, axes_of = torch.linalg.svd(patches, full_matrices=False)
share = pd.DataFrame({"inputs": (sizes_of.square() / sizes_of.square().sum()).numpy()})
for label, w in (
    ("latent weights", first_layer.weight),
    ("binary weights", first_layer.binary_weight),
):
    along = (w.detach().flatten(1).double() @ axes_of.T).square()
    share[label] = (along / along.sum(1, keepdim=True)).mean(0).numpy()
share.index = share.index + 1
figure, axes = plots.new_figure(height=3.4)
figures.plot_components(share, axes[0, 0])
show(
    figure,
    name="fig-components",
    caption=(
        "Principal components of the patches that enter the first layer: the part of the variance "
        "of the inputs along each, and the part of the squared length of the filters, latent and "
        f"binary, mean over filters. {cifar10.provenance.title}, {len(patches):,} patches of "
        f"{images} test images; preset {preset}, seed {seed}."
    ),
    alt=(
        "Three curves over 27 principal components on a logarithmic scale: the variance of the "
        "inputs falls steeply, the shares of latent and of binary weights fall less or not at all."
    ),
)

# %% [markdown]
# A binarization turns a weight vector by some 30° in some direction. Where the input has nearly all
# of its variance along one direction, even a small part of that error along it outweighs the whole
# of what the filter is looking for elsewhere. If that is what lowers $r$, then binarizing in
# another basis should raise it. The dot product itself is the same in every basis.

# %% tags=["nbval-ignore-output"]
repaired = controls.quartile_table(
    bases.basis_correlations(first_layer.weight, test_sample["conv1"].x, seed=seed)
)
assert repaired["filter_r"].between(-1, 1).all()
glue("basis-own", repaired.loc["as it is", "filter_r"])
glue("basis-own-low", repaired.loc["as it is", "filter_r_25"])
glue("basis-random", repaired.loc["random rotation", "filter_r"])
glue("basis-principal", repaired.loc["principal axes", "filter_r"])
glue("basis-along", repaired.loc["whitened", "filter_r"])
glue("basis-white", repaired.loc["whitened, unrotated", "filter_r"])
glue("basis-white-low", repaired.loc["whitened, unrotated", "filter_r_25"])
repaired.drop(columns="filters").rename(
    columns={
        "filter_r": "median r",
        "filter_r_25": "lower quartile",
        "filter_r_75": "upper quartile",
    }
).round(3)

# %% [markdown]
# As it is, the median is {glue:text}`basis-own:.2f` and the lower quartile
# {glue:text}`basis-own-low:.2f`. A random rotation gives {glue:text}`basis-random:.2f`, the
# principal axes {glue:text}`basis-principal:.2f`. Whitening makes $r$ the cosine of an angle
# again, that of the weights in the new basis, which hold the standard deviations of the inputs as
# factors: along the principal axes one of them outgrows all others, a vector that no binary one is
# near to ({glue:text}`basis-along:.2f`). Whitened and rotated back to the pixels, the factors are
# spread out, and the median is {glue:text}`basis-white:.2f` with a lower quartile of
# {glue:text}`basis-white-low:.2f`. So whitening the input repairs what it can for the filters that
# binarizing harms most; a network would have to be trained with it to make use of that.
#
# ## Activations
#
# Activations are binarized too. The paper adds that "a similar relationship holds" for them,
# without showing it: with $x^c$ the activation after batch norm, before it is binarized to $x^b$,
#
# $$
# w^b\cdot x^c \;\sim\; w^b\cdot x^b .
# $$ (eq-dot-activations)
#
# The first layer takes no part, since its input is not binarized; {numref}`fig-activations` has the
# others.

# %% tags=["nbval-ignore-output"]
by_activation = dot_products.as_table(measured_now["activations"])
figure, axes = plots.new_figure(2, 4, height=5.4)
for statistics, ax in zip(measured_now["activations"], axes.flat, strict=True):
    plots.plot_dot_products(statistics, ax, axis_labels=False)
for ax in axes[-1]:
    ax.set_xlabel("$w^b\\cdot x^b$")
for ax in axes[:, 0]:
    ax.set_ylabel("$w^b\\cdot x^c$")
show(
    figure,
    name="fig-activations",
    caption=(
        "Dot products of the binary weights with the activations before ($x^c$) and after ($x^b$) "
        "they are binarized, in every layer whose inputs are binary, all filters together. "
        f"{images} test images of {cifar10.provenance.title}; width {width(run.recipe.width)}, "
        f"preset {preset}, seed {seed}."
    ),
    alt=(
        "Eight two-dimensional histograms of the two dot products, each with a regression line; "
        "the correlation of each layer stands in its title."
    ),
)

# %% tags=["nbval-ignore-output"]
assert by_activation["r"].between(-1, 1).all()
claims.record_layers("activations", by_activation, preset=preset, data=cifar10.provenance)
wide_activations = dot_products.as_table(wide_probed.statistics["activations"])
claims.record_layers(
    "activations", wide_activations, preset=preset, data=wide_probed.data, run=WIDE
)
glue("activations-low", by_activation["r"].min())
glue("activations-high", by_activation["r"].max())
glue("wide-activations-low", wide_activations["r"].min())
glue("wide-activations-high", wide_activations["r"].max())
dot_products.for_readers(by_activation)

# %% [markdown]
# The correlations of the eight layers lie between {glue:text}`activations-low:.2f` and
# {glue:text}`activations-high:.2f`; those of the published run, on {glue:text}`published-images`
# images, between {glue:text}`wide-activations-low:.2f` and
# {glue:text}`wide-activations-high:.2f`.
#
# ## A perceptron
#
# "We also get similar results when training a MLP on MNIST", the paper says in its section 3. We
# repeat the measurement in the perceptron of {doc}`training`, on {glue:text}`mlp-images`
# ({numref}`fig-perceptron`).

# %% tags=["nbval-ignore-output"]
mnist = data.load("mnist", source=source)
mlp = training.live_run(sizes.mlp, mnist, seed=seed)
mlp_images = mnist.test.sample(images, seed).images
mlp_found = dot_products.probe(mlp.network(), mlp_images, comparisons)
mlp_table = dot_products.as_table(mlp_found["weights"])
figure, axes = plots.new_figure(2, 4, height=5.4)
for row, (comparison, found) in zip(
    axes, zip(comparisons, mlp_found.values(), strict=True), strict=True
):
    for statistics, ax in zip(found, row[4 - len(found) :], strict=True):
        plots.plot_dot_products(statistics, ax, axis_labels=False)
        ax.set_xlabel(f"${comparison.first}$")
    row[4 - len(found)].set_ylabel(f"${comparison.second}$")
axes[1, 0].set_axis_off()  # the pixels are not binarized
show(
    figure,
    name="fig-perceptron",
    caption=(
        "The same for the perceptron: weights above, activations below, where the first layer has "
        f"none. {len(mlp_images)} test images of {mnist.provenance.title}; width "
        f"{width(mlp.recipe.width)}, preset {preset}, seed {seed}."
    ),
    alt=(
        "Seven two-dimensional histograms of pairs of dot products, four for the weights of the "
        "perceptron's layers and three for the activations, with regression lines."
    ),
)

# %% tags=["nbval-ignore-output"]
assert mlp_table["r"].between(-1, 1).all()
claims.record_layers("mnist", mlp_table, preset=preset, data=mnist.provenance)
glue("mlp-images", f"{len(mlp_images)} test images of {mnist.provenance.title}")
PERCEPTRON = "mnist-mlp-fast-w0.5-s1"
perceptron_probed = results.published(PERCEPTRON)
perceptron_table = dot_products.as_table(perceptron_probed.statistics["weights"])
claims.record_layers(
    "mnist", perceptron_table, preset=preset, data=perceptron_probed.data, run=PERCEPTRON
)
glue("perceptron-images", f"{perceptron_probed.images:,} test images of")
glue("perceptron-data", perceptron_probed.data.title)
glue("perceptron-low", perceptron_table["r"].min())
glue("perceptron-high", perceptron_table["r"].max())
glue("mlp-low", mlp_table["r"].min())
glue("mlp-high", mlp_table["r"].max())
dot_products.for_readers(mlp_table)

# %% [markdown]
# The correlations of its four layers lie between {glue:text}`mlp-low:.2f` and
# {glue:text}`mlp-high:.2f`; those of the published perceptron, on
# {glue:text}`perceptron-images` {glue:text}`perceptron-data`, between
# {glue:text}`perceptron-low:.2f` and {glue:text}`perceptron-high:.2f`.
#
# ## Informative directions
#
# The paper's conclusion is about the data as well as the weights: "the informative directions in
# our data and in the intermediate representations" are well approximated by binary vectors. Two
# kinds of informative direction can be found without looking at any weight: those in which a
# layer's inputs vary most, and those that tell the classes apart (linear discriminants, with the
# covariance shrunk as Ledoit and Wolf do). We take the five leading ones $v$ of each kind for every
# layer, binarize them, and correlate $x\cdot v$ with $x\cdot\mathrm{bin}(v)$; and beside them
# directions drawn at random ({numref}`fig-directions`).

# %% tags=["nbval-ignore-output"]
test_labels = cifar10.test.sample(images, seed).labels
found = directions.informative_directions(test_sample, test_labels, generator=generator)
by_kind = found.pivot_table(
    index="layer", columns="kind", values="r", aggfunc="median", sort=False
)[list(directions.KINDS)]
by_kind.insert(0, "n", [layer.fan_in for layer in layers.values()])
figure, axes = plots.new_figure(height=3.4, width=6.5)
figures.plot_directions(by_kind, axes[0, 0])
show(
    figure,
    name="fig-directions",
    caption=(
        "Correlation of $x\\cdot v$ with $x\\cdot\\mathrm{bin}(v)$ for directions $v$ of each "
        "layer's "
        "inputs: median over the five of largest variance (principal), over the five that tell "
        f"classes apart best (discriminant) and over five random ones. {images} test images of "
        f"{cifar10.provenance.title}; width {width(run.recipe.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Median correlation against fan-in, a mark for each layer and kind of direction: "
        "principal, discriminant and random. The table below has the numbers."
    ),
)

# %% tags=["nbval-ignore-output"]
assert found["r"].between(-1, 1 + 1e-9).all()
for kind in ("principal", "discriminant"):
    for layer, r in by_kind[kind].items():
        claims.record(
            "informative-directions",
            r,
            preset=preset,
            data=cifar10.provenance,
            figure="fig-directions",
            note=f"layer {layer}, {kind}",
        )
glue("principal-low", by_kind["principal"].min())
glue("principal-low-layer", by_kind["principal"].idxmin())
glue("principal-high", by_kind["principal"].max())
glue("discriminant-low", by_kind["discriminant"].min())
glue("discriminant-low-layer", by_kind["discriminant"].idxmin())
glue("discriminant-high", by_kind["discriminant"].max())
glue("random-low", by_kind["random"].min())
glue("random-high", by_kind["random"].max())
by_kind.round(2)

# %% [markdown]
# The medians lie between {glue:text}`principal-low:.2f` ({glue:text}`principal-low-layer`) and
# {glue:text}`principal-high:.2f` for principal directions, between
# {glue:text}`discriminant-low:.2f` ({glue:text}`discriminant-low-layer`) and
# {glue:text}`discriminant-high:.2f` for discriminants, and between {glue:text}`random-low:.2f` and
# {glue:text}`random-high:.2f` for random directions. Along a principal direction there is much
# variance to correlate with; a discriminant avoids the directions in which classes vary alike,
# often those of large variance, and there the error of its binarization can outweigh it.
#
# What does that cost? A linear readout tells the ten classes apart from what enters a layer, a
# single patch in the convolutions; then its weights are binarized, with one scale and one intercept
# for each class fitted again.

# %% tags=["nbval-ignore-output"]
readout = directions.readout_errors(train_sample, train_split.labels, test_sample, test_labels)
assert readout["error"].between(0, 1).all()
lost = 100 * (readout["binarized"] - readout["error"])
glue("readout-least", lost.min())
glue("readout-most", lost.max())
glue("readout-most-layer", lost.idxmax())
pd.DataFrame(
    {
        "n": readout["n"],
        "angle (°)": readout["angle"].round(1),
        "error (%)": (100 * readout["error"]).round(1),
        "binarized (%)": (100 * readout["binarized"]).round(1),
        "guessing (%)": (100 * readout["guessing"]).round(1),
    }
)

# %% [markdown]
# The binarized readout makes between {glue:text}`readout-least:+.1f` and
# {glue:text}`readout-most:+.1f` points more errors ({glue:text}`readout-most-layer`).
#
# ## Latent weights at test time
#
# If $x\cdot w^b$ and $x\cdot w^c$ are proportional, the network should hardly mind when a layer
# computes with its latent weights instead of the binary ones, once batch norm has measured the new
# scale. The authors' own code tried this and left it unfinished: "Broken, need to refit batch norm
# weights", says its last cell. {numref}`fig-latent-error` has it done.

# %% tags=["nbval-ignore-output"]
shown_images = cifar10.test.sample(sizes.converted_images, seed)
switched = {"none": []} | {name: [name] for name in layers} | {"all": list(layers)}
rows = {}
for label, names in switched.items():
    changed = conversion.compute_with_latents(network, names)
    refitted = batch_norm.refit_batch_norm(changed, train_split.images)
    rows[label] = {
        "batch norm as trained": 100 * training.evaluate(changed, shown_images),
        "batch norm refitted": 100 * training.evaluate(refitted, shown_images),
    }
latent_errors = pd.DataFrame(rows).T
figure, axes = plots.new_figure(height=3.4)
figures.plot_switched_layers(latent_errors, axes[0, 0])
axes[0, 0].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    name="fig-latent-error",
    caption=(
        "Test error when a layer, or every layer, computes with its latent weights instead of the "
        f"binary ones, before and after batch norm was refitted on {len(train_split.images):,} "
        f"training images. {len(shown_images.images):,} test images of "
        f"{cifar10.provenance.title}; width {width(run.recipe.width)}, preset {preset}, seed "
        f"{seed}."
    ),
    alt=(
        "Test error for eleven choices of layers that compute with latent weights, two marks each, "
        "and a dashed line for the binary network. The table below has the numbers."
    ),
)

# %% tags=["nbval-ignore-output"]
assert latent_errors.iloc[0, 0] == 100 * training.evaluate(network, shown_images)
one_by_one = latent_errors.loc[list(layers), "batch norm refitted"]
glue("latent-none", latent_errors.loc["none", "batch norm refitted"])
glue("latent-worst", one_by_one.max())
glue("latent-worst-layer", one_by_one.idxmax())
glue("latent-best", one_by_one.min())
glue("latent-all", latent_errors.loc["all", "batch norm refitted"])
glue("latent-all-kept", latent_errors.loc["all", "batch norm as trained"])
latent_errors.round(1)

# %% [markdown]
# With batch norm refitted, the error of the binary network is {glue:text}`latent-none:.1f` %; with
# one layer switched it is between {glue:text}`latent-best:.1f` and {glue:text}`latent-worst:.1f` %
# ({glue:text}`latent-worst-layer`), and with all of them {glue:text}`latent-all:.1f` %. Without
# refitting it would be {glue:text}`latent-all-kept:.1f` %.
#
# ## What follows
#
# The correlation is high in every layer, and high before any training: binarizing a random vector
# in high dimension preserves its dot products with inputs of no particular covariance. Training
# adds to it by turning weights towards the directions in which their inputs vary. Where inputs vary
# along few directions, as the pixels of a patch do, the correlation of a filter can be anything,
# and what decides is not the dimension but the covariance, by {eq}`eq-predicted-r`.
