# ---
# jupyter:
#   bnn_geometry:
#     after: [training]
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

from bnn_geometry import claims, data, plots, presets, probes, runs
from bnn_geometry.notebook import glue, show, width

sizes = presets.preset(preset)
images = images or sizes.probe_images
cifar10 = data.load("cifar10", source=source)
run = runs.live(sizes.convnet, cifar10, seed=seed)
test_images = cifar10.test.sample(images, seed).images
images = len(test_images)
glue("images", images)
glue("error", 100 * run.kept["test_error"])
glue("data", cifar10.provenance.title)

trained = probes.probe_weights(run.network(), test_images)
untrained = probes.probe_weights(run.untrained(), test_images)
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
table = probes.as_table(trained)
table_untrained = probes.as_table(untrained)
assert table["r"].between(-1, 1).all()
probes.for_readers(table).join(
    probes.for_readers(table_untrained).drop(columns="n").add_prefix("untrained: ")
)

# %% tags=["nbval-ignore-output"]
assert len(table) == 9
claims.record_layers(
    "dot-products", table, preset=preset, data=cifar10.provenance, figure="fig-dot-products"
)

# %% [markdown]
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
# of a median: √(π/2) times that of a mean, with the s.d. read off the quartiles
spread = (table["filter_r_75"] - table["filter_r_25"]) / 1.349
median_error = np.sqrt(np.pi / 2) * spread / [len(s.filter_r) ** 0.5 for s in trained]
for layer in inner:
    claims.record(
        "low-dimension-weaker",
        table.loc[layer, "filter_r"] - first,
        uncertainty=np.hypot(median_error[layer], median_error["conv1"]),
        preset=preset,
        data=cifar10.provenance,
        figure="fig-r-by-layer",
        note=f"layer {layer}",
    )
assert table["filter_r"].between(-1, 1).all()
weaker = bool(first < table.loc[inner, "filter_r"].min())
gain = table["filter_r"] - table_untrained["filter_r"]
angles = probes.weight_angles(run.network()).groupby("layer")["angle"].median()
cosines = np.cos(np.radians(angles))
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
# The first layer takes no part, since its input is not binarized.

# %% tags=["nbval-ignore-output"]
by_activation = probes.as_table(probes.probe_activations(run.network(), test_images))
assert by_activation["r"].between(-1, 1).all()
claims.record_layers("activations", by_activation, preset=preset, data=cifar10.provenance)
glue("activations-low", by_activation["r"].min())
glue("activations-high", by_activation["r"].max())
probes.for_readers(by_activation)

# %% [markdown]
# The correlations of the eight layers lie between {glue:text}`activations-low:.2f` and
# {glue:text}`activations-high:.2f`.
#
# ## A perceptron
#
# "We also get similar results when training a MLP on MNIST", the paper says in its section 3. We
# repeat the measurement in the perceptron of {doc}`training`, on {glue:text}`mlp-images`.

# %% tags=["nbval-ignore-output"]
mnist = data.load("mnist", source=source)
mlp = runs.live(sizes.mlp, mnist, seed=seed)
mlp_images = mnist.test.sample(images, seed).images
mlp_table = probes.as_table(probes.probe_weights(mlp.network(), mlp_images))
assert mlp_table["r"].between(-1, 1).all()
claims.record_layers("mnist", mlp_table, preset=preset, data=mnist.provenance)
glue("mlp-images", f"{len(mlp_images)} test images of {mnist.provenance.title}")
glue("mlp-low", mlp_table["r"].min())
glue("mlp-high", mlp_table["r"].max())
probes.for_readers(mlp_table)

# %% [markdown]
# The correlations of its four layers lie between {glue:text}`mlp-low:.2f` and
# {glue:text}`mlp-high:.2f`.
#
# ## Informative directions
#
# The paper's conclusion is about the data as well as the weights: "the informative directions in
# our data and in the intermediate representations" are well approximated by binary vectors. One
# kind of informative direction can be found without any weights, namely those in which a layer's
# inputs vary most. We take the five leading principal directions $v$ of the inputs of every
# layer, binarize them, and correlate $x\cdot v$ with $x\cdot\mathrm{bin}(v)$. These are not the
# directions that tell classes apart; about those the table says nothing.

# %% tags=["nbval-ignore-output"]
directions = probes.principal_directions(run.network(), test_images, seed=seed)
by_layer = directions.groupby("layer", sort=False)[["n", "angle", "r"]].median()
assert directions["r"].between(-1e-9, 1 + 1e-9).all(), "bin(v) points away from v"
claims.record_layers("informative-directions", by_layer, preset=preset, data=cifar10.provenance)
glue("directions-low", by_layer["r"].min())
glue("directions-high", by_layer["r"].max())
glue("directions-first", by_layer["r"].iloc[0])
glue("directions-angle-low", by_layer["angle"].min())
glue("directions-angle-high", by_layer["angle"].max())
by_layer.astype({"n": int}).round(2).rename(columns={"angle": "angle (°)", "r": "median r"})

# %% [markdown]
# The median over five directions lies between {glue:text}`directions-low:.2f` and
# {glue:text}`directions-high:.2f`; in the first layer it is {glue:text}`directions-first:.2f`.
# The medians of the angle lie between {glue:text}`directions-angle-low:.1f`° and
# {glue:text}`directions-angle-high:.1f`°.
