"""The study of other architectures: made, chosen, summarized, published."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from tiny import tiny_dataset

from bnn_geometry.data import datasets
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import measurements
from bnn_geometry.studies import architectures
from bnn_geometry.studies.architectures import COUNTERPARTS, RATES, VARIANTS
from bnn_geometry.studies.tables import Published, published
from bnn_geometry.training.small_networks import Budget

TINY = {"budget": Budget(1, 10, 30), "validation_images": 10, "test_images": 25, "images": 6}


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(variant, **options):
    kind = "convnet" if VARIANTS[variant].dataset == "cifar10" else "mlp"
    return architectures.run(
        variant, tiny_dataset(kind), **({"seed": 1, "lr": 1e-2, "samples": 20} | TINY | options)
    )


@pytest.mark.parametrize("variant", ["recurrent, ternary", "residual, binary", "attention, real"])
def test_a_part_has_its_errors_and_all_its_layers(variant, one_thread):
    found = run(variant)
    assert found["errors"].notna().all(axis=None)
    layers = found["layers"].set_index("layer")
    network = architectures.build(variant, 1)
    assert list(layers.index) == list(weight_layers(network))
    assert layers.notna().all(axis=None)
    for table in found.values():
        assert set(table.groupby(["variant", "seed", "lr"]).groups) == {(variant, 1, 1e-2)}
    again = run(variant)
    for name, table in found.items():
        pd.testing.assert_frame_equal(again[name], table)


def test_pairs_are_of_the_same_seed_and_the_same_beginning():
    one, other = "recurrent, binary", "recurrent, ternary"
    errors = pd.DataFrame(
        {
            "variant": [one] * 3 + [other] * 3,
            "seed": [1, 2, 3, 3, 1, 2],
            "test_error": [0.30, 0.34, 0.35, 0.33, 0.29, 0.31],
            "validation_error": [0.3] * 6,
        }
    )
    found = architectures.paired_gap(errors, one, other)
    expected = stats.ttest_rel([30, 34, 35], [29, 31, 33]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert architectures.paired_gap(errors, one, other, column="validation_error").mean == 0
    with pytest.raises(ValueError, match="do not begin with the same weights"):
        architectures.paired_gap(errors, "residual, binary", "residual, real")


def test_trained_held_out_and_test_images_are_three_sets(monkeypatch, one_thread):
    trained, judged = [], []

    def train(network, images, labels, budget, *, lr, seed):
        trained.append(images)
        return 0.5

    def evaluate(network, split, *, indices=None):
        judged.append(split.images if indices is None else split.images[indices])
        return 0.5

    monkeypatch.setattr(architectures, "train_small", train)
    monkeypatch.setattr(architectures, "evaluate", evaluate)
    run("recurrent, real")
    dataset = tiny_dataset("mlp")

    def places(images, among):
        return {int((among == image).flatten(1).all(1).nonzero()) for image in images}

    own, (held_out, test) = trained[0], judged
    assert len(places(own, dataset.train.images)) == 30
    assert places(own, dataset.train.images).isdisjoint(places(held_out, dataset.train.images))
    assert len(held_out) == 10
    assert places(test, dataset.test.images) == set(range(25))


def test_measured_beside_the_untrained_network_and_with_signs():
    images = tiny_dataset("mlp").test.images[:8]
    network, before = (architectures.build("recurrent, ternary", seed) for seed in (2, 1))
    found = architectures.measure(network, before, images, samples=30, seed=0).set_index("layer")
    plain, untrained = (
        measurements.measure_layers(net, images).set_index("layer") for net in (network, before)
    )
    assert found["r"].equals(plain["r"])
    assert list(found["untrained_r"]) == list(untrained["r"])
    assert list(found["untrained_angle"]) == list(untrained["angle"])
    same = found.loc[["input", "readout"]]
    np.testing.assert_allclose(same["signs_r"], same["r"])
    np.testing.assert_allclose(same["signs_angle"], same["angle"], atol=0.3)
    at = found.loc["recurrent"]  # three values are nearer to the latent weights than signs
    assert at["angle"] < at["signs_angle"] - 5
    assert at["r"] > at["signs_r"]
    np.testing.assert_allclose(
        found["white_inputs"], np.cos(np.radians(found["signs_angle"])), atol=0.02
    )  # medians, of an even number of filters


def test_variant_that_is_not_there_is_refused_with_names_that_can_be_told_apart():
    with pytest.raises(UserError, match="there is 'recurrent, binary', 'recurrent, ternary'"):
        architectures.study(variants=["nothing"])


ERRORS = pd.DataFrame(
    [
        (variant, seed, lr, 0.5, validation, test)
        for variant, lr, validation, test in (
            ("a", 0.003, 0.30, 0.10),
            ("a", 0.01, 0.20, 0.40),
            ("b", 0.003, 0.20, 0.30),
            ("b", 0.01, 0.25, 0.20),
        )
        for seed, test in enumerate((test, test + 0.02, test + 0.07), 1)
    ],
    columns=["variant", "seed", "lr", "train_error", "validation_error", "test_error"],
)


def test_the_rate_is_chosen_on_held_out_images_and_not_on_the_test_images():
    assert architectures.chosen_rates(ERRORS).to_dict() == {"a": 0.01, "b": 0.003}
    layers = ERRORS[["variant", "seed", "lr"]].assign(layer="x")
    study = Published("architectures", {"errors": ERRORS, "layers": layers}, {}, {}, {})
    found = architectures.at_chosen_rates(study)
    for table in found.values():
        assert len(table) == 6
        assert set(zip(table["variant"], table["lr"], strict=True)) == {("a", 0.01), ("b", 0.003)}
    summary = architectures.errors_in_percent(found["errors"])
    assert summary.loc["a", "error"] == pytest.approx(43)
    assert summary.loc["a", "error_se"] == pytest.approx(stats.sem([40, 42, 47]))
    assert summary.loc["b", ["train", "seeds"]].tolist() == [50, 3]
    apart = architectures.gap(found["errors"], "a", "b")
    test = stats.ttest_ind([40, 42, 47], [30, 32, 37], equal_var=False)
    assert apart.mean == pytest.approx(10)
    assert (apart.low, apart.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_what_training_adds_is_paired_by_seed():
    layers = {"y": [(0.9, 0.8), (0.8, 0.75)], "x": [(0.7, 0.7), (0.6, 0.8)]}
    rows = [
        ("a", seed, 0.01, layer, r, before)
        for layer, numbers in layers.items()
        for seed, (r, before) in enumerate(numbers)
    ]
    columns = ["variant", "seed", "lr", "layer", "r", "untrained_r"]
    found = architectures.layer_means(pd.DataFrame(rows, columns=columns), "a")
    assert list(found.index) == ["y", "x"]
    assert found["excess"].tolist() == pytest.approx([0.075, -0.1])
    assert found["excess_se"].tolist() == pytest.approx([0.025, 0.1])


def test_the_study_has_a_part_for_every_variant_seed_and_rate(monkeypatch):
    def load(name, **options):
        return tiny_dataset("mlp" if name == "mnist" else "convnet", seed=name == "mnist")

    monkeypatch.setattr(datasets, "load", load)
    asked = []
    monkeypatch.setattr(
        architectures, "run", lambda *args, **options: asked.append((args, options)) or {}
    )
    study = architectures.study(seeds=(4, 5))
    assert len(study.parts) == 2 * len(RATES) * len(VARIANTS)
    assert study.data["dataset"] == "mnist; cifar10"
    for key, name in (("residual, real", "cifar10"), ("attention, real", "mnist")):
        study.function(**study.parts[f"{key}, lr 0.01, seed 5"])
        (variant, dataset), options = asked[-1]
        assert (variant, options) == (key, {"seed": 5, "lr": 0.01})
        assert dataset.provenance.dataset == name
    found = Published("architectures", {}, study.settings, study.data, {})
    assert architectures.provenance_of(found, "residual, real").fingerprint == f"{0:064x}"
    assert architectures.provenance_of(found, "attention, real").fingerprint == f"{1:064x}"


def test_a_counterpart_has_the_shape_of_its_network():
    for pair in COUNTERPARTS.items():
        shapes = [
            {name: layer.weight.shape for name, layer in weight_layers(net).items()}
            for net in (architectures.build(variant, 0) for variant in pair)
        ]
        assert shapes[0] == shapes[1]
    assert len(architectures.every_layer()) == 3 + 6 + 9 - 1


def test_published_study_is_of_these_variants():
    study = published("architectures")
    assert study.settings["budget"] == architectures.BUDGET.as_dict()
    errors = study.tables["errors"]
    for table in study.tables.values():
        assert set(table["variant"]) == set(VARIANTS)
    assert not errors.duplicated(["variant", "seed", "lr"]).any()
    assert (errors.groupby(["variant", "lr"]).size() >= 3).all()
    assert not errors.isna().any(axis=None)
    assert study.commit
    assert study.code
