"""Distributions of entries: moments, transforms and tails against quadrature; and draws."""

import numpy as np
import pytest
from scipy import integrate, stats

from bnn_geometry.geometry import angles
from bnn_geometry.geometry.cosine_moments import cosine_sd, mean_cosine
from bnn_geometry.geometry.distributions import (
    GAUSSIAN,
    LAPLACE,
    SIGNS,
    UNIFORM,
    empirical,
    sparse,
    student_t,
)
from bnn_geometry.geometry.quantizers import limit_angle

SIGMAS = 4.5  # 7e-6 of all seeds would fail; the seeds are fixed
KNOWN = {  # of |w|: density apart from a mass at zero, end of the support
    UNIFORM: (lambda w: 1.0, 1.0),
    GAUSSIAN: (lambda w: np.sqrt(2 / np.pi) * np.exp(-(w**2) / 2), np.inf),
    LAPLACE: (lambda w: np.exp(-w), np.inf),
    student_t(5): (lambda w: 16 / (3 * np.pi * np.sqrt(5)) / (1 + w**2 / 5) ** 3, np.inf),
    sparse(0.3): (lambda w: 0.3 * np.sqrt(2 / np.pi) * np.exp(-(w**2) / 2), np.inf),
}
SCIPY = {GAUSSIAN: stats.norm(), UNIFORM: stats.uniform(-1, 2), LAPLACE: stats.laplace()}

every_law = pytest.mark.parametrize("law", KNOWN, ids=lambda law: law.name)
each_with_tails = pytest.mark.parametrize("law", SCIPY, ids=lambda law: law.name)


def mean_over_entries(law, f):
    density, end = KNOWN[law]
    return integrate.quad(lambda w: f(w) * density(w), 0, end, epsabs=0, epsrel=1e-11, limit=200)[0]


@every_law
def test_moments_are_those_of_the_density(law):
    moments = [mean_over_entries(law, lambda w, k=k: w**k) for k in range(1, 5)]
    np.testing.assert_allclose([law.m1, law.m2, law.m3, law.m4], moments, rtol=1e-9)


@every_law
def test_laplace_transforms_are_those_of_the_density(law):
    t = np.array([1e-6, 1e-4, 0.3, 1.0, 40.0])
    log_b, tilted = law.laplace(t, 5)
    expected = np.array(
        [
            [mean_over_entries(law, lambda w, k=k, s=s: w**k * np.exp(-s * w * w)) for s in t]
            for k in range(6)
        ]
    )
    np.testing.assert_allclose(np.exp(log_b), expected[0] + law.zero, rtol=1e-10)
    np.testing.assert_allclose(tilted * np.exp(log_b), expected[1:], rtol=1e-10)


@every_law
def test_laplace_transform_keeps_its_digits_at_tiny_and_huge_arguments(law):
    # E(1 − exp(−tw²)) = m₂t − m₄t²/2 + …; far out the density at 0 decides
    log_b, tilted = law.laplace([1e-18, 1e24])
    assert log_b[0] == pytest.approx(-1e-18 * law.m2, rel=1e-9)
    np.testing.assert_allclose(tilted[:, 0], [law.m1, law.m2], rtol=1e-9)
    flat = KNOWN[law][0](0.0)
    expected = np.log(law.zero + flat * np.sqrt(np.pi / 1e24) / 2)
    assert log_b[1] == pytest.approx(expected, abs=1e-11)
    assert tilted[0, 1] * np.exp(log_b[1]) == pytest.approx(flat / 2e24, rel=1e-9)


@each_with_tails
def test_tails_are_those_of_the_distribution(law):
    t = np.array([0.0, 0.2, 0.9, 1.0, 2.5])
    np.testing.assert_allclose(law.tail(t), SCIPY[law].sf(t), rtol=1e-12)
    means = [SCIPY[law].expect(lambda w: w, lb=s) for s in t[:3]]
    np.testing.assert_allclose(law.tail_mean(t)[:3], means, rtol=1e-8)
    assert 2 * law.tail_mean(0.0) == pytest.approx(law.m1, rel=1e-15)


def test_heavy_tails_have_infinite_moments():
    law = student_t(2.5)
    assert (law.m3, law.m4) == (np.inf, np.inf)
    assert law.m2 == pytest.approx(5.0)


def test_data_have_the_moments_of_the_data():
    values = np.array([3.0, -4.0, 0.0, 4.0])
    law = empirical(values)
    moments = [np.mean(np.abs(values) ** k) for k in range(1, 5)]
    assert [law.m1, law.m2, law.m3, law.m4] == pytest.approx(moments)
    assert law.zero == 0.25
    assert limit_angle(law) == pytest.approx(float(angles.nearest_binary_angle(values)))
    for n in (2, 3):  # every vector of such entries, but for the zero one
        w = np.stack(np.meshgrid(*[values] * n), axis=-1).reshape(-1, n)
        cosine = angles.binarization_cosine(w[np.any(w != 0, axis=1)])
        assert mean_cosine(law, n) == pytest.approx(cosine.mean(), rel=1e-12)
        assert cosine_sd(law, n) == pytest.approx(cosine.std(), rel=1e-9)


# --- draws --------------------------------------------------------------------------------------


def filled(law):
    entries = np.empty((40, 500))
    law.fill(np.random.default_rng(3), entries)
    return entries


@pytest.mark.parametrize("way", ["fill", "draw"])
def test_entries_follow_their_distribution(way):
    for law, known in (SCIPY | {student_t(5): stats.t(5)}).items():
        generator = np.random.default_rng(3)
        entries = filled(law) if way == "fill" else law.draw(generator, (40, 500))
        assert entries.shape == (40, 500)
        assert stats.kstest(entries.ravel(), known.cdf).pvalue > 1e-4


def test_entries_with_atoms_have_them_as_often_as_they_should():
    signs = filled(SIGNS)
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < SIGMAS / np.sqrt(signs.size)
    some = filled(sparse(0.4))
    assert abs(np.mean(some != 0) - 0.4) < SIGMAS * np.sqrt(0.24 / some.size)
    assert stats.kstest(some[some != 0], stats.norm.cdf).pvalue > 1e-4
    values, counts = np.unique(filled(empirical([-3.0, 0.0, 2.5, 1.0])), return_counts=True)
    np.testing.assert_array_equal(values, [-3, 0, 1, 2.5])
    assert stats.chisquare(counts).pvalue > 1e-4


# --- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "bad", "words"),
    [
        (student_t, (1.0, 0.5, -2.0, np.inf, np.nan), "degrees of freedom"),
        (sparse, (0.0, -0.1, 1.1, np.nan), r"\(0, 1\]"),
        (empirical, ([], [[1.0, 2.0]]), "one-dimensional"),
        (empirical, ([1.0, np.nan], [1.0, np.inf]), "finite"),
        (empirical, ([0.0, 0.0],), "zero"),
        (empirical, ([1e-30, 1e-31],), "scale"),
    ],
)
def test_what_is_no_distribution_is_refused(make, bad, words):
    for argument in bad:
        with pytest.raises(ValueError, match=words):
            make(argument)
