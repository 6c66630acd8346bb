# ---
# jupyter:
#   sphinx_papermill:
#     after: [theory, random_vectors, training, dot_products, learning_dynamics, pretrained,
#       architectures]
#     files: [claims.toml]
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
# # The High-Dimensional Geometry of Binary Neural Networks
#
# An executable edition of the paper by Alexander G. Anderson and Cory P. Berg
# {cite}`anderson2017`.
#
# A neural network can be trained although each of its weights and hidden activations is +1 or −1.
# The paper says why: in many dimensions, **binarizing a vector hardly turns it**. A vector of
# {glue:text}`n` uniform entries is turned by {glue:text}`angle:.1f`°; a random direction is as near
# to it with a probability of {glue:text}`nearer` ({numref}`fig-two-angles`). This book runs the
# argument, claim by claim. The geometry of random vectors holds as stated, but for directions of
# few entries. In the paper's network the dot products with binary and with
# {term}`latent weights <latent weight>` agree better than before training in all layers but
# {glue:text}`but`; that this *explains* why such networks work is **{glue:text}`because`**.

# %% tags=["parameters"]
preset = "book"  # which executed chapters to read: smoke, book or paper

# %% tags=["remove-input"]
import pandas as pd
from IPython.display import display

from bnn_geometry.book import ledger, ledger_page, ledger_table, plots
from bnn_geometry.book.display import glue, scientific, show
from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.distributions import UNIFORM
from bnn_geometry.geometry.pair_angle import pair_angle_cdf, pair_angle_sd

dimensions = [2, 3, 5, 7, 10, 15, 20, 27, 40, 60, 100, 200, 500, 1000, 2000, 5000, 10_000]
curves = {
    "vector and its binarization": pd.DataFrame(
        {"mean": mean_angle(UNIFORM, n), "sd": angle_sd(UNIFORM, n)} for n in dimensions
    ),
    "two random vectors": pd.DataFrame(
        {"mean": 90.0, "sd": pair_angle_sd(n, UNIFORM)} for n in dimensions
    ),
}
curves = {label: found.set_axis(dimensions) for label, found in curves.items()}
figure, [[ax]] = plots.new_figure(height=3.4)
plots.series(curves, ax)
ax.set(xlabel="dimension n", ylabel="angle (degrees)", ylim=(0, 140))
plots.log_axis(ax, "x", [2, 10, 100, 1000, 10_000])
ax.legend()
show(
    figure,
    "fig-two-angles",
    "The paper in one picture: the angle between a vector with uniform entries and its "
    "binarization, and between two such vectors, with their standard deviations, by the laws of "
    "{doc}`random_vectors`.",
    alt="Two bands against the dimension on a logarithmic axis: one settles at 30 degrees, the "
    "other at 90, both narrowing; they overlap below ten dimensions and are far apart above "
    "thirty.",
)

# %% tags=["remove-input"]
rows = {row.claim.id: row for row in ledger.ledger(preset)}
nearer = float(pair_angle_cdf(mean_angle(UNIFORM, 100), 100))
assert nearer < 1e-12
glue(n=100, angle=mean_angle(UNIFORM, 100), nearer=scientific(nearer))
glue(because=rows["because-of-geometry"].verdict)
for claim in ("quasi-orthogonal", "angle-limit", "angle-spread", "separation"):
    assert rows[claim].verdict == "holds", claim
far = [r.note for r in rows["expressive"].best.records if r.measured > 60]
assert far
assert all(note.startswith(("an axis", "a tenth of the entries")) for note in far)
dots = rows["dot-products"]
weaker = [r.note.split(",")[0] for r in dots.best.records if not dots.claim.rule.met(r)]
assert 0 < len(set(weaker)) < 3
glue(but=" and ".join(dict.fromkeys(layer.removeprefix("layer ") for layer in weaker)))

# %% [markdown]
# ## The board
#
# Every claim of the paper with its verdict, by rules and records that the {doc}`ledger <claims>`
# shows.

# %% tags=["full-width", "remove-input"]
found = list(rows.values())
board = {"text/html": ledger_page.board(found), "text/plain": ledger_table.as_text(found)}
display(board, raw=True)

# %% [markdown]
# ## How to read, rerun and cite
#
# {doc}`theory`, {doc}`random_vectors`, {doc}`training`, {doc}`dot_products`,
# {doc}`learning_dynamics` and {doc}`pretrained` are one line of thought; {doc}`one_bit_codes` and
# {doc}`architectures` take it to vector search and to other networks. Each begins with its answer.
# Conclusions rest on *published runs*, trainings whose records come with the book, most with their
# network; what a build trains itself is shown under *Yours*. Figures say which images they show.
# The code is folded above each. For your own network there is {doc}`probe_your_network`.
#
# Any chapter runs again with other parameters, as a notebook (the arrow at its top) or by
#
# ```bash
# bnn-geometry run-chapter random_vectors -p samples 100000
# ```
#
# {doc}`reproducing` says on what this copy was built. Cite the paper {cite}`anderson2017` for its
# claims, and `CITATION.cff` for the book. A longer text by the same authors {cite}`anderson2018`
# adds ternary networks; it is not quoted here as this paper.
