"""Time and memory of probing a network, against the obvious way.

The obvious way stores every layer's dot products for all images and calls np.corrcoef. Each
measurement runs in a process of its own on an untrained network of the paper's CIFAR-10
architecture; the images are noise, which changes neither time nor memory.

    python benchmarks/probe.py [--width W] [--images N ...] [--stored-limit GIB]

The last line is one JSON object. Where storing would take more than the limit, it is not tried.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from _machine import peak_mib, processor, versions

from bnn_geometry import training
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import dot_products
from bnn_geometry.probing.layer_inputs import observe
from bnn_geometry.training import recipes


def network(width: float) -> torch.nn.Module:
    return training.build_network(recipes.FAST_CIFAR10.with_(width=width), 0).eval()


def noise(images: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)


def streamed(width: float, images: int) -> list[float]:
    return [s.r for s in dot_products.probe_weights(network(width), noise(images))]


def stored(width: float, images: int) -> list[float]:
    kept: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    observe(
        network(width),
        noise(images),
        lambda at: kept.setdefault(at.name, []).append(
            (at.dot(at.layer.binary_weight), at.dot(at.layer.weight))
        ),
    )
    found = []
    for pairs in kept.values():
        first, second = (torch.cat(z, dim=1).numpy().ravel() for z in zip(*pairs, strict=True))
        found.append(float(np.corrcoef(first, second)[0, 1]))
    return found


def stored_gib(width: float, images: int) -> float:
    """What the obvious way holds: two numbers of four bytes for each filter and position."""
    count = 0

    def see(at: object) -> None:
        nonlocal count
        count += at.dot(at.layer.weight).numel()

    observe(network(width), noise(1), see)
    return 8 * count * images / 2**30


WAYS = {"streamed": streamed, "stored": stored}


def measure(way: str, width: float, images: int) -> dict[str, object]:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--width", str(width)]
    done = subprocess.run(
        [*command, "--images", str(images)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stderr}\n{way} with {images} images failed")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print a line for each measurement, then the JSON."""
    parser = argparse.ArgumentParser(description="Time and memory of probing a network.")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 10_000])
    parser.add_argument("--stored-limit", type=float, default=8.0, help="GiB")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        began = time.perf_counter()
        r = WAYS[options.way](options.width, options.images[0])
        print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak_mib(), "r": r}))
        return
    result: dict[str, object] = {"benchmark": "probe", "width": options.width}
    result["layers"] = len(weight_layers(network(options.width)))
    for images in options.images:
        need = stored_gib(options.width, images)
        found = {"stored_gib": need, "streamed": measure("streamed", options.width, images)}
        line = "{seconds:.0f} s and {peak_mib:.0f} MiB".format(**found["streamed"])
        print(f"{images:,} images, streamed: {line}", flush=True)
        if need > options.stored_limit:
            print(f"{images:,} images, stored: not tried, it holds {need:.0f} GiB", flush=True)
        else:
            found["stored"] = measure("stored", options.width, images)
            line = "{seconds:.0f} s and {peak_mib:.0f} MiB".format(**found["stored"])
            print(f"{images:,} images, stored: {line}", flush=True)
            found["time_over_stored"] = found["streamed"]["seconds"] / found["stored"]["seconds"]
            apart = np.subtract(found["streamed"]["r"], found["stored"]["r"])
            found["largest_difference_of_r"] = float(np.abs(apart).max())
        result[f"{images}_images"] = found
    result["machine"] = {"processor": processor(), "cores": os.cpu_count()}
    result["versions"] = versions("torch", "numpy")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
