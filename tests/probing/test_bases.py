"""Binarizing in other bases: what the correlation must be there."""

import numpy as np
import torch
from planted import gaussian
from scipy import special

from bnn_geometry.probing import bases


def test_bases_give_what_they_must():
    n = 60
    weight = gaussian(20, n, seed=3)
    # one strong component, as in patches of images
    strong = gaussian(n, seed=4)
    x = gaussian(5000, n, seed=5) + 10 * gaussian(5000, 1, seed=6) * strong / strong.norm()
    r = bases.basis_correlations(weight, x)
    assert list(r) == [
        *("as it is", "random rotation", "principal axes", "whitened", "whitened, unrotated")
    ]
    # whitened: the cosine between the weights there and their binarization
    covariance = torch.from_numpy(np.cov(x.numpy().T, bias=True))
    values, axes = torch.linalg.eigh(covariance)
    u = weight @ (axes * values.sqrt())
    cosine = u.abs().sum(1) / (u.norm(dim=1) * n**0.5)
    torch.testing.assert_close(r["whitened"], cosine, atol=1e-4, rtol=0)
    # principal axes: each along an axis, the strong one like all others
    v = weight @ axes
    by_hand = [np.corrcoef((x @ axes) @ a, (x @ axes) @ torch.sign(a))[0, 1] for a in v]
    np.testing.assert_allclose(r["principal axes"], by_hand, atol=1e-9)


def test_bases_of_white_inputs_are_all_alike():
    weight, x = gaussian(200, 30, seed=1), gaussian(4_000, 30, seed=2)
    # E‖w‖₁/(√n‖w‖₂) of a Gaussian vector
    expected = np.sqrt(30 / np.pi) * np.exp(special.gammaln(15) - special.gammaln(15.5))
    for name, r in bases.basis_correlations(weight, x).items():
        assert abs(r.mean() - expected) < 4 * r.std() / 200**0.5, name


def test_bases_do_not_depend_on_the_mean_and_bear_what_does_not_vary():
    weight, x = gaussian(5, 12, seed=1), gaussian(300, 12, seed=2)
    x[:, 3] = 0.0
    shifted = bases.basis_correlations(weight, x + 5.0)
    for name, r in bases.basis_correlations(weight, x).items():
        assert torch.isfinite(r).all(), name
        torch.testing.assert_close(shifted[name], r, atol=1e-6, rtol=0)
    constant = bases.basis_correlations(weight, torch.ones(10, 12))
    assert all(torch.isnan(r).all() for r in constant.values())
