# ---
# jupyter:
#   sphinx_papermill:
#     after: [random_vectors, training, dot_products, learning_dynamics, pretrained]
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
# # The ledger of claims
#
# Each claim of the paper {cite}`anderson2018` is a row of the table below. The chapters before
# this one noted what they measured; this one runs last, reads their notes from the executed
# notebooks, and judges each claim by a rule that was written down beforehand, in the file
# `claims.toml` beside the chapters.
#
# Under each claim stands who stated it and where: **P** the paper, **A** its authors' code or the
# abstract of its longer version, **D** this book, derived. A value in the column *Paper* stands in
# the paper; where that names none, the column is empty, whatever this book measured.
#
# *This build* shows the value that was measured with its standard error, where it has one, and
# the images it was measured on. Where several layers or dimensions were measured, it is the one
# that speaks most against the claim. The rule stands under the verdict:
#
# - an *interval* in which the value must lie;
# - an *ordering*: a value must exceed another by more than some standard errors;
# - an *equality* with theory, within some standard errors;
# - *exact* equality.
#
# A claim **holds** if every measurement keeps its rule. It **does not hold** if none keeps even
# the weaker rule, where there is one, and between the two it **holds in part**. **Not measured
# here** means that no chapter has measured it. The paper names no bounds for
# the intervals; they are this book's choice, with the reason in brackets.
#
# The verdict is on what was trained and measured while this book was built. *Published run* is
# about networks that were trained beforehand, wider and longer than a build may take, and come with
# the book ({doc}`training`): the same rule, its verdict, what speaks most against the claim, and
# the folder of the run.

# %% tags=["parameters"]
preset = "book"  # which executed chapters to read: smoke, book or paper

# %% [markdown]
# ## The table

# %% tags=["full-width"]
from IPython.display import display

from bnn_geometry.book import claims, ledger, ledger_table
from bnn_geometry.book.display import glue

rows = ledger.ledger(preset)
table = {"text/html": ledger_table.as_html(rows), "text/plain": ledger_table.as_text(rows)}
display(table, raw=True)

# %%
counts = ledger.counts(rows)
glue("claims", len(rows))
glue("holds", counts[claims.HOLDS])
glue("in-part", counts[claims.IN_PART])
glue("fails", counts[claims.FAILS])
glue("not-measured", counts[claims.NOT_MEASURED])
glue("unexpected", sum(row.expected not in (None, row.verdict) for row in rows))
glue("used-preset", preset)

# %% [markdown]
# Of {glue:text}`claims` claims, {glue:text}`holds` hold at preset {glue:text}`used-preset`,
# {glue:text}`in-part` hold in part, {glue:text}`fails` do not hold and {glue:text}`not-measured`
# are not measured here. For each row the file `claims.toml` also names the verdict expected at
# this preset and with this kind of images, where one is known; {glue:text}`unexpected` verdicts
# differ from it. A difference is shown in its row, and one in the small networks that the tests
# train turns the tests red.
#
# The same table, for programs: `bnn-geometry claims --json`.
