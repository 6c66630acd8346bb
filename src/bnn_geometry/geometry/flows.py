r"""Substituted-gradient flow (section 5.1 of the paper) on losses with a known minimum.

A transformer v = f(u) is used forward, another function g backward; u moves by

.. math:: -\delta u_i \propto \sum_j \partial_j L(f(u))\,\partial_i g_j(u).

Vectors are rows: arrays of shape (seeds, n), one independent flow per row, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.errors import UserError

Rows = NDArray[np.float64]
"""float64, shape (seeds, n)."""


class Function(Protocol):
    """An array function of numpy's kind: the result goes to ``out`` where that is given."""

    def __call__(self, u: Rows, out: Rows | None = None) -> Rows:
        """Apply it to each entry."""


@dataclass(frozen=True)
class Pointwise:
    """A function applied to each entry; ``value`` and ``derivative`` keep the shape."""

    name: str
    value: Function
    derivative: Callable[[Rows], Rows]

    def pull_back(self, u: Rows, upstream: Rows) -> Rows:
        r"""Vector-Jacobian product :math:`\sum_j \text{upstream}_j\,\partial_i g_j(u)`."""
        return upstream * self.derivative(u)


class _Identity(Pointwise):
    def pull_back(self, u: Rows, upstream: Rows) -> Rows:
        return upstream


def _bin(u: Rows, out: Rows | None = None) -> Rows:
    # several times as fast as np.where(u > 0, 1.0, -1.0)
    v = np.greater(u, 0, out=np.empty_like(u) if out is None else out)
    v *= 2
    v -= 1
    return v


def _hard_tanh(u: Rows, out: Rows | None = None) -> Rows:
    return np.clip(u, -1, 1, out=out)


IDENTITY = _Identity("identity", np.positive, np.ones_like)
HARD_TANH = Pointwise("hard tanh", _hard_tanh, lambda u: np.where(np.abs(u) <= 1, 1.0, 0.0))
TANH = Pointwise("tanh", np.tanh, lambda u: 1 - np.tanh(u) ** 2)
SIGN = Pointwise("bin", _bin, np.zeros_like)
"""bin(u): +1 where u > 0, −1 elsewhere; its own derivative is 0 wherever it has one."""


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


def _dot(u: Rows, v: Rows) -> Rows:
    return np.einsum("...i,...i->...", u, v)[..., np.newaxis]  # (seeds, 1)


def _norm(v: Rows) -> Rows:
    return np.sqrt(_dot(v, v))


def _rms(v: Rows) -> Rows:
    return _norm(v) / np.sqrt(v.shape[-1])


def _cosine(u: Rows, v: Rows) -> Rows:
    # NaN for a zero vector, which has no direction
    return np.clip(_dot(u, v) / (_norm(u) * _norm(v)), -1, 1)


def _cosine_coefficients(v: Rows, target: Rows) -> tuple[Rows, Rows]:
    square = _dot(v, v)  # along·v is the projection of v* on v
    return _dot(v, target) / square, v.shape[-1] / (np.sqrt(square) * _norm(target))


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()  # mean over a standard normal number


def _gaussian_mean(function: Callable[[Rows], Rows], scale: Rows) -> Rows:
    # E function(scale·Z), Z standard normal; scale of shape (seeds, 1)
    return (function(scale * _NODES) @ _WEIGHTS)[..., np.newaxis]


def _logistic_slope(scale: Rows) -> Rows:
    return _gaussian_mean(lambda x: 1 / (4 * np.cosh(x / 2) ** 2), scale)


def _logistic_value(v: Rows, target: Rows) -> Rows:
    n = v.shape[-1]
    expected = n * _gaussian_mean(lambda x: np.logaddexp(0, x), _rms(v))
    return (expected - _logistic_slope(_rms(target)) * _dot(v, target))[..., 0]


def _logistic_coefficients(v: Rows, target: Rows) -> tuple[Rows, Rows]:
    strength = _logistic_slope(_rms(target))
    return _logistic_slope(_rms(v)) / strength, strength


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
    lambda v, target: v.shape[-1] * (1 - _cosine(v, target)[..., 0]),
    _cosine_coefficients,
)
"""n(1 − cos∠(v, v*)), for which L(kv) = L(v), k > 0, as batch norm makes it. The factor n gives the
entries of the gradient at a ±1 vector size one in every dimension."""


def substituted_gradient(
    u: Rows,
    loss_gradient: Callable[[Rows], Rows],
    forward: Callable[[Rows], Rows],
    pull_back: Callable[[Rows, Rows], Rows],
) -> Rows:
    r"""The paper's :math:`\sum_j \partial_j L(f(u))\,\partial_i g_j(u)` (section 5.1).

    Parameters
    ----------
    u : ndarray, shape (seeds, n)
    loss_gradient : callable
        v → ∇L(v), same shape.
    forward : callable
        f, used forward.
    pull_back : callable
        (u, upstream) → upstream times the Jacobian of g at u.
    """
    return pull_back(u, loss_gradient(forward(u)))


def angle(u: Rows, v: Rows) -> Rows:
    """Angle of rows in degrees, shape (seeds,); NaN where a vector is zero."""
    return np.degrees(np.arccos(_cosine(u, v)[..., 0]))


@dataclass(frozen=True, eq=False)
class Flow:
    """What :func:`flow` saw. Angles in degrees, shape (logged, seeds).

    Attributes
    ----------
    steps : ndarray of int, shape (logged,)
        Updates made before each entry; the first is 0.
    output_angle
        ∠(f(u), v*).
    latent_angle
        ∠(u, v*).
    turn
        ∠(u, f(u)).
    error_size
        Root mean square of the entries of f(u) − u, shape (logged, seeds).
    error_cosine
        Cosine between f(u) − u and u, shape (logged, seeds); NaN where either is zero.
    mean_output : ndarray, shape (seeds, n)
        f(u) averaged over the updates of the second half.
    u : ndarray, shape (seeds, n)
        After the last update.
    path : ndarray, shape (logged, seeds, n), or None
        u at each entry, where asked for.
    """

    steps: NDArray[np.int64]
    output_angle: Rows
    latent_angle: Rows
    turn: Rows
    error_size: Rows
    error_cosine: Rows
    mean_output: Rows
    u: Rows
    path: Rows | None = None

    def late_mean(self, name: str) -> Rows:
        """Mean of an attribute over the entries of the flow's second half, shape (seeds,)."""
        return getattr(self, name)[self.steps >= self.steps[-1] / 2].mean(axis=0)


def flow(
    loss: Loss,
    target: ArrayLike,
    start: ArrayLike,
    step_sizes: ArrayLike,
    *,
    forward: Pointwise = SIGN,
    backward: Pointwise = IDENTITY,
    clip: float | None = 1.0,
    noise: np.random.Generator | None = None,
    log_every: int = 1,
    keep_path: bool = False,
) -> Flow:
    """Follow u ← u − η·(substituted gradient), all rows at once.

    Parameters
    ----------
    loss : Loss
    target : array_like, shape (seeds, n)
        v* of each row.
    start : array_like, shape (seeds, n)
        u before the first update.
    step_sizes : array_like, shape (steps,)
        η of each update.
    forward, backward : Pointwise
        f and g.
    clip : float, optional
        u is clipped to ±clip after each update, as latent weights are; None: never.
    noise : numpy.random.Generator, optional
        The paper's noise model taken literally: the gradient is ∇L(u + ε) with Gaussian ε, drawn
        anew for each update, independent of u and of the size (root mean square) of f(u) − u.
    log_every : int
        Updates between two entries; the state after the last update is always one.
    keep_path : bool
        Whether u itself is logged.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    UserError
        If u ceases to be finite; the sentence names the update.
    """
    target = np.atleast_2d(np.asarray(target, dtype=np.float64))
    u = np.array(start, dtype=np.float64, ndmin=2)  # a copy, which the loop changes
    step_sizes = np.asarray(step_sizes, dtype=np.float64)
    if u.shape != target.shape or step_sizes.ndim != 1 or not len(step_sizes) or log_every < 1:
        raise ValueError(
            f"Targets {target.shape} and starts {u.shape} must have one shape, step sizes "
            f"{step_sizes.shape} one axis and an entry, and log_every be at least 1."
        )
    logged, path, sums = [], [], np.zeros_like(u)
    half = len(step_sizes) // 2
    # No array of this size is made within the loop: to ask for memory would take most of the time.
    v, work = np.empty_like(u), np.empty_like(u)  # v: f(u), or what the noise model has there

    def output(u: Rows) -> Rows:
        return v

    def slope(v: Rows) -> Rows:
        return loss.gradient(v, target, out=work)

    with np.errstate(all="ignore"):  # what is not finite is told below, with its step
        for step in range(len(step_sizes) + 1):
            forward.value(u, out=v)
            logs = step % log_every == 0 or step == len(step_sizes)
            if logs or noise is not None:
                error = np.subtract(v, u, out=work)
                size = _rms(error)
            if logs:
                angles = angle(v, target), angle(u, target), angle(u, v)
                logged.append((step, *angles, size[:, 0], _cosine(error, u)[:, 0]))
                if keep_path:
                    path.append(u.copy())
            if step == len(step_sizes):
                break
            if step >= half:
                sums += v
            if noise is not None:
                noise.standard_normal(out=v)
                v *= size
                v += u
            gradient = substituted_gradient(u, slope, output, backward.pull_back)
            gradient *= step_sizes[step]
            u -= gradient
            if not np.isfinite(u).all():
                raise UserError(
                    f"The flow diverged at update {step + 1} of {len(step_sizes)}: take a step "
                    f"size below {step_sizes[step]:g}."
                )
            if clip is not None:
                np.clip(u, -clip, clip, out=u)
    columns = [np.array(column) for column in zip(*logged, strict=True)]
    return Flow(*columns, sums / (len(step_sizes) - half), u, np.array(path) if keep_path else None)


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
        along = _mean_cosine(target) * _rms(target)
    threshold = np.broadcast_to(along, (len(target), 1))
    strength = np.broadcast_to(strength, (len(target), 1))
    size = np.abs(target)
    mean_output = np.clip(target / threshold, -1, 1)
    with np.errstate(divide="ignore"):
        period = 2 / np.maximum(0, 1 - size / threshold)
    return Settled(
        threshold=threshold,
        cosine=_dot(mean_output, target) / (np.sqrt(target.shape[-1]) * _norm(target)),
        mean_output=mean_output,
        latent=np.sign(target) * (size > threshold),
        free=np.sign(target) * np.maximum(size - threshold, 0),
        period=period,
        drift=strength * target,
        reach=strength * threshold,
    )


def _mean_cosine(target: Rows) -> Rows:
    z = target / _rms(target)
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
