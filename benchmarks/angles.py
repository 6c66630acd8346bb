"""How fast pairs of random vectors are drawn and measured, and what the limit is.

Each dimension is measured three ways, the best of several turns each: ``sample_angles`` on all
cores, the plain loop (two vectors drawn, then one np.dot and one np.arccos for each of the two
angles), and the drawing of the same random numbers alone, on the same cores in the same blocks. The
turns alternate, so that another load on the machine falls on all three. Processor time, which
another load hardly changes, is compared too: that ratio is what one core gains.

    python benchmarks/angles.py [--quick]      # without the two minutes of the memory measurement

The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from _machine import processor, versions

from bnn_geometry.geometry import angles
from bnn_geometry.geometry.distributions import GAUSSIAN, UNIFORM, Distribution

DIMENSIONS = {27: (200_000, 2000), 1152: (5000, 1000), 100_000: (60, 30)}
"""Pairs drawn by sample_angles and by the loop in each dimension."""

TURNS = 7

PEAK = """
import json, resource, sys
import numpy as np
from bnn_geometry.geometry.angles import sample_angles
from bnn_geometry.geometry.distributions import UNIFORM

def peak():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)

before = peak()
sample_angles(10**6, 10_000, UNIFORM, np.random.default_rng(0))
print(json.dumps({"imports_mib": before, "peak_mib": peak()}))
"""


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time and processor time of all threads."""
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def vectorized(n: int, samples: int, law: Distribution) -> None:
    sample = angles.sample_angles(n, samples, law, np.random.default_rng(0))
    _ = sample.binarized_angle, sample.pair_angle


def loop(n: int, samples: int, law: Distribution) -> None:
    generator = np.random.default_rng(0)
    draw = {
        UNIFORM: lambda: generator.uniform(-1, 1, n),
        GAUSSIAN: lambda: generator.standard_normal(n),
    }[law]
    for _ in range(samples):
        u, v = draw(), draw()
        b = np.where(u > 0, 1.0, -1.0)
        norm = np.linalg.norm(u)
        np.arccos(np.dot(u, v) / (norm * np.linalg.norm(v)))
        np.arccos(np.dot(u, b) / (norm * np.sqrt(n)))


def drawing(n: int, samples: int, law: Distribution) -> None:
    workers = angles.available_cores()
    blocks, rest = divmod(2 * n * samples, angles.BLOCK_VALUES)

    def fill(first: int) -> None:
        buffer = np.empty(angles.BLOCK_VALUES)
        for block in range(first, blocks, workers):
            law.fill(np.random.Generator(np.random.SFC64(block)), buffer)
        if first == 0:
            law.fill(np.random.Generator(np.random.SFC64(blocks)), buffer[:rest])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(workers)))


def main(quick: bool) -> None:
    """Measure, print a line for each measurement, then the JSON."""
    result: dict[str, object] = {"benchmark": "angles", "turns": TURNS}
    for name, law in (("gaussian", GAUSSIAN), ("uniform", UNIFORM)):
        for n, (samples, loops) in DIMENSIONS.items():
            turns = [
                (
                    seconds(lambda n=n, k=samples, law=law: vectorized(n, k, law)),
                    seconds(lambda n=n, k=loops, law=law: loop(n, k, law)),
                    seconds(lambda n=n, k=samples, law=law: drawing(n, k, law)),
                )
                for _ in range(TURNS)
            ]
            pairs = np.array([samples, loops, samples])
            (ours, plain, drawn), (ours_cpu, plain_cpu, drawn_cpu) = np.min(turns, axis=0).T / pairs
            share = drawn_cpu / ours_cpu
            limit = "drawing random numbers" if share > 0.5 else "sums over the entries"
            print(
                f"{law.name}, n = {n:,}: {plain / ours:.1f} times the loop "
                f"({1e6 * ours:.3g} µs a pair against {1e6 * plain:.3g}), on one core "
                f"{plain_cpu / ours_cpu:.1f} times; drawing alone takes {100 * share:.0f} % of the "
                f"processor time: the limit is {limit}",
                flush=True,
            )
            result[f"{name}_{n}"] = {
                "over_loop": plain / ours,
                "over_loop_one_core": plain_cpu / ours_cpu,
                "drawing_share": share,
                "drawing_share_wall": drawn / ours,
                "ns_per_number": 1e9 * ours / (2 * n),
                "cpu_ns_per_number": 1e9 * ours_cpu / (2 * n),
            }
    if not quick:
        done = subprocess.run(
            [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True
        )
        result["memory_of_10000_pairs_at_1e6"] = peak = json.loads(done.stdout)
        print(
            f"10,000 pairs at n = 1,000,000: {peak['peak_mib']:.0f} MiB at the peak, of which "
            f"{peak['imports_mib']:.0f} MiB are the imports"
        )
    result["machine"] = {
        "processor": processor(),
        "cores": angles.available_cores(),
        "load": os.getloadavg()[0],
    }
    result["versions"] = versions("numpy", "scipy")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
