r"""One-bit codes of vectors, and dot products estimated from them.

The code of a unit vector o is :math:`\mathrm{bin}(o)/\sqrt D`, at the cosine
:math:`c = \|o\|_1/\sqrt D` to o. If o was rotated at random, what the code adds to o is

.. math:: \mathrm{code} = c\,o + \sqrt{1 - c^2}\,e, \qquad e \perp o \text{ uniform},

so that :math:`\langle\mathrm{code}, q\rangle/c` has the mean :math:`\langle o, q\rangle` for every
query q: RaBitQ (Gao and Long 2024, theorem 3.2). Vectors are the rows of arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.errors import UserError
from bnn_geometry.geometry.angles import binarization_cosine
from bnn_geometry.geometry.distributions import Floats

WORD_BYTES = 8
"""Codes are padded to whole words of 64 bits, in which differing bits are counted."""


def _rows(x: ArrayLike, what: str) -> Floats:
    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UserError(
            f"{what} must be the rows of an array, with at least one entry each, not of shape "
            f"{rows.shape}."
        )
    if not np.all(np.isfinite(rows)):
        raise UserError(f"{what} must be finite: one has an infinite or NaN entry.")
    return rows


def _directions(x: ArrayLike, what: str) -> Floats:
    rows = _rows(x, what)
    # entries near the ends of the range of floats would overflow or vanish when squared
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if not np.all(largest > 0):
        raise UserError(f"{what} must not be zero: a zero vector has no direction.")
    rows = rows / largest
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def unit(x: ArrayLike) -> Floats:
    """Directions of vectors, shape (vectors, D): each divided by its length.

    Raises
    ------
    UserError
        If they are not the rows of an array, or one is zero or not finite.
    """
    return _directions(x, "Vectors")


def random_rotation(dimension: int, generator: np.random.Generator) -> Floats:
    """An orthogonal matrix drawn uniformly from all of them, shape (dimension, dimension).

    From the QR decomposition of a Gaussian matrix, with the signs that make it unique (Mezzadri
    2007). Its determinant may be −1; for signs that makes no difference. Rotate rows by ``x @ R``.

    Raises
    ------
    UserError
        If the dimension is less than 1.
    """
    if dimension < 1:
        raise UserError(f"A rotation needs at least one dimension, not {dimension}.")
    q, r = np.linalg.qr(generator.standard_normal((dimension, dimension)))
    return q * np.where(np.diag(r) < 0, -1.0, 1.0)


@dataclass(frozen=True)
class Codes:
    """One-bit codes of vectors.

    Attributes
    ----------
    bits : ndarray of uint64, shape (vectors, words)
        1 where an entry is positive; the bits behind the last entry are 0.
    dimension : int
        Entries of a vector: D.
    cosine : ndarray, shape (vectors,)
        Between each vector and its code: c.
    """

    bits: NDArray[np.uint64]
    dimension: int
    cosine: Floats

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.bits)

    @property
    def signs(self) -> NDArray[np.int8]:
        """bin of the vectors: +1 and −1, shape (vectors, D)."""
        bits = np.unpackbits(self.bits.view(np.uint8), axis=1, count=self.dimension)
        return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def encode(x: ArrayLike) -> Codes:
    """Codes of the directions of vectors; rotate the vectors first.

    Parameters
    ----------
    x : array_like, shape (vectors, D)
        Of any length; a code knows the direction alone.

    Raises
    ------
    UserError
        If the vectors are not the rows of an array, or one is zero or not finite.
    """
    o = _directions(x, "Vectors")
    packed = np.packbits(o > 0, axis=1)
    whole = np.zeros((len(o), -(-packed.shape[1] // WORD_BYTES) * WORD_BYTES), dtype=np.uint8)
    whole[:, : packed.shape[1]] = packed
    return Codes(whole.view(np.uint64), o.shape[1], binarization_cosine(o))


def _same_dimension(codes: Codes, dimension: int) -> None:
    if codes.dimension != dimension:
        raise UserError(
            f"Codes of {codes.dimension} entries and queries of {dimension} do not fit."
        )


def sign_products(codes: Codes, queries: Codes) -> NDArray[np.int64]:
    """bin(o)·bin(q) from the packed bits: D minus twice the number of bits that differ.

    Returns
    -------
    ndarray of int64, shape (queries, vectors)

    Raises
    ------
    UserError
        If the dimensions differ.
    """
    _same_dimension(codes, queries.dimension)
    products = np.empty((len(queries), len(codes)), dtype=np.int64)
    for row, bits in zip(products, queries.bits, strict=True):  # a row at a time bounds the memory
        row[:] = np.bitwise_count(codes.bits ^ bits).sum(axis=1, dtype=np.int64)
    return codes.dimension - 2 * products


def code_products(codes: Codes, queries: ArrayLike) -> Floats:
    """⟨code, q⟩ with queries that are not binarized, shape (queries, vectors).

    For rotated vectors its mean is c⟨o, q⟩: too small by the cosine c.

    Raises
    ------
    UserError
        If the queries are not the rows of an array, not finite, or of another dimension.
    """
    q = _rows(queries, "Queries")
    _same_dimension(codes, q.shape[1])
    return q @ (codes.signs.T / np.sqrt(codes.dimension))


def estimate(codes: Codes, queries: ArrayLike) -> Floats:
    """⟨code, q⟩/⟨code, o⟩, which estimates ⟨o, q⟩ without bias; shape (queries, vectors).

    o is the direction of the vector that was encoded. The mean is over the rotation that vectors
    and queries share; see :func:`estimate_sd` for the spread. Source: RaBitQ, theorem 3.2.

    Raises
    ------
    UserError
        As :func:`code_products`.
    """
    return code_products(codes, queries) / codes.cosine


def estimate_sd(cosine: ArrayLike, dimension: int, product: ArrayLike = 0.0) -> Floats:
    r"""Standard deviation of :func:`estimate` over random rotations, for a query of length 1.

    .. math:: \frac{\sqrt{1 - c^2}}{c}\;\sqrt{\frac{1 - \langle o, q\rangle^2}{D - 1}} ,

    exact given c: the part of q across o, of length :math:`\sqrt{1 - \langle o, q\rangle^2}`, meets
    a direction e that is uniform in D − 1 dimensions. 0 for D = 1, where a sign is the vector.

    Parameters
    ----------
    cosine : array_like
        c, between vector and code, in (0, 1].
    dimension : int
        D, at least 1.
    product : array_like
        ⟨o, q⟩, in [−1, 1].

    Raises
    ------
    UserError
        If a value lies outside its range or is NaN.
    """
    c, t = (np.asarray(v, dtype=np.float64) for v in (cosine, product))
    if not (dimension >= 1 and np.all((c > 0) & (c <= 1)) and np.all(np.abs(t) <= 1)):
        raise UserError(
            "The spread needs a dimension of at least 1, cosines in (0, 1] and products in [−1, 1]."
        )
    return np.sqrt((1 - c * c) * (1 - t * t) / max(dimension - 1, 1)) / c * (dimension > 1)


def rotated_pairs(
    dimension: int, pairs: int, product: float, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """Unit vectors o and q with a given dot product, each pair under a random rotation of its own.

    A rotation takes the two to a uniform direction and to one that is uniform across it; two
    Gaussian vectors give both without a matrix.

    Parameters
    ----------
    dimension : int
        At least 2.
    pairs : int
    product : float
        ⟨o, q⟩, in [−1, 1].
    generator : numpy.random.Generator

    Returns
    -------
    o, q : ndarray, shape (pairs, dimension)

    Raises
    ------
    UserError
        If the dimension is less than 2 or the product is out of range.
    """
    if dimension < 2 or not -1 <= product <= 1:
        raise UserError("Pairs need at least two dimensions and a dot product in [−1, 1].")
    o, across = generator.standard_normal((2, pairs, dimension))
    o = _directions(o, "Vectors")
    across -= np.einsum("ij,ij->i", across, o)[:, None] * o
    q = product * o + np.sqrt(1 - product**2) * _directions(across, "Vectors")
    return o, q


def nearest(scores: ArrayLike, k: int) -> NDArray[np.int64]:
    """The k vectors of largest score for each query, best first; of equal ones the earlier first.

    Parameters
    ----------
    scores : array_like, shape (queries, vectors)
    k : int

    Raises
    ------
    UserError
        If k is not between 1 and the number of vectors, or a score is NaN.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or not 1 <= k <= scores.shape[1]:
        raise UserError(f"There are no {k} nearest in scores of shape {scores.shape}.")
    if np.isnan(scores).any():
        raise UserError("A score is NaN: it has no place in an order.")
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def rescored(
    vectors: ArrayLike, queries: ArrayLike, candidates: ArrayLike, k: int
) -> NDArray[np.int64]:
    """The k candidates of largest exact dot product for each query, best first.

    Parameters
    ----------
    vectors : array_like, shape (vectors, D)
    queries : array_like, shape (queries, D)
    candidates : array_like of int, shape (queries, depth)
        Numbers of vectors, such as those that :func:`nearest` gives.
    k : int
        At most depth.

    Raises
    ------
    UserError
        As :func:`nearest`.
    """
    candidates = np.asarray(candidates)
    vectors, queries = _rows(vectors, "Vectors"), _rows(queries, "Queries")
    pairs = zip(candidates, queries, strict=True)
    exact = np.array([vectors[few] @ q for few, q in pairs])
    return np.take_along_axis(candidates, nearest(exact, k), axis=1)


def recall(found: ArrayLike, wanted: ArrayLike) -> Floats:
    """Which part of the wanted vectors was found, for each query: recall@k, shape (queries,).

    Parameters
    ----------
    found : array_like of int, shape (queries, any)
    wanted : array_like of int, shape (queries, k)

    Raises
    ------
    UserError
        If there is not one row of each for every query, or nothing is wanted.
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.ndim != 2 or wanted.ndim != 2 or len(found) != len(wanted) or not wanted.size:
        raise UserError(
            f"Found {found.shape} and wanted {wanted.shape} are not of the same queries."
        )
    rows = zip(found, wanted, strict=True)
    return np.array([np.isin(want, have).mean() for have, want in rows])
