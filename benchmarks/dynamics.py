"""Speed of the vectorized flow of section 5.1, against a loop that follows one vector at a time.

Both take the same steps of the scale-invariant loss with the same clip from the same starts, and
the benchmark stops where they do not end at the same place. The loop is the obvious one, of a few
lines; it logs nothing, while the vectorized flow logs its angles as often as a chapter does.

    python benchmarks/dynamics.py [--seeds N] [--updates N] [--dimensions N ...]

The last line is one JSON object. A flow-step is one update of one vector.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np
from _machine import processor, versions

from bnn_geometry.geometry import flows, losses

STEP, LOG_EVERY = 0.02, 7


def vectorized(target: np.ndarray, start: np.ndarray, updates: int) -> np.ndarray:
    """All vectors at once."""
    steps = np.full(updates, STEP)
    return flows.flow(losses.COSINE, target, start, steps, log_every=LOG_EVERY).u


def loop(target: np.ndarray, start: np.ndarray, updates: int) -> np.ndarray:
    """One vector after the other."""
    ends = []
    for goal, begin in zip(target, start, strict=True):
        u, n = begin.copy(), len(begin)
        direction = goal / np.linalg.norm(goal)
        for _ in range(updates):
            v = np.where(u > 0, 1.0, -1.0)
            length = np.linalg.norm(v)
            gradient = n * ((v @ direction) * v / length**2 - direction) / length
            u = np.clip(u - STEP * gradient, -1, 1)
        ends.append(u)
    return np.array(ends)


def seconds(way, *arguments: object, repeats: int = 3) -> tuple[float, np.ndarray]:
    """Shortest of some times, after a run that warms up; and what came out."""
    result = way(*arguments)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        way(*arguments)
        times.append(time.perf_counter() - began)
    return min(times), result


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line for each dimension, then the JSON; 1 if the two ways differ."""
    parser = argparse.ArgumentParser(description="Speed of the substituted-gradient flow.")
    parser.add_argument("--seeds", type=int, default=12, help="vectors at once")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    options = parser.parse_args(arguments)
    generator = np.random.default_rng(0)
    result: dict[str, object] = {
        "benchmark": "dynamics",
        "seeds": options.seeds,
        "updates": options.updates,
    }
    for n in options.dimensions:
        target = generator.uniform(-1, 1, (options.seeds, n))
        start = generator.uniform(-1, 1, target.shape)
        steps = options.seeds * options.updates
        ends, found = {}, {}
        for way in (vectorized, loop):
            took, ends[way] = seconds(way, target, start, options.updates)
            found[f"{way.__name__}_steps_per_s"] = steps / took
        # rounding may turn a sign a step earlier or later, and moves that entry by less than two
        # steps of at most 2·STEP·(1 + |z|) each
        if np.abs(ends[vectorized] - ends[loop]).max() > 16 * STEP:
            print(f"n = {n}: the two ways end at different places", file=sys.stderr)
            return 1
        found["ratio"] = found["vectorized_steps_per_s"] / found["loop_steps_per_s"]
        result[f"n_{n}"] = found
        line = (
            "{vectorized_steps_per_s:,.0f} flow-steps/s, loop {loop_steps_per_s:,.0f}, ×{ratio:.1f}"
        )
        print(f"n = {n:,}: {line.format(**found)}", flush=True)
    result["machine"] = {"processor": processor(), "cores": os.cpu_count()}
    result["versions"] = versions("numpy")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
