r"""Correlations of dot products and of signs: what theory says they must be.

A unit sees its inputs x through one number, the dot product with its weights. Over the inputs,
x·w and x·b vary together as far as their covariance :math:`\Sigma` makes them; nothing else about
the inputs matters. For signs of Gaussian numbers two laws are exact: the arcsine law
(Sheppard 1899) and Bussgang's theorem (Bussgang 1952). Everything is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

ROUNDING = 1e-10
"""A variance below this part of what its vector could have is zero but for rounding."""


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"The {name} must be finite; there is an infinite or NaN entry.")
    return array


def _apply(vectors: NDArray[np.float64], covariance: NDArray[np.float64] | None) -> NDArray:
    # vᵀΣ for every vector, (..., n)
    if covariance is None:
        return vectors
    return vectors * covariance if covariance.ndim == 1 else vectors @ covariance


def _covariance(covariance: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    if covariance is None:
        return None
    covariance = _finite("covariance", covariance)
    if covariance.shape not in ((n,), (n, n)):
        raise ValueError(
            f"Vectors of {n} entries need a covariance of shape ({n}, {n}), or its diagonal of "
            f"shape ({n},), not {covariance.shape}."
        )
    if np.any((covariance if covariance.ndim == 1 else np.diagonal(covariance)) < 0):
        raise ValueError("A covariance has no negative entry on its diagonal: it holds variances.")
    return covariance


def _variance(
    name: str, vectors: NDArray[np.float64], covariance: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    # vᵀΣv, (...), or an error where it is zero
    variance = np.sum(_apply(vectors, covariance) * vectors, axis=-1)
    if covariance is None:
        total = 1.0
    else:  # the trace: no direction has a larger variance
        total = float(np.sum(covariance if covariance.ndim == 1 else np.diagonal(covariance)))
    bound = ROUNDING * total * np.sum(vectors * vectors, axis=-1)
    if np.any(variance < -bound):
        raise ValueError("The covariance is not one: some direction has a negative variance.")
    if np.any(variance <= bound):
        where = np.flatnonzero(variance <= bound)[0]
        vector = f"the {name}" if vectors.ndim == 1 else f"row {where} of the {name}"
        raise ValueError(
            f"The inputs do not vary along {vector}, so nothing correlates with that dot product: "
            "leave it out."
        )
    return variance


def _moments(
    weights: ArrayLike, binary: ArrayLike, covariance: ArrayLike | None
) -> tuple[NDArray, NDArray, NDArray]:
    # wᵀΣb, wᵀΣw, bᵀΣb, each of shape () or (filters,)
    weights, binary = _finite("weights", weights), _finite("binary weights", binary)
    if weights.shape != binary.shape or weights.ndim not in (1, 2) or weights.size == 0:
        raise ValueError(
            "The weights and the binary weights must have one shape, (n,) or (filters, n), not "
            f"{weights.shape} and {binary.shape}."
        )
    sigma = _covariance(covariance, weights.shape[-1])
    cross = np.sum(_apply(weights, sigma) * binary, axis=-1)
    variances = [_variance(*v, sigma) for v in (("weights", weights), ("binary weights", binary))]
    if sigma is not None and sigma.ndim == 2:
        # costs little where (Σ − Σᵀ) would cost as much memory as Σ
        mirrored = np.sum(_apply(binary, sigma) * weights, axis=-1)
        if np.any(np.abs(cross - mirrored) > 1e-5 * np.sqrt(variances[0] * variances[1])):
            raise ValueError("The covariance must be symmetric: wᵀΣb and bᵀΣw differ.")
    return cross, *variances


def predicted_correlation(
    weights: ArrayLike, binary: ArrayLike, covariance: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Correlation of x·w with x·b over inputs x of the given covariance.

    .. math:: \mathrm{corr}(x\cdot w,\, x\cdot b)
       = \frac{w^T\Sigma b}{\sqrt{w^T\Sigma w\;\; b^T\Sigma b}} ,

    the cosine of the angle between w and b in the inner product that :math:`\Sigma` defines; for
    white inputs that of the angle itself. Exact for inputs of any distribution with this
    covariance. The paper (section 2) predicts :math:`x\cdot w^b \sim x\cdot w^c`: this says how
    nearly.

    Parameters
    ----------
    weights, binary : array_like, shape (n,) or (filters, n)
        w and b, in pairs. ``binary`` need not be binary.
    covariance : array_like, shape (n, n) or (n,), optional
        :math:`\Sigma`; its diagonal where inputs are uncorrelated; left out, the identity.

    Returns
    -------
    ndarray, shape () or (filters,)
        In [−1, 1].

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, the matrix is no covariance, or the inputs
        do not vary along one of the vectors.
    """
    cross, variance_w, variance_b = _moments(weights, binary, covariance)
    # two roots, for the product of two small variances would be 0
    r = cross / np.sqrt(variance_w) / np.sqrt(variance_b)
    if np.any(np.abs(r) > 1 + 1e-4):  # more than rounding does at the smallest variance let in
        raise ValueError("The covariance is not one: some direction has a negative variance.")
    return np.clip(r, -1.0, 1.0)


def sign_correlation(rho: ArrayLike) -> NDArray[np.float64]:
    r"""The arcsine law: :math:`E[\mathrm{sign}\,x\;\mathrm{sign}\,y] = \frac2\pi\arcsin\rho`.

    Exact for jointly Gaussian x and y of mean zero and correlation ρ (Sheppard 1899).

    Parameters
    ----------
    rho : array_like
        In [−1, 1].

    Raises
    ------
    ValueError
        If a ρ is outside [−1, 1] or NaN.
    """
    rho = np.asarray(rho, dtype=np.float64)
    if not np.all(np.abs(rho) <= 1):  # nor is NaN
        raise ValueError("A correlation lies between −1 and 1.")
    return 2 / np.pi * np.arcsin(rho)


def activation_correlation(
    weights: ArrayLike, covariance: ArrayLike | None = None
) -> NDArray[np.float64]:
    r"""Correlation of w·x with w·sign(x) over Gaussian x of mean zero: both laws together.

    With :math:`D` the diagonal of :math:`\Sigma` and :math:`R = D^{-1/2}\Sigma D^{-1/2}`,
    Bussgang's theorem gives the covariance of x with sign x and the arcsine law that of sign x with
    itself, so that

    .. math:: \mathrm{corr} = \frac{w^T\Sigma D^{-1/2}w}
       {\sqrt{w^T\Sigma w\;\; w^T\arcsin(R)\,w}} .

    It is the counterpart of :func:`predicted_correlation` for the paper's
    :math:`w^b\cdot x^c \sim w^b\cdot x^b` (section 2, end).

    Parameters
    ----------
    weights : array_like, shape (n,) or (filters, n)
    covariance : array_like, shape (n, n) or (n,), optional
        Of x; left out, the identity.

    Returns
    -------
    ndarray, shape () or (filters,)

    Raises
    ------
    ValueError
        As :func:`predicted_correlation`, and if an entry of x does not vary.
    """
    weights = _finite("weights", weights)
    if weights.ndim not in (1, 2) or weights.size == 0:
        raise ValueError(f"The weights must have shape (n,) or (filters, n), not {weights.shape}.")
    n = weights.shape[-1]
    sigma = _covariance(covariance, n)
    if sigma is None or sigma.ndim == 1:
        sigma = np.diag(np.ones(n) if sigma is None else sigma)
    sd = np.sqrt(np.diagonal(sigma))
    if np.any(sd == 0):
        raise ValueError("An input that does not vary has no correlation: leave it out.")
    signs = sign_correlation(np.clip(sigma / np.outer(sd, sd), -1.0, 1.0))
    cross = np.sqrt(2 / np.pi) * np.sum((weights @ (sigma / sd)) * weights, axis=-1)
    scale = np.sqrt(_variance("weights", weights, sigma))
    return cross / scale / np.sqrt(_variance("weights", weights, signs))


def mean_correlation(rho: ArrayLike, directions: ArrayLike) -> NDArray[np.float64]:
    r"""Mean over units of their correlation, where inputs vary alike in k directions only.

    Let w and b have entries that are independent of the inputs, in pairs of correlation ρ. Along
    each of the k directions x·w and x·b then have a pair of coefficients, for many entries jointly
    Gaussian with correlation ρ, and a unit's correlation is the cosine between its two lists of k.
    Its mean is

    .. math:: \frac{2\rho}{k}\left[\frac{\Gamma(\frac{k+1}2)}{\Gamma(\frac k2)}\right]^2
       {}_2F_1\left(\tfrac12, \tfrac12; \tfrac{k+2}2; \rho^2\right)
       \approx \rho\left(1 - \frac{1-\rho^2}{2k}\right) ,

    that of a sample correlation with k degrees of freedom (Hotelling 1953): never above ρ, and for
    k = 1, where each unit has ±1, the arcsine law.

    Parameters
    ----------
    rho : array_like
        In [−1, 1].
    directions : array_like
        k, at least 1.

    Raises
    ------
    ValueError
        If a ρ is outside [−1, 1] or NaN, or a k below 1.
    """
    rho, k = np.asarray(rho, dtype=np.float64), np.asarray(directions, dtype=np.float64)
    if not np.all(np.abs(rho) <= 1):
        raise ValueError("A correlation lies between −1 and 1.")
    if not np.all(k >= 1):
        raise ValueError("Inputs vary in one direction at least.")
    squared = np.exp(2 * (special.gammaln((k + 1) / 2) - special.gammaln(k / 2)))
    mean = 2 * rho / k * squared * special.hyp2f1(0.5, 0.5, (k + 2) / 2, rho**2)
    return np.where(np.abs(rho) == 1, rho, mean)  # where scipy's series may fail
