"""The ledger: verdicts, as the command prints them and as the page shows them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date

import nbformat
import pytest
from notebooks_under_test import NOTEBOOKS, PARAMETERS

from bnn_geometry import cli
from bnn_geometry.book import claims, ledger, ledger_page, ledger_table
from bnn_geometry.book.claims import (
    FAILS,
    HOLDS,
    IN_PART,
    NOT_ESTABLISHED,
    NOT_MEASURED,
    Claim,
    Rule,
)
from bnn_geometry.book.records import Record
from bnn_geometry.errors import UserError

PRESET = PARAMETERS["preset"]
SINCE = date(2026, 11, 22)
CLAIM = Claim(
    "x", "x is large", "X.", "observation", "P", "", "x", Rule("interval", low=1), SINCE, "less",
    partial=Rule("interval", low=0.5), chapter="one",
)  # fmt: skip


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


def test_of_several_records_the_adverse_ones_come_first_and_decide():
    for values, expected, ranked in (
        ([3, 1, 2], HOLDS, (1, 2, 3)),
        ([3, 0, -2], IN_PART, (-2, 0, 3)),
        ([-1, -3, -2], FAILS, (-3, -2, -1)),
        ([0.5, 3], IN_PART, (0.5, 3)),
        ([0.5, -3], IN_PART, (-3, 0.5)),
        ([], NOT_MEASURED, ()),
    ):
        found = ledger.judge(CLAIM, [Record("x", measured=v) for v in values])
        assert found.verdict == expected
        assert tuple(entry.measured for entry in found.records) == ranked
        assert found.shown == (found.records[0] if ranked else None)


def test_an_explanation_some_of_whose_tests_fail_is_not_established():
    reason = replace(CLAIM, kind="explanation", rule=Rule("exact"), partial=None)
    for values, expected in (
        ([True, True], HOLDS),
        ([True, False], NOT_ESTABLISHED),
        ([False, False], FAILS),
    ):
        assert ledger.judge(reason, [Record("x", v) for v in values]).verdict == expected


def test_the_ledger_reads_what_the_chapters_noted(judged):
    row = judged()
    assert (row.verdict, row.data_kind, row.expected, row.evidence) == (NOT_MEASURED, None, {}, "")
    row = judged(Record("x", 2.0), Record("x", 0.0, kind="folder", data="C"))
    assert (row.verdict, row.data_kind, row.evidence) == (IN_PART, "folder", "this build")
    # of two kinds of data the lesser counts
    row = judged(Record("x", 2.0, kind="official"), Record("x", 2.0, kind="stand-in"))
    assert row.data_kind == "stand-in"


@pytest.mark.parametrize("noted", ["y", "unknown"])
def test_a_note_of_another_chapters_claim_is_refused(judged, noted):
    other = replace(CLAIM, id="y", chapter="two")
    with pytest.raises(UserError, match=f"Chapter one recorded '{noted}'"):
        judged(Record(noted, True), known=(CLAIM, other))


def test_the_verdict_rests_on_published_runs_and_the_build_stands_beside(judged):
    known = replace(
        CLAIM, expected={"published": HOLDS, "smoke": {"stand-in": HOLDS, "folder": FAILS}}
    )
    row = judged(
        Record("x", 2.0, kind="stand-in", data="B"),
        Record("x", 0.25, kind="folder", data="A", run="wide", note="layer fc1"),
        known=(known,),
    )
    assert (row.verdict, row.build.verdict, row.evidence) == (FAILS, HOLDS, "published: wide")
    assert row.unexpected == {"published": HOLDS}
    (record,) = ledger_table.as_records([row])
    assert (record["measured"], record["build"]["records"][0]["measured"]) == (0.25, 2.0)
    page = ledger_page.as_html([row])
    assert page.index("does not hold") < page.index("This build")
    assert "expected: holds" in page
    assert "<code>wide</code>" in page
    assert "expected" not in ledger_page.as_html([replace(row, claim=CLAIM)])


def test_the_strip_shows_value_null_interval_and_every_record():
    shown = Record("x", 0.8, null=0.9, against="untrained", interval=(0.7, 0.85), theory=0.6)
    drawn = ledger_page.strip(shown, [shown, Record("x", 1.0)])
    at = {what: float(re.search(f'class="{what}"[^>]*x1?="([0-9.]+)"', drawn)[1])
          for what in ("value", "interval", "theory")}  # fmt: skip
    assert at["theory"] == 8 < at["interval"] < at["value"] < 142
    assert drawn.count('class="tick"') == 2
    assert 'class="null"' in drawn
    assert 'aria-label="measured 0.8, untrained 0.9"' in drawn
    hollow = ledger_page.strip(replace(shown, kind="stand-in"), [shown])
    assert 'class="value hollow"' in hollow
    assert ledger_page.strip(Record("x", True), []) == ""


def test_the_tally_counts_by_kind(judged):
    row = judged(Record("x", 2.0))
    other = replace(row, claim=replace(CLAIM, kind="identity"))
    assert ledger_table.tally([row, row, other]) == ["identities: 1 holds", "observations: 2 hold"]
    assert ledger_page.board([row]).count('href="claims.html#claim-x"') == 1


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


def test_the_page_shows_no_markup_of_its_texts(judged):
    note = "<b>, ∝ n^(−1/2) of w^b, e^(−(n−1)/4)"
    row = judged(Record("x", 2.0, note=note, figure="fig-one", run="<i>"))
    page = ledger_page.as_html([row])
    assert "<b>" not in page
    assert "<i>" not in page
    assert "∝ n<sup>−1/2</sup> of w<sup>b</sup>, e<sup>−(n−1)/4</sup>" in page
    assert '<a href="one.html#fig-one">' in page
    assert '<a href="one.html#said-x">' in page


def test_what_every_record_shares_is_said_once_and_an_empty_column_not_at_all(judged):
    note = Record("x", 3.0, null=1.0, against="a stranger", uncertainty=0.1)
    page = ledger_page.as_html([judged(note, replace(note, measured=2.0, note="second"))])
    assert "In every row, which null: a stranger; from: this build; images: simulation." in page
    assert re.findall(r"<th\b[^>]*>(.*?)</th>", page) == ["what", "measured", "null"]
    assert page.count("a stranger") == 3  # there, and in the claim's line for eye and ear
    one = ledger_page.as_html([judged(note)])
    assert "In every row" not in one
    assert '<td class="words">a stranger</td>' in one
    # of a name with letters, the words
    stated = replace(CLAIM, stated_by="P; the angle D (uniform), A", where="section 2")
    said = "the paper; the angle by this book (uniform), its authors&#x27; code or longer version"
    assert f"{said}; section 2" in ledger_page.as_html([judged(note, known=(stated,))])


def test_the_verdicts_are_the_expected_ones():
    """By the reference notebooks, executed at preset smoke on the stand-ins."""
    rows = ledger.ledger(PRESET, folder=NOTEBOOKS)
    assert {r.claim.id: r.unexpected for r in rows if r.unexpected} == {}
    # no verdict that was measured goes without an expectation
    for row in rows:
        assert "build" in row.expected or not row.build.records
        assert "published" in row.expected or not row.published.records


def test_the_command_prints_the_ledger(capsys, monkeypatch):
    monkeypatch.setenv("BNN_EXECUTED", str(NOTEBOOKS))
    assert cli.main(["claims", "--preset", PRESET, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(claims.load())
    assert set(rows[0]) >= {
        "id", "kind", "verdict", "measured", "null", "interval", "records", "evidence", "rule",
        "rule_date", "chapter", "stated_by", "paper", "theory", "uncertainty", "preset", "data",
    }  # fmt: skip
    assert rows[0]["verdict"] == HOLDS
    assert cli.main(["claims", "--preset", PRESET]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(rows)]] == list(claims.load())
    assert lines[len(rows) + 1].startswith("identities: ")


def test_the_command_says_when_nothing_was_built(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BNN_EXECUTED", str(tmp_path))
    assert cli.main(["claims", "--preset", "book"]) == 1
    assert "Nothing has been built with preset book yet" in capsys.readouterr().err
    assert cli.main(["claims", "--preset", "huge"]) == 1
    assert "Unknown preset" in capsys.readouterr().err
