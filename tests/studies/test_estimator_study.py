"""The study of estimators: made, summarized, published."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import tiny_dataset

from bnn_geometry import training
from bnn_geometry.data import datasets
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import weights
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies.estimators import REFERENCE, VARIANTS
from bnn_geometry.studies.tables import Published, published
from bnn_geometry.training import recipes


def tables():
    errors = pd.DataFrame(
        [
            ("reference", 1, 0.5, 0.41, 0.40, 0.6),
            ("reference", 2, 0.5, 0.45, 0.44, 0.6),
            ("other", 1, 0.5, 0.52, 0.50, 0.7),
            ("other", 2, 0.5, 0.48, 0.48, 0.5),
        ],
        columns=["variant", "seed", "train_error", "test_error", "refitted_error", "latent_error"],
    )
    layers = pd.DataFrame(
        [
            (variant, seed, epoch, layer, 27, r + seed / 100 if epoch else 0.1, 30.0)
            for variant in ("reference", "other")
            for seed in (1, 2)
            for epoch in (0, 3)
            for layer, r in (("a", 0.5), ("b", 0.8), ("c", 0.9))
        ]
        + [("some published run", 1, 0, "a", 27, 0.2, 30.0)],
        columns=["variant", "seed", "epoch", "layer", "n", "r", "angle"],
    )
    noise = pd.DataFrame({"variant": ["reference"], "seed": [1], "epoch": [0], "size": [0.5]})
    return {"errors": errors, "layers": layers, "noise": noise}


def test_summary_by_hand():
    found = estimator_study.summarize(Published("estimators", tables(), {}, {}, {}))
    assert found.index.tolist() == ["reference", "other"]
    assert found["runs"].tolist() == [2, 2]
    assert found["test"].tolist() == pytest.approx([43, 50])
    assert found["refitted"].tolist() == pytest.approx([42, 49])
    assert found["refitted_sd"].tolist() == pytest.approx([np.sqrt(8), np.sqrt(2)])
    assert found["latent"].tolist() == pytest.approx([60, 60])
    # paired by seed: 10 and 4
    assert found["difference"].tolist() == pytest.approx([0, 7])
    assert found["difference_se"].tolist() == pytest.approx([0, 3])
    assert found["r"].tolist() == pytest.approx([0.815, 0.815])  # the median layer, last epoch
    assert found["angle"].tolist() == pytest.approx([30, 30])


def test_published_study_is_of_these_variants_and_this_reference():
    study = published("estimators")
    errors, layers, noise = (study.tables[name] for name in ("errors", "layers", "noise"))
    assert study.recipe == REFERENCE
    assert set(errors["variant"]) == set(VARIANTS)
    assert not errors.isna().any(axis=None)
    assert not errors.duplicated(["variant", "seed"]).any()
    assert (errors.groupby("variant").size() >= 2).all()
    assert set(layers["variant"]) > set(VARIANTS)
    assert set(noise["variant"]) == {"reference"}
    assert sorted(noise["epoch"].unique()) == list(range(REFERENCE.epochs + 1))


def small(**changes):
    return recipes.FAST_MNIST.with_(
        width=1 / 128, epochs=2, batch_size=20, precision="float32", **changes
    )


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(variant, **options):
    return estimator_study.run(
        variant, tiny_dataset(), seed=1, recipe=small(), test_images=20, images=10, **options
    )


def test_reference_is_trained_as_ever_and_followed(one_thread):
    found = run("reference")
    usual = training.train(training.build_network(small(), 1), tiny_dataset(), small(), seed=1)
    assert found["errors"]["train_error"].item() == usual.history["train_error"].iloc[-1]
    layers, noise = found["layers"], found["noise"]
    names = list(weight_layers(usual.network))
    for table in (layers, noise):
        assert table["layer"].tolist() == names * 3
        assert table["epoch"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert (table["variant"] == "reference").all()
    ends = weights.weight_noise(usual.network)
    size = noise[noise["epoch"] == 2].set_index("layer")["size"]
    for name in names:
        assert size[name] == pytest.approx(float(ends[name].square().mean().sqrt()), rel=1e-5)
    assert noise.loc[noise["epoch"] == 0, ["step_cosine", "epoch_cosine"]].isna().all(axis=None)
    later = noise[noise["epoch"] > 0]
    assert (later["step_cosine"] > later["epoch_cosine"]).all()
    assert (later["step_cosine"] < 1 - 1e-9).all()  # one step before is not now


def test_a_variant_is_changed_and_measured_at_the_end_alone(one_thread):
    reference, found = run("reference"), run("activations: nothing")
    assert "noise" not in found
    assert found["layers"]["epoch"].unique().tolist() == [2]
    assert found["errors"]["train_error"].item() != reference["errors"]["train_error"].item()


def test_independent_noise_is_drawn_from_a_generator_of_its_own(one_thread):
    errors = run("independent noise")["errors"]
    assert errors.notna().all(axis=None)
    pd.testing.assert_frame_equal(run("independent noise")["errors"], errors)


def test_untrained_network_is_that_of_the_run(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *args, **options: tiny_dataset())
    study = estimator_study.study(variants=["reference", "mnist-mlp-fast-w0.5-s1"])
    key = "mnist-mlp-fast-w0.5-s1, untrained"
    assert list(study.parts) == ["reference, seed 1", "reference, seed 2", key]
    table = study.function(**study.parts[key])["layers"]
    assert table["layer"].tolist() == ["fc1", "fc2", "fc3", "fc4"]
    assert (table["epoch"] == 0).all()
    assert (table["seed"] == 1).all()
    # uniform latents
    assert math.isclose(table["angle"].iloc[1], 30, abs_tol=0.5)
    assert set(study.keys) == {"errors", "layers", "noise"}


def test_part_is_the_run_of_a_variant(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *args, **options: tiny_dataset())
    asked = []
    monkeypatch.setattr(
        estimator_study, "run", lambda *args, **options: asked.append((args, options)) or {}
    )
    study = estimator_study.study()
    assert len(study.parts) == 2 * len(VARIANTS) + 2
    study.function(**study.parts["weights: tanh, seed 2"])
    ((variant, dataset), options) = asked[0]
    assert (variant, options) == ("weights: tanh", {"seed": 2})
    assert dataset.provenance.title == "Noise"
