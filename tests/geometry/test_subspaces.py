"""The worst direction of a random subspace: against all candidates, its bound and an axis."""

from itertools import combinations

import numpy as np
import pytest

from bnn_geometry.geometry.angles import binarization_cosine
from bnn_geometry.geometry.subspaces import farthest_direction, random_subspace, subspace_cosine


def of_all_candidates(basis):
    """The least cosine: ‖v‖₁ is least where as many entries vanish as can."""
    n, k = basis.shape
    found = []
    for rows in combinations(range(n), k - 1):
        x = np.linalg.svd(basis[list(rows)])[2][-1] if rows else np.ones(1)
        found.append(float(binarization_cosine(basis @ x)))
    return min(found)


@pytest.mark.parametrize(("n", "k", "slack"), [(12, 1, 1e-6), (30, 2, 1e-4), (25, 3, 0.02)])
def test_the_search_finds_the_worst_of_all_or_nearly(n, k, slack):
    for seed in range(5):
        generator = np.random.default_rng(seed)
        basis = random_subspace(n, k, generator)
        v = farthest_direction(basis, generator, starts=10)
        assert np.linalg.norm(v) == pytest.approx(1)
        assert basis @ (basis.T @ v) == pytest.approx(v)  # it lies in the subspace
        missed = binarization_cosine(v) - of_all_candidates(basis)
        assert -1e-6 < missed < slack


def test_an_axis_in_the_subspace_is_found():
    generator = np.random.default_rng(1)
    basis = np.zeros((50, 5))
    basis[3, 0] = 1
    basis[10:, 1:] = random_subspace(40, 4, generator)
    assert binarization_cosine(farthest_direction(basis, generator)) == pytest.approx(50**-0.5)


def test_every_direction_keeps_the_bound():
    for n, k in ((100, 10), (200, 2), (300, 30)):
        generator = np.random.default_rng(n)
        v = farthest_direction(random_subspace(n, k, generator), generator)
        assert subspace_cosine(n, k) < binarization_cosine(v) < np.sqrt(2 / np.pi)
    assert subspace_cosine(10**8, 1) == pytest.approx(np.sqrt(2 / np.pi), abs=1e-3)
    assert subspace_cosine(10, 9) == 0


def test_no_subspace_is_refused():
    for k in (0, 4):
        with pytest.raises(ValueError, match="from 1 to 3"):
            random_subspace(3, k, np.random.default_rng(0))
