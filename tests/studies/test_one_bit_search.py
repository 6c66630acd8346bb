"""Search by one-bit codes: what is found, at what size, and what the law foretells."""

import builtins
import sys

import numpy as np
import pytest

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import one_bit
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


def test_sizes_are_bits_and_what_stands_beside_them(found):
    assert found["bytes"].dropna().to_dict() == {
        search.PLAIN: 8,
        search.BOTH: 8,
        search.ONE: 8,
        search.CORRECTED: 12,
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
