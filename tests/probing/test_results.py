"""Measurements of dot products on disk."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from bnn_geometry import storage
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import BinaryLinear
from bnn_geometry.probing import dot_products, results

DATA = Provenance(
    "mnist", "official", "MNIST", "All of it.", "/somewhere", "0" * 64, 60_000, 10_000
)


@pytest.fixture(scope="module")
def found():
    generator = torch.Generator().manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), BinaryLinear(12, 5)).eval()
    torch.nn.init.uniform_(network[1].weight, -1, 1, generator=generator)
    images = torch.randint(0, 256, (40, 3, 2, 2), dtype=torch.uint8, generator=generator)
    statistics = dot_products.probe(network, images, (dot_products.WEIGHTS,))
    (layer,) = statistics["weights"]
    constant = dataclasses.replace(
        layer, layer="constant", r=np.nan, filter_r=np.array([np.nan, 0.5, 1, 0, -1])
    )
    return results.ProbeResults("a-run", "1" * 64, DATA, 40, {"weights": [layer, constant]})


def test_what_is_read_is_what_was_written(found, tmp_path):
    results.write(tmp_path / "m", found)
    again = results.read(tmp_path / "m")
    assert (again.run, again.of_sha256, again.images) == ("a-run", "1" * 64, 40)
    # the path says nothing on another machine
    assert again.data == dataclasses.replace(DATA, path=None)
    for before, after in zip(found.statistics["weights"], again.statistics["weights"], strict=True):
        for field in dataclasses.fields(before):
            np.testing.assert_array_equal(getattr(before, field.name), getattr(after, field.name))
        assert after.histogram.dtype == before.histogram.dtype


def test_json_has_a_row_for_each_layer_and_no_nan(found):
    said = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (said["run"], said["data"], said["images"]) == ("a-run", "MNIST", 40)
    first, constant = said["weights"]
    assert first["n"] == 12
    assert first["r"] == found.statistics["weights"][0].r
    assert constant["r"] is None


@pytest.mark.parametrize("name", [results.FILE, results.ARRAYS])
def test_what_was_edited_is_not_believed(found, tmp_path, name):
    results.write(tmp_path / "m", found)
    file = tmp_path / "m" / name
    content = bytearray(file.read_bytes())
    place = content.index(b"a-run") if name == results.FILE else len(content) - 1
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is not the file that probe.json describes"):
        results.read(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(bins=10**12), "cannot have 1000000000000 bins"),
        (lambda values: values.update(bins="many"), "cannot have 'many' bins"),
        (lambda values: values["statistics"]["weights"][0].update(layer="../x"), "row of '../x'"),
        (lambda values: values["statistics"]["weights"][0].update(r="high"), "makes no sense"),
        (lambda values: values["statistics"].update(weights=3), "cannot be read"),
        (lambda values: values["data"].update(title=3), "the title of images cannot be 3"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(found, tmp_path, change, message):
    results.write(tmp_path / "m", found)
    values = json.loads((tmp_path / "m" / results.FILE).read_text())
    del values["sha256"]
    change(values)
    storage.write_manifest(tmp_path / "m", results.FILE, values, [results.ARRAYS])
    with pytest.raises(UserError, match=message):
        results.read(tmp_path / "m")


def test_what_is_missing_or_something_else_is_a_sentence(found, tmp_path):
    with pytest.raises(UserError, match="There are no measurements of dot products in"):
        results.read(tmp_path / "nothing")
    results.write(tmp_path / "m", found)
    (tmp_path / "m" / results.FILE).write_text("{}")
    with pytest.raises(UserError, match=r"cannot be read: .* measure again with `bnn-geometry"):
        results.read(tmp_path / "m")
    with pytest.raises(UserError, match="choose another folder"):
        results.write(tmp_path / "m", found)
