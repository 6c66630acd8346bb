"""Bits in words of 64, and counting in how many two rows of them differ."""

from __future__ import annotations

import numpy as np

CELLS = 1 << 15
"""Words compared at once: with their counts they stay in a processor's cache."""


def to_words(bits: np.ndarray) -> np.ndarray:
    """Bits of shape (..., n) → (..., ⌈n/64⌉) of uint64; what is appended is 0."""
    packed = np.packbits(bits, axis=-1)
    missing = -packed.shape[-1] % 8
    if missing:
        packed = np.pad(packed, [(0, 0)] * (packed.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(packed).view(np.uint64)


def mismatches(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """popcount(x ⊕ w): in how many bits each row of x differs from each of w.

    Parameters
    ----------
    x : ndarray of uint64, shape (rows, words)
    w : ndarray of uint64, shape (units, words)

    Returns
    -------
    ndarray of int32, shape (rows, units)
    """
    found = np.empty((len(x), len(w)), np.int32)
    columns = np.ascontiguousarray(w.T)
    step = max(1, CELLS // len(w))
    for start in range(0, len(x), step):
        block = x[start : start + step]
        differing = np.empty((len(block), len(w)), np.uint64)
        count = np.empty(differing.shape, np.uint8)
        total = np.zeros(differing.shape, np.uint16 if 64 * len(columns) < 1 << 16 else np.uint32)
        for word, column in zip(block.T, columns, strict=True):
            np.bitwise_xor(word[:, None], column, out=differing)
            np.bitwise_count(differing, out=count)
            total += count
        found[start : start + step] = total
    return found


def patches(x: np.ndarray, kernel: list[int], stride: tuple[int, int]) -> np.ndarray:
    """(batch, height, width, k) → (batch, rows, columns, kernel height, kernel width, k)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return np.moveaxis(windows[:, :: stride[0], :: stride[1]], 3, -1)


def pooled(z: np.ndarray, side: int) -> np.ndarray:
    """Largest of z (batch, height, width, units) in each square of ``side`` pixels.

    What is left over at the edge takes no part, as in torch.
    """
    if side == 1:
        return z
    batch, height, width, units = z.shape
    height, width = height // side, width // side
    z = z[:, : height * side, : width * side]
    return z.reshape(batch, height, side, width, side, units).max((2, 4))
