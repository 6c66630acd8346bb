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
from bnn_geometry.geometry.losses import Loss
from bnn_geometry.geometry.rows import Rows, cosine, rms


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


def with_noise(generator: np.random.Generator, size: float | None = None) -> Pointwise:
    """The paper's noise model taken literally: u + ε with Gaussian ε, independent of u.

    Parameters
    ----------
    generator : numpy.random.Generator
        Draws anew for each update.
    size : float, optional
        Root mean square of ε; in each row that of bin(u) − u if left out.
    """

    def value(u: Rows, out: Rows | None = None) -> Rows:
        scale = rms(_bin(u) - u) if size is None else size
        return np.add(u, scale * generator.standard_normal(u.shape), out=out)

    return Pointwise("independent noise", value, np.ones_like)


def stochastic_bin(generator: np.random.Generator) -> Pointwise:
    """Stochastic rounding of u in [−1, 1]: +1 with probability (1 + u)/2, else −1; mean u."""

    def value(u: Rows, out: Rows | None = None) -> Rows:
        return _bin(u - generator.uniform(-1, 1, u.shape), out)

    return Pointwise("stochastic rounding", value, np.ones_like)


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


def _angle(u: Rows, v: Rows) -> Rows:
    # degrees, (seeds,); NaN where a vector is zero, as u may be on its way
    return np.degrees(np.arccos(cosine(u, v)[..., 0]))


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
    v, work = np.empty_like(u), np.empty_like(u)  # v: f(u)

    def output(u: Rows) -> Rows:
        return v

    def slope(v: Rows) -> Rows:
        return loss.gradient(v, target, out=work)

    with np.errstate(all="ignore"):  # what is not finite is told below, with its step
        for step in range(len(step_sizes) + 1):
            forward.value(u, out=v)
            logs = step % log_every == 0 or step == len(step_sizes)
            if logs:
                error = np.subtract(v, u, out=work)
                angles = _angle(v, target), _angle(u, target), _angle(u, v)
                logged.append((step, *angles, rms(error)[:, 0], cosine(error, u)[:, 0]))
                if keep_path:
                    path.append(u.copy())
            if step == len(step_sizes):
                break
            if step >= half:
                sums += v
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
