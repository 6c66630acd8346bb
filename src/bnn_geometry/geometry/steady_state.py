r"""Where the flows of section 5.1 end: which entries are held, which flip, and what noise would do.

At a binary vector the gradient of a loss of :mod:`~bnn_geometry.geometry.losses` is
:math:`s\,(\tau v - v^*)` with its coefficients s = strength and τ = along. An entry of u then moves
by :math:`\eta s\,(v_i^* - \tau f(u_i))`: first-order sigma–delta modulation of
:math:`v_i^*/\tau`. Vectors are rows: arrays of shape (seeds, n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bnn_geometry.geometry.flows import SIGN
from bnn_geometry.geometry.losses import COSINE, Loss
from bnn_geometry.geometry.rows import Rows, dot, norm, rms


@dataclass(frozen=True)
class Settled:
    """Where :func:`settled` expects a flow to end.

    Attributes
    ----------
    threshold : ndarray, shape (seeds, 1)
        Entries of v* larger than this in size are held, the others flip for ever.
    cosine : ndarray, shape (seeds, 1)
        Of ∠(f(u), v*), averaged over time.
    mean_output : ndarray, shape (seeds, n)
        f(u) averaged over time.
    latent : ndarray, shape (seeds, n)
        u, clipped to ±1, for vanishing step size: −1, 0 or +1.
    """

    threshold: Rows
    cosine: Rows
    mean_output: Rows
    latent: Rows


def settled(target: ArrayLike, loss: Loss = COSINE) -> Settled:
    r"""Where a flow ends, f = bin and g the identity, for a step size that is constant.

    Where :math:`|v_i^*| > \tau`, an entry keeps its sign and goes to the clip; in the others f(u)
    averages to :math:`v_i^*/\tau`, with u near 0.

    For the squared distance τ = 1, for the logistic loss it depends on ‖v*‖ alone. For the
    scale-invariant loss :math:`\tau = c\,\|v^*\|/\sqrt n` with the cosine c, which becomes
    constant for large n; with :math:`z = \sqrt n\,v^*/\|v^*\|`

    .. math:: c = \frac1n\sum_i \min(z_i^2/c,\ |z_i|).

    For entries uniform on an interval about 0 it tends to :math:`3(2-\sqrt3)`, 36.5°.

    Parameters
    ----------
    target : array_like, shape (seeds, n)
        v*, no row zero.
    loss : Loss
    """
    target = np.atleast_2d(np.asarray(target, dtype=np.float64))
    along, _ = loss.coefficients(SIGN.value(target), target)
    if loss is COSINE:  # the one whose coefficient depends on which binary vector it is
        along = _settled_cosine(target) * rms(target)
    threshold = np.broadcast_to(along, (len(target), 1))
    mean_output = np.clip(target / threshold, -1, 1)
    return Settled(
        threshold=threshold,
        cosine=_output_cosine(mean_output, target),
        mean_output=mean_output,
        latent=np.sign(target) * (np.abs(target) > threshold),
    )


def _output_cosine(mean_output: Rows, target: Rows) -> Rows:
    # every f(u) has the length √n, so that the mean of its cosine is that of its mean
    return dot(mean_output, target) / (np.sqrt(target.shape[-1]) * norm(target))


def _settled_cosine(target: Rows) -> Rows:
    z = target / rms(target)
    size = np.abs(z)
    low, high = np.zeros((len(z), 1)), np.ones((len(z), 1))
    for _ in range(60):  # bisection: the right side, divided by c, falls as c grows
        c = (low + high) / 2
        above = np.mean(np.minimum(z**2, c * size), axis=-1, keepdims=True) > c**2
        low, high = np.where(above, c, low), np.where(above, high, c)
    return high


def last_cosine(target: ArrayLike, power: float, loss: Loss = COSINE) -> Rows:
    r"""Cosine of ∠(f(u), v*) after the *last* of many updates, whose steps fall to zero.

    With k updates to go the step size is proportional to :math:`k^{\text{power}}`: 0 is a constant
    step, 1 a linear fall, 2 the end of a cosine schedule. The threshold is that of
    :func:`settled`; each entry is then a modulator of its own, followed from every phase.

    Parameters
    ----------
    target : array_like, shape (seeds, n)
    power : float
    loss : Loss

    Returns
    -------
    ndarray, shape (seeds, 1)
    """
    target = np.atleast_2d(np.asarray(target, dtype=np.float64))
    ratio = target / settled(target, loss).threshold
    size = np.linspace(0, 1, 101)[:, np.newaxis]  # |v_i*| / τ of the entries that flip
    phases = np.linspace(-1, 1, 202)[1:-1]
    steps = np.arange(200, 0, -1.0) ** power
    u = steps[0] * (size + phases)
    for step in steps:
        u += step * (size - SIGN.value(u))
    mean = SIGN.value(u).mean(axis=1)
    return _output_cosine(np.sign(ratio) * np.interp(np.abs(ratio), size[:, 0], mean), target)


def latent_with_noise(target: ArrayLike, variance: Callable[[Rows], Rows | float]) -> Rows:
    r"""Where u ends in the scale-invariant loss when f(u) = u + ε with noise that is independent.

    The gradient averages to zero where :math:`u = \mathrm{clip}(a v^*, \pm1)` with
    :math:`a\,u\cdot v^* = \|u\|^2 + n\,\text{variance}`, for vanishing step size.

    Parameters
    ----------
    target : array_like, shape (seeds, n)
    variance : callable
        u → mean square of the entries of ε, a number or of shape (seeds, 1).

    Returns
    -------
    ndarray, shape (seeds, n)
    """
    target = np.atleast_2d(np.asarray(target, dtype=np.float64))
    low, high = np.zeros((len(target), 1)), np.full((len(target), 1), 30.0)  # logarithms of a
    low += np.log(1e-6 / np.abs(target).max())
    for _ in range(60):
        a = np.exp((low + high) / 2)
        u = np.clip(a * target, -1, 1)
        above = dot(u, u) / u.shape[-1] + variance(u) > a * dot(u, target) / u.shape[-1]
        low, high = np.where(above, np.log(a), low), np.where(above, high, np.log(a))
    return u
