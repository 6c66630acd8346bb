r"""Random subspaces: no direction in one of them is far from its binarization.

Single directions can be: an axis is. In a subspace drawn at random every direction spreads over
all entries, as long as its dimension is a small part of n (Kashin 1977; Figiel, Lindenstrauss and
Milman 1977).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from bnn_geometry.geometry.distributions import Floats


def random_subspace(n: int, k: int, generator: np.random.Generator) -> Floats:
    """Orthonormal basis of a subspace drawn uniformly, shape (n, k).

    Raises
    ------
    ValueError
        Unless 1 ≤ k ≤ n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"A subspace of {n} dimensions has from 1 to {n} itself, not {k}.")
    return np.linalg.qr(generator.standard_normal((n, k)))[0]


def farthest_direction(
    basis: ArrayLike, generator: np.random.Generator, *, starts: int = 6, steps: int = 40
) -> Floats:
    r"""The direction of a subspace that is farthest from its binarization, by search.

    It has the smallest :math:`\|v\|_1` of the unit vectors v = Qx. With weights
    :math:`1/|v_i|` the square :math:`\sum_i v_i^2/|v_i|` is that norm, and its minimum an
    eigenvector: weights and vector are improved in turn, the weights bounded at first. The search
    begins at the axes nearest to the subspace and at random. What it finds is a lower bound of the
    largest angle; where all candidates can be tried, for k up to 3, it misses that by a degree at
    most.

    Parameters
    ----------
    basis : array_like, shape (n, k)
        Orthonormal columns Q.
    generator : numpy.random.Generator
    starts : int
        Half of them at axes.
    steps : int
        Of each start.

    Returns
    -------
    ndarray, shape (n,)
        Of length one.
    """
    q = np.asarray(basis, dtype=np.float64)
    n, k = q.shape
    axes = np.argsort(-np.sum(q * q, axis=1))[: starts // 2]
    first = np.concatenate([q[axes], generator.standard_normal((starts - len(axes), k))])
    found = []
    for x in first:
        v = q @ (x / np.linalg.norm(x))
        for step in range(steps):
            weights = 1 / np.hypot(v, max(0.3 * 0.75**step, 1e-6) / np.sqrt(n))
            _, x = linalg.eigh((q * weights[:, None]).T @ q, subset_by_index=[0, 0])
            v = q @ x[:, 0]
        found.append(v)
    return min(found, key=lambda v: float(np.abs(v).sum()))


def subspace_cosine(n: int, k: int) -> float:
    r"""What the cosine with bin is at least, for every vector of a random subspace.

    :math:`(\sqrt{2/\pi} - \sqrt{k/n})/(1 + \sqrt{k/n})`, up to fluctuations of order
    :math:`n^{-1/2}`: by Gordon's inequality (1988) a Gaussian matrix G of shape (n, k) has
    :math:`E\min_x\|Gx\|_1 \ge n\sqrt{2/\pi} - \sqrt{nk}` and :math:`E\max_x\|Gx\|_2 \le \sqrt n +
    \sqrt k` over unit vectors x. Zero where this says nothing.
    """
    root = np.sqrt(k / n)
    return max(0.0, float((np.sqrt(2 / np.pi) - root) / (1 + root)))
