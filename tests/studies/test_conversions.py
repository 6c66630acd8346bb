"""Ways to convert a network, their errors, and the published tables."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import generator, make
from tiny import tiny_dataset

from bnn_geometry import paths, training
from bnn_geometry.data.datasets import Split
from bnn_geometry.errors import UserError
from bnn_geometry.networks import batch_norm, conversion, inference, magnitudes
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.studies import pretrained as conversions
from bnn_geometry.training import making, recipes

ROOT = Path(__file__).parents[2]


def network():
    return make("mlp", "hardtanh")[0]


def split(count=40):
    shape = (count, 1, 28, 28)
    pixels = torch.randint(0, 256, shape, generator=generator(4), dtype=torch.uint8)
    return Split(pixels, torch.arange(count) % 10)


def weights(net):
    return [layer.weight for layer in weight_layers(net).values()]


def test_every_conversion_has_its_group_and_its_own_name():
    found = conversions.every(network())
    assert list(dict.fromkeys(c.group for c in found)) == list(conversions.GROUPS)
    assert len({(c.group, c.name) for c in found}) == len(found)
    layers = list(weight_layers(network()))
    for group in ("one layer", "from the first"):
        assert [c.name for c in found if c.group == group] == layers
    assert [c.name for c in found if c.group == "from the last"] == layers[::-1]


def test_conversions_do_what_they_are_called():
    net = network()
    by_name = {(c.group, c.name): c.apply(net) for c in conversions.every(net)}
    x = inference.scale_images(split().images)

    def scores(*name):
        with torch.no_grad():
            return by_name[name](x)

    with torch.no_grad():
        assert torch.equal(scores("parts", "nothing"), net(x))
        whole = conversion.binarize_network(net, activations=True)(x)
    assert torch.equal(scores("parts", "weights and activations"), whole)
    assert torch.equal(scores("from the first", "fc4"), whole)
    assert torch.equal(scores("from the last", "fc1"), whole)
    assert torch.equal(scores("from the first", "fc1"), scores("one layer", "fc1"))
    assert torch.equal(scores("from the last", "fc4"), scores("one layer", "fc4"))
    second = by_name["from the last", "fc2"]
    changed = [not torch.equal(a, b) for a, b in zip(weights(second), weights(net), strict=True)]
    assert changed == [False, True, True, True]
    for a, b in zip(
        weights(by_name["parts", "weights: α bin(w)"]),
        weights(by_name["magnitudes", "|w|^0"]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    # the controls turn as far as what they control
    for control, of in (
        ("random turn, as |w|^0", "|w|^0"),
        ("random turn, as dealt anew", "magnitudes dealt anew"),
    ):
        angles = [
            magnitudes.rotation_angles(net, by_name["magnitudes", name])["angle"]
            for name in (control, of)
        ]
        np.testing.assert_allclose(*angles, atol=1e-3)


def test_errors_are_those_of_the_changed_network_kept_and_refitted():
    net, test, images = network(), split(), split(60).images
    way = conversions.parts()[1]
    row = conversions.measure(net, way, images, test)
    changed = conversion.binarize_network(net)
    assert row["kept"] == training.evaluate(changed, test)
    assert row["refitted"] == training.evaluate(batch_norm.refit_batch_norm(changed, images), test)
    assert (row["group"], row["converted"], row["test_images"]) == ("parts", "weights: bin(w)", 40)
    angles = magnitudes.rotation_angles(net, changed)["angle"]
    assert row["angle"] == pytest.approx(angles.median())
    table = conversions.table(net, conversions.parts(), images, test)
    assert table.iloc[1].to_dict() == row
    assert table["angle"].tolist()[0] == 0


def test_percent_and_standard_errors_by_hand():
    table = pd.DataFrame(
        [("parts", "nothing", 0.0, 0.2, 0.5, 400)],
        columns=["group", "converted", "angle", "kept", "refitted", "test_images"],
    )
    row = conversions.in_percent(table).loc["nothing"]
    assert (row["kept"], row["refitted"]) == (20, 50)
    assert (row["kept_error"], row["refitted_error"]) == pytest.approx((2, 2.5))


# --- the published tables -------------------------------------------------------------------------


def published():
    rows = pd.DataFrame([("hardtanh", "parts", "nothing", 0.0, 0.2, 0.5, 400)])
    rows.columns = ["activation", "group", "converted", "angle", "kept", "refitted", "test_images"]
    short = pd.DataFrame([("scratch", 100, 0.001, 1, 0.9, 0.5)])
    short.columns = ["start", "images", "lr", "seed", "error_before", "test_error"]
    settings = {"continuous": "a", "binary": "b"}
    return conversions.Published(rows, short, settings, {"title": "Noise"}, {"torch": "1"})


def test_tables_come_back_as_they_were_written(tmp_path):
    conversions.write(tmp_path / "pretrained", published())
    found = conversions.read(tmp_path / "pretrained")
    pd.testing.assert_frame_equal(found.conversions, published().conversions)
    pd.testing.assert_frame_equal(found.fine_tuning, published().fine_tuning)
    assert (found.settings, found.data, found.versions) == (
        published().settings,
        published().data,
        published().versions,
    )


@pytest.mark.parametrize("name", [conversions.FILE, *conversions.TABLES])
def test_damaged_or_missing_tables_are_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match="There are no measurements of pretrained networks in"):
        conversions.read(tmp_path)
    conversions.write(tmp_path, published())
    path = tmp_path / name
    path.write_text(path.read_text().replace("0", "3", 1))
    with pytest.raises(UserError, match="it was damaged or edited"):
        conversions.read(tmp_path)


def test_published_tables_are_of_the_published_runs():
    found = conversions.read(paths.runs_root() / "pretrained")
    continuous, binary = (
        training.published_run(found.settings[k]) for k in ("continuous", "binary")
    )
    assert continuous.recipe == binary.recipe.with_(activation=continuous.recipe.activation)
    assert continuous.data["fingerprint"] == found.data["fingerprint"] == binary.data["fingerprint"]
    ways = {(c.group, c.name) for c in conversions.every(continuous.network())}
    table = found.conversions
    assert set(zip(table["group"], table["converted"], strict=True)) <= ways
    assert {"parts", "magnitudes"} <= set(table["group"])
    assert not table.duplicated(["activation", "group", "converted"]).any()
    assert table[["kept", "refitted"]].stack().between(0, 1).all()
    # the images that were measured are some of those that the run was evaluated on
    for run, activation in ((continuous, continuous.recipe.activation), (binary, "binary")):
        row = table[(table["activation"] == activation) & (table["converted"] == "nothing")].iloc[0]
        p = run.kept["test_error"]
        assert abs(row["kept"] - p) <= 4 * (p * (1 - p) / row["test_images"]) ** 0.5


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("pretrained_tool", ROOT / "tools/pretrained.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pretrained_tool", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small_runs(tool, monkeypatch, tmp_path):
    """Two tiny runs in the place of the published ones, and noise in that of CIFAR-10."""
    dataset = tiny_dataset()
    recipe = recipes.FAST_MNIST.with_(width=1 / 512, epochs=1, batch_size=20)
    for name, changes in (("continuous", {"activation": "hardtanh"}), ("binary", {})):
        making.make(tmp_path / "runs" / name, recipe.with_(**changes), dataset, seed=1)
    monkeypatch.setenv("BNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: dataset)
    return [
        *("--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")),
        *("--continuous", "continuous", "--binary", "binary", "--images", "20", "--refit", "20"),
        *("--fine-tune", "40", "--lr", "0.001"),
    ]


def test_tool_measures_everything_once_and_writes_the_tables(
    tool, small_runs, tmp_path, monkeypatch, capsys
):
    assert tool.main(small_runs) == 0
    found = conversions.read(tmp_path / "out")
    ways = conversions.every(training.published_run("continuous").network())
    assert found.conversions["converted"].tolist() == ["nothing", *(c.name for c in ways)]
    assert found.conversions["activation"].tolist() == ["binary"] + ["hardtanh"] * len(ways)
    assert found.fine_tuning["start"].tolist() == ["pretrained", "scratch"]
    assert found.fine_tuning["test_error"].between(0, 1).all()
    assert found.settings["test_images"] == 20

    def refuse(*args):
        raise AssertionError("measured again")

    monkeypatch.setattr(tool.conversions, "measure", refuse)
    rows = tmp_path / "work" / "rows.jsonl"
    rows.write_text(rows.read_text() + '{"key": "half a li')  # a call that was killed
    (tmp_path / "out" / "conversions.csv").unlink()
    assert tool.main(small_runs) == 0
    pd.testing.assert_frame_equal(conversions.read(tmp_path / "out").conversions, found.conversions)
    assert tool.main([*small_runs, "--refit", "30"]) == 1
    assert "was begun with other settings" in capsys.readouterr().err


def test_tool_measures_the_groups_that_it_is_asked_for(tool, small_runs, tmp_path):
    assert tool.main([*small_runs, "--groups", "parts", "--fine-tune"]) == 0
    found = conversions.read(tmp_path / "out")
    assert set(found.conversions["group"]) == {"parts"}
    assert list(found.fine_tuning) == list(conversions.FINE_TUNING)
    assert found.fine_tuning.empty


def test_tool_says_what_is_missing(tool, small_runs, tmp_path, capsys):
    assert tool.main([*small_runs, "--continuous", "nowhere"]) == 1
    assert "pretrained: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_fine_tuning_from_pretrained_weights_begins_at_the_binarized_network(tool, small_runs):
    pair = training.published_run("continuous"), training.published_run("binary")
    dataset = tiny_dataset()
    test, refit = dataset.test, dataset.train.images[:20]
    row = tool.fine_tuned("pretrained", 40, 1e-9, pair, dataset, refit, test)
    binarized = conversion.binarize_network(pair[0].network(), activations=True)
    expected = training.evaluate(batch_norm.refit_batch_norm(binarized, refit), test)
    assert row["error_before"] == expected
    anew = tool.fine_tuned("scratch", 40, 1e-9, pair, dataset, refit, test)
    untrained = batch_norm.refit_batch_norm(pair[1].untrained(), refit)
    assert anew["error_before"] == training.evaluate(untrained, test)
