"""What a chapter notes for the ledger."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from bnn_geometry.book import records
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.errors import UserError


@pytest.fixture
def displayed(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, raw, metadata: seen.append((data, metadata["bnn_geometry"]["claim"])),
    )
    return seen


def test_a_record_is_a_note_without_visible_content(displayed):
    data = Provenance("cifar10", "stand-in", "stand-in: photographs", "", None, "0" * 64, 1, 1)
    records.record("accuracy", 0.91234567, uncertainty=0.01, preset="smoke", data=data, note="fc1")
    ((shown, note),) = displayed
    assert shown == {records.MIME: "accuracy"}
    note["interval"] = list(note["interval"])  # what JSON makes of a pair
    assert json.loads(json.dumps(note)) == note
    assert note["interval"] == pytest.approx([0.912346 - 0.0196, 0.912346 + 0.0196], abs=1e-6)
    assert note["measured"] == 0.912346
    assert (note["kind"], note["data"]) == ("stand-in", "stand-in: photographs")


def test_a_layer_is_a_record(displayed):
    table = pd.DataFrame({"n": [27, 8192], "r": [0.75, 0.5]}, index=["conv1", "fc1"])
    records.record_layers("accuracy", table, preset="smoke", figure="fig-x")
    assert [(note["measured"], note["note"]) for _, note in displayed] == [
        (0.75, "layer conv1, n = 27"),
        (0.5, "layer fc1, n = 8,192"),
    ]
    assert {(note["claim"], note["figure"]) for _, note in displayed} == {("accuracy", "fig-x")}


def test_a_layer_has_its_own_null_and_error(displayed):
    table = pd.DataFrame({"n": [27], "r": [0.75], "r_se": [0.01]}, index=["conv1"])
    null = pd.Series({"conv1": 0.5})
    records.record_layers("mnist", table, null=null, against="untrained network", preset="smoke")
    ((_, note),) = displayed
    assert (note["null"], note["against"], note["uncertainty"]) == (0.5, "untrained network", 0.01)


def test_numbers_of_numpy_become_plain_ones(displayed):
    records.record("ste", np.bool_(True), preset="smoke")
    records.record("accuracy", np.float32(0.5), preset="smoke")
    assert [note["measured"] for _, note in displayed] == [True, 0.5]
    assert [type(note["measured"]) for _, note in displayed] == [bool, float]
    assert displayed[0][1]["kind"] == "none"


def test_an_unknown_claim_and_what_its_rule_cannot_judge_are_refused(displayed):
    with pytest.raises(UserError, match=r"no claim 'dot-product' in claims\.toml; there is ste, "):
        records.record("dot-product", 1.0, preset="smoke")
    with pytest.raises(UserError, match="The claim 'ste' is judged by True or False"):
        records.record("ste", 1.0, preset="smoke")
    assert not displayed


@pytest.mark.parametrize(
    "values",
    [
        {"measured": math.nan},
        {"measured": 0.9, "uncertainty": math.inf},
        {"measured": 0.9, "uncertainty": -1.0},
        {"measured": 0.9, "theory": math.inf},
        {"measured": 0.9, "null": math.nan},
        {"measured": 0.9, "interval": (0.91, 0.95)},
        {"measured": 0.9, "interval": (0.8, math.inf)},
    ],
)
def test_what_is_no_result_is_refused(displayed, values):
    with pytest.raises(ValueError, match=r"ledger|negative|its interval"):
        records.record("accuracy", preset="smoke", **values)
    assert not displayed


@pytest.mark.parametrize(
    "text", ["", "{}", "[", "[]", '{"cells": 1', '{"cells": 1}', '{"cells": [1]}']
)
def test_a_damaged_notebook_is_a_sentence(tmp_path, text):
    path = tmp_path / "one.ipynb"
    assert records.read_records(path) == []  # it is not there
    path.write_text(text)
    with pytest.raises(UserError, match="is not an executed chapter"):
        records.read_records(path)
