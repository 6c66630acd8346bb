"""The ledger: its rules, its completeness, and the verdicts at smoke on the stand-ins."""

from __future__ import annotations

import json
import math
import re

import jupytext
import nbformat
import pandas as pd
import pytest
from notebooks_under_test import CHAPTERS, NOTEBOOKS, PARAMETERS, ROOT

from bnn_geometry import cli
from bnn_geometry.book import claims, ledger_table
from bnn_geometry.book.claims import FAILS, HOLDS, IN_PART, NOT_MEASURED, Claim, Record, Rule
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.errors import UserError

IDS = [
    "ste", "quasi-orthogonal", "angle-limit", "angle-spread", "separation", "expressive",
    "dot-products", "low-dimension-weaker", "activations", "mnist", "informative-directions",
    "accuracy", "scale-invariance", "substituted-gradient", "steady-state", "noise-model",
    "pretrained",
]  # fmt: skip
"""Every claim of the paper that was found in its text, in its order."""

PRESET = PARAMETERS["preset"]
LEDGER = ROOT / "book" / "claims.py"
SOURCES = {p.stem: p.read_text(encoding="utf-8") for p in CHAPTERS}


def recorded(text: str) -> set[str]:
    return set(re.findall(r'\brecord(?:_layers)?\(\s*"([^"]*)"', text))


def rules(**rule):
    partial = rule.pop("partial", None)
    return Claim("x", "X.", "P", "", "", "", "x", Rule(**rule), partial and Rule(**partial), "one")


def verdict(claim, *records):
    return claims.judge(claim, [Record("x", **r) for r in records])[0]


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, HOLDS), (2, HOLDS), (math.nextafter(2, 3), IN_PART), (0.99, IN_PART), (3, IN_PART),
     (0, IN_PART), (3.01, FAILS), (-0.01, FAILS)],
)  # fmt: skip
def test_an_interval_holds_up_to_its_ends(value, expected):
    outer = {"kind": "interval", "low": 0, "high": 3}
    claim = rules(kind="interval", low=1, high=2, partial=outer)
    assert verdict(claim, {"measured": value}) == expected


def test_an_interval_may_be_open():
    assert verdict(rules(kind="interval", low=0.5), {"measured": 1e9}) == HOLDS
    assert verdict(rules(kind="interval", high=0.5), {"measured": -1e9}) == HOLDS


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.21, HOLDS), (1.2, FAILS), (1.0, FAILS), (0.0, FAILS)],
)
def test_an_ordering_asks_for_more_than_z_errors(value, expected):
    claim = rules(kind="ordering", above=1, z=2)
    # 0.125 and 1.25 in place of 0.1 and 1.2: numbers that binary fractions hold exactly
    value, error = {1.21: (1.2501, 0.125), 1.2: (1.25, 0.125)}.get(value, (value, 0.125))
    assert verdict(claim, {"measured": value, "uncertainty": error}) == expected


def test_a_tie_orders_nothing():
    assert verdict(rules(kind="ordering"), {"measured": 0.0, "uncertainty": 0.0}) == FAILS


@pytest.mark.parametrize(
    ("value", "expected"), [(1.0, HOLDS), (1.5, HOLDS), (0.5, HOLDS), (1.51, FAILS), (0.49, FAILS)]
)
def test_an_equality_allows_z_errors_to_both_sides(value, expected):
    claim = rules(kind="equality", z=2)
    assert verdict(claim, {"measured": value, "uncertainty": 0.25, "theory": 1.0}) == expected


def test_an_equality_without_error_is_one_of_numbers():
    claim = rules(kind="equality", z=4)
    assert verdict(claim, {"measured": 1.0, "uncertainty": 0.0, "theory": 1.0}) == HOLDS
    assert verdict(claim, {"measured": 1.1, "uncertainty": 0.0, "theory": 1.0}) == FAILS


def test_exact_is_true_or_false():
    assert verdict(rules(kind="exact"), {"measured": True}) == HOLDS
    assert verdict(rules(kind="exact"), {"measured": False}) == FAILS


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ({"kind": "exact"}, {"measured": 1.0}),
        ({"kind": "interval", "low": 0}, {"measured": True}),
        ({"kind": "ordering"}, {"measured": 1.0}),
        ({"kind": "equality", "z": 2}, {"measured": 1.0, "theory": 1.0}),
        ({"kind": "equality", "z": 2}, {"measured": 1.0, "uncertainty": 1.0}),
    ],
)
def test_a_rule_refuses_what_it_cannot_judge(rule, values):
    with pytest.raises(UserError, match="The claim 'x'"):
        verdict(rules(**rule), values)


@pytest.mark.parametrize(
    ("values", "expected", "shown"),
    [
        ([3, 1, 2], HOLDS, 1),
        ([3, 0, -2], IN_PART, -2),
        ([-1, -3, -2], FAILS, -3),
        ([0.5, 3], IN_PART, 0.5),
        ([0.5, -3], IN_PART, -3),
        ([], NOT_MEASURED, None),
    ],
)
def test_of_several_records_the_weakest_is_shown(values, expected, shown):
    claim = rules(kind="interval", low=1, partial={"kind": "interval", "low": 0.5})
    found, weakest = claims.judge(claim, [Record("x", measured=v) for v in values])
    assert found == expected
    assert (weakest.measured if weakest else None) == shown


# --- what a chapter notes -------------------------------------------------------------------------


@pytest.fixture
def displayed(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, raw, metadata: seen.append((data, metadata["bnn_geometry"]["claim"])),
    )
    return seen


def provenance(source: str = "stand-in", title: str = "stand-in: photographs") -> Provenance:
    return Provenance("cifar10", source, title, "", None, "0" * 64, 1, 1)


def test_a_record_is_a_note_without_visible_content(displayed):
    claims.record(
        "mnist", 0.91234567, uncertainty=0.01, preset="smoke", data=provenance(), note="layer fc1"
    )
    ((data, note),) = displayed
    assert data == {claims.MIME: "mnist"}
    assert json.loads(json.dumps(note)) == note
    assert note["measured"] == 0.912346
    assert (note["kind"], note["data"]) == ("stand-in", "stand-in: photographs")


def test_a_layer_is_a_record(displayed):
    table = pd.DataFrame({"n": [27, 8192], "r": [0.75, 0.5]}, index=["conv1", "fc1"])
    claims.record_layers("mnist", table, preset="smoke", figure="fig-x")
    assert [(note["measured"], note["note"]) for _, note in displayed] == [
        (0.75, "layer conv1, n = 27"),
        (0.5, "layer fc1, n = 8,192"),
    ]
    assert {(note["claim"], note["figure"]) for _, note in displayed} == {("mnist", "fig-x")}


def test_numbers_of_numpy_become_plain_ones(displayed):
    import numpy as np

    claims.record("ste", np.bool_(True), preset="smoke")
    claims.record("mnist", np.float32(0.5), preset="smoke")
    assert [note["measured"] for _, note in displayed] == [True, 0.5]
    assert [type(note["measured"]) for _, note in displayed] == [bool, float]
    assert displayed[0][1]["kind"] == "none"


def test_an_unknown_claim_is_refused(displayed):
    with pytest.raises(UserError, match=r"no claim 'dot-product' in claims\.toml; there is ste, "):
        claims.record("dot-product", 1.0, preset="smoke")
    assert not displayed


@pytest.mark.parametrize(
    "values",
    [
        {"measured": math.nan},
        {"measured": math.inf},
        {"measured": 0.9, "uncertainty": math.nan},
        {"measured": 0.9, "uncertainty": -1.0},
        {"measured": 0.9, "theory": math.inf},
    ],
)
def test_what_is_no_result_is_refused(displayed, values):
    with pytest.raises(ValueError, match=r"ledger|negative"):
        claims.record("mnist", preset="smoke", **values)
    assert not displayed


# --- reading and judging notebooks ----------------------------------------------------------------


def notebook(path, *records: Record):
    outputs = [
        nbformat.v4.new_output("display_data", metadata={"bnn_geometry": {"claim": vars(r)}})
        for r in records
    ]
    cell = nbformat.v4.new_code_cell(outputs=outputs)
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))


def test_the_ledger_reads_what_the_chapters_noted(tmp_path):
    known = {"x": rules(kind="interval", low=1)}
    (row,) = claims.ledger("smoke", folder=tmp_path, claims=known)
    assert (row.verdict, row.kind, row.expected) == (NOT_MEASURED, None, None)
    notebook(tmp_path / "one.ipynb", Record("x", 2.0), Record("x", 0.5, kind="folder", data="C"))
    (row,) = claims.ledger("smoke", folder=tmp_path, claims=known)
    assert (row.verdict, row.kind, row.data) == (IN_PART, "folder", "C")


def test_of_two_kinds_of_data_the_lesser_counts(tmp_path):
    notebook(
        tmp_path / "one.ipynb",
        Record("x", 2.0, kind="official", data="A"),
        Record("x", 2.0, kind="stand-in", data="B"),
    )
    (row,) = claims.ledger("smoke", folder=tmp_path, claims={"x": rules(kind="interval", low=1)})
    assert (row.kind, row.data) == ("stand-in", "A; B")


def test_a_published_run_is_judged_apart_from_this_build(tmp_path):
    notebook(
        tmp_path / "one.ipynb",
        Record("x", 2.0, kind="stand-in", data="B"),
        Record("x", 0.5, kind="folder", data="A", run="wide", note="layer fc1"),
    )
    known = {"x": rules(kind="interval", low=1)}
    (row,) = claims.ledger("smoke", folder=tmp_path, claims=known)
    assert (row.verdict, row.kind, row.data, len(row.records)) == (HOLDS, "stand-in", "B", 1)
    assert row.published_verdict == (FAILS, row.published[0])
    (record,) = ledger_table.as_records([row])
    assert record["published"]["verdict"] == FAILS
    assert (record["measured"], record["published"]["measured"]) == (2.0, 0.5)
    page = ledger_table.as_html([row])
    assert "<code>wide</code>" in page
    assert f"<strong>0.5</strong><br>{FAILS}<br>layer fc1<br>A<br>" in page


def test_without_a_published_run_its_column_is_empty(tmp_path):
    notebook(tmp_path / "one.ipynb", Record("x", 2.0))
    rows = claims.ledger("smoke", folder=tmp_path, claims={"x": rules(kind="interval", low=1)})
    assert ledger_table.as_records(rows)[0]["published"] is None
    assert ledger_table.as_html(rows).count("—") == 3  # that one, theory and paper


@pytest.mark.parametrize("noted", ["y", "unknown"])
def test_a_note_of_another_chapters_claim_is_refused(tmp_path, noted):
    other = Claim("y", "Y.", "P", "", "", "", "y", Rule("exact"), chapter="two")
    notebook(tmp_path / "one.ipynb", Record(noted, True))
    with pytest.raises(UserError, match=f"Chapter one recorded '{noted}'"):
        claims.ledger(
            "smoke", folder=tmp_path, claims={"x": rules(kind="interval", low=1), "y": other}
        )


@pytest.mark.parametrize("text", ["", "{}", "[", '{"cells": 1'])
def test_a_damaged_notebook_is_a_sentence(tmp_path, text):
    (tmp_path / "one.ipynb").write_text(text)
    with pytest.raises(UserError, match="is not an executed chapter"):
        claims.ledger("smoke", folder=tmp_path, claims={"x": rules(kind="interval", low=1)})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((-0.49871, 0.0023), "−0.4987 ± 0.0023"),
        ((38.14, 0.31), "38.14 ± 0.31"),
        ((38.14, 12.0), "38 ± 12"),
        ((0.73219,), "0.732"),
        ((0.0, 0.0), "0"),
        ((1.234e-9, 2e-11), "1.23e−09 ± 2.00e−11"),
        ((True,), "yes"),
        ((False,), "no"),
    ],
)
def test_values_are_printed_to_their_uncertainty(values, text):
    assert ledger_table.format_value(*values) == text


def test_the_table_shows_no_markup_of_its_texts(tmp_path):
    note = "<b>, ∝ n^(−1/2) of w^b"
    notebook(tmp_path / "one.ipynb", Record("x", 2.0, note=note, figure="fig-one"))
    rows = claims.ledger("smoke", folder=tmp_path, claims={"x": rules(kind="interval", low=1)})
    page = ledger_table.as_html(rows)
    assert "<b>" not in page
    assert "∝ n<sup>−1/2</sup> of w<sup>b</sup>" in page
    assert '<a href="one.html#fig-one">' in page
    assert f"<strong>{HOLDS}</strong>" in page
    assert "overflow-x: auto" in page


# --- claims.toml ----------------------------------------------------------------------------------


def test_every_claim_has_its_row():
    assert list(claims.load()) == IDS


@pytest.mark.parametrize("name", IDS)
def test_a_row_says_all_it_must(name):
    claim = claims.load()[name]
    assert claim.claim.endswith(".")
    assert set(re.findall(r"\b[A-Z]\b", claim.stated_by)) <= set(claims.STATED_BY)
    assert claim.stated_by[0] in claims.STATED_BY
    assert claim.quantity
    # the ends of an interval are a choice, and a choice has a reason
    assert bool(claim.why) == (claim.rule.kind == "interval")
    # a value that the paper does not state is never printed as the paper's
    assert not claim.paper or "P" in claim.stated_by
    assert not re.search(r"\d°|\d %|0\.\d", claim.paper.replace("−0.5", ""))


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
        own = {claim.id for claim in rows if claim.chapter == chapter}
        assert recorded(text) == own, f"{chapter}.py and claims.toml disagree"
    assert {claim.chapter for claim in rows} - {""} <= set(SOURCES)


def test_every_figure_that_a_row_links_to_is_in_its_chapter():
    for text in SOURCES.values():
        shown = set(re.findall(r'\bname="(fig-[\w-]+)"', text))
        assert set(re.findall(r'\bfigure="(fig-[\w-]+)"', text)) <= shown


def test_the_ledger_comes_after_every_chapter_that_records():
    # in reading order, however the contents are divided into parts
    files = re.findall(r"file: (\S+)", (ROOT / "_toc.yml").read_text())
    declared = jupytext.read(LEDGER).metadata["sphinx_papermill"]
    rows = claims.load().values()
    assert {claim.chapter for claim in rows if claim.chapter in files} <= set(declared["after"])
    assert set(declared["after"]) <= set(files[: files.index("claims")])
    assert declared["files"] == ["claims.toml"]


# --- the verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_the_verdict_is_the_expected_one(name):
    """By the reference notebooks, executed at preset smoke on the stand-ins."""
    rows = {row.claim.id: row for row in claims.ledger(PRESET, folder=NOTEBOOKS)}
    row = rows[name]
    assert row.verdict == row.expected, f"{name}: {row.records}"


# --- bnn-geometry claims --------------------------------------------------------------------------


def test_the_command_prints_the_ledger(capsys, monkeypatch):
    monkeypatch.setenv("BNN_EXECUTED", str(NOTEBOOKS))
    assert cli.main(["claims", "--preset", PRESET, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == IDS
    assert set(rows[0]) >= {
        "id", "stated_by", "paper", "theory", "measured", "uncertainty", "preset", "data",
        "verdict", "chapter",
    }  # fmt: skip
    assert rows[0]["verdict"] == HOLDS
    assert cli.main(["claims", "--preset", PRESET]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == IDS


def test_the_command_says_when_nothing_was_built(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_EXECUTED", str(tmp_path))
    assert cli.main(["claims", "--preset", "book"]) == 1
    assert "Nothing has been built with preset book yet" in capsys.readouterr().err
    assert cli.main(["claims", "--preset", "huge"]) == 1
    assert "Unknown preset" in capsys.readouterr().err
