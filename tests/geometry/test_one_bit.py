"""One-bit codes: against plain loops, against the laws, and against faiss."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import one_bit
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN

DIMENSIONS = (1, 2, 7, 8, 9, 63, 64, 65, 200)


def vectors(count, dimension, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dimension))


def by_loop(o, q):
    """The estimate as the paper writes it, one pair at a time."""
    found = np.empty((len(q), len(o)))
    for j, vector in enumerate(o):
        direction = vector / np.sqrt(sum(x * x for x in vector))
        code = [(1 if x > 0 else -1) / np.sqrt(len(vector)) for x in vector]
        c = sum(a * b for a, b in zip(code, direction, strict=True))
        for i, query in enumerate(q):
            found[i, j] = sum(a * b for a, b in zip(code, query, strict=True)) / c
    return found


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_packed_signs_and_their_products_are_those_of_a_plain_loop(dimension):
    o, q = vectors(5, dimension), vectors(3, dimension, 1)
    o[0, :1], q[0, :1] = -1.0, 1.0  # both values in every dimension
    codes, queries = one_bit.encode(o), one_bit.encode(q)
    assert np.array_equal(codes.signs, np.where(o > 0, 1, -1))
    assert codes.bits.shape == (5, -(-dimension // 64))
    expected = [
        [sum((1 if a > 0 else -1) * (1 if b > 0 else -1) for a, b in zip(x, y, strict=True))
         for x in o]
        for y in q
    ]  # fmt: skip
    assert one_bit.sign_products(codes, queries).tolist() == expected


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_estimate_is_that_of_a_plain_loop(dimension):
    o, q = vectors(4, dimension), vectors(3, dimension, 1)
    np.testing.assert_allclose(one_bit.estimate(one_bit.encode(o), q), by_loop(o, q), atol=1e-12)


matrices = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 70)),
    elements=st.floats(-1e300, 1e300, allow_nan=False),
)


@settings(deadline=None, max_examples=60)
@given(matrices)
def test_any_finite_vectors_are_encoded_or_refused_as_zero(x):
    if not np.abs(x).max(axis=1).all():
        with pytest.raises(UserError, match="zero vector has no direction"):
            one_bit.encode(x)
        return
    codes = one_bit.encode(x)
    n = x.shape[1]
    assert np.array_equal(codes.signs, np.where(one_bit.unit(x) > 0, 1, -1))
    assert ((codes.cosine > 1 / np.sqrt(n) - 1e-9) & (codes.cosine <= 1)).all()
    # a vector with itself: exactly 1 by the correction
    own = np.diag(one_bit.estimate(codes, one_bit.unit(x)))
    np.testing.assert_allclose(own, 1, atol=1e-9)
    products = one_bit.sign_products(codes, codes)
    assert np.array_equal(products, codes.signs.astype(int) @ codes.signs.T.astype(int))


def test_lengths_do_not_matter_to_a_code():
    x = vectors(6, 30)
    scales = np.array([1e-300, 1e-3, 1, 7, 1e9, 1e300])[:, None]
    one, other = one_bit.encode(x), one_bit.encode(x * scales)
    assert np.array_equal(one.bits, other.bits)
    np.testing.assert_allclose(one.cosine, other.cosine)


# --- laws ---------------------------------------------------------------------------------------


def test_a_random_rotation_is_orthogonal_and_its_law_that_of_uniform_directions():
    generator = np.random.default_rng(2)
    r = one_bit.random_rotation(40, generator)
    np.testing.assert_allclose(r @ r.T, np.eye(40), atol=1e-12)
    first = np.array([one_bit.random_rotation(3, generator)[0] for _ in range(4000)])
    # without the signs of the QR decomposition an entry would be of one sign
    assert np.abs(first.mean(axis=0)).max() < 4 / np.sqrt(3 * 4000)
    np.testing.assert_allclose(first.T @ first / 4000, np.eye(3) / 3, atol=0.03)
    assert abs(one_bit.random_rotation(1, generator)) == 1


def test_under_one_rotation_after_another_a_pair_of_axes_is_estimated_without_bias():
    """By matrices, for the vectors that plain signs treat worst."""
    generator = np.random.default_rng(3)
    n, count = 16, 6000
    o, q = np.eye(n)[:1], (0.6 * np.eye(n)[0] + 0.8 * np.eye(n)[1])[None]
    found, spread = np.empty(count), np.empty(count)
    for i in range(count):
        r = one_bit.random_rotation(n, generator)
        codes = one_bit.encode(o @ r)
        found[i] = one_bit.estimate(codes, q @ r)[0, 0]
        spread[i] = one_bit.estimate_sd(codes.cosine, n, 0.6)[0]
    z = (found - 0.6) / spread
    assert abs(z.mean()) < 4 / np.sqrt(count)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * count)
    plain = one_bit.estimate(one_bit.encode(o), q)
    assert plain[0, 0] == pytest.approx(0.6 - 0.8)  # the sign of a zero entry decides


@pytest.mark.parametrize("product", [-0.9, 0.0, 0.5, 1.0])
def test_pairs_have_their_product_and_the_spread_of_the_law(product):
    n, count = 50, 20_000
    o, q = one_bit.rotated_pairs(n, count, product, np.random.default_rng(4))
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1)
    np.testing.assert_allclose(np.einsum("ij,ij->i", o, q), product, atol=1e-12)
    codes = one_bit.encode(o)
    found = np.einsum("ij,ij->i", codes.signs, q) / np.sqrt(n) / codes.cosine
    assert codes.cosine.mean() == pytest.approx(mean_cosine(GAUSSIAN, n), abs=0.002)
    if product == 1:
        np.testing.assert_allclose(found, 1)
        return
    z = (found - product) / one_bit.estimate_sd(codes.cosine, n, product)
    assert abs(z.mean()) < 4 / np.sqrt(count)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * count)


def test_the_spread_at_its_ends():
    assert one_bit.estimate_sd(0.8, 101) == pytest.approx(0.6 / 0.8 / 10)
    assert one_bit.estimate_sd(0.8, 101, 0.6) == pytest.approx(0.8 * 0.6 / 0.8 / 10)
    assert one_bit.estimate_sd(1.0, 10) == 0
    assert one_bit.estimate_sd(1.0, 1) == 0  # in one dimension a sign is the vector
    assert one_bit.estimate(one_bit.encode([[-3.0]]), [[2.0]]) == -2


# --- search -------------------------------------------------------------------------------------


def test_the_nearest_come_best_first_and_equal_ones_in_their_order():
    scores = [[1, 3, 3, 2], [0, 0, 0, 0]]
    assert one_bit.nearest(scores, 3).tolist() == [[1, 2, 3], [0, 1, 2]]
    assert one_bit.nearest(scores, 4)[0].tolist() == [1, 2, 3, 0]


def test_all_candidates_scored_again_are_the_exact_order():
    o, q = vectors(30, 9), vectors(4, 9, 1)
    exact = one_bit.nearest(q @ o.T, 5)
    everything = np.tile(np.arange(30)[::-1], (4, 1))
    assert np.array_equal(one_bit.rescored(o, q, everything, 5), exact)
    few = everything[:, :8]
    best = [sorted(range(22, 30), key=lambda i: -(o[i] @ query))[:5] for query in q]
    assert one_bit.rescored(o, q, few, 5).tolist() == best


def test_recall_is_the_part_of_the_wanted_that_was_found():
    found = one_bit.recall([[1, 2, 3, 9], [4, 5, 6, 7]], [[3, 1], [8, 9]])
    assert found.tolist() == [1.0, 0.0]
    assert one_bit.recall([[1, 2]], [[2, 5]]).tolist() == [0.5]


# --- what does not make sense --------------------------------------------------------------------

GENERATOR = np.random.default_rng(0)
CODES = one_bit.encode(np.eye(3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: one_bit.encode(np.empty((2, 0))), "at least one entry"),
        (lambda: one_bit.encode(np.ones(3)), "rows of an array"),
        (lambda: one_bit.encode([[1.0, 2.0], [0.0, 0.0]]), "zero vector has no direction"),
        (lambda: one_bit.encode([[1.0, np.nan]]), "infinite or NaN"),
        (lambda: one_bit.unit([[np.inf, 1.0]]), "infinite or NaN"),
        (lambda: one_bit.estimate(CODES, [[np.nan, 1, 1]]), "Queries must be finite"),
        (lambda: one_bit.estimate(CODES, np.ones((1, 4))), "of 3 entries and queries of 4"),
        (lambda: one_bit.sign_products(CODES, one_bit.encode(np.eye(4))), "queries of 4"),
        (lambda: one_bit.random_rotation(0, GENERATOR), "at least one dimension"),
        (lambda: one_bit.rotated_pairs(1, 5, 0.0, GENERATOR), "two dimensions"),
        (lambda: one_bit.rotated_pairs(5, 5, np.nan, GENERATOR), "product in"),
        (lambda: one_bit.estimate_sd(np.nan, 5), "cosines in"),
        (lambda: one_bit.estimate_sd(0.0, 5), "cosines in"),
        (lambda: one_bit.nearest(np.ones((2, 5)), 6), "no 6 nearest in scores of shape"),
        (lambda: one_bit.nearest(np.ones((2, 5)), 0), "no 0 nearest"),
        (lambda: one_bit.nearest([[1.0, np.nan]], 1), "no place in an order"),
        (lambda: one_bit.rescored(np.eye(3), np.eye(3)[:1], [[0, 1]], 3), "no 3 nearest"),
        (lambda: one_bit.recall([[1]], [[1], [2]]), "not of the same queries"),
        (lambda: one_bit.recall(np.empty((1, 0)), np.empty((1, 0))), "not of the same"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(call, says):
    with pytest.raises(UserError, match=says) as error:
        call()
    assert str(error.value).endswith(".")


def test_no_queries_find_nothing():
    assert one_bit.estimate(CODES, np.empty((0, 3))).shape == (0, 3)


# --- faiss --------------------------------------------------------------------------------------


@pytest.fixture
def faiss():
    """faiss on one thread, so that it starts none beside those of torch."""
    library = pytest.importorskip("faiss")
    threads = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    yield library
    library.omp_set_num_threads(threads)


@pytest.mark.parametrize("dimension", [64, 104, 784])
def test_faiss_estimates_the_same_behind_its_rotation(faiss, dimension):
    o, q = one_bit.unit(vectors(300, dimension)), one_bit.unit(vectors(7, dimension, 1))
    rotation = faiss.RandomRotationMatrix(dimension, dimension)
    rotation.init(5)
    rabitq = faiss.IndexRaBitQ(dimension, faiss.METRIC_INNER_PRODUCT)
    rabitq.qb = 0  # queries as they are
    index = faiss.IndexPreTransform(rotation, rabitq)
    both = np.concatenate([o, -o]).astype(np.float32)
    index.train(both)  # whose mean, which faiss subtracts, is zero
    index.add(o.astype(np.float32))
    scores, order = index.search(q.astype(np.float32), len(o))
    theirs = np.empty_like(scores)
    np.put_along_axis(theirs, order, scores, axis=1)
    matrix = faiss.vector_to_array(rotation.A).reshape(dimension, dimension).T
    ours = one_bit.estimate(one_bit.encode(o @ matrix), q @ matrix)
    # single precision may turn the sign of an entry next to zero: no more than one in a vector
    close = np.isclose(theirs, ours, atol=2e-6)
    assert close.mean() > 0.99
    np.testing.assert_allclose(theirs, ours, atol=2e-3)


def test_faiss_counts_the_same_bits(faiss):
    o, q = vectors(200, 96), vectors(5, 96, 1)
    index = faiss.IndexBinaryFlat(96)
    index.add(np.packbits(o > 0, axis=1))
    distances, order = index.search(np.packbits(q > 0, axis=1), 200)
    hamming = np.empty_like(distances)
    np.put_along_axis(hamming, order, distances, axis=1)
    products = one_bit.sign_products(one_bit.encode(o), one_bit.encode(q))
    assert np.array_equal(96 - 2 * hamming.astype(int), products)


def test_faiss_finds_the_same_nearest(faiss):
    o, q = one_bit.unit(vectors(200, 20)), one_bit.unit(vectors(5, 20, 1))
    index = faiss.IndexFlat(20, faiss.METRIC_INNER_PRODUCT)
    index.add(o.astype(np.float32))
    order = index.search(q.astype(np.float32), 10)[1]
    assert np.array_equal(order, one_bit.nearest(q @ o.T, 10))
