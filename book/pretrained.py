# ---
# jupyter:
#   sphinx_papermill:
#     after: [training]
#     data: [cifar10]
#     runs:
#       - cifar10-convnet-fast-w0.5-s1
#       - cifar10-convnet-fast-w0.5-s2
#       - cifar10-convnet-fast-w0.5-s3
#       - cifar10-convnet-fast-hardtanh-w0.5-s1
#       - cifar10-convnet-fast-hardtanh-w0.5-s2
#       - cifar10-convnet-fast-hardtanh-w0.5-s3
#       - cifar10-convnet-long-w0.125-s1
#       - cifar10-convnet-long-w0.125-s2
#       - cifar10-convnet-long-w0.125-s3
#       - cifar10-convnet-long-w0.25-s1
#       - cifar10-convnet-long-w0.25-s2
#       - cifar10-convnet-long-w0.25-s3
#       - cifar10-convnet-long-hardtanh-w0.125-s1
#       - cifar10-convnet-long-hardtanh-w0.125-s2
#       - cifar10-convnet-long-hardtanh-w0.125-s3
#       - cifar10-convnet-long-hardtanh-w0.25-s1
#       - cifar10-convnet-long-hardtanh-w0.25-s2
#       - cifar10-convnet-long-hardtanh-w0.25-s3
#       - cifar10-convnet-long-w1-s1
#       - cifar10-convnet-long-hardtanh-w1-s1
#       - pretrained
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
# # Binarizing a pretrained network
#
# Keep only the signs of the weights of a network that was trained with real ones, and its error on
# {glue:text}`data` goes from {glue:text}`start:.1f` % to {glue:text}`plain:.1f` % (one network,
# {glue:text}`tested` test images). The cause is {term}`batch norm`, whose statistics are those of
# other dot products: measured again, the error is {glue:text}`refitted:.1f` %
# ({glue:text}`start-refitted:.1f` % before any binarization), signs cost
# {glue:text}`signs-cost:.1f` points, and a scale factor for each filter changes nothing. With
# binary activations as well the error is {glue:text}`both:.1f` %, against {glue:text}`binary:.1f` %
# of a network that was trained binary ({claim}`pretrained`). The paper's reason is the magnitude of
# weight vectors. Their length plays no part once batch norm is measured again. To take the
# magnitudes within them costs {glue:text}`turn-over:.1f` ± {glue:text}`turn-over-se:.1f` points
# more than a random turn by the same angle; that is {glue:text}`reason`. The size of the dot
# products is not tested. Networks trained binary from the start end {glue:text}`gap:.1f` points
# above continuous ones at this width after {glue:text}`gap-epochs` epochs, over
# {glue:text}`gap-seeds` seeds and all test images ({claim}`accuracy`).
#
# ## Signs fail until batch norm is measured again
#
# If {term}`binarization` hardly turns a weight vector, why train a binary network at all? The paper
# {cite}`anderson2017` answers in section 5.2 that in a binary network batch norm divides the
# magnitude of every dot product out, so that training "is forced to find a solution where the
# magnitude of the weight vectors are not used"; a continuous network is trained "with the
# possibility of the magnitude of the dot products playing an important role".
#
# We take the continuous counterpart of the network of {doc}`training`, at half its width: hard tanh
# in the place of bin, the same layers, the same epochs. Its weights are replaced by their signs, or
# by the closest vector of the form $\alpha_I\,b$ with $b$ binary {cite}`rastegari2016`,
#
# $$
# \begin{gathered}
# b = \mathrm{bin}(w),\quad \alpha_I = \frac1n \sum_i |w_i|,\\
# \text{leaving}\quad \frac{\|w - \alpha_I\,b\|^2}{\|w\|^2} = \sin^2\angle(w, b),
# \end{gathered}
# $$ (eq-best-scale)
#
# its activations by theirs, or both. Each is measured with the statistics that batch norm kept from
# training, and with statistics measured again on {glue:text}`refit-images` training images, which
# changes no weight ({numref}`fig-converted`). The study runs by
#
# ```bash
# bnn-geometry study pretrained \
#     --work FOLDER
# ```
#
# and its tables are in `runs/pretrained`.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official, folder or stand-in
seed = 1  # of both training runs and of the choice of images
images = 0  # images to refit and to measure with; 0 takes the preset's number

# %% tags=["nbval-ignore-output"]
import numpy as np
import pandas as pd
import torch
from scipy.special import gamma

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets, records
from bnn_geometry.book.display import Origin, glue, show, width
from bnn_geometry.networks import batch_norm, conversion, layers, magnitudes
from bnn_geometry.studies import conversions, replicates, tables

sizes = presets.sizes("pretrained", preset)
images = images or sizes.converted_images
cifar10 = data.load("cifar10", source=source)

# %%
study = tables.published("pretrained")
continuous_run, binary_run = (
    training.published_run(study.settings[k]) for k in ("continuous", "binary")
)
rows = study.tables["conversions"].groupby("activation")
errors = conversions.in_percent(rows.get_group(continuous_run.recipe.activation))
binary = conversions.in_percent(rows.get_group("binary")).loc["nothing"]
parts, changes, alone = (
    errors[errors["group"] == name] for name in ("parts", "magnitudes", "one layer")
)
start = parts.loc["nothing"]
of_study = Origin(
    data=data.Provenance(**study.data),
    images=study.settings["test_images"],
    width=continuous_run.recipe.width,
    words="published, not made by this build",
)
SIGNS, SCALED, BOTH = "weights: bin(w)", "weights: α bin(w)", "weights and activations"


def by_statistics(converted):
    """For :func:`plots.by_layer`: errors with the statistics of training, and measured again."""
    return {
        label: pd.DataFrame({"error": converted[k], "error_se": converted[f"{k}_se"]})
        for label, k in (("as trained", "kept"), ("measured again", "refitted"))
    }


def show_parts(converted, trained_binary, name, caption, origin):
    """Test errors with one part or another binary, beside the network trained binary."""
    figure, [[ax]] = plots.new_figure(width=7.2, height=4.0)
    lines = {"trained binary": trained_binary, "guessing": 90.0}
    plots.by_layer(by_statistics(converted), ax, column="error", lines=lines, sideways=True)
    ax.set(xlabel="test error (%)", xlim=(0, 100))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    alt = (
        "Test error for five versions of the continuous network, from nothing binarized to weights "
        "and activations, with batch norm as trained and measured again, beside vertical lines for "
        "the network trained binary and for guessing."
    )
    show(figure, name, caption, origin, alt=alt)


show_parts(
    parts,
    binary["refitted"],
    "fig-converted",
    "Test error of the published continuous network after parts of it were binarized; batch norm "
    "with the statistics of training (filled) and measured again (open). Bars: one standard error, "
    "from the number of test images.",
    of_study,
)
signs = parts.loc[SIGNS]
assert signs["kept"] - start["kept"] > 50
assert signs["refitted"] - start["refitted"] < 10
assert parts.loc[SCALED, "kept"] > 50
assert abs(parts.loc[SCALED, "refitted"] - signs["refitted"]) < 0.5
glue(tested=f"{study.settings['test_images']:,}")
glue(data=of_study.data.title, refit_images=study.settings["refit_images"])
glue(start_refitted=start["refitted"])
glue(start=start["kept"], plain=signs["kept"], refitted=signs["refitted"])
glue(scaled=parts.loc[SCALED, "kept"], both=parts.loc[BOTH, "refitted"])
glue(binary=binary["refitted"], angle=signs["angle"])

# %% [markdown]
# Signs make every dot product about $1/\alpha_I$ times as large as batch norm expects, so that the
# activations saturate. But $\alpha_I$ does not help either, with {glue:text}`scaled:.0f` %: it is
# the best scale for the weights, and only for {term}`white` inputs the best for what they compute
# ({eq}`eq-slope`). Statistics measured again need no scale. The network then bears a turn of its
# weights by {glue:text}`angle:.0f`°.
#
# ## The length of a weight vector means nothing
#
# Where batch norm measures the variance of what it is given, it divides a filter's scale out
# ({eq}`eq-batch-norm`). A scale can matter only through old statistics and through $\epsilon$. With
# every filter of the published network divided by its length, and the statistics with it, the error
# is {glue:text}`divided:.1f` %, as it was. The old statistics with the new lengths give
# {glue:text}`length-kept:.0f` %.

# %%
unit, divided = (changes.loc[f"filters of length 1{more}"] for more in ("", ", statistics divided"))
assert abs(divided["kept"] - start["kept"]) < 0.05
assert abs(unit["refitted"] - start["refitted"]) <= 0.2
assert unit["kept"] > 50
glue(divided=divided["kept"], length_kept=unit["kept"])

# %% [markdown]
# ## A random turn by the same angle costs much of it
#
# What no scale restores is that the magnitudes *within* a vector differ. To take them away is to
# turn the vector. The null is therefore a turn by the same angle that knows nothing of signs and
# magnitudes: each filter in a direction drawn at random. {numref}`fig-turns` has it beside powers
# of the magnitudes, $w \to \mathrm{bin}(w)\,|w|^p$ (signs are $p = 0$), and beside magnitudes
# dealt anew among the weights of a filter, which keeps the signs and destroys only *which* weight
# is large.

# %%
pairs = conversions.over_turn(study.tables["pairs"])
powers = changes.loc[["|w|^0.5", "|w|^2"]]
as_changed, as_turned = (
    pairs.set_index("angle")[[f"{k}error", f"{k}error_se"]] for k in ("", "turned_")
)
figure, [[ax]] = plots.new_figure(width=7.2, height=4.2)
plots.series(
    {
        "signs; magnitudes dealt anew": as_changed,
        "random turn by the same angle": as_turned,
        "square roots; squares": powers.set_index("angle")[["refitted", "refitted_se"]],
    },
    ax,
    joined=False,
)
points = {"square roots": powers.iloc[0], "squares": powers.iloc[1]}
points |= {name: row.rename({"error": "refitted"}) for name, row in pairs.iterrows()}
for label, at in points.items():
    ax.annotate(label, at[["angle", "refitted"]], xytext=(-6, 8), textcoords="offset points",
                fontsize="small", ha="right")  # fmt: skip
ax.axhline(start["refitted"], color="black", lw=1.2, ls="--", label="not changed")
ax.set(xlabel="angle by which a filter was turned (degrees, median)", ylabel="test error (%)")
ax.set(xlim=(0, 60), ylim=(0, 40))
ax.legend(loc="lower right")
show(
    figure,
    "fig-turns",
    "Test error of the published continuous network after its weights, and nothing else, were "
    "changed, against the angle by which that turned them; batch norm measured again. Bars: one "
    "standard error, from the number of test images, and where there are several draws from their "
    "spread; differences are surer, since all are measured on the same images.",
    of_study.but(words=f"{study.tables['pairs']['draw'].nunique()} draws; {of_study.words}"),
    alt=(
        "Test error against angle: square roots at 17 degrees, squares at 27, signs at 40 and "
        "magnitudes dealt anew at 54, with a random turn beside each of the last two, and a dashed "
        "line for the network as it was."
    ),
)

# %%
over, over_se = pairs["over"], pairs["over_se"]
matter = over["signs"] > 2 * over_se["signs"]
glue(reason="more than chance" if matter else "not resolved")
glue(
    turn_verdict=(
        "the magnitudes were worth that much, and the turn explains the rest"
        if matter
        else "too little to say that magnitudes were worth anything"
    )
)
turn_cost, signs_cost = (
    pairs.loc["signs", k] - start["refitted"] for k in ("turned_error", "error")
)
of_draws = study.tables["pairs"].query("change == 'signs'")["turned_error"]
draws = 100 * of_draws - start["refitted"]
assert draws.min() > signs_cost / 2
glue(turn={"cost": turn_cost, "least": draws.min(), "most": draws.max(), "draws": len(draws)})
glue(signs_cost=signs_cost, root_cost=powers["refitted"].iloc[0] - start["refitted"])
glue(square_cost=powers["refitted"].iloc[1] - start["refitted"])
glue(turn_over=over["signs"], turn_over_se=over_se["signs"])
glue(dealt_over=over["magnitudes dealt anew"], dealt_over_se=over_se["magnitudes dealt anew"])
glue(dealt_angle=pairs.loc["magnitudes dealt anew", "angle"])
assert abs(pairs.loc["signs", "error"] - signs["refitted"]) < 0.5
assert changes.loc["signs dealt anew", "refitted"] > 80
assert pairs.loc["magnitudes dealt anew", ["error", "turned_error"]].min() > signs["refitted"]

# %% [markdown]
# Taking the signs costs {glue:text}`signs-cost:.1f` points and a random turn by the same angle
# {glue:text}`turn-cost:.1f` ({glue:text}`turn-least:.1f` to {glue:text}`turn-most:.1f` in
# {glue:text}`turn-draws` draws). The difference is {glue:text}`turn-over:.1f` ±
# {glue:text}`turn-over-se:.1f` points (one {term}`standard error`, from the images on which only
# one of the two is wrong, and from the draws): {glue:text}`turn-verdict`. Square roots cost
# {glue:text}`root-cost:.1f` points and squares {glue:text}`square-cost:.1f`, at smaller angles and
# without a turn of their own beside them. Magnitudes dealt anew turn the filters by
# {glue:text}`dealt-angle:.0f`° and cost {glue:text}`dealt-over:+.1f` ±
# {glue:text}`dealt-over-se:.1f` against their own null. They are worse than no magnitudes at all,
# and so is a random turn that far. With the *signs* dealt anew nothing is left.
#
# ## Binary activations cost about that much too
#
# Binary activations with real weights cost {glue:text}`activations-cost:.1f` points, signs alone
# {glue:text}`signs-cost:.1f` ({glue:text}`apart:.1f` ± {glue:text}`apart-se:.1f` points apart, as
# if the images were drawn anew for each: not told apart), and both together
# {glue:text}`both-cost:.1f`. For activations there is no null: bin discards the size of a dot
# product, which the hard tanh lets through, and it turns a vector too.


# %%
def excess(one, other, column="refitted"):
    """By how many points one error is above another, and the standard error of that."""
    return one[column] - other[column], np.hypot(one[f"{column}_se"], other[f"{column}_se"])


cost = parts["refitted"] - start["refitted"]
both_more, both_more_se = excess(parts.loc[BOTH], binary)
assert cost["activations"] > 2 * excess(parts.loc["activations"], start)[1]
apart, apart_se = excess(parts.loc["activations"], signs)
assert abs(apart) < 2 * apart_se
glue(apart=apart, apart_se=apart_se)
assert cost[BOTH] > max(cost["activations"], cost[SIGNS])
assert both_more > 2 * both_more_se
glue(activations_cost=cost["activations"], both_cost=cost[BOTH])
about = {"preset": preset, "data": of_study.data, "run": study.settings["continuous"]}


def record_excess(table, trained_binary, **about):
    """How much worse a converted network is than one that was trained binary, into the ledger."""
    for column, how in (("kept", "as trained"), ("refitted", "measured again")):
        for name in (SIGNS, SCALED, "activations", BOTH):
            more, se = excess(table.loc[name], trained_binary, column)
            records.record(
                "pretrained",
                more,
                uncertainty=se,
                null=0.0,
                against="network trained binary",
                note=f"{name.replace(':', ' as')} binarized, batch norm {how}",
                **about,
            )


record_excess(parts, binary, figure="fig-converted", **about)
for what, row in pairs.iterrows():
    records.record(
        "pretrained",
        row["over"],
        uncertainty=row["over_se"],
        null=0.0,
        against="random turn by the same angle",
        figure="fig-turns",
        note=f"are magnitudes the reason: {what}, batch norm measured again",
        **about,
    )
for what, one, other, against in (
    ("signs without the best scale", signs, parts.loc[SCALED], "signs with the best scale"),
    ("filters of length 1", unit, start, "filters as they are"),
):
    more, se = excess(one, other)
    records.record(
        "pretrained",
        more,
        uncertainty=se,
        null=0.0,
        against=against,
        figure="fig-converted",
        note=f"are magnitudes the reason: {what}, batch norm measured again",
        **about,
    )

# %% [markdown]
# ## No single layer breaks, with batch norm measured again
#
# {numref}`fig-layers` has one layer binary at a time, its weights and what enters it; of conv1 the
# weights alone, since images are never binarized.

# %%
figure, [[ax]] = plots.new_figure(width=7.2, height=3.8)
plots.by_layer(
    by_statistics(alone),
    ax,
    column="error",
    lines={"nothing binary": start["refitted"], "all layers": parts.loc[BOTH, "refitted"]},
)
ax.set(ylabel="test error (%)")
ax.set_ylim(bottom=0)
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
show(
    figure,
    "fig-layers",
    "Test error of the published continuous network with one layer binary, batch norm as trained "
    "(filled) and measured again (open); lines with batch norm measured again. Bars: one standard "
    "error, from the number of test images.",
    of_study,
    alt=(
        "Test error for nine layers, one binary at a time, with batch norm as trained and measured "
        "again, and lines for the network as it was and for all layers binary."
    ),
)
costs = (alone["refitted"] - start["refitted"]).sort_values(ascending=False)
worst_se = excess(alone.loc[costs.index[0]], start)[1]
assert costs.iloc[0] + 2 * worst_se < cost[BOTH] / 2
glue(worst_cost=costs.iloc[0], worst_se=worst_se, broken=int((alone["kept"] > 60).sum()))

# %% [markdown]
# With batch norm as trained, {glue:text}`broken` of the nine layers alone bring the error above
# $60\,\%$. With its statistics measured again no layer costs more than {glue:text}`worst-cost:.1f`
# ± {glue:text}`worst-se:.1f` points, less than half of what all of them together do.
#
# ## The signs are a place to begin
#
# The signs can also be where a binary training *begins*: each filter scaled to the size of
# {term}`latent weights <latent weight>`, then one epoch on {glue:text}`short-images` images.

# %%
short = study.tables["fine_tuning"]
best = short.loc[short.groupby("start")["test_error"].idxmin()].set_index("start")
scratch, tuned = (100 * best.loc[name, "test_error"] for name in ("scratch", "pretrained"))
assert tuned < scratch - 10
mended = parts.loc[BOTH, "refitted"] - tuned
rates = sorted(short["lr"].unique())
assert best.loc["pretrained", "lr"] == rates[0]
mended_se = np.hypot(
    parts.loc[BOTH, "refitted_se"],
    np.sqrt(tuned * (100 - tuned) / best.loc["pretrained", "test_images"]),
)
glue(short_images=f"{short['images'].iloc[0]:,}", tuned=tuned, scratch=scratch)
glue(mended=mended, mended_se=mended_se, to_mend=both_more, rates=len(rates))

# %% [markdown]
# It ends at {glue:text}`tuned:.1f` %, from random weights at {glue:text}`scratch:.1f` %. Of the
# {glue:text}`to-mend:.1f` points between the converted network and the one that was trained binary
# it mends {glue:text}`mended:.1f` ± {glue:text}`mended-se:.1f` (images drawn anew), at the better
# of {glue:text}`rates` learning rates, chosen on the same images. For the signs the lower was the
# better, and still lower ones were not tried: this says where such a training can begin, not how
# far it gets.
#
# ## Trained binary from the start
#
# Over {glue:text}`gap-seeds` seeds of each and all test images, after {glue:text}`gap-epochs`
# epochs at a rate chosen for the binary ones, binary networks of this width end
# {glue:text}`gap:.1f` points above continuous ones, with a $95\,\%$ interval from
# {glue:text}`gap-low:.1f` to {glue:text}`gap-high:.1f` (Welch). {glue:text}`gap-remark` Trained for
# {glue:text}`long-epochs` epochs by another recipe, the continuous ones at a rate chosen for them
# (at half the width or less), they are {glue:text}`gap-eighth:.0f` points apart at width
# {glue:text}`narrow-width`, {glue:text}`gap-quarter:.0f` ({glue:text}`gap-quarter-low:.0f` to
# {glue:text}`gap-quarter-high:.0f`) at {glue:text}`wider-width`, over as many seeds, and
# {glue:text}`gap-full:.0f` at full width, of one seed each ({doc}`training`).

# %%
SEEDS = (1, 2, 3)
several = [
    [training.published_run(study.settings[k].removesuffix("-s1") + f"-s{s}") for s in SEEDS]
    for k in ("binary", "continuous")
]
gap = replicates.difference(*several)
formats = [[run.info["precision"] for run in side] for side in several]
assert formats[0] == formats[1]
assert formats[0][1] == formats[0][2] != formats[0][0]
records.record(
    "accuracy",
    gap.mean,
    uncertainty=gap.error,
    interval=(gap.low, gap.high),
    preset=preset,
    data=of_study.data,
    note=(
        f"width {width(binary_run.recipe.width)}, {binary_run.recipe.epochs} epochs, {len(SEEDS)} "
        f"seeds of each, of which one in {formats[0][0]} and the others in {formats[0][1]}, rate "
        "tried for the binary side"
    ),
    run=study.settings["binary"],
)
gaps = {}
for at, w, seeds in (("eighth", 1 / 8, SEEDS), ("quarter", 1 / 4, SEEDS), ("full", 1, (1,))):
    sides = [
        [training.published_run(f"cifar10-convnet-long{kind}-w{w:g}-s{s}") for s in seeds]
        for kind in ("", "-hardtanh")
    ]
    gaps[at] = replicates.difference(*sides)
    signs, smooth = (side[0].recipe for side in sides)
    [long_epochs] = {len(run.history) for side in sides for run in side}
    assert signs.name != binary_run.recipe.name
    assert signs.lr != smooth.lr
    tried = "rate tried for the continuous side"
    if len(seeds) > 1:
        of_gap = {"uncertainty": gaps[at].error, "interval": (gaps[at].low, gaps[at].high)}
        over = f"{len(seeds)} seeds of each"
        glue(gap={f"{at}_low": gaps[at].low, f"{at}_high": gaps[at].high})
    else:
        wrong = [side[0].kept["test_error"] for side in sides]
        alone = replicates.over_images(*wrong, images=sides[0][0].data["test_images"])
        of_gap = {"uncertainty": alone.error}
        over = "one seed of each (uncertainty: over test images)"
        tried += " at half the width and less"
    records.record(
        "accuracy",
        gaps[at].mean,
        preset=preset,
        data=data.Provenance(**sides[0][0].data),
        note=f"width {width(w)}, {long_epochs} epochs, {over}, {tried}",
        run=sides[0][0].path.name,
        **of_gap,
    )
    glue(gap={at: gaps[at].mean})
assert gaps["eighth"].low > gaps["quarter"].high
assert gaps["quarter"].low > gaps["full"].mean + 2 * of_gap["uncertainty"]
glue(gap=gap.mean, gap_low=gap.low, gap_high=gap.high, gap_seeds=len(SEEDS))
glue(gap_remark=gap.remark, gap_epochs=binary_run.recipe.epochs)
glue(narrow_width=width(1 / 8), wider_width=width(1 / 4), long_epochs=long_epochs)

# %% [markdown]
# ## Yours
#
# This build trained a narrow pair of the same two networks and binarized the continuous one in the
# same ways ({numref}`fig-yours`).

# %% tags=["nbval-ignore-output"]
runs = {k: training.live_run(getattr(sizes, r), cifar10, seed=seed)
        for k, r in (("binary", "convnet"), ("continuous", "continuous"))}  # fmt: skip
chosen = cifar10.test.sample(images, seed)
of_training, _ = training.split_indices(cifar10.train.labels, sizes.continuous)
training_images = cifar10.train.images[of_training[: images // 2]]
origin = Origin(
    data=cifar10.provenance,
    images=len(chosen.labels),
    width=sizes.continuous.width,
    preset=preset,
    seed=seed,
)
network = runs["continuous"].network()
live, live_binary = (
    conversions.in_percent(conversions.table(net, ways, training_images, chosen))
    for net, ways in (
        (network, conversions.parts()),
        (runs["binary"].network(), conversions.parts()[:1]),
    )
)
live_binary = live_binary.loc["nothing"]
show_parts(
    live,
    live_binary["refitted"],
    "fig-yours",
    "The same as {numref}`fig-converted`, of the pair that this build trained.",
    origin,
)

# %% tags=["nbval-ignore-output"]
test_errors = {k: run.kept["test_error"] for k, run in runs.items()}
assert max(test_errors.values()) < 0.85, "a network has learned nothing"
assert live[["kept", "refitted"]].stack().between(0, 100).all()
of_build = {"preset": preset, "data": cifar10.provenance, "figure": "fig-yours"}
tested = cifar10.provenance.test_images
live_gap = 100 * (test_errors["binary"] - test_errors["continuous"])
records.record(
    "accuracy",
    live_gap,
    uncertainty=100 * np.sqrt(sum(p * (1 - p) for p in test_errors.values()) / tested),
    note=f"width {width(sizes.convnet.width)}, {sizes.convnet.epochs} epochs, one seed of each",
    **of_build,
)
record_excess(live, live_binary, **of_build)
glue(live_tested=f"{tested:,}")
glue(live_data=origin.title, live_gap=live_gap, live_epochs=sizes.convnet.epochs)
glue(live_plain=live.loc[SIGNS, "kept"], live_refitted=live.loc[SIGNS, "refitted"])

# %% [markdown]
# Trained for {glue:text}`live-epochs` epochs, the two networks differ by {glue:text}`live-gap:+.1f`
# points on all {glue:text}`live-tested` test images. On {glue:text}`live-data` the signs of the
# continuous one's weights give {glue:text}`live-plain:.1f` %, and {glue:text}`live-refitted:.1f` %
# with batch norm measured again.
#
# ## Exercises
#
# **1. Powers and shuffles.** By which angle does $w \to \mathrm{bin}(w)\,|w|^p$ turn a vector of
# many independent Gaussian entries? Change $p$ in the cell; then deal the magnitudes anew.
#
# :::{dropdown} Solution 1
# By the law of large numbers the cosine is $m_{1+p}/\sqrt{m_2\,m_{2p}}$ with the moments
# $m_k = \mathrm{E}|w|^k = 2^{k/2}\,\Gamma(\frac{k+1}2)/\sqrt\pi$. Signs turn by
# {glue:text}`solution-p0:.1f`°, square roots by {glue:text}`solution-p05:.1f`°, squares by
# {glue:text}`solution-p2:.1f`°. Magnitudes dealt anew are independent of those that were there: the
# cosine is $m_1^2/m_2$, the square of that of the signs, and the angle
# {glue:text}`solution-shuffled:.1f`°. Wrong magnitudes are worse than none.
# :::


# %% tags=["hide-cell"]
def moment(k):
    """E|w|^k of a standard normal number."""
    return 2 ** (k / 2) * gamma((k + 1) / 2) / np.sqrt(np.pi)


layer = layers.BinaryLinear(200_000, 1, binary=False)
with torch.no_grad():
    layer.weight.normal_(generator=torch.Generator().manual_seed(seed))
exact = {p: np.degrees(np.arccos(moment(1 + p) / np.sqrt(moment(2) * moment(2 * p))))
         for p in (0.0, 0.5, 2.0)}  # fmt: skip
for p, angle in exact.items():
    found = magnitudes.rotation_angles(layer, magnitudes.raise_magnitudes(layer, p))
    assert abs(found["angle"].iloc[0] - angle) < 0.3
shuffled = magnitudes.shuffle_magnitudes(layer, torch.Generator().manual_seed(seed))
shuffled_angle = np.degrees(np.arccos(moment(1) ** 2 / moment(2)))
assert abs(magnitudes.rotation_angles(layer, shuffled)["angle"].iloc[0] - shuffled_angle) < 0.3
glue(solution_p0=exact[0.0], solution_p05=exact[0.5], solution_p2=exact[2.0])
glue(solution_shuffled=shuffled_angle)

# %% [markdown]
# **2. How many images?** Measure batch norm again on fewer images, in the cell of
# {numref}`fig-yours`. How many are needed?
#
# :::{dropdown} Solution 2
# {glue:text}`few-word`. With {glue:text}`few-images` images the signs of this build's network have
# an error of {glue:text}`few-error:.1f` %, with {glue:text}`many-images`
# {glue:text}`many-error:.1f` %: every image holds many positions, each of which counts.
# :::

# %% tags=["hide-cell", "nbval-ignore-output"]
few, many = 20, len(training_images)
plain = conversion.binarize_network(network)
refitted = {
    count: 100 * training.evaluate(
        batch_norm.refit_batch_norm(plain, training_images[:count]), chosen)
    for count in (few, many)
}  # fmt: skip
assert refitted[many] <= refitted[few] + 5
assert refitted[few] < 90
glue(few_word="Few" if refitted[few] < refitted[many] + 10 else "More than a few")
glue(few_images=few, few_error=refitted[few], many_images=many, many_error=refitted[many])
