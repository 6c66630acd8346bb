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
# # Dot products
#
# The paper's central prediction is about what a network computes. If binarization hardly turns a
# weight vector, then for the activations $x$ that really occur in the network
#
# $$
# x\cdot w^b \;\sim\; x\cdot w^c, \qquad w^b = \mathrm{bin}(w^c),
# $$ (eq-dot)
#
# where $\sim$ means "proportional to": the factor does not matter, because batch norm divides it
# out (section 2 of the paper {cite}`anderson2018`). A small angle between $w^b$ and $w^c$ does
# not guarantee this. If activations varied along a few directions only, two weight vectors 30°
# apart could respond to them quite differently, or almost alike. The paper says so too: the
# relation "isn't going to be true in general, but is a consequence of the conditions set up by
# the learning algorithm". So it has to be measured, and an *untrained* network has to be measured
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

from bnn_geometry import data, plots, presets, probes, runs
from bnn_geometry.notebook import glue, show

sizes = presets.preset(preset)
images = images or sizes.probe_images
cifar10 = data.load("cifar10", source=source)
run = runs.live(sizes.convnet, cifar10, seed=seed)
# an equal mix of classes: the test images of some copies are sorted by class
chosen = torch.randperm(len(cifar10.test.images), generator=torch.Generator().manual_seed(seed))
test_images = cifar10.test.images[chosen[:images]]
images = len(test_images)
glue("images", images)
glue("error", 100 * run.kept["test_error"])
glue("data", cifar10.provenance.title)

trained = probes.probe_weights(run.network(), test_images)
untrained = probes.probe_weights(run.untrained(), test_images)

# %% [markdown]
# ## Figure 3: every weight layer
#
# {numref}`fig-dot-products` is the paper's Figure 3, for all nine weight layers of the network:
# {glue:text}`images` test images of {glue:text}`data`, test error {glue:text}`error:.1f` %. Each
# panel is a two-dimensional histogram with logarithmic colours. In the grey quadrants the two dot
# products have different signs.

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
        f"network, all filters together; $r$ is the Pearson correlation. {images} test images of "
        f"{cifar10.provenance.title}; network of width {run.recipe.width:g}, preset {preset}, "
        f"seed {seed}."
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
assert (table["r"] > 0.5).all(), "a dot product was not preserved"
pd.DataFrame(
    {
        "n": table["n"],
        "r": table["r"].round(3),
        "median r of a filter": table["filter_r"].round(3),
        "untrained: r": table_untrained["r"].round(3),
        "untrained: median r of a filter": table_untrained["filter_r"].round(3),
        "different sign (%)": (100 * table["disagreement"]).round(1),
    }
)

# %% [markdown]
# ## Geometry or training?
#
# How much of this correlation is the geometry of the last-but-one chapter, and how much has been
# learned? For inputs with independent entries of equal variance ("white" inputs) the correlation
# of $x\cdot w$ with $x\cdot b$ is just the cosine of the angle between $w$ and $b$; in general,
# with covariance $\Sigma$ of the inputs, it is
#
# $$
# r = \frac{w^{\mathsf T}\Sigma\,b}{\sqrt{w^{\mathsf T}\Sigma\,w\;\;b^{\mathsf T}\Sigma\,b}} .
# $$ (eq-predicted-r)
#
# The latent weights of the untrained network are uniform, which makes that cosine about 0.87.
# {numref}`fig-r-by-layer` compares trained and untrained networks filter by filter, so that
# differences between filters do not count as correlation.

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
weaker = bool(first < table.loc[inner, "filter_r"].min())
gain = table["filter_r"] - table_untrained["filter_r"]
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
# layer ($n = 27$) and between {glue:text}`r-low:.2f` and {glue:text}`r-high:.2f` in the other
# convolutions. The paper notes that the correlation is weaker in low dimension, by its first
# layer; here the first layer {glue:text}`ordering` than every other convolution.
#
# Training raised the median in {glue:text}`gains` of {glue:text}`layers` layers; the differences
# from the untrained network range from {glue:text}`gain-low:+.2f` to {glue:text}`gain-high:+.2f`.
# A good part of the preserved dot product is thus there before any training: it is what random
# geometry gives to any weights of this kind.
