r"""Substituted-gradient flow (section 5.1 of the paper) on losses with a known minimum.

A transformer v = f(u) is used forward, another function g backward; u moves by

.. math:: -\delta u_i \propto \sum_j \partial_j L(f(u))\,\partial_i g_j(u).

Vectors are rows: arrays of shape (seeds, n), one independent flow per row, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.errors import UserError

Rows = NDArray[np.float64]
"""float64, shape (seeds, n)."""


@dataclass(frozen=True)
class Pointwise:
    """A function applied to each entry; ``value`` and ``derivative`` keep the shape."""

    name: str
    value: Callable[[Rows], Rows]
    derivative: Callable[[Rows], Rows]

    def pull_back(self, u: Rows, upstream: Rows) -> Rows:
        r"""Vector-Jacobian product :math:`\sum_j \text{upstream}_j\,\partial_i g_j(u)`."""
        return upstream * self.derivative(u)


IDENTITY = Pointwise("identity", lambda u: u, np.ones_like)
HARD_TANH = Pointwise(
    "hard tanh", lambda u: np.clip(u, -1, 1), lambda u: np.where(np.abs(u) <= 1, 1.0, 0.0)
)
TANH = Pointwise("tanh", np.tanh, lambda u: 1 - np.tanh(u) ** 2)
SIGN = Pointwise("bin", lambda u: np.where(u > 0, 1.0, -1.0), np.zeros_like)
"""bin(u): +1 where u > 0, −1 elsewhere; its own derivative is 0 wherever it has one."""


@dataclass(frozen=True)
class Loss:
    """L(v) with its minimum at v*: ``value(v, target)`` per row, ``gradient(v, target)``."""

    name: str
    value: Callable[[Rows, Rows], Rows]
    gradient: Callable[[Rows, Rows], Rows]


def _dot(u: Rows, v: Rows) -> Rows:
    return np.einsum("...i,...i->...", u, v)[..., np.newaxis]  # (seeds, 1)


def _norm(v: Rows) -> Rows:
    return np.sqrt(_dot(v, v))


def _rms(v: Rows) -> Rows:
    return _norm(v) / np.sqrt(v.shape[-1])


def _cosine(u: Rows, v: Rows) -> Rows:
    # NaN for a zero vector, which has no direction
    return np.clip(_dot(u, v) / (_norm(u) * _norm(v)), -1, 1)


def _cosine_loss_gradient(v: Rows, target: Rows) -> Rows:
    norm, target_norm = _norm(v), _norm(target)
    scale = v.shape[-1] / norm  # n (c v/‖v‖ − v*/‖v*‖)/‖v‖
    along = scale * _dot(v, target) / (norm**2 * target_norm)
    return along * v - (scale / target_norm) * target


SQUARED = Loss(
    "squared distance",
    lambda v, target: np.sum((v - target) ** 2, axis=-1) / 2,
    lambda v, target: v - target,
)
"""‖v − v*‖²/2."""

COSINE = Loss(
    "scale-invariant",
    lambda v, target: v.shape[-1] * (1 - _cosine(v, target)[..., 0]),
    _cosine_loss_gradient,
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


def _corrupted(forward: Callable[[Rows], Rows], noise: np.random.Generator):
    return lambda u: u + _rms(forward(u) - u) * noise.standard_normal(u.shape)


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
    u = np.atleast_2d(np.asarray(start, dtype=np.float64))
    step_sizes = np.asarray(step_sizes, dtype=np.float64)
    if u.shape != target.shape or step_sizes.ndim != 1 or not len(step_sizes) or log_every < 1:
        raise ValueError(
            f"Targets {target.shape} and starts {u.shape} must have one shape, step sizes "
            f"{step_sizes.shape} one axis and an entry, and log_every be at least 1."
        )
    logged, path, sums = [], [], np.zeros_like(u)
    half = len(step_sizes) // 2
    output = forward.value if noise is None else _corrupted(forward.value, noise)
    with np.errstate(all="ignore"):  # what is not finite is told below, with its step
        for step in range(len(step_sizes) + 1):
            v = forward.value(u)
            if step % log_every == 0 or step == len(step_sizes):
                error = v - u
                angles = angle(v, target), angle(u, target), angle(u, v)
                logged.append((step, *angles, _rms(error)[:, 0], _cosine(error, u)[:, 0]))
                if keep_path:
                    path.append(u.copy())
            if step == len(step_sizes):
                break
            if step >= half:
                sums += v
            gradient = substituted_gradient(
                u, lambda v: loss.gradient(v, target), output, backward.pull_back
            )
            u = u - step_sizes[step] * gradient
            if not np.isfinite(u).all():
                raise UserError(
                    f"The flow diverged at update {step + 1} of {len(step_sizes)}: take a step "
                    f"size below {step_sizes[step]:g}."
                )
            if clip is not None:
                u = np.clip(u, -clip, clip)
    columns = [np.array(column) for column in zip(*logged, strict=True)]
    return Flow(*columns, sums / (len(step_sizes) - half), u, np.array(path) if keep_path else None)


@dataclass(frozen=True)
class Settled:
    """Where :func:`settled` expects a flow to end.

    Attributes
    ----------
    cosine : ndarray, shape (seeds, 1)
        Of ∠(f(u), v*).
    mean_output : ndarray, shape (seeds, n)
        f(u) averaged over time.
    latent : ndarray, shape (seeds, n)
        u, clipped to ±1, for vanishing step size: −1, 0 or +1.
    """

    cosine: Rows
    mean_output: Rows
    latent: Rows


def settled(target: ArrayLike) -> Settled:
    r"""Where the flow of the scale-invariant loss ends, f = bin and g the identity.

    With :math:`z = \sqrt n\,v^*/\|v^*\|`, u moves by :math:`\eta(z_i - c f(u_i))`, where c is the
    cosine. Entries with :math:`|z_i| > c` keep their sign and go to the clip; in the others f(u)
    averages to :math:`z_i/c`, with u near 0. For constant c, which it becomes for large n,

    .. math:: c = \frac1n\sum_i \min(z_i^2/c,\ |z_i|).

    For entries uniform on an interval about 0 it tends to :math:`3(2-\sqrt3)`, 36.5°.

    Parameters
    ----------
    target : array_like, shape (seeds, n)
        v*, no row zero.
    """
    target = np.atleast_2d(np.asarray(target, dtype=np.float64))
    z = target / _rms(target)
    size = np.abs(z)
    low, high = np.zeros((len(z), 1)), np.ones((len(z), 1))
    for _ in range(60):  # bisection: the right side, divided by c, falls as c grows
        c = (low + high) / 2
        above = np.mean(np.minimum(z**2, c * size), axis=-1, keepdims=True) > c**2
        low, high = np.where(above, c, low), np.where(above, high, c)
    return Settled(high, np.clip(z / high, -1, 1), np.sign(z) * (size > high))
