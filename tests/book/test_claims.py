"""The claims: their rules, the file that lists them, and the chapters that record them."""

from __future__ import annotations

import math
import re

import jupytext
import pytest
from notebooks_under_test import CHAPTERS, ROOT

from bnn_geometry.book import claims
from bnn_geometry.book.claims import Rule
from bnn_geometry.book.records import Record
from bnn_geometry.errors import UserError

IDS = [
    "ste", "quasi-orthogonal", "angle-limit", "angle-spread", "separation", "expressive",
    "angles-in-networks", "dot-products", "low-dimension-weaker", "activations", "mnist",
    "informative-directions", "because-of-geometry", "accuracy", "scale-invariance",
    "substituted-gradient", "steady-state", "noise-model", "pretrained",
    "other-architectures",
]  # fmt: skip
"""Every claim of the paper that was found in its text, in its order, and its outlook."""

SOURCES = {p.stem: p.read_text(encoding="utf-8") for p in CHAPTERS}


def kept_by(rule: Rule, *values: float, **known: float) -> list[bool]:
    return [rule.met(Record("x", value, **known)) for value in values]


# --- rules ----------------------------------------------------------------------------------------


def test_an_interval_holds_up_to_its_ends_and_may_be_open():
    rule = Rule("interval", low=1, high=2)
    assert kept_by(rule, 1, 2, math.nextafter(2, 3), 0.99) == [True, True, False, False]
    assert kept_by(Rule("interval", low=0.5), 1e9, 0.4) == [True, False]
    assert kept_by(Rule("interval", high=0.5), -1e9, 0.6) == [True, False]


def test_an_ordering_asks_for_more_than_z_errors_and_a_tie_orders_nothing():
    rule = Rule("ordering", above=1, z=2)
    assert kept_by(rule, 1.2501, 1.25, 1.0, 0.0, uncertainty=0.125) == [True, False, False, False]
    assert kept_by(Rule("ordering"), 0.0, uncertainty=0.0) == [False]


def test_an_equality_allows_z_errors_to_both_sides_and_without_error_none():
    known = {"uncertainty": 0.25, "theory": 1.0}
    values = (1.0, 1.5, 0.5, 1.51, 0.49)
    assert kept_by(Rule("equality", z=2), *values, **known) == [True, True, True, False, False]
    assert kept_by(Rule("equality", z=4), 1.0, 1.1, uncertainty=0.0, theory=1.0) == [True, False]


def test_a_null_is_exceeded_by_more_than_z_errors_and_a_tie_exceeds_nothing():
    rule = Rule("null", z=2)
    known = {"null": 0.5, "uncertainty": 0.125}
    assert kept_by(rule, 0.7501, 0.75, 0.5, 0.0, **known) == [True, False, False, False]
    assert kept_by(Rule("null"), 0.5, null=0.5, uncertainty=0.0) == [False]


def test_a_null_has_to_lie_below_the_interval_and_its_edge_does_not_count():
    rule = Rule("beyond")
    for low, holds in ((0.6, True), (0.5, False), (0.4, False)):
        assert kept_by(rule, 0.7, null=0.5, interval=(low, 0.8)) == [holds]


def test_exact_is_true_or_false():
    assert kept_by(Rule("exact"), True, False) == [True, False]


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (Rule("exact"), {"measured": 1.0}),
        (Rule("interval", low=0), {"measured": True}),
        (Rule("ordering"), {"measured": 1.0}),
        (Rule("null", z=2), {"measured": 1.0, "uncertainty": 1.0}),
        (Rule("null", z=2), {"measured": 1.0, "null": 1.0}),
        (Rule("beyond"), {"measured": 1.0, "null": 0.5}),
        (Rule("beyond"), {"measured": 1.0, "interval": (0.9, 1.1)}),
        (Rule("equality", z=2), {"measured": 1.0, "theory": 1.0}),
        (Rule("equality", z=2), {"measured": 1.0, "uncertainty": 1.0}),
    ],
)
def test_a_rule_refuses_what_it_cannot_judge(rule, values):
    with pytest.raises(UserError, match="The claim 'x'"):
        rule.margin(Record("x", **values))


# --- claims.toml ----------------------------------------------------------------------------------


def test_every_claim_has_its_row_and_a_row_says_all_it_must():
    known = claims.load()
    assert list(known) == IDS
    for claim in known.values():
        assert claim.claim.endswith(".")
        assert set(re.findall(r"\b[A-Z]\b", claim.stated_by)) <= set(claims.STATED_BY)
        assert claim.stated_by[0] in claims.STATED_BY
        assert claim.quantity
        assert claim.short
        assert claim.overturn
        # only what is seen has a null that it must exceed
        assert bool(claim.null) == (claim.rule.kind in ("null", "beyond")), claim.id
        # the ends of an interval are a choice, and a choice has a reason
        assert bool(claim.why) == (claim.rule.kind == "interval"), claim.id
        # a value that the paper does not state is never printed as the paper's
        assert not claim.paper or "P" in claim.stated_by
        assert not re.search(r"\d°|\d %|0\.\d", claim.paper.replace("−0.5", ""))


OUTLOOK = (
    "Furthermore, a better understanding of multilayer binary neural networks serves as a "
    "starting point for generalizing BNNs to other neural network architectures such as recurrent "
    "neural networks."
)
"""The last sentence of the paper's abstract."""


def test_the_outlook_is_the_papers_own_sentence():
    assert claims.load()["other-architectures"].claim == OUTLOOK
    page = " ".join(SOURCES["architectures"].replace("\n# ", " ").split())
    assert f"“{OUTLOOK}”" in page


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('id = "x"\nrule = {kind = "about"}', "a rule that is none"),
        ('id = "x"\nrule = {kind = "exact", z = 1}', "a rule that is none"),
        ('id = "x"\nrule = {kind = "interval"}', "without ends"),
        ('id = "x"\nrule = {kind = "exact"}', "missing"),
        ('id = "x"\nrule = {kind = "exact"}\ncolour = "red"', "colour"),
        ('id = "x', "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence(tmp_path, row, message):
    path = tmp_path / "claims.toml"
    path.write_text(f"[[claim]]\n{row}\n")
    with pytest.raises(UserError, match=message):
        claims.load(path)


# --- chapters and rows ----------------------------------------------------------------------------


def test_a_chapter_records_its_own_rows_and_all_of_them():
    rows = claims.load().values()
    for chapter, text in SOURCES.items():
        recorded = set(re.findall(r'\brecord(?:_layers)?\(\s*"([^"]*)"', text))
        own = {claim.id for claim in rows if claim.chapter == chapter}
        assert recorded == own, f"{chapter}.py and claims.toml disagree"
    assert {claim.chapter for claim in rows} - {""} <= set(SOURCES)


def test_every_figure_that_a_row_links_to_is_in_its_chapter():
    for text in SOURCES.values():
        linked = set(re.findall(r'\bfigure"?[=:] ?"(fig-[\w-]+)"', text))
        shown = set(re.findall(r'^ +(?:name=)?"(fig-[\w-]+)",$', text, re.M))
        assert linked <= shown


def test_the_ledger_comes_after_every_chapter_that_records():
    # in reading order, however the contents are divided into parts
    files = re.findall(r"file: (\S+)", (ROOT / "_toc.yml").read_text())
    declared = jupytext.read(ROOT / "book" / "claims.py").metadata["sphinx_papermill"]
    rows = claims.load().values()
    assert {claim.chapter for claim in rows if claim.chapter in files} <= set(declared["after"])
    assert set(declared["after"]) <= set(files[: files.index("claims")])
    assert declared["files"] == ["claims.toml"]
