"""The study of estimators: made, summarized, published."""

import pandas as pd
import pytest
import torch
from tiny import tiny_dataset

from bnn_geometry import training
from bnn_geometry.data import datasets
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies.estimators import REFERENCE, VARIANTS
from bnn_geometry.studies.tables import Published, published
from bnn_geometry.training import recipes


def test_summary_by_hand():
    errors = pd.DataFrame(
        [("reference", 1, 0.40), ("reference", 2, 0.44), ("other", 1, 0.50), ("other", 2, 0.48)],
        columns=["variant", "seed", "refitted_error"],
    )
    layers = pd.DataFrame(
        [
            (variant, seed, layer, r + seed / 100)
            for variant in ("reference", "other")
            for seed in (1, 2)
            for layer, r in (("a", 0.5), ("b", 0.8), ("c", 0.9))
        ],
        columns=["variant", "seed", "layer", "r"],
    )
    tables = {"errors": errors, "layers": layers}
    found = estimator_study.summarize(Published("estimators", tables, {}, {}, {}))
    assert found.index.tolist() == ["reference", "other"]
    assert found["seed 1"].tolist() == pytest.approx([40, 50])
    assert found["seed 2"].tolist() == pytest.approx([44, 48])
    assert found["r"].tolist() == pytest.approx([0.815, 0.815])  # the median layer


def test_published_study_is_of_these_variants_and_this_reference():
    study = published("estimators")
    assert study.recipe == REFERENCE
    for table in study.tables.values():
        assert set(table["variant"]) == set(VARIANTS)
        assert not table.isna().any(axis=None)
    errors = study.tables["errors"]
    assert not errors.duplicated(["variant", "seed"]).any()
    assert (errors.groupby("variant").size() >= 2).all()


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


def test_reference_is_trained_as_ever_and_a_variant_otherwise(one_thread):
    found = run("reference")
    usual = training.train(training.build_network(small(), 1), tiny_dataset(), small(), seed=1)
    assert found["errors"]["train_error"].item() == usual.history["train_error"].iloc[-1]
    assert found["layers"]["layer"].tolist() == list(weight_layers(usual.network))
    for table in found.values():
        assert (table["variant"] == "reference").all()
        assert (table["seed"] == 1).all()
    other = run("activations: nothing")["errors"]
    assert other["train_error"].item() != found["errors"]["train_error"].item()


def test_independent_noise_is_drawn_from_a_generator_of_its_own(one_thread):
    errors = run("independent noise")["errors"]
    assert errors.notna().all(axis=None)
    pd.testing.assert_frame_equal(run("independent noise")["errors"], errors)


def test_part_is_the_run_of_a_variant(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda *args, **options: tiny_dataset())
    asked = []
    monkeypatch.setattr(
        estimator_study, "run", lambda *args, **options: asked.append((args, options)) or {}
    )
    study = estimator_study.study()
    assert len(study.parts) == 2 * len(VARIANTS)
    study.function(**study.parts["weights: tanh, seed 2"])
    ((variant, dataset), options) = asked[0]
    assert (variant, options) == ("weights: tanh", {"seed": 2})
    assert dataset.provenance.title == "Noise"
