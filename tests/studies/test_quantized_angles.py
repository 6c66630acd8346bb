"""Angles of quantized and rotated vectors: simulations agree with the laws beside them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bnn_geometry.geometry import rotation
from bnn_geometry.geometry.distributions import GAUSSIAN, LAPLACE, UNIFORM
from bnn_geometry.studies import quantized_angles as study

LAWS = {
    "Gaussian": GAUSSIAN,
    "uniform": UNIFORM,
    "Laplace": LAPLACE,
}


@pytest.fixture
def simulate():
    return study.Simulation(2000, 100, np.random.default_rng(1))


def test_simulated_angles_are_the_limits_within_their_errors(simulate):
    chosen = study.ternary(LAPLACE, [0.0, 0.5, 1.0])
    table = simulate.table(LAPLACE, chosen)
    assert list(table.index) == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(table["exact"], study.limits(LAPLACE, chosen))
    assert table["exact"][0.0] == pytest.approx(45)
    # what n = 2000 and the limit differ by is well below a standard error
    assert (table["off"].abs() < 4).all()
    np.testing.assert_allclose(
        table["off"] * table["angle_se"], table["angle"] - table["exact"], atol=1e-12
    )


def test_the_best_threshold_of_each_law():
    table = study.best_ternary(LAWS)
    np.testing.assert_allclose(table["means"][["uniform", "Laplace"]], [2 / 3, 1])
    np.testing.assert_allclose(table["zeros"]["uniform"], 100 / 3)
    # sin² of the best are 1/9 and 1 − 2/e; of the rule for Laplace entries 1 − 1.7² e^(−0.7)/2
    best = np.degrees(np.arcsin(np.sqrt([1 / 9, 1 - 2 / np.e])))
    np.testing.assert_allclose(table["ternary"][["uniform", "Laplace"]], best)
    rule = np.degrees(np.arccos(1.7 * np.sqrt(np.exp(-0.7) / 2)))
    assert table["loss"]["Laplace"] == pytest.approx(rule - best[1])
    assert (table["loss"] > 0).all()


def test_levels_and_bounds(simulate):
    table = study.lloyd_max(UNIFORM, [2, 4], simulate)
    assert list(table.index) == [2, 3, 4]
    # equal cells of uniform entries: arcsin 1/k, the bound for Gaussian ones
    np.testing.assert_allclose(table["exact"], np.degrees(np.arcsin(1 / table.index)))
    np.testing.assert_allclose(table["bound"], table["exact"])
    np.testing.assert_allclose(table["entropy"], table["bits"])
    assert table["angle"].notna().tolist() == [True, False, True]
    assert (table["off"].dropna().abs() < 4).all()


def test_kinds_of_vectors_and_their_rotations():
    generator = np.random.default_rng(2)
    kinds = study.kinds_of_vectors(64, 200, 0.1, generator)
    matrices = stats.ortho_group.rvs(64, 20, random_state=generator)
    for kind, (x, plain, hadamard) in kinds.items():
        assert x.shape == (200, 64)
        sample = rotation.sample_rotations(x, matrices, generator)
        table = study.rotated(sample, plain=plain, hadamard=hadamard)
        assert tuple(table.index) == study.WAYS
        known = table.loc[["Haar", *(["Hadamard"] if hadamard else [])]]
        exactly = known["angle_se"] < 1e-6  # one vector and its signs: there is no spread
        assert (known["off"][~exactly].abs() < 4.5).all(), kind
        np.testing.assert_allclose(known["angle"][exactly], known["exact"][exactly], atol=1e-4)
        assert table["exact"].notna().tolist() == [plain is not None, True, hadamard is not None]
        histograms = study.rotated_histograms(sample)
        assert [values.shape for values in histograms.values()] == [(200,)] * 3
