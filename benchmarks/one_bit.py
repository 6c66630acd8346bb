"""Queries per second and bytes of one-bit codes, against exact search and faiss's own.

All ways search the same Gaussian vectors in one process on the same number of threads, with the
same queries, in rounds that take turns: the ratios to exact search are within one run. Recall is
that of the ten nearest, without scoring any again.

    python benchmarks/one_bit.py [--vectors N] [--dimension D] [--queries Q] [--threads T]

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

import faiss
import numpy as np
from _machine import peak_mib, processor, versions

from bnn_geometry.geometry import one_bit
from bnn_geometry.studies.one_bit_search import rabitq_index

K = 10


def drawn(
    vectors: int, dimension: int, queries: int, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors and queries, float32."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((vectors + queries, dimension), dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x[:vectors], x[vectors:]


def rabitq(x: np.ndarray, bits: int) -> faiss.Index:
    """faiss's RaBitQ behind a random rotation, queries of so many bits."""
    index = rabitq_index(x.shape[1], 1)
    index.train(x)
    index.add(x)
    faiss.downcast_index(index.index).qb = bits
    return index


def top(scores: np.ndarray) -> np.ndarray:
    """The K largest of each row, in no order: what every way pays for alike."""
    return np.argpartition(-scores, K - 1, axis=1)[:, :K]


def ways(x: np.ndarray) -> dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]]:
    """Name → search of queries, and bytes per vector."""
    dimension = x.shape[1]
    flat = faiss.IndexFlat(dimension, faiss.METRIC_INNER_PRODUCT)
    flat.add(x)
    rotation = one_bit.random_rotation(dimension, np.random.default_rng(1))
    codes = one_bit.encode(x @ rotation)
    binary = faiss.IndexBinaryFlat(8 * -(-dimension // 8))
    binary.add(np.packbits(codes.signs > 0, axis=1))
    found = {
        "IndexFlat": (lambda q: flat.search(q, K)[1], 4 * dimension),
        "signs on both sides, ours": (
            lambda q: top(one_bit.sign_products(codes, one_bit.encode(q @ rotation))),
            codes.bits.nbytes / len(x),
        ),
        "signs on both sides, faiss": (
            lambda q: binary.search(np.packbits(q @ rotation > 0, axis=1), K)[1],
            binary.code_size,
        ),
        "corrected, ours": (
            lambda q: top(one_bit.estimate(codes, q @ rotation)),
            (codes.bits.nbytes + 4 * len(x)) / len(x),
        ),
    }
    for bits in (4, 8):
        index = rabitq(x, bits)
        found[f"IndexRaBitQ, {bits}-bit queries"] = (
            lambda q, index=index: index.search(q, K)[1],
            index.sa_code_size(),
        )
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line for each way, then the JSON."""
    parser = argparse.ArgumentParser(description="Speed and size of search by one-bit codes.")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    faiss.omp_set_num_threads(options.threads)
    x, queries = drawn(options.vectors, options.dimension, options.queries)
    searches = ways(x)
    wanted = np.sort(searches["IndexFlat"][0](queries), axis=1)
    seconds = {name: [] for name in searches}
    recall = {}
    for _ in range(options.rounds):
        for name, (search, _) in searches.items():
            began = time.perf_counter()
            found = search(queries)
            seconds[name].append(time.perf_counter() - began)
            recall[name] = float(one_bit.recall(found, wanted).mean())
    if recall["IndexFlat"] < 1:
        print("exact search does not agree with itself", file=sys.stderr)
        return 1
    result: dict[str, object] = {
        "benchmark": "one_bit",
        "vectors": options.vectors,
        "dimension": options.dimension,
        "queries": options.queries,
        "threads": options.threads,
    }
    exact = min(seconds["IndexFlat"])
    for name, (_, size) in searches.items():
        best = min(seconds[name])
        found = {
            "queries_per_s": options.queries / best,
            "slowest_over_fastest": max(seconds[name]) / best,
            "speed_over_exact": exact / best,
            "bytes": float(size),
            "bytes_of_exact": size / (4 * options.dimension),
            "recall_at_10": recall[name],
        }
        result[name] = found
        print(
            f"{name}: {found['queries_per_s']:.0f} queries/s, {found['speed_over_exact']:.2f} of "
            f"exact; {size:.0f} bytes a vector; recall@10 {100 * recall[name]:.0f} %",
            flush=True,
        )
    result["peak_mib"] = peak_mib()
    result["machine"] = {"processor": processor(), "cores": os.cpu_count()}
    result["versions"] = versions("faiss-cpu", "numpy")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
