"""The ledger: verdicts, as the command prints them and as the page shows them."""

from __future__ import annotations

import json

import nbformat
import pytest
from notebooks_under_test import NOTEBOOKS, PARAMETERS

from bnn_geometry import cli
from bnn_geometry.book import claims, ledger, ledger_table
from bnn_geometry.book.claims import FAILS, HOLDS, IN_PART, NOT_MEASURED, Claim, Rule
from bnn_geometry.book.records import Record
from bnn_geometry.errors import UserError

PRESET = PARAMETERS["preset"]
CLAIM = Claim(
    "x", "X.", "P", "", "", "", "x", Rule("interval", low=1), Rule("interval", low=0.5), "one"
)


@pytest.fixture
def judged(tmp_path):
    """What the ledger says of the claim, when chapter one noted these records."""

    def judge(*noted: Record, known: tuple[Claim, ...] = (CLAIM,)) -> ledger.Row:
        outputs = [
            nbformat.v4.new_output("display_data", metadata={"bnn_geometry": {"claim": vars(r)}})
            for r in noted
        ]
        cell = nbformat.v4.new_code_cell(outputs=outputs)
        notebook = nbformat.v4.new_notebook(cells=[cell])
        (tmp_path / "one.ipynb").write_text(nbformat.writes(notebook))
        rows = ledger.ledger("smoke", folder=tmp_path, claims={c.id: c for c in known})
        return rows[0]

    return judge


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
    found, weakest = ledger.judge(CLAIM, [Record("x", measured=v) for v in values])
    assert found == expected
    assert (weakest.measured if weakest else None) == shown


def test_the_ledger_reads_what_the_chapters_noted(judged):
    row = judged()
    assert (row.verdict, row.kind, row.expected) == (NOT_MEASURED, None, None)
    row = judged(Record("x", 2.0), Record("x", 0.0, kind="folder", data="C"))
    assert (row.verdict, row.kind, row.data) == (IN_PART, "folder", "C")
    # of two kinds of data the lesser counts
    row = judged(
        Record("x", 2.0, kind="official", data="A"), Record("x", 2.0, kind="stand-in", data="B")
    )
    assert (row.kind, row.data) == ("stand-in", "A; B")


@pytest.mark.parametrize("noted", ["y", "unknown"])
def test_a_note_of_another_chapters_claim_is_refused(judged, noted):
    other = Claim("y", "Y.", "P", "", "", "", "y", Rule("exact"), chapter="two")
    with pytest.raises(UserError, match=f"Chapter one recorded '{noted}'"):
        judged(Record(noted, True), known=(CLAIM, other))


def test_a_published_run_is_judged_apart_from_this_build(judged):
    row = judged(
        Record("x", 2.0, kind="stand-in", data="B"),
        Record("x", 0.25, kind="folder", data="A", run="wide", note="layer fc1"),
    )
    assert (row.verdict, row.kind, row.data, len(row.records)) == (HOLDS, "stand-in", "B", 1)
    assert row.published_verdict == (FAILS, row.published[0])
    (record,) = ledger_table.as_records([row])
    assert record["published"]["verdict"] == FAILS
    assert (record["measured"], record["published"]["measured"]) == (2.0, 0.25)
    page = ledger_table.as_html([row])
    assert "<code>wide</code>" in page
    assert f"<strong>0.25</strong><br>{FAILS}<br>layer fc1<br>A<br>" in page


def test_without_a_published_run_its_column_is_empty(judged):
    rows = [judged(Record("x", 2.0))]
    assert ledger_table.as_records(rows)[0]["published"] is None
    assert ledger_table.as_html(rows).count("—") == 3  # that one, theory and paper


def test_values_are_printed_to_their_uncertainty():
    for values, text in {
        (-0.49871, 0.0023): "−0.4987 ± 0.0023",
        (38.14, 0.31): "38.14 ± 0.31",
        (38.14, 12.0): "38 ± 12",
        (0.73219,): "0.732",
        (0.0, 0.0): "0",
        (1.234e-9, 2e-11): "1.23e−09 ± 2.00e−11",
        (True,): "yes",
        (False, None): "no",
    }.items():
        assert ledger_table.format_value(*values) == text


def test_the_table_shows_no_markup_of_its_texts(judged):
    note = "<b>, ∝ n^(−1/2) of w^b"
    page = ledger_table.as_html([judged(Record("x", 2.0, note=note, figure="fig-one"))])
    assert "<b>" not in page
    assert "∝ n<sup>−1/2</sup> of w<sup>b</sup>" in page
    assert '<a href="one.html#fig-one">' in page
    assert f"<strong>{HOLDS}</strong>" in page
    assert "overflow-x: auto" in page


def test_the_verdicts_are_the_expected_ones():
    """By the reference notebooks, executed at preset smoke on the stand-ins."""
    rows = ledger.ledger(PRESET, folder=NOTEBOOKS)
    assert {r.claim.id: r.verdict for r in rows} == {r.claim.id: r.expected for r in rows}
    assert sum(ledger.counts(rows).values()) == len(rows)


def test_the_command_prints_the_ledger(capsys, monkeypatch):
    monkeypatch.setenv("BNN_EXECUTED", str(NOTEBOOKS))
    assert cli.main(["claims", "--preset", PRESET, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(claims.load())
    assert set(rows[0]) >= {
        "id", "stated_by", "paper", "theory", "measured", "uncertainty", "preset", "data",
        "verdict", "chapter",
    }  # fmt: skip
    assert rows[0]["verdict"] == HOLDS
    assert cli.main(["claims", "--preset", PRESET]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(claims.load())


def test_the_command_says_when_nothing_was_built(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_EXECUTED", str(tmp_path))
    assert cli.main(["claims", "--preset", "book"]) == 1
    assert "Nothing has been built with preset book yet" in capsys.readouterr().err
    assert cli.main(["claims", "--preset", "huge"]) == 1
    assert "Unknown preset" in capsys.readouterr().err
