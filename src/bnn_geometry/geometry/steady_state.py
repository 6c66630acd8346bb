r"""Where the flows of section 5.1 end: which entries are held, and how the others oscillate.

Vectors are rows: arrays of shape (seeds, n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bnn_geometry.geometry.flows import SIGN
from bnn_geometry.geometry.losses import COSINE, Loss
from bnn_geometry.geometry.rows import Rows, dot, norm, rms


@dataclass(frozen=True)
class Settled:
    r"""Where :func:`settled` expects a flow to end.

    Attributes
    ----------
    threshold : ndarray, shape (seeds, 1)
        Entries of v* larger than this in size are held, the others oscillate.
    cosine : ndarray, shape (seeds, 1)
        Of ∠(f(u), v*), averaged over time.
    mean_output : ndarray, shape (seeds, n)
        f(u) averaged over time.
    latent : ndarray, shape (seeds, n)
        u, clipped to ±1, for vanishing step size: −1, 0 or +1.
    free : ndarray, shape (seeds, n)
        u without a clip, up to a factor that grows with time: v* less the threshold, softly.
    period : ndarray, shape (seeds, n)
        Updates from one rise through zero to the next, on average; infinite where held.
    drift : ndarray, shape (seeds, n)
        Mean of the two steps that an entry takes, up and down, in units of the step size η.
    reach : ndarray, shape (seeds, 1)
        Half the difference of the two, in units of η: while an entry oscillates, u lies between
        η·(drift − reach) and η·(drift + reach).
    """

    threshold: Rows
    cosine: Rows
    mean_output: Rows
    latent: Rows
    free: Rows
    period: Rows
    drift: Rows
    reach: Rows

    def draw(self, step_size: float, generator: np.random.Generator) -> Rows:
        """A clipped u at a random time: held at ±1, or anywhere within the reach of its steps."""
        phase = generator.uniform(-1, 1, self.latent.shape)
        oscillating = step_size * (self.drift + self.reach * phase)
        return np.where(self.latent == 0, oscillating, self.latent)


def settled(target: ArrayLike, loss: Loss = COSINE) -> Settled:
    r"""Where a flow ends, f = bin and g the identity.

    At a binary vector the step is :math:`\eta\,s\,(v_i^* - \tau f(u_i))`, with the loss's
    coefficients s = strength and τ = along. Where :math:`|v_i^*| > \tau`, an entry keeps its sign
    and goes to the clip; in the others f(u) averages to :math:`v_i^*/\tau`, with u near 0. There
    the step up is :math:`\eta s(\tau + v_i^*)` and the step down :math:`\eta s(\tau - v_i^*)`:
    u turns on a circle of length :math:`2\eta s\tau`, and rises through zero once in
    :math:`2/(1 - |v_i^*|/\tau)` updates.

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
    along, strength = loss.coefficients(SIGN.value(target), target)
    if loss is COSINE:  # the one whose coefficient depends on which binary vector it is
        along = _settled_cosine(target) * rms(target)
    threshold = np.broadcast_to(along, (len(target), 1))
    strength = np.broadcast_to(strength, (len(target), 1))
    size = np.abs(target)
    mean_output = np.clip(target / threshold, -1, 1)
    with np.errstate(divide="ignore"):
        period = 2 / np.maximum(0, 1 - size / threshold)
    return Settled(
        threshold=threshold,
        cosine=dot(mean_output, target) / (np.sqrt(target.shape[-1]) * norm(target)),
        mean_output=mean_output,
        latent=np.sign(target) * (size > threshold),
        free=np.sign(target) * np.maximum(size - threshold, 0),
        period=period,
        drift=strength * target,
        reach=strength * threshold,
    )


def _settled_cosine(target: Rows) -> Rows:
    z = target / rms(target)
    size = np.abs(z)
    low, high = np.zeros((len(z), 1)), np.ones((len(z), 1))
    for _ in range(60):  # bisection: the right side, divided by c, falls as c grows
        c = (low + high) / 2
        above = np.mean(np.minimum(z**2, c * size), axis=-1, keepdims=True) > c**2
        low, high = np.where(above, c, low), np.where(above, high, c)
    return high


@dataclass(frozen=True)
class Oscillation:
    """What each entry of u does in time, shape (n,) each.

    Attributes
    ----------
    duty : ndarray
        Fraction of the updates at which f(u) = +1.
    period : ndarray
        Updates from one rise through zero to the next, on average; infinite where there were
        fewer than two.
    low, high : ndarray
        Smallest and largest value of u.
    """

    duty: Rows
    period: Rows
    low: Rows
    high: Rows


def oscillation(path: Rows) -> Oscillation:
    """Measure how the entries of u move.

    Parameters
    ----------
    path : ndarray, shape (updates, n)
        u after each update, such as ``flow.path[:, 0]``.

    Raises
    ------
    ValueError
        If there are fewer than two updates.
    """
    if path.ndim != 2 or len(path) < 2:
        raise ValueError(f"A path has two axes and at least two updates, not shape {path.shape}.")
    up = path > 0
    rises = up[1:] & ~up[:-1]
    count = rises.sum(axis=0)
    first = rises.argmax(axis=0)
    last = len(rises) - 1 - rises[::-1].argmax(axis=0)
    period = np.full(path.shape[1], np.inf)
    np.divide(last - first, count - 1, out=period, where=count > 1)
    return Oscillation(up.mean(axis=0), period, path.min(axis=0), path.max(axis=0))
