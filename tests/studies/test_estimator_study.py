"""The published study of estimators: made, written, verified, summarized."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import tiny_dataset

from bnn_geometry import paths, training
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import weights
from bnn_geometry.studies import estimators as estimator_study
from bnn_geometry.studies.estimators import FILE, REFERENCE, TABLES, VARIANTS, Study
from bnn_geometry.training import recipes

ROOT = Path(__file__).parents[2]
SETTINGS = {"recipe": REFERENCE.as_dict(), "data": {"title": "Noise"}, "versions": {"torch": "1"}}


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
    found = estimator_study.summarize(Study(**tables(), settings=SETTINGS))
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


def test_study_comes_back_as_it_was_written(tmp_path):
    estimator_study.write(tmp_path / "runs" / "estimators", tables(), SETTINGS)
    found = estimator_study.read(tmp_path / "runs" / "estimators")
    for name, table in tables().items():
        pd.testing.assert_frame_equal(getattr(found, name), table)
    assert found.recipe == REFERENCE
    assert found.settings["data"] == SETTINGS["data"]


@pytest.mark.parametrize("name", [FILE, *TABLES.values()])
def test_damaged_or_missing_study_is_a_sentence(tmp_path, name):
    with pytest.raises(UserError, match="There are no results on estimators in"):
        estimator_study.read(tmp_path)
    estimator_study.write(tmp_path, tables(), SETTINGS)
    path = tmp_path / name
    path.write_text(path.read_text().replace("0", "3", 1))
    with pytest.raises(UserError, match="it was damaged or edited"):
        estimator_study.read(tmp_path)


def test_published_study_is_of_these_variants_and_this_reference():
    found = estimator_study.read(paths.runs_root() / "estimators")
    assert found.recipe == REFERENCE
    assert set(found.errors["variant"]) == set(VARIANTS)
    assert not found.errors.isna().any(axis=None)
    assert not found.errors.duplicated(["variant", "seed"]).any()
    assert (found.errors.groupby("variant").size() >= 2).all()
    assert set(found.layers["variant"]) > set(VARIANTS)
    assert set(found.noise["variant"]) == {"reference"}
    assert sorted(found.noise["epoch"].unique()) == list(range(REFERENCE.epochs + 1))


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
    assert found["noise"].empty
    assert found["layers"]["epoch"].unique().tolist() == [2]
    assert found["errors"]["train_error"].item() != reference["errors"]["train_error"].item()


def test_independent_noise_is_drawn_from_a_generator_of_its_own(one_thread):
    errors = run("independent noise")["errors"]
    assert errors.notna().all(axis=None)
    pd.testing.assert_frame_equal(run("independent noise")["errors"], errors)


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("estimators_tool", ROOT / "tools/estimators.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "estimators_tool", module)
    spec.loader.exec_module(module)
    return module


def test_tool_trains_each_variant_once_and_writes_the_tables(tool, tmp_path, monkeypatch):
    asked = []

    def fake(variant, dataset, *, seed):  # in the place of an hour of training
        asked.append((variant, seed))
        rows = {
            name: table[(table["variant"] == "other") & (table["seed"] == seed)].assign(
                variant=variant
            )
            for name, table in tables().items()
        }
        if variant == "reference":
            rows["noise"] = tables()["noise"].assign(seed=seed)
        return rows

    monkeypatch.setattr(tool.estimator_study, "run", fake)
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset())
    monkeypatch.setattr(tool, "untrained", lambda name, root: tables()["layers"].iloc[[-1]])
    monkeypatch.setattr(tool, "VARIANTS", {"reference": None, "other": None})
    arguments = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--seeds", "2"]
    assert tool.main(arguments) == 0
    found = estimator_study.read(tmp_path / "out")
    assert asked == [("reference", 1), ("other", 1), ("reference", 2), ("other", 2)]
    assert found.errors["variant"].tolist() == ["reference", "other"] * 2
    assert found.noise["seed"].tolist() == [1, 2]
    assert (found.layers["variant"] == "some published run").sum() == 2
    assert tool.main(arguments) == 0  # nothing is trained again
    assert len(asked) == 4


def test_tool_says_what_failed(tool, tmp_path, monkeypatch, capsys):
    def fail(*args, **options):
        raise UserError("The loss stopped being finite.")

    monkeypatch.setattr(tool.estimator_study, "run", fail)
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset())
    assert tool.main(["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 1
    assert "estimators: The loss stopped being finite." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_untrained_network_is_that_of_the_run(tool, monkeypatch):
    published = training.published_run("mnist-mlp-fast-w0.5-s1")
    monkeypatch.setattr(tool.estimator_study, "PROBE_IMAGES", 5)
    monkeypatch.setattr(tool.data, "load", lambda *args, **options: tiny_dataset())
    table = tool.untrained("mnist-mlp-fast-w0.5-s1", None)
    assert table["layer"].tolist() == ["fc1", "fc2", "fc3", "fc4"]
    assert (table["epoch"] == 0).all()
    assert (table["seed"] == published.seed).all()
    # uniform latents
    assert math.isclose(table["angle"].iloc[1], 30, abs_tol=0.5)
