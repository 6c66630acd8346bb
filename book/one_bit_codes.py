# ---
# jupyter:
#   sphinx_papermill:
#     after: []
#     data: [mnist]
#     runs:
#       - mnist-mlp-fast-w0.5-s1
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
# # One-bit codes
#
# Signs of randomly rotated vectors, each divided by its own cosine, give dot products without bias,
# and their spread is that of a law, within {glue:text}`worst:.1f` % in these simulations. A
# rotation brings every vector to the angle of {glue:text}`limit:.1f`° ({claim}`angle-limit`),
# pixels from {glue:text}`pixels:.0f`°. Among {glue:text}`searched` vectors such codes find
# {glue:text}`found-pixels:.0f` % of the ten nearest of {glue:text}`data`, and
# {glue:text}`found-gaussian:.0f` % of Gaussian ones. The division makes numbers right; to rank
# vectors of one length it is {glue:text}`use`.
#
# The paper's authors rotated vectors before they binarized them {cite}`anderson2018`.
# {doc}`beyond_one_bit` has what that does to single vectors. Here codes meet other vectors.

# %% tags=["parameters"]
preset = "book"  # sizes of everything below: smoke, book or paper
source = "auto"  # which images: auto, official or stand-in
seed = 2405  # of all random numbers in this chapter
vectors = 0  # vectors that are searched; 0 takes the preset's number

# %% tags=["hide-input", "nbval-ignore-output"]
import numpy as np
import pandas as pd

from bnn_geometry import data, training
from bnn_geometry.book import plots, presets
from bnn_geometry.book.display import Origin, glue, show, table
from bnn_geometry.book.rotated_signs import show_signs
from bnn_geometry.geometry import angles, binarized_angle, one_bit, quantizers
from bnn_geometry.geometry.distributions import GAUSSIAN
from bnn_geometry.studies import one_bit_search as study

sizes = presets.sizes("one_bit_codes", preset)
vectors = vectors or sizes.searched_vectors
mnist = data.load("mnist", source=source)
run = training.published_run("mnist-mlp-fast-w0.5-s1")
network = run.network().eval()
images = mnist.train.sample(vectors, seed).images, mnist.test.sample(sizes.queries, seed).images
pixels, activations = (
    [f(x) for x in images]
    for f in (
        lambda x: x.flatten(1).numpy() / 255,
        lambda x: study.hidden(network, x, "fc4"),
    )
)
generator = np.random.default_rng(seed)
gaussian = [generator.standard_normal((len(x), pixels[0].shape[1])) for x in images]
limit = quantizers.limit_angle(GAUSSIAN)
origin = Origin(
    data=mnist.provenance, words=f"{vectors:,} training images", preset=preset, seed=seed
)
simulation = Origin(preset=preset, seed=seed)

# %% [markdown]
# ## A random rotation makes every vector a Gaussian one
#
# An index for search keeps millions of vectors and compares each with a query. A sign for every
# entry is a 32nd of what single precision takes. But {numref}`fig-code-angles` shows what plain
# signs do to pixels: none is negative, most are zero, and the zeros' signs say nothing. A random
# rotation $R$ carries any vector to a uniform direction, and lengths and dot products stay as they
# are ({eq}`eq-rotation`). The law is then the one of Gaussian vectors,
#
# $$
# c = \cos\angle\bigl(o, \mathrm{bin}(o)\bigr) \longrightarrow \sqrt{2/\pi},
# $$ (eq-code-cosine)
#
# with the standard deviation $\sqrt{(1 - 3/\pi)/D}$ in $D$ dimensions. In the plane the mean angle
# is {glue:text}`over-all:.1f`° over all rotations, whatever the cloud, but a single rotation may be
# a good or a bad one. In high dimension that spread leaves little to chance.

# %% tags=["nbval-ignore-output"]
kinds = {
    "pixels": pixels[0],
    "pixels, mean\nsubtracted": pixels[0] - pixels[0].mean(axis=0),
    "activations": activations[0],
    "Gaussian": gaussian[0],
}
by_way = study.sign_angles(kinds, generator)
cloud = study.plane_cloud(60, np.random.default_rng(seed))
clouds = {}
for turn in (0, 30):
    turned, mean_angle = study.turned(cloud, turn)
    clouds[f"rotated by {turn}°\n{mean_angle:.0f}° in the mean"] = turned
over_all = np.mean([study.turned(cloud, turn)[1] for turn in range(90)])
show_signs(
    cloud,
    clouds,
    by_way,
    limit,
    name="fig-code-angles",
    caption="Top: vectors in the plane (points) and the four codes (squares). Below: angle between "
    "vectors and their signs, as they are and after one random rotation: median, and bars over the "
    "middle half of the vectors. Activations: the last hidden layer of the published perceptron, "
    "before bin.",
    origin=origin,
    alt="Top: a cloud about the first axis is far from the codes, and rotated by 30 degrees near "
    "one. Below: the median angles of four kinds of vectors to their signs. As they are, pixels "
    "are farthest from the law; rotated, all four lie on it.",
)

# %% tags=["nbval-ignore-output"]
plain, rotated = (by_way[way] for way in ("as they are", "rotated"))
spread = {n: binarized_angle.angle_sd(GAUSSIAN, int(n)) for n in set(rotated["dimension"])}
# of one rotation all vectors have a share in common: the spread is that of one vector
assert ((rotated["mean"] - limit).abs() < 4 * rotated["dimension"].map(spread)).all()
assert plain.loc["pixels", "angle"] > limit + 5
assert np.isclose(over_all, 45 / 2, atol=0.01)
cosines = np.cos(np.radians(angles.nearest_binary_angle(gaussian[0])))
dimension = gaussian[0].shape[1]
assert np.isclose(np.sqrt(dimension) * cosines.std(), np.sqrt(1 - 3 / np.pi), rtol=0.15)
glue(over_all=over_all)
glue(turned="lose" if plain.loc["activations", "angle"] < limit - 1 else "do not lose")
glue(limit=limit, pixels=plain.loc["pixels", "angle"])
glue(before=plain.loc["activations", "angle"], after=rotated.loc["activations", "angle"])

# %% [markdown]
# Activations {glue:text}`turned` by it: as they are, {glue:text}`before:.0f`°, rotated
# {glue:text}`after:.0f`°. What lies nearer to signs than Gaussian vectors do, a rotation moves away
# ({doc}`beyond_one_bit` has the same of clipped weights).
#
# ## Divided by its cosine, a code is unbiased
#
# Let $o$ and $q$ be unit vectors, both rotated, and $\bar o = \mathrm{bin}(o)/\sqrt D$. The code is
# $\bar o = c\,o + \sqrt{1-c^2}\,e$ with $e$ across $o$. Given $c$, nothing distinguishes one
# direction across $o$ from another, so $e$ is uniform there and $\langle e, q\rangle$ has mean 0.
# Hence, with the one number $c$ kept beside each code,
#
# $$
# \begin{gathered}
# E\,\frac{\langle\bar o, q\rangle}{\langle\bar o, o\rangle} = \langle o, q\rangle, \\
# \mathrm{sd} = \frac{\sqrt{1 - c^2}}{c}\,
#   \sqrt{\frac{1 - \langle o, q\rangle^2}{D - 1}} .
# \end{gathered}
# $$ (eq-rabitq)
#
# This is RaBitQ {cite}`gao2024`. Without the division the mean is $\sqrt{2/\pi}\,\langle o,
# q\rangle$; with signs of both it is $\frac2\pi\arcsin\langle o, q\rangle$
# ({eq}`eq-arcsine`). {numref}`fig-estimates` has all three and the spread.

# %%
products = np.linspace(-0.9, 0.9, 7).round(1)
fine = np.linspace(-1, 1, 101)
one_dimension = study.simulated(sizes.estimate_dimensions[1], products, sizes.pairs, generator)
means = {
    "divided by c": one_dimension["mean"],
    "not divided": one_dimension["one"],
    "signs of both": one_dimension["both"],
}
mean_laws = {
    "divided by c": pd.Series(fine, fine),
    "not divided": pd.Series(np.sqrt(2 / np.pi) * fine, fine),
    "signs of both": pd.Series(2 / np.pi * np.arcsin(fine), fine),
}
spreads = pd.concat(
    {
        n: study.simulated(n, [0, 0.5, 0.9], sizes.pairs, generator)
        for n in sizes.estimate_dimensions
    },
    names=["dimension"],
)
by_product = {f"⟨o, q⟩ = {t:g}": rows.droplevel(1) for t, rows in spreads.groupby("product")}
figure, [[upper], [lower]] = plots.new_figure(2, 1, height=7.2, width=5.8)
plots.series(means, upper, theory=mean_laws)
upper.set(xlabel="⟨o, q⟩", ylabel="mean of the estimate", xlim=(-1, 1), ylim=(-1, 1))
upper.legend(loc="upper left", fontsize="small")
plots.series(
    {label: rows[["sd", "sd_se"]] for label, rows in by_product.items()},
    lower,
    theory={label: rows["sd_law"] for label, rows in by_product.items()},
)
lower.set(xlabel="dimension D", ylabel="standard deviation", xlim=(50, 5200), ylim=(0.004, 0.15))
plots.log_axis(lower, "x", [64, 256, 1024, 4096])
plots.log_axis(lower, "y", [0.005, 0.01, 0.02, 0.05, 0.1])
lower.legend(loc="lower left", fontsize="small")
show(
    figure,
    "fig-estimates",
    f"Above: mean of three estimates of ⟨o, q⟩ in {sizes.estimate_dimensions[1]} dimensions. "
    "Below: standard deviation of the first. Points: simulated, standard errors smaller than the "
    "symbols. Lines: the laws.",
    simulation.but(words=f"{sizes.pairs:,} pairs per point, each rotated anew"),
    alt="Above: points on the diagonal for the divided estimate, on a flatter line for the one not "
    "divided, on an S-shaped curve for signs of both. Below: on logarithmic axes three parallel "
    "lines that fall as one over the root of the dimension, lowest for the dot product 0.9.",
)

# %%
seen = pd.concat([one_dimension, spreads])
assert (seen[["off", "sd_off"]].abs() < 4.5).all(axis=None)
assert np.allclose(one_dimension["both"], one_dimension["both_law"], atol=0.02)
assert np.allclose(one_dimension["one"], one_dimension["one_law"], atol=0.02)
worst = 100 * (spreads["sd"] / spreads["sd_law"] - 1).abs().max()
assert worst < 15
glue(worst=worst)

# %% [markdown]
# ## One bit is too few for the query
#
# {numref}`fig-recall` asks which part of the ten nearest vectors, those of largest dot product, is
# among the ten that the codes put first (recall@10). Vectors and queries have the mean of the
# vectors subtracted and length 1. A sign of the query as well makes every comparison a count of
# differing bits, and costs the most. A query in full, against the same codes, finds more, and one
# in four bits, as RaBitQ has it, nearly as many. The best 100, scored again with the vectors
# themselves, give the most.
#
# The law foretells this: the exact dot products, with independent normal noise of the standard
# deviation {eq}`eq-rabitq` added, find about as many.

# %% tags=["nbval-ignore-output"]
found = {
    name: study.recalls(*study.centred(*both), generator)
    for name, both in (
        ("pixels", pixels),
        ("activations", activations),
        ("Gaussian", gaussian),
    )
}
figure, [[ax]] = plots.new_figure(height=4.6, width=6.8)
plots.by_layer(found, ax, column="recall", sideways=True)
ax.set(xlabel="recall@10 (%)", xlim=(0, 102))
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
show(
    figure,
    "fig-recall",
    "Recall@10 of eight ways to search; all but the first on rotated vectors. Rescored are the "
    "best 100. Bars: one standard error, over the queries under one rotation.",
    origin.but(words=f"{vectors:,} vectors and {sizes.queries} queries of each kind"),
    alt="Recall for pixels, activations and Gaussian vectors. It is lowest with signs on both "
    "sides, higher with signs on one side, with and without correction, by faiss and by the law's "
    "noise, and highest with the best rescored. Gaussian vectors are far below the others.",
)

# %% tags=["nbval-ignore-output"]
ways = pd.concat({k: t["recall"] for k, t in found.items()}, axis=1)
errors = pd.concat({k: t["recall_se"] for k, t in found.items()}, axis=1)
gains, gain_errors = (
    pd.Series({k: t.loc[study.CORRECTED, column] for k, t in found.items()})
    for column in ("gain", "gain_se")
)
apart = ways.loc[study.FAISS] - ways.loc[study.CORRECTED]
noise = np.hypot(errors.loc[study.FAISS], errors.loc[study.CORRECTED])
# another rotation moves recall as well: twice the standard error over the queries
assert (apart.abs() < 8 * noise).all()
assert (ways.loc[study.ONE] > ways.loc[study.BOTH]).all()
assert (ways.loc[study.RESCORED] > ways.loc[study.CORRECTED]).all()
assert ways.loc[study.CORRECTED].idxmin() == "Gaussian"
assert (gains < 8 * errors.loc[study.ONE]).all()
for way in (study.NOISE, study.FEW):
    twice = np.hypot(errors.loc[way], errors.loc[study.CORRECTED])
    assert ((ways.loc[way] - ways.loc[study.CORRECTED]).abs() < 4.5 * twice).all(), way
tenth = {}
for name, both in (("pixels", pixels), ("Gaussian", gaussian)):
    o, q = study.centred(*both)
    tenth[name] = np.degrees(np.arccos(np.sort(q @ o.T)[:, -10])).mean()
assert tenth["Gaussian"] > 75 > tenth["pixels"]
glue(tenth=tenth)
glue(use="of no use" if (gains < 2).all() else "of some use")
glue(gain=gains.max(), gain_se=gain_errors[gains.idxmax()], searched=f"{vectors:,}")
glue(loss=gains.min(), loss_se=gain_errors[gains.idxmin()], loss_at=gains.idxmin().lower())
few = (ways.loc[study.FEW] - ways.loc[study.CORRECTED]).abs().max()
glue(few=few, query_bits=study.QUERY_BITS)
glue(found=ways.loc[study.CORRECTED], data=mnist.provenance.title)
glue(rescored=ways.loc[study.RESCORED], faiss_apart=apart.abs().max())
both_cost = (ways.loc[study.ONE] - ways.loc[study.BOTH])["Gaussian"]
glue(both_cost=both_cost)
named = {study.ONE: "signs", study.CORRECTED: "signs and c", study.FAISS: "faiss: RaBitQ"}
bytes_of = pd.DataFrame({k: t.loc[list(named), "bytes"].astype(int) for k, t in found.items()})
bytes_of.loc["the vector"] = [4 * x[0].shape[1] for x in (pixels, activations, gaussian)]
table(bytes_of.rename(named).drop(columns="Gaussian").add_suffix(" (bytes)"))

# %% [markdown]
# Signs of the query cost {glue:text}`both-cost:.0f` points of Gaussian vectors;
# {glue:text}`query-bits` bits of each of its entries change recall by {glue:text}`few:.1f` points
# at most. faiss {cite}`douze2024`, whose `IndexRaBitQ` is an implementation from other hands, has
# the query in eight bits here and stays within {glue:text}`faiss-apart:.1f` points of these codes
# under a rotation of its own; it keeps two numbers beside the bits where these codes keep one.
#
# The correction changes recall by {glue:text}`gain:+.1f` ± {glue:text}`gain-se:.1f` points at best
# and by {glue:text}`loss:+.1f` ± {glue:text}`loss-se:.1f` at worst, with {glue:text}`loss-at`. For
# ranking, the bias $\sqrt{2/\pi}$ is a factor common to all, and what all scores of one query share
# ranks nothing. Brought to the same slope, the undivided scores of vectors at 15° to *one* query
# have {glue:text}`near:.2f` of the spread of divided ones. The division is for *values*, such as
# thresholds on a distance.

# %% tags=["hide-cell"]
near_generator = np.random.default_rng(seed)
near_spreads = []
for _ in range(100):  # a hundred vectors about each of a hundred queries, all under one rotation
    query, *others = one_bit.unit(near_generator.standard_normal((101, 256)))
    across = one_bit.unit(np.array(others) - np.outer(np.array(others) @ query, query))
    about_query = np.cos(np.radians(15)) * query + np.sin(np.radians(15)) * across
    near_codes = np.where(about_query > 0, 1.0, -1.0) / 16
    undivided = near_codes @ query
    divided = undivided / np.einsum("ij,ij->i", near_codes, about_query)
    near_spreads.append([undivided.var() / (2 / np.pi), divided.var()])
near = float(np.sqrt(np.divide(*np.mean(near_spreads, axis=0))))
assert near < 0.9
glue(near=near)

# %% [markdown]
# Gaussian vectors are the hardest case. The tenth neighbour of a query is at
# {glue:text}`tenth-gaussian:.0f`°, hardly nearer than the rest, and the noise of a code decides; of
# pixels it is at {glue:text}`tenth-pixels:.0f`°. Rescoring brings Gaussian vectors to
# {glue:text}`rescored-gaussian:.0f` %, and pixels to {glue:text}`rescored-pixels:.0f` %.
#
# ## Language models use the same constants
#
# Weights in three levels need a threshold. The ternary BitNet {cite}`ma2024` divides by the mean
# size and rounds, which sets it at half the mean size. The last column of the table has the angle
# for the latent weights of the published perceptron's second layer, which were trained for signs.

# %% tags=["nbval-ignore-output"]
latent = network.get_submodule("fc2").weight.detach().numpy()
rules = study.threshold_rules(latent)
assert rules["angle"].is_monotonic_decreasing
assert rules.loc["BitNet b1.58", "angle"] - rules.loc["best", "angle"] < 2
assert rules.loc["signs", "angle"] - rules.loc["BitNet b1.58", "angle"] > 9.5
glue(rule=rules["angle"], rule_zeros=rules.loc["BitNet b1.58", "zeros"])
own = rules["weights_angle"]
glue(own_best=own.idxmin())
table(
    rules,
    {
        "threshold": "threshold (mean sizes) | .2f",
        "zeros": "zeros, Gaussian (%) | .0f",
        "angle": "angle, Gaussian (°) | .2f",
        "weights_angle": "angle, these weights (°) | .1f",
    },
)

# %% [markdown]
# For Gaussian weights it is {glue:text}`rule-bitnet-b1-58:.2f`°, with
# {glue:text}`rule-zeros:.0f` % zeros: less than two degrees above the best,
# {glue:text}`rule-best:.2f`°, and nearly ten below signs. These weights are nearest to their image
# under the rule “{glue:text}`own-best`”.
#
# Caches of language models are quantized to a few bits after a random rotation by TurboQuant
# {cite}`zandieh2025`: each entry by the best quantizer for Gaussian entries, Lloyd's and Max's.
# No code of $b$ bits an entry keeps the squared error of all unit vectors of many entries below
# $4^{-b}$ ({eq}`eq-rate`); TurboQuant's bound for its own is $\frac{\sqrt3\pi}2\,4^{-b}$.
# {numref}`fig-few-bits` divides by $4^{-b}$ what its table prints, the law of Lloyd–Max, and what
# rotated pixels have.

# %% tags=["nbval-ignore-output"]
few = study.distortions(pixels[0], generator)
figure, [[ax]] = plots.new_figure(height=3.8, width=5.8)
plots.series(
    {
        "rotated pixels (bars: one vector)": few[["measured", "spread"]],
        "TurboQuant's table (bars: last digit)": few[["printed", "digit"]].set_axis(
            few.index + 0.08
        ),
    },
    ax,
    joined=False,
    theory={
        "Lloyd–Max, Gaussian": few["law"],
        "TurboQuant's bound": pd.Series(study.TURBOQUANT_FACTOR, [0.8, 4.3]),
        "no code is below": pd.Series(1.0, [0.8, 4.3]),
    },
)
ax.set(xlabel="bits per entry, b", ylabel="squared error × 4ᵇ", xlim=(0.8, 4.3), ylim=(0.8, 4.2))
ax.set_xticks([1, 2, 3, 4])
ax.legend(loc="upper left", fontsize="small")
show(
    figure,
    "fig-few-bits",
    "Squared error of unit vectors whose rotated entries are quantized to $b$ bits, times $4^b$.",
    origin,
    alt="From one to four bits the law rises from 1.45 to 2.43, between a bound at 2.72 and the "
    "least possible at 1. The measured points lie on it and the printed ones less than "
    "one unit of their last digit below.",
)

# %% tags=["nbval-ignore-output"]
assert (few["law"] - few["printed"]).between(0, few["digit"]).all()
assert ((few["measured"] - few["law"]).abs() < 2 * few["spread"]).all()
assert few["law"].is_monotonic_increasing
assert few["law"].max() < study.TURBOQUANT_FACTOR
assert np.isclose(few.loc[1, "law"] / 4, 1 - 2 / np.pi)
glue(one_bit_error=few.loc[1, "law"] / 4, excess=few.loc[4, "law"], factor=study.TURBOQUANT_FACTOR)

# %% [markdown]
# The table is Lloyd–Max with the last digits cut off. Its first entry is this book's constant once
# more, $\sin^2$ of {glue:text}`limit:.1f`°, or $1 - 2/\pi =$ {glue:text}`one-bit-error:.3f`. The
# ratio to what is possible grows with the bits, to {glue:text}`excess:.2f` at four; the bound,
# {glue:text}`factor:.2f`, is its limit for many bits {cite}`panter1951`.
#
# ## Exercises
#
# **1. What is a real query worth?** Signs of both vectors give an estimate too,
# $\sin\frac\pi2\langle\bar o, \bar q\rangle$. How many times as many bits does it need for the
# spread of {eq}`eq-rabitq` at $\langle o, q\rangle = 0$?
#
# ```{dropdown} Solution 1
# $\pi/2 + 1 =$ {glue:text}`worth:.2f` times as many. For independent Gaussian vectors the mean of
# $D$ random signs would have the variance $1/D$. Their own dot product varies by $1/D$ as well, and
# the signs follow it with the slope $2/\pi$. Held at 0, it leaves $(1 - 4/\pi^2)/D$. The sine
# multiplies by $(\pi/2)^2$, and $(\pi^2/4 - 1)/(\pi/2 - 1) = \pi/2 + 1$.
# ```

# %% tags=["hide-cell"]
o, q = one_bit.rotated_pairs(256, 4000, 0.0, np.random.default_rng(seed))
signs = np.einsum("ij,ij->i", np.where(o > 0, 1.0, -1.0), np.where(q > 0, 1.0, -1.0)) / 256
corrected = np.einsum("ij,ij->i", np.where(o > 0, 1.0, -1.0), q) / np.abs(o).sum(axis=1)
worth = np.pi / 2 + 1
assert np.isclose(np.sin(np.pi / 2 * signs).var() / corrected.var(), worth, rtol=0.13)
glue(worth=worth)

# %% [markdown]
# **2. How deep?** Call `study.recalls` on the Gaussian vectors with `depth=30`. How much of what
# rescoring a hundred gave is left, and what do you pay for each candidate?
#
# ```{dropdown} Solution 2
# {glue:text}`shallow:.0f` % instead of {glue:text}`rescored-gaussian:.0f` %. Each candidate is a
# vector in full that must be read: for a hundred of these,
# {glue:text}`read-kib:.0f` KiB, where all their codes together take {glue:text}`codes-kib:.0f`.
# ```

# %% tags=["hide-cell", "nbval-ignore-output"]
shallow = study.recalls(*study.centred(*gaussian), np.random.default_rng(seed), depth=30)
assert ways.loc[study.CORRECTED, "Gaussian"] < shallow.loc[study.RESCORED, "recall"]
assert shallow.loc[study.RESCORED, "recall"] < ways.loc[study.RESCORED, "Gaussian"]
glue(shallow=shallow.loc[study.RESCORED, "recall"], read_kib=100 * 4 * gaussian[0].shape[1] / 1024)
glue(codes_kib=vectors * found["Gaussian"].loc[study.CORRECTED, "bytes"] / 1024)
