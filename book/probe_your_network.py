# ---
# jupyter:
#   sphinx_papermill:
#     after: []
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
# # Probe your own network
#
# Three lines measure any torch network. In the ordinary convolutional network below, which nobody
# meant to binarize, dot products with signs and with weights correlate at a median $r$ of
# {glue:text}`conv-trained:.2f` in the second convolution. That is no evidence by itself: before
# training it is {glue:text}`conv-untrained:.2f`, and the same signs with shuffled magnitudes come
# within {glue:text}`gap:.2f` of $r$ in every layer or exceed it. Images are the
# smaller worry. With {glue:text}`enough` of them, another choice of images moves no layer's $r$ by
# more than a standard deviation of {glue:text}`spread:.3f`.
#
# What follows is made of scikit-learn's small digits and a network trained on them in this page: a
# {term}`stand-in` for yours. Put your own in its place.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
seed = 1  # of the network, and of which images train it

# %% tags=["hide-input"]
from collections import OrderedDict

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

import bnn_geometry as bg
from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, glue, show, table
from bnn_geometry.networks.inference import as_given
from bnn_geometry.probing import controls, image_counts, layer_tables, sample_inputs

sizes = presets.sizes("probe_your_network", preset)
pixels, labels = load_digits(return_X_y=True)
order = np.random.default_rng(seed).permutation(len(labels))
pixels, labels = pixels[order] / 16, labels[order]
fitted = 797  # images that train; the others are for looking
images = torch.tensor(pixels[fitted:], dtype=torch.float32).reshape(-1, 1, 8, 8)
origin = Origin(
    words=f"{len(images):,} images of scikit-learn's digits, a stand-in for your own",
    preset=preset,
    seed=seed,
)


def small_network():
    torch.manual_seed(seed)
    parts = {
        "conv1": nn.Conv2d(1, 16, 3, padding=1),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(16, 32, 3, padding=1),
        "relu2": nn.ReLU(),
        "pool": nn.MaxPool2d(2),
        "flat": nn.Flatten(),
        "fc1": nn.Linear(512, 64),
        "relu3": nn.ReLU(),
        "fc2": nn.Linear(64, 10),
    }
    return nn.Sequential(OrderedDict(parts))


network, untrained = small_network(), small_network()
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
to_train = torch.tensor(pixels[:fitted], dtype=torch.float32).reshape(-1, 1, 8, 8)
answers = torch.tensor(labels[:fitted])
for _ in range(sizes.epochs):
    for batch in torch.randperm(fitted).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(to_train[batch]), answers[batch]).backward()
        optimizer.step()
wrong = network(images).argmax(1) != torch.tensor(labels[fitted:])

# %% [markdown]
# ## Three lines for a network
#
# `network` is any module with linear layers or convolutions, and `images` what it takes. Its
# weights count as the {term}`latent weights <latent weight>` $w^c$, their signs as $w^b$, and it
# is left as it was.

# %% tags=["nbval-ignore-output"]
found = bg.probe(network, images, preprocess=as_given)["weights"]
measured = bg.as_table(found)
assert list(measured["n"]) == [9, 144, 512, 64]
table(measured[["n", "r", "filter_r_25", "filter_r", "filter_r_75"]], ".3f")

# %% [markdown]
# One row for each layer: its {term}`fan-in` $n$, the {term}`Pearson correlation` $r$ of
# $x\cdot w^b$ with $x\cdot w^c$ over all filters together, and the median and quartiles of a
# filter's own. `preprocess` is whatever stands between your images and your network; `as_given`
# passes on images that are ready, and without it pixels of eight bits are taken to $[-1, 1]$.
#
# For a run that this package trained, a command does the same:
#
# ```bash
# bnn-geometry train mnist-mlp --width 0.125 --epochs 2 --out my-run
# bnn-geometry probe my-run --images 200
# ```
#
# ## Two arrays will do
#
# Weights from elsewhere need no network: give the vectors `x` that meet them, and the weights `w`,
# one filter to a row. Here they are those of a logistic regression.

# %% tags=["nbval-ignore-output"]
model = LogisticRegression(max_iter=2000).fit(pixels[:fitted], labels[:fitted])
x, w = pixels[fitted:], model.coef_
pair = bg.probe_arrays(x, w)
draw = torch.Generator().manual_seed(seed)


def shuffles(x, w, draws=20):
    """Median r of the filters: measured, of white inputs, and with magnitudes shuffled."""
    found = pd.DataFrame(
        {k: float(r.nanquantile(0.5)) for k, r in
         controls.control_correlations(torch.tensor(w), torch.tensor(x), draw).items()}
        for _ in range(draws)
    )  # fmt: skip
    shuffled = found["shuffled magnitudes"]
    one = {"measured": found["measured"][0], "white": found["white inputs"][0]}
    return one | {"shuffled": shuffled.mean(), "sd": shuffled.std(), "draws": draws}


bare = shuffles(x, w)
assert np.isclose(bare["measured"], np.median(pair.filter_r))
varying = pixels[:fitted].std(axis=0) > 0.1
again = LogisticRegression(max_iter=2000).fit(pixels[:fitted, varying], labels[:fitted])
inked = shuffles(x[:, varying], again.coef_)
assert bare["white"] < bare["shuffled"] < bare["measured"] - 2 * bare["sd"]
assert inked["measured"] - inked["shuffled"] < (bare["measured"] - bare["shuffled"]) / 2
glue(bare=bare, inked=inked, blank=int((~varying).sum()))

# %% [markdown]
# The median $r$ of its ten filters is {glue:text}`bare-measured:.2f`, against
# {glue:text}`bare-shuffled:.2f` ± {glue:text}`bare-sd:.2f` with shuffled magnitudes (mean and
# standard deviation of {glue:text}`bare-draws` shuffles) and {glue:text}`bare-white:.2f` for
# {term}`white` inputs. Does it matter, here, which weights are large? Mostly for a reason that says
# little. Pixels near the edge are blank in nearly every image, their weights are near zero, and a
# shuffle gives such weights to pixels with ink. Fitted without the {glue:text}`blank` pixels whose
# standard deviation is below a tenth, the filters have {glue:text}`inked-measured:.2f` against
# {glue:text}`inked-shuffled:.2f` ± {glue:text}`inked-sd:.2f`. Leave out what does not vary before
# you compare.
#
# ## Which null to compare with
#
# A high $r$ has several possible causes, and each null keeps some of them
# ({numref}`fig-your-nulls`):
#
# - *white inputs*: the cosine of the angle between $w^b$ and $w^c$. What the weights alone give.
# - *permuted inputs*: each coordinate of $x$ is permuted among the images. What unequal variances
#   add.
# - *untrained*: your architecture and your images before training.
# - *weights dealt anew*: the layer's weights dealt among its filters and coordinates. What their
#   sizes give without their places.
# - *shuffled magnitudes*: each filter's signs stay. Only this null asks whether it matters *which*
#   weights are large, and so whether $w^b$ stands for this $w^c$.

# %% tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(seed)
vectors = {
    name: sample_inputs(net, images, samples=2000, generator=generator, preprocess=as_given)
    for name, net in (("trained", network), ("untrained", untrained))
}
nulls = layer_tables.control_tables(network, vectors["trained"], generator)
before = layer_tables.control_tables(untrained, vectors["untrained"], generator)["measured"]
shown = {
    "trained": nulls["measured"],
    "shuffled magnitudes": nulls["shuffled magnitudes"],
    "untrained": before,
    "weights dealt anew": nulls["random weights"],
    "permuted inputs": nulls["permuted inputs"],
    "white inputs": nulls["white inputs"],
}
figure, [[ax]] = plots.new_figure(height=4.4)
plots.by_layer(shown, ax, column="filter_r")
ax.set(ylabel="r of a filter (median, quartiles)")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
show(
    figure,
    "fig-your-nulls",
    "Correlation of $x\\cdot w^b$ with $x\\cdot w^c$ in an ordinary convolutional network, and in "
    "five nulls: median and quartiles over a layer's filters. Test error "
    f"{100 * wrong.float().mean():.1f} %.",
    origin,
    alt="Six marks with bars for each of four layers. In the first layer they lie close together. "
    "In the others the trained network and the same signs with shuffled magnitudes lie together, "
    "far above white inputs.",
)

# %% tags=["nbval-ignore-output"]
median = pd.DataFrame({name: t["filter_r"] for name, t in shown.items()})
gap = (median["trained"] - median["shuffled magnitudes"]).max()
inner = median.drop("conv1")
assert 0 < gap < 0.05
assert median["untrained"].min() > 0.8
assert (inner["trained"] > inner["untrained"]).all()
assert (inner["trained"] > inner["white inputs"] + 0.05).all()
assert abs(median.loc["conv1", "trained"] - median.loc["conv1", "white inputs"]) < 0.05
glue(gap=gap, conv=median.loc["conv2"])

# %% [markdown]
# In `conv2` the network has {glue:text}`conv-trained:.2f`, white inputs
# {glue:text}`conv-white-inputs:.2f` and the untrained network {glue:text}`conv-untrained:.2f`.
# Training raised it. But shuffled magnitudes have {glue:text}`conv-shuffled-magnitudes:.2f`: nearly
# all of it lies in the signs. The first layer, of few inputs, is where white inputs put it.
#
# ## How many images
#
# {numref}`fig-how-many` measures $r$ again and again, each time on other images.

# %% tags=["nbval-ignore-output"]
repeated = image_counts.correlation_by_images(
    network, images, sizes.image_counts, preprocess=as_given
)
spread = repeated["r_sd"].unstack("layer")
worst = spread.max(axis=1)
law = worst.iloc[0] * (worst.index[0] / worst.index.to_series()) ** 0.5
figure, [[ax]] = plots.new_figure(height=3.8, width=5.8)
plots.series({k: spread[k] for k in measured.index}, ax, theory={"1/√images": law})
plots.log_axis(ax, "x", list(sizes.image_counts))
plots.log_axis(ax, "y", [0.0001, 0.001, 0.01])
ax.set(xlabel="images", ylabel="standard deviation of r")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
show(
    figure,
    "fig-how-many",
    "Standard deviation of a layer's $r$ over disjoint sets of images, up to twenty, against the "
    "number of images in a set. Dashed: the law of independent images, through the first point of "
    "the widest layer.",
    origin,
    alt="Four falling lines on logarithmic axes, one for each layer, about parallel to the dashed "
    "line. The last dense layer lies highest.",
)

# %% tags=["nbval-ignore-output"]
enough = int(worst.index[worst < 0.01][0])
assert enough <= 100
assert 0.25 < worst.iloc[-1] / law.iloc[-1] < 2.5  # of the last there are five sets
assert (spread.idxmax(axis=1) == "fc2").all()
glue(enough=enough, spread=worst[enough])

# %% [markdown]
# The spread falls like one over the root of the number of images. It is widest in the last layer,
# of ten filters, to which an image gives one vector; a convolution gets many. Some hundreds of
# images leave an error far smaller than the differences in {numref}`fig-your-nulls`. Another
# *network*, trained from another seed, is another question: more images do not answer it.
#
# ## How to read r
#
# Not as a grade. In the paper's own network $r$ is high, and with shuffled magnitudes it is higher
# ({doc}`dot_products`, {claim}`dot-products`). Report the difference from a null, on the same
# images. Whether the network *works* with signs is not in $r$ either: `bg.binarize_network` makes
# such a network, and its test error answers ({doc}`pretrained`). That the agreement of dot products
# explains why binary networks work is a claim with a row of its own ({claim}`because-of-geometry`).
#
# ## Exercises
#
# **1. Ten times the weights.** Multiply all weights of the network by ten and probe it again. What
# becomes of $r$ and of the regression's slope?
#
# ```{dropdown} Solution 1
# $r$ of the first layer stays as it is to the last digits, and its slope is ten times as large.
# Deeper layers get other inputs, as the biases now count for less; their $r$ moves by at most
# {glue:text}`moved:.2f`.
# ```

# %% tags=["hide-cell", "nbval-ignore-output"]
larger = small_network()
scaled = {k: v * (10 if k.endswith("weight") else 1) for k, v in network.state_dict().items()}
larger.load_state_dict(scaled)
again = bg.as_table(bg.probe(larger, images, preprocess=as_given)["weights"])
assert np.isclose(again.loc["conv1", "r"], measured.loc["conv1", "r"], atol=1e-5)
assert np.isclose(again.loc["conv1", "slope"], 10 * measured.loc["conv1", "slope"], rtol=1e-4)
glue(moved=(again["r"] - measured["r"]).abs().max())

# %% [markdown]
# **2. White noise.** Give `probe_arrays` the same `w`, and standard normal numbers in the place of
# `x`. Which null does every filter's $r$ tend to?
#
# ```{dropdown} Solution 2
# *White inputs*: with a hundred thousand vectors the median is {glue:text}`noise:.2f`, and every
# filter is within a hundredth of the cosine of its own angle.
# ```

# %% tags=["hide-cell"]
noise = bg.probe_arrays(np.random.default_rng(seed).standard_normal((100_000, w.shape[1])), w)
cosine = np.abs(w).sum(axis=1) / (np.linalg.norm(w, axis=1) * np.sqrt(w.shape[1]))
assert np.abs(noise.filter_r - cosine).max() < 0.01
glue(noise=float(np.median(noise.filter_r)))
