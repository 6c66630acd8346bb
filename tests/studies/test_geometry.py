"""The geometry of a run: every table of the study on tiny networks, and what is read from them."""

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from small_networks import generator
from tiny import TINY, tiny_dataset
from torch.nn import functional

from bnn_geometry import training
from bnn_geometry.data import datasets
from bnn_geometry.errors import UserError
from bnn_geometry.networks import magnitudes
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_weights, compute_with_latents
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.dot_products import as_table, probe_weights
from bnn_geometry.studies import geometry, geometry_errors, geometry_results, sweep, tables
from bnn_geometry.training import making

CHANGES = [
    *("none, all, draw 0", "exchanged, all, draw 0"),
    *(
        f"{change}, all, draw {draw}"
        for change in ("shuffled magnitudes", "random turn")
        for draw in (0, 1)
    ),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The study of a binary and of a continuous network, and their runs."""
    root, found = tmp_path_factory.mktemp("runs"), {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("VECTORS", 150), ("TRAIN_IMAGES", 40), ("REFIT_IMAGES", 30)):
            patch.setattr(geometry, name, value)
        patch.setattr(geometry, "PATCHES", 30)
        patch.setenv("BNN_RUNS", str(root))
        for name, kind, activation in (
            ("binary", "convnet", "binary"),
            ("continuous", "mlp", "hardtanh"),
        ):
            dataset = tiny_dataset(kind, train=60, test=50)
            patch.setattr(datasets, "load", lambda *args, dataset=dataset, **options: dataset)
            geometry.study_images.cache_clear()
            recipe = TINY[kind].with_(
                epochs=1, width=1 / 64, activation=activation, compile="never"
            )
            run = making.make(root / name, recipe, dataset, seed=1)
            study = geometry.study(run_folder=str(root / name), images=50, error_images=40)
            layer = next(iter(weight_layers(run.network())))
            few = ["layers", "untrained", *CHANGES, f"exchanged, {layer}, draw 0"]
            few = replace(study, parts={key: study.parts[key] for key in few})
            sweep.make(few, root / "work" / name, root / study.name, jobs=1)
            found[name] = geometry_results.published_geometry(name), run, dataset, study
    geometry.study_images.cache_clear()
    return found


@pytest.mark.parametrize("name", ["binary", "continuous"])
def test_measured_rows_are_what_a_probe_of_the_same_images_finds(made, name):
    found, run, dataset, _ = made[name]
    probed = as_table(probe_weights(run.network(), dataset.test.sample(50, geometry.SEED).images))
    rows = found.layers.query("comparison == 'weights' and control == 'measured'")
    rows = rows.set_index("layer")
    assert list(rows.index) == list(probed.index)
    dense = [layer for layer in rows.index if layer.startswith("fc")]  # of which all vectors are in
    for column, of_probe in (("r", "r"), ("centred_r", "centred_r"), ("median", "filter_r")):
        np.testing.assert_allclose(rows.loc[dense, column], probed.loc[dense, of_probe], atol=2e-5)
    assert ((rows["r"] - probed["r"]).abs() < 6 * rows["r_se"] + 2e-5).all()
    np.testing.assert_allclose(
        rows.loc[dense, "disagreement"], probed.loc[dense, "disagreement"], atol=2e-5
    )


def test_tables_hold_every_control_of_every_layer_and_filter(made):
    found, run, _, _ = made["binary"]
    layers = weight_layers(run.network())
    controls = found.layers[found.layers["comparison"] == "weights"].groupby("layer")["control"]
    fixed = {"measured", "shuffled magnitudes", "random turn", "weights dealt anew", "untrained"}
    fixed |= {"white inputs", "permuted inputs", "Gaussian directions", "uniform directions"}
    fixed |= {"covariance of other images", "without 1 component", "10 components"}
    assert all(fixed <= set(of_layer) for _, of_layer in controls)
    assert len(found.filters) == sum(len(layer.weight) for layer in layers.values())
    rows = found.layers.query("comparison == 'weights' and draw == 0").set_index(
        ["layer", "control"]
    )
    for layer, own in found.filters.groupby("layer"):
        for column, control in (
            *(("r", "measured"), ("shuffled", "shuffled magnitudes"), ("white", "white inputs")),
            *(("untrained", "untrained"), ("components_10", "10 components")),
        ):
            median = rows.loc[(layer, control), "median"]
            assert own[column].median() == pytest.approx(median, abs=2e-5, nan_ok=True)
        np.testing.assert_allclose(np.cos(np.radians(own["angle"])), own["white"], atol=2e-5)
        share = rows.loc[(layer, "measured"), "from_angle"]
        assert (own["angle"] / 180).mean() == pytest.approx(share, abs=2e-5)
    differ = rows.xs("untrained", level="control")
    own = rows.xs("measured", level="control")
    np.testing.assert_allclose(differ["excess"], own["r"] - differ["r"], atol=2e-5)
    np.testing.assert_allclose(
        differ["excess_se"], np.hypot(own["r_se"], differ["r_se"]), atol=1e-6
    )
    activations = found.layers.query("comparison == 'activations' and control == 'white inputs'")
    np.testing.assert_allclose(activations["r"], np.sqrt(2 / np.pi), atol=1e-5)
    assert set(activations["layer"]) == set(layers) - {"conv1"}
    assert set(found.directions["kind"]) == {"principal", "discriminant", "random"}
    assert found.readout["layer"].tolist() == list(layers)
    clouds = found.clouds.groupby(["comparison", "layer"])["count"].sum()
    vectors = found.inputs.set_index("layer")["vectors"]
    for layer, weights in layers.items():
        assert clouds["weights", layer] == vectors[layer] * len(weights.weight)
    assert found.settings["command"].endswith("runs/binary --images 50 --error-images 40")


def test_first_layer_is_shown_with_patches_of_its_images(made):
    found, run, dataset, _ = made["binary"]
    pixels = found.patches.drop(columns="image").to_numpy()
    layer = weight_layers(run.network())["conv1"]
    w = found.first_layer.drop(columns="filter").to_numpy()
    np.testing.assert_allclose(w, layer.weight.detach().flatten(1), rtol=1e-4)
    # every patch is one of its image, and −1 is where the convolution pads
    images = dataset.test.sample(50, geometry.SEED).images.float()
    padded = functional.pad(images, (1, 1, 1, 1), value=-1)
    assert (pixels < 0).any()
    for row, image in zip(pixels, found.patches["image"], strict=True):
        patches = functional.unfold(padded[image], 3).T.numpy()
        assert (patches == row).all(1).any()
    assert made["continuous"][0].patches is None


def test_changes_do_what_they_are_called(made):
    for name in ("binary", "continuous"):
        network = made[name][1].network()
        latent = compute_with_latents(network, weight_layers(network))
        signs = binarize_weights(network)
        own, other = (signs, latent) if name == "binary" else (latent, signs)

        def weights(change, layer="all", draw=0, network=network):
            changed = geometry_errors.changed(network, change=change, layer=layer, draw=draw)
            return [z.forward_weight(torch.float32) for z in weight_layers(changed).values()]

        def same(first, second):
            return [torch.equal(a, b) for a, b in zip(first, second, strict=True)]

        def of(network):
            return [layer.weight for layer in weight_layers(network).values()]

        assert all(same(weights("none"), of(own)))
        assert all(same(weights("exchanged"), of(other)))
        first = next(iter(weight_layers(network)))
        assert same(weights("exchanged", first), of(own))[0] is False
        assert all(same(weights("exchanged", first), of(own))[1:])
        shuffled = weights("shuffled magnitudes", draw=1)
        assert all(same(shuffled, of(magnitudes.shuffle_magnitudes(latent, generator(1)))))
        turned = geometry_errors.changed(network, change="random turn", layer="all", draw=0)
        angles = [magnitudes.rotation_angles(own, z)["angle"].to_numpy() for z in (turned, other)]
        np.testing.assert_allclose(*angles, atol=1e-3)
        assert not any(same(of(turned), weights("random turn", draw=1)))


def test_errors_are_paired_by_hand(made):
    found, run, dataset, _ = made["binary"]
    test = dataset.test.sample(40, geometry.SEED)
    refit = dataset.train.sample(30, geometry.SEED).images
    table = found.errors()
    exchanged = geometry_errors.changed(run.network(), change="exchanged", layer="all", draw=0)
    exchanged = refit_batch_norm(exchanged, refit, batch_size=50)
    row = table.loc["exchanged", "all"]
    assert row["error"] == pytest.approx(training.evaluate(exchanged, test))
    unchanged = table.loc["none", "all"]
    assert row["difference"] == pytest.approx(row["error"] - unchanged["error"])
    assert row["difference"] == pytest.approx((row["lost"] - row["gained"]) / 40)
    assert (unchanged["lost"], unchanged["gained"], unchanged["p"]) == (0, 0, 1)
    draws = table.loc["random turn", "all"]
    assert draws["draws"] == 2
    assert np.isnan(draws["p"])
    with pytest.raises(KeyError):
        found.wrong("exchanged", "conv9")


def test_comparison_of_errors_by_hand():
    first = np.array([[1, 1, 0, 0, 1, 1, 0, 1]], dtype=bool)
    second = np.array([[1, 0, 0, 1, 0, 0, 0, 0]], dtype=bool)
    row = geometry_results.compare_errors(first, second)
    assert (row["lost"], row["gained"]) == (4, 1)
    assert row["difference"] == pytest.approx(3 / 8)
    assert row["p"] == pytest.approx(2 * (5 + 1) / 2**5)  # P(at most one of five heads), twice
    each = np.array([0, 1, 0, -1, 1, 1, 0, 1])
    assert row["difference_se"] == pytest.approx(each.std(ddof=1) / np.sqrt(8))
    several = geometry_results.compare_errors(np.concatenate([first, second]), second)
    assert several["difference"] == pytest.approx(3 / 16)
    assert several["draws_sd"] == pytest.approx(np.std([5 / 8, 2 / 8], ddof=1))


def test_answers_come_back_from_a_file(tmp_path):
    bits = torch.rand(1003, generator=generator()).numpy() < 0.5
    texts = [geometry_errors.packed(bits), geometry_errors.packed(np.zeros(8, dtype=bool))]
    pd.DataFrame({"right": texts}).to_csv(tmp_path / "answers.csv", index=False)
    back = pd.read_csv(tmp_path / "answers.csv")["right"]
    assert (geometry_errors.unpacked(back[0], 1003) == bits).all()
    assert not geometry_errors.unpacked(back[1], 8).any()


def test_what_cannot_be_measured_is_a_sentence(made, monkeypatch):
    _, run, _, _ = made["binary"]
    with pytest.raises(UserError, match="--images must be at least 40"):
        geometry.study(run_folder=str(run.path), images=5)
    other = tiny_dataset("convnet", seed=3)
    monkeypatch.setattr(datasets, "load", lambda *args, **options: other)
    with pytest.raises(UserError, match="these images are Noise: measure with the same ones"):
        geometry.study(run_folder=str(run.path), images=50)
    letters = tables.Published("letters", {}, {}, {}, {})
    with pytest.raises(UserError, match="letters measured no geometry"):
        geometry_results.as_geometry(letters)


def test_as_many_images_as_the_help_says():
    given = inspect.signature(geometry.study).parameters
    assert (given["images"].default, given["error_images"].default) == (10_000, 1000)
