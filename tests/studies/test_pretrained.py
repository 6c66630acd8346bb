"""Ways to convert a network, their errors, and the study of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import generator, make
from tiny import tiny_dataset

from bnn_geometry import training
from bnn_geometry.data import datasets
from bnn_geometry.data.datasets import Split
from bnn_geometry.networks import batch_norm, conversion, inference, magnitudes
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.studies import conversions, pretrained, sweep
from bnn_geometry.studies.tables import published
from bnn_geometry.training import making, recipes


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
    assert [c.name for c in found if c.group == "one layer"] == layers


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
    second = by_name["one layer", "fc2"]
    changed = [not torch.equal(a, b) for a, b in zip(weights(second), weights(net), strict=True)]
    assert changed == [False, True, False, False]
    for a, b in zip(
        weights(by_name["parts", "weights: α bin(w)"]),
        weights(by_name["magnitudes", "|w|^0"]),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


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
    assert (row["kept_se"], row["refitted_se"]) == pytest.approx((2, 2.5))


@pytest.mark.parametrize("change", conversions.CHANGES)
def test_a_pair_is_turned_as_far_and_measured_on_the_same_images(change):
    net, test, images = network(), split(), split(60).images
    row, other = (conversions.pair(net, change, draw, images, test) for draw in (0, 1))
    changed = conversions.CHANGES[change](net, 0)
    turned = magnitudes.rotate_like(net, changed, generator(0))
    angles = [magnitudes.rotation_angles(net, z)["angle"] for z in (changed, turned)]
    np.testing.assert_allclose(*angles, atol=1e-3)
    assert row["angle"] == pytest.approx(angles[0].median())
    errors = [
        training.evaluate(batch_norm.refit_batch_norm(z, images), test) for z in (changed, turned)
    ]
    assert [row["error"], row["turned_error"]] == errors
    assert row["only_changed"] - row["only_turned"] == pytest.approx(errors[0] - errors[1])
    assert row["only_changed"] <= row["error"]
    assert (row["only_changed"], row["only_turned"]) != (
        other["only_changed"],
        other["only_turned"],
    )


def test_what_a_change_costs_over_a_turn_by_hand():
    pairs = pd.DataFrame(
        [("signs", i, 40.0, 0.3, t, only, only - 0.3 + t, 100)
         for i, (t, only) in enumerate([(0.2, 0.15), (0.24, 0.11)])],
        columns=["change", "draw", "angle", "error", "turned_error", "only_changed", "only_turned",
                 "test_images"],
    )  # fmt: skip
    row = conversions.over_turn(pairs).loc["signs"]
    assert (row["error"], row["turned_error"], row["over"]) == pytest.approx((30, 22, 8))
    assert row["error_se"] == pytest.approx(100 * (0.3 * 0.7 / 100) ** 0.5)
    # differences of 10 and 6 points: variance 8, half of it; on 100 images 0.19 and 0.1564
    assert row["over_se"] == pytest.approx(100 * ((0.19 + 0.1564) / 2 / 100 + 8e-4 / 2) ** 0.5)
    assert conversions.over_turn(pairs[:1])["over_se"].iloc[0] == pytest.approx(
        100 * (0.19 / 100) ** 0.5
    )


# --- the study ------------------------------------------------------------------------------------


def test_published_tables_are_of_the_published_runs():
    found = published("pretrained")
    continuous, binary = (
        training.published_run(found.settings[k]) for k in ("continuous", "binary")
    )
    assert continuous.recipe == binary.recipe.with_(activation=continuous.recipe.activation)
    assert continuous.data["fingerprint"] == found.data["fingerprint"] == binary.data["fingerprint"]
    ways = {(c.group, c.name) for c in conversions.every(continuous.network())}
    table = found.tables["conversions"]
    assert set(zip(table["group"], table["converted"], strict=True)) <= ways
    assert set(table["group"]) == set(conversions.GROUPS)
    pairs = found.tables["pairs"]
    assert set(pairs["change"]) == set(conversions.CHANGES)
    np.testing.assert_allclose(
        pairs["only_changed"] - pairs["only_turned"], pairs["error"] - pairs["turned_error"]
    )
    assert not table.duplicated(["activation", "group", "converted"]).any()
    assert table[["kept", "refitted"]].stack().between(0, 1).all()
    # the images that were measured are some of those that the run was evaluated on
    for run, activation in ((continuous, continuous.recipe.activation), (binary, "binary")):
        row = table[(table["activation"] == activation) & (table["converted"] == "nothing")].iloc[0]
        p = run.kept["test_error"]
        assert abs(row["kept"] - p) <= 4 * (p * (1 - p) / row["test_images"]) ** 0.5


@pytest.fixture
def small_runs(monkeypatch, tmp_path):
    """Two tiny runs in the place of the published ones, and noise in that of CIFAR-10."""
    dataset = tiny_dataset()
    recipe = recipes.FAST_MNIST.with_(width=1 / 512, epochs=1, batch_size=20)
    for name, changes in (("continuous", {"activation": "hardtanh"}), ("binary", {})):
        making.make(tmp_path / "runs" / name, recipe.with_(**changes), dataset, seed=1)
        monkeypatch.setattr(pretrained, name.upper(), name)
    monkeypatch.setenv("BNN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(datasets, "load", lambda *args, **options: dataset)
    for name, value in (("TEST_IMAGES", 20), ("REFIT_IMAGES", 20), ("SHORT_IMAGES", 40)):
        monkeypatch.setattr(pretrained, name, value)
    return training.published_run("continuous"), training.published_run("binary")


def test_study_has_every_conversion_and_the_short_trainings(small_runs, tmp_path):
    study = pretrained.study()
    ways = conversions.every(small_runs[0].network())
    assert len(study.parts) == 1 + len(ways) + 2 * 3 + 2 * 2
    some = ["binary: parts: nothing", "hardtanh: one layer: fc2", "signs and a random turn, draw 1"]
    some += [f"{start}, 40 images, lr 0.005, seed 1" for start in ("pretrained", "scratch")]
    few = replace(study, parts={key: study.parts[key] for key in some})
    found = sweep.run_study(few, tmp_path / "work", jobs=1)
    rows, short = found.tables["conversions"], found.tables["fine_tuning"]
    assert rows["activation"].tolist() == ["binary", "hardtanh"]
    assert rows["converted"].tolist() == ["nothing", "fc2"]
    assert (rows["test_images"] == 20).all()
    assert found.tables["pairs"][["change", "draw"]].to_numpy().tolist() == [["signs", 1]]
    assert short["start"].tolist() == ["pretrained", "scratch"]
    assert short["test_error"].between(0, 1).all()
    assert found.settings["binary"] == "binary"
    groups = pretrained.study(variants=["parts"])
    assert [part["group"] for part in groups.parts.values()] == ["parts"] * 6


def test_fine_tuning_from_pretrained_weights_begins_at_the_binarized_network(small_runs):
    continuous, binary = small_runs
    dataset = tiny_dataset()
    test, refit = dataset.test, dataset.train.images[:20]

    def error_before(start):
        options = {"start": start, "images": 40, "lr": 1e-9, "seed": 1}
        row = pretrained.fine_tuned(continuous, binary, dataset, refit, test, **options)
        return row["error_before"]

    for start, network in (
        ("pretrained", conversion.binarize_network(continuous.network(), activations=True)),
        ("scratch", binary.untrained()),
    ):
        expected = training.evaluate(batch_norm.refit_batch_norm(network, refit), test)
        assert error_before(start) == expected
