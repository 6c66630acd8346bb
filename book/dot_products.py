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
from bnn_geometry.book import plots, presets, records
from bnn_geometry.book.display import Origin, glue, show, span, table, width
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM
from bnn_geometry.geometry.quantizers import limit_angle
from bnn_geometry.networks import batch_norm, conversion
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import bases, controls, directions, dot_products, layer_tables, results
from bnn_geometry.probing.layer_inputs import sample_inputs
from bnn_geometry.probing.weights import weight_angles

sizes = presets.sizes("dot_products", preset)
cifar10 = data.load("cifar10", source=source)
run = training.live_run(sizes.convnet, cifar10, seed=seed)
test_split = cifar10.test.sample(images or sizes.probe_images, seed)
test_images, images = test_split.images, len(test_split.images)
origin = Origin(cifar10.provenance, images, run.recipe.width, preset=preset, seed=seed)
about = {"preset": preset, "data": cifar10.provenance}  # what the ledger notes of a record
glue(images=images, error=100 * run.kept["test_error"], data=cifar10.provenance.title)

network = run.network()
layers = weight_layers(network)
comparisons = dot_products.WEIGHTS, dot_products.ACTIVATIONS
measured = dot_products.probe(network, test_images, comparisons)
trained = dot_products.as_table(measured["weights"])
untrained = dot_products.as_table(dot_products.probe_weights(run.untrained(), test_images))
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
plots.clouds(measured["weights"], axes)
figure.suptitle(origin.title)
show(
    figure,
    "fig-dot-products",
    "Figure 3 of the paper. Dot products of the activations with the binary weights (horizontal) "
    "and with the latent weights (vertical) in every weight layer of the trained network, all "
    "filters together; line: regression; $r$: Pearson correlation.",
    origin,
    alt="Nine two-dimensional histograms, one per weight layer, each an elongated cloud along a "
    "rising line: the dot products with binary and with latent weights are correlated. The "
    "correlation of each layer stands in its title.",
)

# %% tags=["nbval-ignore-output"]
assert trained["r"].between(-1, 1).all()
records.record_layers("dot-products", trained, figure="fig-dot-products", **about)
headings = {"n": "n", "r": "r | .3f", "filter_r": "median r of a filter | .3f"}
headings |= {"disagreement": "different sign (%) | .1%"}
beside = {"untrained_r": "untrained: r | .3f", "untrained_filter_r": "untrained: median r | .3f"}
table(trained.join(untrained.add_prefix("untrained_")), headings | beside)

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
wide, wide_probed = training.published_run(WIDE), results.published(WIDE)
wide_table = dot_products.as_table(wide_probed.statistics["weights"])
about_wide = {"preset": preset, "data": wide_probed.data, "run": WIDE}
made = f"published run, {len(wide.history)} epochs, not made by this build"
wide_origin = Origin(wide_probed.data, wide_probed.images, wide.recipe.width, made)
figure, axes = plots.new_figure(3, 3, height=8.4)
plots.clouds(wide_probed.statistics["weights"], axes)
figure.suptitle(f"published run, width {width(wide.recipe.width)}, {wide_origin.title}")
show(
    figure,
    "fig-wide-dot-products",
    "Figure 3 of the paper for the published run, as {numref}`fig-dot-products`; test error "
    f"{100 * wide.kept['test_error']:.1f} %.",
    wide_origin,
    alt="Nine two-dimensional histograms, one per weight layer, each an elongated cloud along a "
    "rising line, narrower than in the figure before. The correlation of each layer stands in its "
    "title.",
)

# %%
records.record_layers("dot-products", wide_table, figure="fig-wide-dot-products", **about_wide)
glue(published_images=f"{wide_probed.images:,}", published_data=wide_probed.data.title)
glue(published_epochs=len(wide.history), wide=span(wide_table.drop("conv1")["r"]))
first = wide_table.loc["conv1"]
glue(wide_first=first["r"], wide_first_low=first["filter_r_25"])
table(wide_table, headings)

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
white = {r"$\sqrt{3}/2$": np.sqrt(3) / 2}
figure, [[ax]] = plots.new_figure(height=3.8)
plots.by_layer({"trained": trained, "untrained": untrained}, ax, column="filter_r", lines=white)
ax.set(title=origin.title, ylabel="r of a filter (median, quartiles)")
ax.legend(loc="lower right")
show(
    figure,
    "fig-r-by-layer",
    "Correlation of $x\\cdot w^b$ with $x\\cdot w^c$ within a filter: median and quartiles of each "
    "layer, trained and untrained. Dashed: what white inputs and uniform weights would give, "
    "$\\sqrt{3}/2$.",
    origin,
    alt="Median correlation of a filter for nine layers, with quartiles, for the trained network "
    "(circles) and the untrained one (squares), and a dashed line at the square root of three, "
    "halved.",
)

# %% tags=["nbval-ignore-output"]
inner = [name for name in trained.index if name.startswith("conv") and name != "conv1"]
for found, of in (
    (trained, about | {"figure": "fig-r-by-layer"}),
    (wide_table, about_wide | {"figure": "fig-wide-dot-products"}),
):
    r, error = found["filter_r"], found["filter_r_se"]
    for layer in inner:
        of["uncertainty"] = np.hypot(error[layer], error["conv1"])
        more = r[layer] - r["conv1"]
        records.record("low-dimension-weaker", more, note=f"layer {layer}", **of)
r = trained["filter_r"]
assert r.between(-1, 1).all()
gain = r - untrained["filter_r"]
angles = weight_angles(network)
glue(cosine=span(np.cos(np.radians(angles.groupby("layer")["angle"].median()))))
glue(r=span(r[inner]), r_first=r["conv1"], gain=span(gain), layers=len(gain))
glue(r_first_least=np.nanmin(measured["weights"][0].filter_r), gains=int((gain > 0).sum()))
glue(pooled_untrained=untrained.loc["conv1", "r"], pooled_trained=trained.loc["conv1", "r"])
glue(ordering="is weaker" if r["conv1"] < r[inner].min() else "is not weaker")
table(gain.to_frame("trained − untrained, median r"), ".3f")

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
draw = {"samples": sizes.input_samples, "generator": generator}
test_sample = sample_inputs(network, test_images, **draw)
by_control = layer_tables.control_tables(network, test_sample, generator)
names = ("permuted inputs", "random weights", "wrong pairing")
shown = {"trained": by_control["measured"], "untrained": untrained}
shown |= {name: by_control[name] for name in names}
figure, [[ax]] = plots.new_figure(height=4.2)
plots.by_layer(shown, ax, column="filter_r")
ax.set(title=origin.title, ylabel="r of a filter (median, quartiles)")
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=5)
show(
    figure,
    "fig-controls",
    "Correlation of $x\\cdot w^b$ with $x\\cdot w^c$ within a filter, and its controls: median and "
    "quartiles of each layer.",
    origin.but(words=f"{sizes.input_samples:,} input vectors at most of each layer"),
    alt="Medians with quartiles of five correlations for each of nine layers: trained, untrained, "
    "permuted inputs, random weights, wrong pairing. The table below has the medians.",
)

# %% tags=["nbval-ignore-output"]
medians = pd.DataFrame({label: found["filter_r"] for label, found in shown.items()})
assert (medians.drop(columns="wrong pairing") > 0).all(axis=None)
glue(geometry=span(medians["permuted inputs"]), dealt=span(medians["random weights"]))
glue(alignment=span(medians["trained"] - medians["random weights"]))
glue(wrong=span(medians["wrong pairing"].abs()))
table(medians, ".3f")

# %% [markdown]
# With permuted inputs the medians lie between {glue:text}`geometry-low:.2f` and
# {glue:text}`geometry-high:.2f`: that much is geometry, the angle between $w^b$ and $w^c$ and
# nothing else. Real inputs with weights that were dealt anew give medians between
# {glue:text}`dealt-low:.2f` and {glue:text}`dealt-high:.2f`; the trained weights are above them by
# {glue:text}`alignment-low:+.2f` to {glue:text}`alignment-high:+.2f`, which is what alignment with
# the inputs adds. The wrong pairing has a median of up to {glue:text}`wrong-high:.2f` in size
# ({glue:text}`wrong-high-at`): it need not vanish where the inputs are not white, since two
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
train_sample = sample_inputs(network, train_split.images, **draw)
predicted = layer_tables.predictions(network, train_sample, measured["weights"], seed=seed)
from_training = origin.but(words=f"with {len(train_split.images):,} training images")
figure, axes = plots.new_figure(3, 3, height=8.0)
points = predicted[predicted["model"] == "covariance"].groupby("layer", sort=False)
for (name, found), ax in zip(points, axes.flat, strict=True):
    ax.plot(found["predicted"], found["measured"], "o", ms=3.5, mfc="none", mew=0.8)
    ax.axline((1, 1), slope=1, color="black", lw=1, ls="--")
    ax.set(title=name, aspect="equal")
figure.supxlabel("r, predicted")
figure.supylabel("r, measured")
show(
    figure,
    "fig-predicted",
    "Correlation of each filter on test images against that which the covariance of its inputs on "
    "other, training images predicts; dashed: equality.",
    from_training,
    alt="Nine scatter plots, one for each layer, of measured against predicted correlation, a "
    "point for each filter, with the line of equality.",
)

# %% tags=["nbval-ignore-output"]
apart = layer_tables.medians_by_model(predicted, "off")
assert (apart["covariance"] < 0.2).all()
models = layer_tables.medians_by_model(predicted, "predicted")
shown = {"measured": r, "all of Σ": models["covariance"]}
shown |= {name: models[name] for name in ("channel × space", "diagonal", "identity")}
figure, [[ax]] = plots.new_figure(height=3.6)
plots.by_layer(shown, ax)
ax.set(ylabel="r of a filter (median)")
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    "fig-models",
    "Median correlation of a filter as measured on test images, and as predicted from parts of the "
    "covariance on training images. Dense layers have no pixels in their patches.",
    from_training,
    alt="Five marks for each of nine layers: the measured median correlation and its prediction "
    "from all of the covariance, from a product of channels and space, from the diagonal, and from "
    "none.",
)

# %% tags=["nbval-ignore-output"]
assert apart.notna().any(axis=None)
glue(off_covariance=span(apart["covariance"]))
glue(off=models.sub(r, axis=0).abs().max()[["identity", "diagonal", "channel × space"]])
table(apart, ".3f")

# %% [markdown]
# The table has the median over filters of the difference between predicted and measured $r$. With
# all of $\Sigma$ it is at most {glue:text}`off-covariance-high:.3f`
# ({glue:text}`off-covariance-high-at`): {eq}`eq-predicted-r` says what the correlation of a filter
# will be on images it has not seen. The layers' medians are off by up to
# {glue:text}`off-identity:.2f` without any covariance, by up to {glue:text}`off-diagonal:.2f` with
# the variances alone, and by up to {glue:text}`off-channel-space:.2f` with the product of channels
# and space.
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
spread = layer_tables.angle_spread(network)
laws = {"uniform entries": UNIFORM, "Gaussian entries": GAUSSIAN}
limits = {name: limit_angle(law) for name, law in laws.items()}
figure, axes = plots.new_figure(3, 3, height=6.4, sharex=True)
for (name, found), ax in zip(angles.groupby("layer", sort=False), axes.flat, strict=True):
    own = {"the layer's own entries": spread.loc[name, "limit"]}
    plots.histograms({"filters": found["angle"]}, ax, lines=limits | own)
    ax.set(title=f"{name}: n = {layers[name].fan_in:,}", ylabel="", yticks=[])
for ax in axes[-1]:
    ax.set_xlabel("angle (degrees)")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
show(
    figure,
    "fig-angle-densities",
    "Angle between latent and binary weights over the filters of each layer, with three limits for "
    "high dimension.",
    origin.but(images=None),
    alt="Nine histograms of angles, one for each layer, with vertical lines at the limits for "
    "uniform entries, for Gaussian entries and for the layer's own entries.",
)

# %% tags=["nbval-ignore-output"]
by_n = spread.set_index("n").sort_index()
figure, [[ax]] = plots.new_figure(height=3.4, width=6.0)
uniform = {"uniform entries": by_n["uniform"]}
plots.series({"layers": by_n[["sd", "sd_se"]]}, ax, theory=uniform, joined=False)
ax.plot(by_n.index, by_n["independent"], "k_", ms=11, label="independent, the layer's entries")
for name, row in spread.iterrows():
    place = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 8}
    ax.annotate(name, (row["n"], row["sd"]), **place)
ax.set(xlabel="fan-in n", ylabel="s.d. of the angle (degrees)")
plots.log_axis(ax, "x", [30, 100, 300, 1000, 3000])
plots.log_axis(ax, "y", [0.5, 1, 2, 4])
ax.legend()
show(
    figure,
    "fig-spread",
    "Standard deviation of that angle over the filters of a layer against the fan-in, with its "
    "standard error, and what independent entries would give: uniform ones, in any dimension, and "
    "ones with the layer's own distribution.",
    origin.but(images=None),
    alt="Standard deviation of the angle against fan-in on logarithmic axes, a labelled point with "
    "error bar for each layer with a mark for independent entries near it, and a falling line for "
    "uniform ones.",
)

# %% tags=["nbval-ignore-output"]
assert (spread["sd"] > 0).all()
glue(slope=np.polyfit(np.log(spread["n"]), np.log(spread["sd"]), 1)[0])
glue(own_off=span(spread["off"]))
columns = {"n": "n", "sd": "s.d. of the angle (°) | .2f", "sd_se": "s.e. | .2f"}
columns |= {"independent": "s.d., independent (°) | .2f", "limit": "limit of own entries (°) | .2f"}
table(spread, columns | {"median": "median angle (°) | .2f"})

# %% [markdown]
# The median of a layer is within {glue:text}`own-off-high:.1f`° ({glue:text}`own-off-high-at`) of
# the limit that its own entries predict, whether that is 30°, 37° or neither. The standard
# deviation ({numref}`fig-spread`) falls with $n$, by a fitted power of {glue:text}`slope:.2f`,
# where independent entries give $-\tfrac12$.
#
# ## Is it dimension that makes r?
#
# The paper puts the weaker correlation of the first layer down to its dimension. Layers differ in
# more than that, so {numref}`fig-r-against-n` changes the dimension of each of them: it has
# published runs with the same recipe and {glue:text}`sweep-widths` widths ({doc}`training`), and
# the layers of the widest against the epoch.

# %%
WIDTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
swept = {w: training.published_run(f"cifar10-convnet-fast-w{w:g}-s1") for w in WIDTHS}
shorter = " or ".join(sorted({str(len(r.history)) for w, r in swept.items() if w < 1}))
by_epoch = pd.concat({w: r.measurements for w, r in swept.items()}, names=["width"])
kept = by_epoch.index.get_level_values("width").map(lambda w: swept[w].info["kept_epoch"])
by_width = by_epoch[by_epoch["epoch"] == kept].set_index("layer", append=True).droplevel(1)
figure, axes = plots.new_figure(1, 2, height=3.8)
panels = (by_width.reset_index(), "n"), (wide.measurements, "epoch")
for (rows, x), ax in zip(panels, axes.flat, strict=True):
    by_name = rows.set_index(x).groupby("layer", sort=False)["filter_r"]
    plots.series({name: found.sort_index() for name, found in by_name}, ax)
    ax.axhline(np.sqrt(3) / 2, color="black", lw=1, ls="--", label=r"$\sqrt{3}/2$")
axes[0, 0].set(xlabel="fan-in n", ylabel="r of a filter (median)")
plots.log_axis(axes[0, 0], "x", [30, 100, 300, 1000, 3000])
axes[0, 1].set(xlabel="epoch")
axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
made = f"published runs, {shorter} epochs, the widest {len(wide.history)}; not made by this build"
show(
    figure,
    "fig-r-against-n",
    "Median correlation of a filter. Left: against the fan-in, a line for each layer, its marks "
    f"the networks of width {', '.join(map(width, WIDTHS))}; the first layer has $n = 27$ in all "
    "of them. Right: in the widest after each epoch. Dashed: white inputs and uniform weights.",
    Origin(wide_probed.data, wide.info["measured_images"], words=made, seed=wide.seed),
    alt="Left, correlation against fan-in with a line for each of nine layers over the widths; "
    "right, correlation against the epoch with a line for each layer, and a dashed line at the "
    "square root of three, halved.",
)

# %%
r_by_width = by_width["filter_r"].unstack("width").loc[list(layers)]
others = r_by_width.drop("conv1")
change = others[1] - others[1 / 16]
by_epoch = wide.measurements.pivot(index="epoch", columns="layer", values="filter_r")
began, ended = by_epoch.iloc[0], by_epoch.iloc[-1]
for network_is, found in {"wide": by_width.loc[1], "untrained": untrained}.items():
    rank = found[["n", "filter_r"]].astype(float).corr(method="spearman")
    glue(rank={network_is: rank.loc["n", "filter_r"]})
glue(sweep_widths=len(WIDTHS), sweep_epochs=shorter, sweep_factor=f"{1 / min(WIDTHS):.0f}")
glue(sweep_first=span(r_by_width.loc["conv1"]), sweep_change=span(change))
glue(sweep_more=int((change > 0).sum()), sweep_layers=len(change))
glue(sweep_narrow_low=others[1 / 16].min(), sweep_wide_low=others[1].min())
glue(epoch_first=span(began), epoch_fallen=int((ended < began).sum()), epoch_layers=len(began))
glue(epoch_first_conv1=began["conv1"], epoch_last_conv1=ended["conv1"])
table(r_by_width.rename(columns=width), ".3f")

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
latent, binary = layers["conv1"].weight, layers["conv1"].binary_weight
kinds = {"latent weights": latent, "binary weights": binary}
share = layer_tables.component_shares(test_sample["conv1"].x, kinds)
figure, [[ax]] = plots.new_figure(height=3.4)
plots.series(dict(share.items()), ax)
ax.set(yscale="log", xlabel="principal component of the inputs", ylabel="part of the whole")
ax.legend()
show(
    figure,
    "fig-components",
    "Principal components of the patches that enter the first layer: the part of the variance of "
    "the inputs along each, and the part of the squared length of the filters, latent and binary, "
    "mean over filters.",
    origin.but(words=f"{len(test_sample['conv1'].x):,} patches"),
    alt="Three curves over 27 principal components on a logarithmic scale: the variance of the "
    "inputs falls steeply, the shares of latent and of binary weights fall less or not at all.",
)

# %% [markdown]
# A binarization turns a weight vector by some 30° in some direction. Where the input has nearly all
# of its variance along one direction, even a small part of that error along it outweighs the whole
# of what the filter is looking for elsewhere. If that is what lowers $r$, then binarizing in
# another basis should raise it. The dot product itself is the same in every basis.

# %% tags=["nbval-ignore-output"]
rotated = bases.basis_correlations(latent, test_sample["conv1"].x, seed=seed)
repaired = controls.quartile_table(rotated)
assert repaired["filter_r"].between(-1, 1).all()
glue(basis=repaired["filter_r"], basis_low=repaired["filter_r_25"])
columns = {"filter_r_25": "lower quartile | .3f", "filter_r": "median r | .3f"}
table(repaired, columns | {"filter_r_75": "upper quartile | .3f"})

# %% [markdown]
# As it is, the median is {glue:text}`basis-as-it-is:.2f` and the lower quartile
# {glue:text}`basis-low-as-it-is:.2f`. A random rotation gives
# {glue:text}`basis-random-rotation:.2f`, the principal axes {glue:text}`basis-principal-axes:.2f`.
# Whitening makes $r$ the cosine of an angle again, that of the weights in the new basis, which hold
# the standard deviations of the inputs as factors: along the principal axes one of them outgrows
# all others, a vector that no binary one is near to ({glue:text}`basis-whitened:.2f`). Whitened and
# rotated back to the pixels, the factors are spread out, and the median is
# {glue:text}`basis-whitened-unrotated:.2f` with a lower quartile of
# {glue:text}`basis-low-whitened-unrotated:.2f`. So whitening the input repairs what it can for the
# filters that binarizing harms most; a network would have to be trained with it to make use of
# that.
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
labels = dot_products.ACTIVATIONS.first, dot_products.ACTIVATIONS.second
figure, axes = plots.new_figure(2, 4, height=5.4)
plots.clouds(measured["activations"], axes, labels=labels)
show(
    figure,
    "fig-activations",
    "Dot products of the binary weights with the activations before ($x^c$) and after ($x^b$) they "
    "are binarized, in every layer whose inputs are binary, all filters together.",
    origin,
    alt="Eight two-dimensional histograms of the two dot products, each with a regression line; "
    "the correlation of each layer stands in its title.",
)

# %% tags=["nbval-ignore-output"]
by_activation = dot_products.as_table(measured["activations"])
wide_activations = dot_products.as_table(wide_probed.statistics["activations"])
assert by_activation["r"].between(-1, 1).all()
records.record_layers("activations", by_activation, **about)
records.record_layers("activations", wide_activations, **about_wide)
glue(activations=span(by_activation["r"]), wide_activations=span(wide_activations["r"]))
table(by_activation, headings)

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
mlp_origin = origin.but(data=mnist.provenance, images=len(mlp_images), width=mlp.recipe.width)
mlp_found = dot_products.probe(mlp.network(), mlp_images, comparisons)
figure, axes = plots.new_figure(2, 4, height=5.4)
plots.clouds(mlp_found["weights"], axes[0])
plots.clouds(mlp_found["activations"], axes[1, 1:], labels=labels)
axes[1, 0].set_axis_off()  # the pixels are not binarized
show(
    figure,
    "fig-perceptron",
    "The same for the perceptron: weights above, activations below, where the first layer has "
    "none.",
    mlp_origin,
    alt="Seven two-dimensional histograms of pairs of dot products, four for the weights of the "
    "perceptron's layers and three for the activations, with regression lines.",
)

# %% tags=["nbval-ignore-output"]
PERCEPTRON = "mnist-mlp-fast-w0.5-s1"
mlp_table = dot_products.as_table(mlp_found["weights"])
assert mlp_table["r"].between(-1, 1).all()
records.record_layers("mnist", mlp_table, preset=preset, data=mnist.provenance)
found = results.published(PERCEPTRON)
perceptron = dot_products.as_table(found.statistics["weights"])
records.record_layers("mnist", perceptron, preset=preset, data=found.data, run=PERCEPTRON)
glue(mlp_images=mlp_origin.title, mlp=span(mlp_table["r"]))
glue(perceptron_images=Origin(found.data, found.images).title, perceptron=span(perceptron["r"]))
table(mlp_table, headings)

# %% [markdown]
# The correlations of its four layers lie between {glue:text}`mlp-low:.2f` and
# {glue:text}`mlp-high:.2f`; those of the published perceptron, on
# {glue:text}`perceptron-images`, between
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
found = directions.informative_directions(test_sample, test_split.labels, generator=generator)
medians = found.groupby(["layer", "kind"], sort=False)["r"].median().unstack("kind")
by_kind = medians.loc[list(layers), list(directions.KINDS)]
by_kind.insert(0, "n", [layer.fan_in for layer in layers.values()])
figure, [[ax]] = plots.new_figure(height=3.4, width=6.5)
plots.series(dict(by_kind.set_index("n").items()), ax, joined=False)
ax.set(xlabel="fan-in n", ylabel="r of x·v and x·bin(v) (median)")
plots.log_axis(ax, "x", [30, 100, 300, 1000, 3000])
ax.legend()
show(
    figure,
    "fig-directions",
    "Correlation of $x\\cdot v$ with $x\\cdot\\mathrm{bin}(v)$ for directions $v$ of each layer's "
    "inputs: median over the five of largest variance (principal), over the five that tell classes "
    "apart best (discriminant) and over five random ones.",
    origin,
    alt="Median correlation against fan-in, a mark for each layer and kind of direction: "
    "principal, discriminant and random. The table below has the numbers.",
)

# %% tags=["nbval-ignore-output"]
assert found["r"].between(-1, 1 + 1e-9).all()
for kind in ("principal", "discriminant"):
    for layer, value in by_kind[kind].items():
        of = about | {"figure": "fig-directions", "note": f"layer {layer}, {kind}"}
        records.record("informative-directions", value, **of)
glue(principal=span(by_kind["principal"]), discriminant=span(by_kind["discriminant"]))
glue(random=span(by_kind["random"]))
table(by_kind, ".2f")

# %% [markdown]
# The medians lie between {glue:text}`principal-low:.2f` ({glue:text}`principal-low-at`) and
# {glue:text}`principal-high:.2f` for principal directions, between
# {glue:text}`discriminant-low:.2f` ({glue:text}`discriminant-low-at`) and
# {glue:text}`discriminant-high:.2f` for discriminants, and between {glue:text}`random-low:.2f` and
# {glue:text}`random-high:.2f` for random directions. Along a principal direction there is much
# variance to correlate with; a discriminant avoids the directions in which classes vary alike,
# often those of large variance, and there the error of its binarization can outweigh it.
#
# What does that cost? A linear readout tells the ten classes apart from what enters a layer, a
# single patch in the convolutions; then its weights are binarized, with one scale and one intercept
# for each class fitted again.

# %% tags=["nbval-ignore-output"]
labels = train_split.labels, test_split.labels
readout = directions.readout_errors(train_sample, labels[0], test_sample, labels[1])
assert readout["error"].between(0, 1).all()
glue(readout=span(100 * (readout["binarized"] - readout["error"])))
columns = {"n": "n", "angle": "angle (°) | .1f", "error": "error (%) | .1%"}
table(readout, columns | {name: f"{name} (%) | .1%" for name in ("binarized", "guessing")})

# %% [markdown]
# The binarized readout makes between {glue:text}`readout-low:+.1f` and
# {glue:text}`readout-high:+.1f` points more errors ({glue:text}`readout-high-at`).
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
figure, [[ax]] = plots.new_figure(height=3.4)
binary = {"all binary": latent_errors.iloc[0, 0]}
plots.by_layer(dict(latent_errors.items()), ax, lines=binary)
ax.set(xlabel="layers that compute with latent weights", ylabel="test error (%)", ylim=(0, 100))
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
show(
    figure,
    "fig-latent-error",
    "Test error when a layer, or every layer, computes with its latent weights instead of the "
    "binary ones, before and after batch norm was refitted.",
    from_training.but(images=len(shown_images.images)),
    alt="Test error for eleven choices of layers that compute with latent weights, two marks each, "
    "and a dashed line for the binary network. The table below has the numbers.",
)

# %% tags=["nbval-ignore-output"]
assert latent_errors.iloc[0, 0] == 100 * training.evaluate(network, shown_images)
refitted = latent_errors["batch norm refitted"]
glue(latent=span(refitted[list(layers)]), latent_none=refitted["none"])
glue(latent_all=refitted["all"], latent_all_kept=latent_errors.loc["all", "batch norm as trained"])
table(latent_errors, ".1f")

# %% [markdown]
# With batch norm refitted, the error of the binary network is {glue:text}`latent-none:.1f` %; with
# one layer switched it is between {glue:text}`latent-low:.1f` and {glue:text}`latent-high:.1f` %
# ({glue:text}`latent-high-at`), and with all of them {glue:text}`latent-all:.1f` %. Without
# refitting it would be {glue:text}`latent-all-kept:.1f` %.
#
# ## What follows
#
# The correlation is high in every layer, and high before any training: binarizing a random vector
# in high dimension preserves its dot products with inputs of no particular covariance. Training
# adds to it by turning weights towards the directions in which their inputs vary. Where inputs vary
# along few directions, as the pixels of a patch do, the correlation of a filter can be anything,
# and what decides is not the dimension but the covariance, by {eq}`eq-predicted-r`.
