"""One-bit codes at work: angles, estimates, nearest neighbours found, and the codes beside them.

faiss is imported where it is used: the other ways to search need numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.errors import UserError
from bnn_geometry.geometry import angles, one_bit, quantizers
from bnn_geometry.geometry.cosine_moments import mean_cosine
from bnn_geometry.geometry.distributions import GAUSSIAN, Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

PLAIN, BOTH, ONE, CORRECTED, FEW, RESCORED, NOISE, FAISS = (
    "signs on both sides, not rotated",
    "signs on both sides",
    "signs on one side",
    "corrected by c",
    "the same, query in 4 bits",
    "corrected, best rescored",
    "exact, with the law's noise",
    "faiss: RaBitQ",
)
"""Ways to search; all but the first on rotated vectors."""

QUERY_BITS = 4
"""Of each entry of the query, as RaBitQ has it; rounded to the nearest level, not at random."""

BITNET = 0.5
"""Threshold of BitNet b1.58, in mean sizes: what rounds to zero after division by the mean size."""

TURBOQUANT = {1: (0.36, 0.01), 2: (0.117, 0.001), 3: (0.03, 0.01), 4: (0.009, 0.001)}
"""Bits → squared error as TurboQuant's theorem 1 prints it, and a unit of its last digit."""

TURBOQUANT_FACTOR = math.sqrt(3) * math.pi / 2
"""Of its bound: squared error at most this times 4^(−bits). The same number is the limit for many
bits of the best scalar quantizer for Gaussian entries (Panter and Dite 1951)."""


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


def hidden(network: nn.Module, images: Tensor, layer: str) -> Floats:
    """What enters a layer before it is binarized, a row for each image.

    Parameters
    ----------
    network : Module
        With a ``BinaryActivation`` before the layer.
    images : Tensor
        As :func:`bnn_geometry.probing.layer_inputs.observe` takes them.
    layer : str
        Name of a linear layer.

    Raises
    ------
    UserError
        If the layer is not there or its input is not binarized.
    """
    from bnn_geometry.probing.layer_inputs import observe  # torch: the rest does without

    parts: list[Floats] = []

    def see(at: object) -> None:
        if at.name == layer and at.continuous is not None:
            parts.append(at.continuous.double().numpy())

    observe(network, images, see, batch_size=500)
    if not parts:
        raise UserError(f"The network has no layer {layer!r} with a binarized input.")
    return np.concatenate(parts)


def plane_cloud(points: int, generator: np.random.Generator) -> Floats:
    """Vectors of two entries about the direction of the first axis, shape (points, 2).

    Like pixels they lie on one side, and one entry says little: the signs see less than they could.
    """
    spread, centre = np.array([0.2, 0.14]), np.array([1.0, 0.06])
    return centre + spread * generator.standard_normal((points, 2))


def turned(points: Floats, degrees: float) -> tuple[Floats, float]:
    """Points of the plane rotated by an angle, and then their mean angle to their signs."""
    a = np.radians(degrees)
    after = points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return after, float(angles.nearest_binary_angle(after).mean())


def sign_angles(
    vectors: Mapping[str, ArrayLike], generator: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Angle of vectors to their signs, as they are and after one random rotation.

    Parameters
    ----------
    vectors : mapping
        Name → array of shape (vectors, D).
    generator : numpy.random.Generator

    Returns
    -------
    dict of DataFrame
        By "as they are" and "rotated"; index: the names. angle (median, degrees), angle_25 and
        angle_75, mean, and dimension.
    """

    def row(x: Floats) -> dict[str, float]:
        angle = angles.nearest_binary_angle(x)
        low, middle, high = np.percentile(angle, [25, 50, 75])
        return {"angle": middle, "angle_25": low, "angle_75": high, "mean": angle.mean(),
                "dimension": x.shape[1]}  # fmt: skip

    plain, rotated = {}, {}
    for name, x in vectors.items():
        o = one_bit.unit(x)
        plain[name] = row(o)
        rotated[name] = row(o @ one_bit.random_rotation(o.shape[1], generator))
    return {"as they are": pd.DataFrame(plain).T, "rotated": pd.DataFrame(rotated).T}


def rabitq_index(dimension: int, seed: int) -> object:
    """faiss's RaBitQ behind a random rotation, for dot products; queries in eight bits.

    Queries that are not quantized at all (``qb = 0``) take a hundred times as long.

    Raises
    ------
    UserError
        If faiss is not installed.
    """
    faiss = load_faiss()
    rotation = faiss.RandomRotationMatrix(dimension, dimension)
    rotation.init(seed)
    codes = faiss.IndexRaBitQ(dimension, faiss.METRIC_INNER_PRODUCT)
    codes.qb = 8
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


def in_levels(x: Floats, bits: int) -> Floats:
    """Every row rounded to 2^bits even levels from its lowest entry to its highest; same shape."""
    low = x.min(axis=1, keepdims=True)
    step = (x.max(axis=1, keepdims=True) - low) / (2**bits - 1)
    return low + step * np.round((x - low) / np.where(step > 0, step, 1.0))


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
        Index: the ways. recall and recall_se (standard error over the queries, in per cent), gain
        and gain_se (of the recall over that of signs on one side, query by query), bytes (of one
        vector; of rescored ones without the vectors themselves, NaN of the law's noise).

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
        FEW: one_bit.estimate(codes, in_levels(turned, QUERY_BITS)),
        NOISE: exact + spread * generator.standard_normal(exact.shape),
    }
    found = {way: one_bit.nearest(score, k) for way, score in scores.items()}
    found[RESCORED] = one_bit.rescored(o, q, one_bit.nearest(guessed, depth), k)
    found[FAISS] = faiss_nearest(o, q, k, seed)
    size = -(-dimension // 8)
    # beside the bits: the cosine, or the two numbers that faiss keeps, of four bytes each
    sizes = {PLAIN: size, BOTH: size, ONE: size, CORRECTED: size + 4, RESCORED: size + 4}
    sizes |= {FEW: size + 4, FAISS: size + 8}
    ways = (PLAIN, BOTH, ONE, CORRECTED, FEW, NOISE, FAISS, RESCORED)
    part = pd.DataFrame({way: 100 * one_bit.recall(found[way], wanted) for way in ways})
    gain = part.sub(part[ONE], axis=0)
    return pd.DataFrame(
        {
            "recall": part.mean(),
            "recall_se": part.sem(),
            "gain": gain.mean(),
            "gain_se": gain.sem(),
            "bytes": pd.Series(sizes).reindex(ways),
        }
    )


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


def distortions(vectors: ArrayLike, generator: np.random.Generator) -> pd.DataFrame:
    """Squared errors of unit vectors whose rotated entries are quantized to one to four bits.

    Parameters
    ----------
    vectors : array_like, shape (vectors, D)
    generator : numpy.random.Generator
        Of the rotation.

    Returns
    -------
    DataFrame
        Index: bits. law (of the Lloyd–Max quantizer for Gaussian entries), measured and spread
        (mean and standard deviation over the vectors), printed and digit (TurboQuant's table and
        a unit of its last digit), bound (which no code can be below); all times 4^bits.
    """
    o = one_bit.unit(vectors)
    dimension = o.shape[1]
    entries = o @ one_bit.random_rotation(dimension, generator) * np.sqrt(dimension)
    rows = {}
    for bits, (printed, digit) in TURBOQUANT.items():
        best = quantizers.lloyd_max(GAUSSIAN, 2**bits)
        errors = np.mean((entries - best(entries)) ** 2, axis=1)
        law = quantizers.distortion(GAUSSIAN, best)
        row = {"law": law, "measured": errors.mean(), "spread": errors.std(), "printed": printed,
               "digit": digit, "bound": 4.0**-bits}  # fmt: skip
        rows[bits] = {name: value * 4**bits for name, value in row.items()}
    return pd.DataFrame(rows).T.rename_axis("bits")


def threshold_rules(weights: ArrayLike) -> pd.DataFrame:
    """Rules for the threshold of ternary weights: Gaussian entries, and given weights.

    Parameters
    ----------
    weights : array_like, shape (vectors, D)
        Whose thresholds are taken for all of them together.

    Returns
    -------
    DataFrame
        Index: the rules. threshold (in mean sizes), zeros (per cent) and angle (degrees) of
        Gaussian entries, weights_angle (degrees, of all the weights as one vector).
    """
    w = np.asarray(weights, dtype=np.float64).ravel()
    best = quantizers.best_ternary(GAUSSIAN).thresholds[1] / GAUSSIAN.m1
    rules = {"signs": 0.0, "BitNet b1.58": BITNET, "ternary weight networks": 0.7, "best": best}
    rows = {}
    for name, threshold in rules.items():
        gaussian = quantizers.ternary(threshold * GAUSSIAN.m1)
        own = quantizers.ternary(threshold * np.abs(w).mean())
        rows[name] = {
            "threshold": threshold,
            "zeros": 100 * quantizers.zero_fraction(GAUSSIAN, gaussian),
            "angle": quantizers.limit_angle(GAUSSIAN, gaussian),
            "weights_angle": float(angles.angle(w, own(w))),
        }
    return pd.DataFrame(rows).T
