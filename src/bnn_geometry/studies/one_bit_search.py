"""Nearest neighbours found from one-bit codes: how many of the true ones, and at what size.

faiss is imported where it is used: the other ways to search need numpy alone.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import one_bit
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN, Floats

PLAIN, BOTH, ONE, CORRECTED, RESCORED, NOISE, FAISS = (
    "signs on both sides, not rotated",
    "signs on both sides",
    "signs on one side",
    "corrected by c",
    "corrected, best rescored",
    "exact, with the law's noise",
    "faiss: RaBitQ",
)
"""Ways to search; all but the first on rotated vectors."""


def load_faiss() -> ModuleType:
    """The library faiss.

    Raises
    ------
    UserError
        If it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "faiss is not installed: pip install faiss-cpu, or leave its rows out."
        ) from error
    return faiss


def centred(vectors: ArrayLike, queries: ArrayLike) -> tuple[Floats, Floats]:
    """Directions of both as seen from the mean of the vectors, which RaBitQ subtracts as well.

    Parameters
    ----------
    vectors : array_like, shape (vectors, D)
    queries : array_like, shape (queries, D)

    Raises
    ------
    UserError
        If one of them is the mean itself, or not finite.
    """
    vectors, queries = (np.asarray(x, dtype=np.float64) for x in (vectors, queries))
    mean = vectors.mean(axis=0)
    return one_bit.unit(vectors - mean), one_bit.unit(queries - mean)


def rabitq_index(dimension: int, seed: int) -> object:
    """faiss's RaBitQ behind a random rotation, for dot products; queries are not quantized.

    Raises
    ------
    UserError
        If faiss is not installed.
    """
    faiss = load_faiss()
    rotation = faiss.RandomRotationMatrix(dimension, dimension)
    rotation.init(seed)
    codes = faiss.IndexRaBitQ(dimension, faiss.METRIC_INNER_PRODUCT)
    codes.qb = 0
    return faiss.IndexPreTransform(rotation, codes)


def faiss_nearest(vectors: Floats, queries: Floats, k: int, seed: int) -> NDArray[np.int64]:
    """The k nearest by faiss's RaBitQ, shape (queries, k); one thread, so that runs agree.

    Raises
    ------
    UserError
        If faiss is not installed.
    """
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index = rabitq_index(vectors.shape[1], seed)
        index.train(vectors.astype(np.float32))
        index.add(vectors.astype(np.float32))
        return index.search(queries.astype(np.float32), k)[1]
    finally:
        faiss.omp_set_num_threads(threads)


def recalls(
    vectors: ArrayLike,
    queries: ArrayLike,
    generator: np.random.Generator,
    *,
    k: int = 10,
    depth: int = 100,
    seed: int = 1,
) -> pd.DataFrame:
    """Recall@k of every way to search, under one random rotation.

    Parameters
    ----------
    vectors, queries : array_like, shape (vectors, D) and (queries, D)
        Of length 1, as :func:`centred` gives them. Wanted are those of largest dot product.
    generator : numpy.random.Generator
        Of the rotation and of the noise.
    k : int
    depth : int
        How many of the best are scored again with the vectors themselves.
    seed : int
        Of faiss's own rotation.

    Returns
    -------
    DataFrame
        Index: the ways. recall and recall_se (standard error over the queries, in per cent), bytes
        (of one vector; of rescored ones without the vectors themselves, NaN of the law's noise).

    Raises
    ------
    UserError
        If there are fewer vectors than k or depth, or faiss is not installed.
    """
    o, q = one_bit.unit(vectors), one_bit.unit(queries)
    dimension = o.shape[1]
    rotation = one_bit.random_rotation(dimension, generator)
    exact = q @ o.T
    wanted = one_bit.nearest(exact, k)
    plain = one_bit.sign_products(one_bit.encode(o), one_bit.encode(q))
    codes, turned = one_bit.encode(o @ rotation), q @ rotation
    guessed = one_bit.estimate(codes, turned)
    spread = one_bit.estimate_sd(codes.cosine, dimension, np.clip(exact, -1, 1))
    scores = {
        PLAIN: plain,
        BOTH: one_bit.sign_products(codes, one_bit.encode(turned)),
        ONE: one_bit.code_products(codes, turned),
        CORRECTED: guessed,
        NOISE: exact + spread * generator.standard_normal(exact.shape),
    }
    found = {way: one_bit.nearest(score, k) for way, score in scores.items()}
    found[RESCORED] = one_bit.rescored(o, q, one_bit.nearest(guessed, depth), k)
    found[FAISS] = faiss_nearest(o, q, k, seed)
    size = -(-dimension // 8)
    # beside the bits: the cosine, or the two numbers that faiss keeps, of four bytes each
    sizes = {PLAIN: size, BOTH: size, ONE: size, CORRECTED: size + 4, RESCORED: size + 4}
    sizes |= {FAISS: size + 8}
    rows = {}
    for way in (PLAIN, BOTH, ONE, CORRECTED, NOISE, FAISS, RESCORED):
        part = 100 * one_bit.recall(found[way], wanted)
        rows[way] = {
            "recall": part.mean(),
            "recall_se": part.std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan,
            "bytes": sizes.get(way, np.nan),
        }
    return pd.DataFrame(rows).T


def simulated(
    dimension: int, products: ArrayLike, pairs: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Estimates of given dot products over random rotations, beside their laws.

    Parameters
    ----------
    dimension : int
    products : array_like
        Dot products of unit vectors.
    pairs : int
        Rotations for each, at least 2.
    generator : numpy.random.Generator

    Returns
    -------
    DataFrame
        Index: the products. mean and mean_se of the estimate; sd, sd_se and sd_law, its spread, the
        error of it and the law, which is the root mean square over the cosines; off and sd_off, the
        distances of mean and sd from their laws in standard errors; one and both, the means of
        ⟨code, q⟩ and of signs on both sides, with one_law and both_law.
    """
    rows = {}
    for product in np.asarray(products, dtype=float):
        o, q = one_bit.rotated_pairs(dimension, pairs, product, generator)
        code = np.where(o > 0, 1.0, -1.0) / np.sqrt(dimension)
        c, one = (np.einsum("ij,ij->i", code, x) for x in (o, q))
        both = np.einsum("ij,ij->i", code, np.where(q > 0, 1.0, -1.0)) / np.sqrt(dimension)
        guessed = one / c
        law = np.sqrt(np.mean(one_bit.estimate_sd(c, dimension, product) ** 2))
        # of a nearly normal estimate
        sd, sd_se = guessed.std(ddof=1), law / np.sqrt(2 * (pairs - 1))
        rows[float(product)] = {
            "mean": guessed.mean(),
            "mean_se": law / np.sqrt(pairs),
            "off": (guessed.mean() - product) * np.sqrt(pairs) / law,
            "sd": sd,
            "sd_se": sd_se,
            "sd_law": law,
            "sd_off": (sd - law) / sd_se,
            "one": one.mean(),
            "one_law": product * mean_cosine(GAUSSIAN, dimension),
            "both": both.mean(),
            "both_law": 2 / np.pi * np.arcsin(product),
        }
    return pd.DataFrame(rows).T.rename_axis("product")
