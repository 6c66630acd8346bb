"""Products and lengths of vectors that are the rows of an array: shape (..., n) → (..., 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""float64, shape (seeds, n)."""


def dot(u: Rows, v: Rows) -> Rows:
    """u·v of each row."""
    return np.einsum("...i,...i->...", u, v)[..., np.newaxis]


def norm(v: Rows) -> Rows:
    """‖v‖ of each row."""
    return np.sqrt(dot(v, v))


def rms(v: Rows) -> Rows:
    """Root mean square of the entries of each row."""
    return norm(v) / np.sqrt(v.shape[-1])


def cosine(u: Rows, v: Rows) -> Rows:
    """Cosine between rows; NaN for a zero vector, which has no direction."""
    return np.clip(dot(u, v) / (norm(u) * norm(v)), -1, 1)
