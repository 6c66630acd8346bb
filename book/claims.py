# ---
# jupyter:
#   sphinx_papermill:
#     after: [random_vectors, training, dot_products, learning_dynamics, pretrained,
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
# # The ledger of claims
#
# {glue:text}`claims` claims of the paper {cite}`anderson2017`, each judged by a rule. The verdict
# rests on the best evidence there is: the published runs on real images where a claim is about
# trained networks, else the simulation of this build.
#
# {glue:text}`tally`
#
# Identities and theorems can fail only where the paper states them too widely. An *observation* has
# to exceed its null, what the same measurement gives where the claim has no part in it, or to lie
# in an interval that its row names. A claim **holds** if all its records keep its rule, and does
# not if none keeps even the weaker rule that some have; between the two it **holds in part**. An
# *explanation* between the two is **not established**: what it explains may well be seen.

# %% tags=["parameters"]
preset = "book"  # which executed chapters to read: smoke, book or paper

# %% tags=["full-width", "remove-input"]
from IPython.display import display

from bnn_geometry.book import ledger, ledger_page, ledger_table
from bnn_geometry.book.display import glue

rows = ledger.ledger(preset)
page = {"text/html": ledger_page.as_html(rows), "text/plain": ledger_table.as_text(rows)}
display(page, raw=True)

# %% tags=["remove-input"]
glue(claims=len(rows), tally="; ".join(ledger_table.tally(rows)) + ".")
unexpected = [row.claim.id for row in rows if row.unexpected]
glue(unexpected=", ".join(unexpected) or "none")

# %% [markdown]
# ## How to read a row
#
# The disc is the record that speaks most against the claim, hollow where its images are a
# {term}`stand-in`; the line through it a 95 % interval; the diamond its null; the dashes the
# theory; the ticks all records. A click, or the Enter key, opens the claim: its wording, who stated
# it, its rule, every record, and links to the sentence and the figure that it is about.
#
# The rules are this book's, fixed since 22 November 2026 while its chapters were written: they were
# not preregistered. A rule that was changed says when, and what changed it; what would overturn a
# verdict is such as would change it by its rule. Each row also has the
# verdict that is expected; those found otherwise in this build: {glue:text}`unexpected`.
#
# For programs: `bnn-geometry claims --json`.
