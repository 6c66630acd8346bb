"""Search by one-bit codes: what is found, at what size, and what the law foretells."""

import builtins
import sys

import numpy as np
import pytest

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import one_bit
from bnn_geometry.geometry.angles import angle as angle_between
from bnn_geometry.geometry.binarized_angle import angle_sd, mean_angle
from bnn_geometry.geometry.distributions import GAUSSIAN
from bnn_geometry.studies import one_bit_search as search


@pytest.fixture(scope="module")
def found():
    """Skewed vectors, with a mean far from zero, in 64 dimensions."""
    generator = np.random.default_rng(0)
    scales = np.exp(0.08 * np.arange(64))
    drawn = generator.standard_normal((1600, 64)) * scales + 3 * scales
    vectors, queries = search.centred(drawn[:1500], drawn[1500:])
    return search.recalls(vectors, queries, generator)


def test_each_step_finds_more_of_the_nearest(found):
    recall = found["recall"]
    assert recall[search.PLAIN] < recall[search.BOTH] - 5
    assert recall[search.BOTH] < recall[search.ONE] - 5
    assert recall[search.CORRECTED] > recall[search.ONE] - 1
    assert recall[search.RESCORED] > recall[search.CORRECTED] + 20
    assert recall.between(0, 100).all()


def test_faiss_and_the_law_find_as_many_as_the_corrected_codes(found):
    corrected = found.loc[search.CORRECTED]
    for way in (search.FAISS, search.NOISE):
        apart = found.loc[way, "recall"] - corrected["recall"]
        error = np.hypot(found.loc[way, "recall_se"], corrected["recall_se"])
        assert abs(apart) < 4 * error, way


def test_a_query_in_four_bits_finds_nearly_as_many_as_a_real_one_and_signs_do_not(found):
    recall = found["recall"]
    assert abs(recall[search.FEW] - recall[search.CORRECTED]) < 2
    assert recall[search.BOTH] < recall[search.FEW] - 5


def test_gains_are_of_the_same_queries(found):
    gain, recall = found["gain"], found["recall"]
    np.testing.assert_allclose(gain, recall - recall[search.ONE], atol=1e-9)
    assert found.loc[search.ONE, ["gain", "gain_se"]].tolist() == [0, 0]
    corrected = found.loc[search.CORRECTED]
    assert 0 < corrected["gain_se"] < 0.7 * corrected["recall_se"]


def test_levels_are_even_and_reach_from_the_lowest_entry_to_the_highest():
    x = np.array([[-1.0, 0.1, 0.4, 2.0], [3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_allclose(search.in_levels(x, 2), [[-1, 0, 0, 2], [3, 3, 3, 3]])
    assert np.abs(search.in_levels(x, 8) - x).max() < 0.51 * 3 / 255


def test_sizes_are_bits_and_what_stands_beside_them(found):
    assert found["bytes"].dropna().to_dict() == {
        search.PLAIN: 8,
        search.BOTH: 8,
        search.ONE: 8,
        search.CORRECTED: 12,
        search.FEW: 12,
        search.RESCORED: 12,
        search.FAISS: 16,
    }
    index = search.rabitq_index(64, 1)
    assert index.sa_code_size() == 16  # what faiss itself says


def test_the_same_generator_gives_the_same_recall():
    x = np.random.default_rng(1).standard_normal((130, 24))
    tables = [search.recalls(x[:120], x[120:], np.random.default_rng(2)) for _ in range(2)]
    assert tables[0].equals(tables[1])


def test_every_vector_scored_again_is_exact():
    x = np.random.default_rng(1).standard_normal((60, 24))
    found = search.recalls(x[:50], x[50:], np.random.default_rng(2), k=3, depth=50)
    assert found.loc[search.RESCORED, "recall"] == 100


def test_too_few_vectors_and_a_vector_at_the_mean_are_sentences():
    x = np.random.default_rng(1).standard_normal((50, 24))
    with pytest.raises(UserError, match="no 100 nearest in scores"):
        search.recalls(x, x[:2], np.random.default_rng(2))
    with pytest.raises(UserError, match="zero vector has no direction"):
        search.centred(np.ones((3, 4)), np.ones((1, 4)))


def test_without_faiss_there_is_a_sentence(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "faiss":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="faiss is not installed: pip install faiss-cpu"):
        search.rabitq_index(8, 1)


def test_simulated_estimates_keep_their_laws_and_wrong_ones_would_be_seen():
    table = search.simulated(64, [0, 0.5, 0.9], 4000, np.random.default_rng(3))
    assert (table[["off", "sd_off"]].abs() < 4).all(axis=None)
    np.testing.assert_allclose(table["one"], table["one_law"], atol=0.01)
    np.testing.assert_allclose(table["both"], table["both_law"], atol=0.01)
    # what has not been divided by c is far off
    assert abs(table.loc[0.5, "one"] - 0.5) > 20 * table.loc[0.5, "mean_se"]


def test_torch_and_faiss_work_side_by_side():
    """Both bring threads of OpenMP: results agree, whichever ran first."""
    torch = pytest.importorskip("torch")
    x = one_bit.unit(np.random.default_rng(1).standard_normal((400, 32)))
    before = search.faiss_nearest(x, x[:5], 3, 1)
    product = torch.tensor(x) @ torch.tensor(x).T
    assert np.array_equal(search.faiss_nearest(x, x[:5], 3, 1), before)
    assert np.allclose(product, x @ x.T)
    assert np.array_equal(before[:, 0], np.arange(5))  # each is its own nearest


# --- angles, thresholds, few bits -----------------------------------------------------------------


def test_rotation_takes_every_kind_of_vector_to_the_law():
    generator = np.random.default_rng(4)
    kinds = {
        "axis": np.eye(300)[:200],
        "positive": generator.random((200, 300)) ** 4,
        "signs": np.where(generator.random((200, 300)) > 0.5, 1.0, -1.0),
    }
    by_way = search.sign_angles(kinds, generator)
    plain, rotated = by_way["as they are"], by_way["rotated"]
    assert plain.loc["axis", "angle"] == pytest.approx(np.degrees(np.arccos(300**-0.5)))
    assert plain.loc["signs", "angle"] == pytest.approx(0, abs=1e-5)
    spread = angle_sd(GAUSSIAN, 300)
    assert (abs(rotated["mean"] - mean_angle(GAUSSIAN, 300)) < 4 * spread).all()
    for table in by_way.values():
        assert (table["angle_25"] <= table["angle"]).all()
        assert (table["angle"] <= table["angle_75"]).all()
        assert (table["dimension"] == 300).all()


def test_a_few_bits_have_the_distortion_of_lloyd_and_max_and_turboquant_printed_it():
    few = search.distortions(np.eye(256)[:40], np.random.default_rng(5))
    assert list(few.index) == [1, 2, 3, 4]
    # forty axes under one rotation are forty uniform directions
    assert (abs(few["measured"] - few["law"]) < 5 * few["spread"] / np.sqrt(40)).all()
    assert few.loc[1, "law"] == pytest.approx(4 * (1 - 2 / np.pi))
    # digits are cut off there, not rounded
    assert (few["law"] - few["printed"]).between(0, few["digit"]).all()
    assert (few["bound"] == 1).all()
    assert few["law"].between(1, search.TURBOQUANT_FACTOR).all()


def test_the_threshold_rules_of_gaussian_weights():
    w = np.random.default_rng(6).standard_normal((200, 500))
    rules = search.threshold_rules(w)
    assert rules["angle"].round(2).tolist() == [37.07, 27.49, 25.96, 25.85]
    np.testing.assert_allclose(rules["weights_angle"], rules["angle"], atol=0.3)
    # the rule as its paper has it: divide by the mean size, round, keep within −1 and 1
    rounded = np.clip(np.round(w / np.abs(w).mean()), -1, 1)
    assert rules.loc["BitNet b1.58", "weights_angle"] == pytest.approx(
        float(angle_between(w.ravel(), rounded.ravel()))
    )
    assert rules.loc["BitNet b1.58", "zeros"] == pytest.approx(31.0, abs=0.01)


def test_what_enters_a_layer_is_taken_before_it_is_binarized():
    torch = pytest.importorskip("torch")
    from bnn_geometry import training

    recipe = training.recipe("mnist-mlp", "fast").with_(width=1 / 32)
    network = training.build_network(recipe, seed=1).eval()
    images = torch.randint(0, 256, (7, 1, 28, 28), generator=torch.Generator().manual_seed(1))
    images = images.to(torch.uint8)
    found = search.hidden(network, images, "fc4")
    assert found.shape == (7, network.get_submodule("fc4").weight.shape[1])
    assert not np.isin(found, [-1, 1]).any()
    for layer in ("fc1", "conv9"):  # images are not binarized; there is no such layer
        with pytest.raises(UserError, match=f"no layer '{layer}' with a binarized input"):
            search.hidden(network, images, layer)


def test_a_cloud_in_the_plane_is_rotated_and_keeps_its_mean_over_all_rotations():
    points = search.plane_cloud(40, np.random.default_rng(7))
    quarter, _ = search.turned(points, 90)
    np.testing.assert_allclose(quarter, np.column_stack([-points[:, 1], points[:, 0]]), atol=1e-12)
    means = [search.turned(points, degrees)[1] for degrees in range(90)]
    assert np.mean(means) == pytest.approx(22.5, abs=0.01)
    assert max(means) - min(means) > 15  # a single rotation may be good or bad
