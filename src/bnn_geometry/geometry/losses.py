"""Losses of the flows of section 5.1, with a known minimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnn_geometry.geometry.rows import Rows, cosine, dot, norm, rms


@dataclass(frozen=True)
class Loss:
    r"""L(v) with its minimum at v*, a function of ‖v‖ and v·v* alone.

    Its gradient therefore lies in the plane of v and v*, and is written

    .. math:: \nabla L(v) = \text{strength}\cdot(\text{along}\cdot v - v^*).

    Attributes
    ----------
    name : str
    value : callable
        (v, target) → L of each row, shape (seeds,).
    coefficients : callable
        (v, target) → along and strength, each a number or of shape (seeds, 1).
    """

    name: str
    value: Callable[[Rows, Rows], Rows]
    coefficients: Callable[[Rows, Rows], tuple[Rows | float, Rows | float]]

    def gradient(self, v: Rows, target: Rows, out: Rows | None = None) -> Rows:
        """∇L(v), of the shape of v; written to ``out`` where that is given."""
        along, strength = self.coefficients(v, target)
        gradient = np.multiply(v, along, out=out)
        gradient -= target
        gradient *= strength
        return gradient


def _cosine_coefficients(v: Rows, target: Rows) -> tuple[Rows, Rows]:
    square = dot(v, v)  # along·v is the projection of v* on v
    return dot(v, target) / square, v.shape[-1] / (np.sqrt(square) * norm(target))


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()  # mean over a standard normal number


def _gaussian_mean(function: Callable[[Rows], Rows], scale: Rows) -> Rows:
    # E function(scale·Z), Z standard normal; scale of shape (seeds, 1)
    return (function(scale * _NODES) @ _WEIGHTS)[..., np.newaxis]


def _logistic_slope(scale: Rows) -> Rows:
    return _gaussian_mean(lambda x: 1 / (4 * np.cosh(x / 2) ** 2), scale)


def _logistic_value(v: Rows, target: Rows) -> Rows:
    n = v.shape[-1]
    expected = n * _gaussian_mean(lambda x: np.logaddexp(0, x), rms(v))
    return (expected - _logistic_slope(rms(target)) * dot(v, target))[..., 0]


def _logistic_coefficients(v: Rows, target: Rows) -> tuple[Rows, Rows]:
    strength = _logistic_slope(rms(target))
    return _logistic_slope(rms(v)) / strength, strength


SQUARED = Loss(
    "squared distance",
    lambda v, target: np.sum((v - target) ** 2, axis=-1) / 2,
    lambda v, target: (1.0, 1.0),
)
"""‖v − v*‖²/2."""

LOGISTIC = Loss("logistic", _logistic_value, _logistic_coefficients)
r"""n·E[log(1 + e^(−y x·v))] for Gaussian inputs x of variance 1/n in every direction and labels
y = ±1 that are +1 with probability σ(x·v*): logistic regression on data without end. By Stein's
lemma the gradient is κ(‖v‖/√n) v − κ(‖v*‖/√n) v* with κ(s) = E σ'(sZ), Z standard normal."""

COSINE = Loss(
    "scale-invariant",
    lambda v, target: v.shape[-1] * (1 - cosine(v, target)[..., 0]),
    _cosine_coefficients,
)
"""n(1 − cos∠(v, v*)), for which L(kv) = L(v), k > 0, as batch norm makes it. The factor n gives the
entries of the gradient at a ±1 vector the size sin∠(v, v*) in every dimension: one at 90°, where a
random vector is."""
