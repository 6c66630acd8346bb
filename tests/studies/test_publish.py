"""Published runs: the same binary network, and the rounding costs what is stated."""

import json
import re
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY, same_state, tiny_dataset

from bnn_geometry import paths, storage, training
from bnn_geometry.errors import UserError
from bnn_geometry.networks import inference
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import dot_products, measurements
from bnn_geometry.studies import publish
from bnn_geometry.training import int8, making, runs, schedule

SEED = 4
IMAGES = 20


def dataset(kind="mlp"):
    return tiny_dataset(kind, train=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "float"
    measure = partial(measurements.measure_layers, images=dataset().test.images[:5])
    return making.make(path, TINY["mlp"], dataset(), seed=SEED, measure=measure, measured=5)


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "int8"
    return publish.publish(run, path, dataset=dataset(), images=IMAGES)


# --- published runs -------------------------------------------------------------------------------


def test_published_run_reads_as_the_same_binary_network(run, published):
    assert (published.recipe, published.seed, published.data) == (run.recipe, run.seed, run.data)
    pd.testing.assert_frame_equal(published.history, run.history, check_exact=True)
    pd.testing.assert_frame_equal(published.measurements, run.measurements, check_exact=True)
    assert published.kept.equals(run.kept)
    exact, rounded = run.network(), published.network()
    assert not rounded.training
    assert not same_state(exact, rounded)
    for first, second in zip(
        weight_layers(exact).values(), weight_layers(rounded).values(), strict=True
    ):
        assert torch.equal(first.binary_weight, second.binary_weight)
        assert second.weight.abs().max() <= 1
    x = inference.scale_images(dataset().test.images)
    with torch.no_grad():
        assert torch.equal(exact(x), rounded(x))
    for key in ("versions", "device", "kept_epoch", "seconds", "measured_images"):
        assert published.info[key] == run.info[key]


def test_published_convnet_is_the_same_binary_network(tmp_path):
    made = making.make(tmp_path / "f", TINY["convnet"], dataset("convnet"), seed=SEED)
    result = publish.publish(made, tmp_path / "p")
    x = inference.scale_images(dataset("convnet").test.images)
    with torch.no_grad():
        assert torch.equal(made.network()(x), result.network()(x))


def test_published_weights_take_a_byte_each(run, published):
    def count(path):
        return sum(value.nbytes for value in load_file(path / "weights.safetensors").values())

    layers = weight_layers(run.network()).values()
    weights = sum(layer.weight.numel() for layer in layers)
    filters = sum(len(layer.weight) for layer in layers)
    assert count(published.path) == count(run.path) - 3 * weights + 4 * filters
    stored = load_file(published.path / "weights.safetensors")
    assert stored["norm1.running_var"].dtype == torch.float32
    assert torch.equal(stored["norm1.running_var"], run.weights["norm1.running_var"])


def test_stated_cost_is_what_it_costs(run, published):
    cost = published.info["published"]
    table = pd.DataFrame(cost["layers"]).set_index("layer")
    exact, rounded = run.network(), published.network()
    images = dataset().test.sample(IMAGES, runs.MEASURED_SEED).images
    for column, network in (("r", exact), ("r_rounded", rounded)):
        r = {s.layer: s.r for s in dot_products.probe_weights(network, images)}
        assert table[column].to_dict() == r
    assert not table["r"].equals(table["r_rounded"])
    for name, layer in weight_layers(exact).items():
        angles = []
        for network in (exact, rounded):
            w = weight_layers(network)[name].weight.detach().double().numpy()
            b = np.where(w > 0, 1, -1)
            cosine = (w * b).sum(1) / np.linalg.norm(w, axis=1) / layer.fan_in**0.5
            angles.append(np.degrees(np.arccos(cosine)))
        change = np.abs(angles[1] - angles[0])
        assert table["angle_change"][name] == pytest.approx(change.mean(), rel=1e-6)
        assert table["angle_change_max"][name] == pytest.approx(change.max(), rel=1e-6)
        assert change.max() > 0
    test = dataset().test
    assert cost["images"] == IMAGES
    assert cost["test_error"] == training.evaluate(exact, test)
    assert cost["test_error_rounded"] == training.evaluate(rounded, test)


def test_cost_without_images_is_that_of_the_angles(run, tmp_path):
    cost = publish.publish(run, tmp_path / "p").info["published"]
    assert set(cost["layers"][0]) == {"layer", "n", "angle_change", "angle_change_max"}
    assert "test_error" not in cost


def test_history_can_be_published_alone(run, tmp_path):
    result = publish.publish(run, tmp_path / "p", weights=False)
    assert not (tmp_path / "p" / "weights.safetensors").exists()
    assert result.weights == {}
    pd.testing.assert_frame_equal(result.history, run.history, check_exact=True)
    pd.testing.assert_frame_equal(result.measurements, run.measurements, check_exact=True)
    with pytest.raises(UserError, match="was published without its weights"):
        result.network()
    assert same_state(result.untrained(), run.untrained())


def test_publishing_twice_or_with_other_images_is_refused(run, published, tmp_path):
    with pytest.raises(UserError, match="is a published run already"):
        publish.publish(published, tmp_path / "p")
    with pytest.raises(UserError, match="was trained on Noise and these images are Noise"):
        publish.publish(run, tmp_path / "p", dataset=tiny_dataset(seed=9))
    with pytest.raises(UserError, match="choose another folder"):
        publish.publish(run, run.path)
    assert not (tmp_path / "p").exists()


def test_damaged_published_run_is_refused(run, tmp_path):
    whole = tmp_path / "whole"
    publish.publish(run, whole)
    for file in sorted(whole.iterdir()):
        path = shutil.copytree(whole, tmp_path / file.name) / file.name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(UserError, match=str(path.parent)):
            runs.read(path.parent)
        path.unlink()
        with pytest.raises(UserError, match=f"{file.name} is missing"):
            runs.read(path.parent)


def test_name_of_a_published_run_leads_to_no_other_folder(run, tmp_path):
    assert runs.name(run.recipe, run.seed) == f"mnist-mlp-fast-w0.03125-s{SEED}"
    forged = shutil.copytree(run.path, tmp_path / "forged")
    file = forged / "recipe.json"
    file.write_text(file.read_text().replace('"fast"', '"../../elsewhere"'))
    info = json.loads((forged / "run.json").read_text())
    storage.write_manifest(forged, "run.json", info, set(info.pop("sha256")) - {"run.json"})
    with pytest.raises(UserError, match="name must be a word"):
        runs.read(forged)


def test_levels_of_zero_in_a_published_run_are_refused(run, tmp_path, monkeypatch):
    def pack(state, names):
        packed = {k: torch.zeros_like(v) for k, v in state.items()}
        return packed | {f"{name}:scale": torch.ones(len(state[name])) for name in names}

    with monkeypatch.context() as patch:
        patch.setattr(publish.int8, "pack", pack)
        patch.setattr(publish, "_cost", lambda *_: {})
        patch.setattr(int8, "unpack", lambda packed: run.weights)
        publish.publish(run, tmp_path / "p")
    with pytest.raises(UserError, match="a level or a scale is 0"):
        runs.read(tmp_path / "p")


def test_published_numbers_are_plain_json(published):
    info = json.loads((published.path / "run.json").read_text())
    assert info["published"] == published.info["published"]
    assert info["published"]["latents"] == "int8"


RUNS = sorted(path.parent.name for path in paths.runs_root().glob("*/run.json"))


@pytest.mark.parametrize("name", RUNS)
def test_every_published_run_is_whole_and_named_after_its_recipe(name):
    found = training.published_run(name)
    begun = found.info.get("branch_of")
    if begun:
        assert name == f"{begun['run']}-branch"
        name = begun["run"]
        assert 0 < begun["epoch"] < len(training.published_run(name).history)
    # where a step was tried that is not the recipe's, the name says how large it is at most
    plain, *step = re.split(r"-step([\d.]+)", name)
    assert plain + "".join(step[1:]) == runs.name(found.recipe, found.seed)
    if step:
        largest = schedule.largest_step(
            training.build_network(found.recipe, found.seed), found.recipe
        )
        assert largest == pytest.approx(float(step[0]), rel=0.01)
    assert not found.data["title"].startswith("stand-in")
    assert len(found.history) == found.recipe.epochs
    assert set(found.measurements["epoch"]) == set(found.history["epoch"])


def test_published_runs_take_less_than_45_megabytes():
    assert RUNS
    files = [path for path in paths.runs_root().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 45e6
