"""What a bit for each weight gains and costs at inference, against float32 and bfloat16.

The published CIFAR-10 network of full width classifies a batch: packed
(`bnn_geometry.networks.packed`, in numpy), and as torch computes it in float32 and in bfloat16 (its
weights in that format beforehand, channels last). The float networks hold w^b, not the latents, so
that nothing is binarized meanwhile. All on one thread, in alternating turns; the best of each
counts, in processor time, which another load hardly changes. Images are noise, which changes no
time.

    python benchmarks/packed.py [--run RUN] [--batch N ...] [--turns N]

The last line is one JSON object. Ratios are of times, float over packed: above 1 packed is quicker.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _machine import processor, versions
from safetensors.torch import save_file

from bnn_geometry import training
from bnn_geometry.errors import UserError
from bnn_geometry.networks import packed, packing
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import weight_layers

Work = Callable[[], torch.Tensor]


def as_floats(network: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A copy that computes with its binary weights as they are, in a number format."""
    network = copy.deepcopy(network)
    for layer in weight_layers(network).values():
        layer.weight.data = layer.binary_weight
        layer.binary = False
    return network.to(dtype, memory_format=torch.channels_last).eval()


def seconds(work: Work) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def best_of(ways: dict[str, Work], turns: int) -> dict[str, float]:
    """The least time of each, in alternating turns; one is not counted."""
    taken = [{name: seconds(work) for name, work in ways.items()} for _ in range(turns + 1)]
    return {name: min(turn[name] for turn in taken[1:]) for name in ways}


def noise(images: int, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale_images(
        torch.randint(0, 256, (images, *shape), dtype=torch.uint8, generator=generator)
    )


def sizes(network: torch.nn.Module, made: packed.PackedNetwork) -> dict[str, int]:
    """Bytes of the weights of the layers, and of a file of everything."""
    floats = as_floats(network, torch.float32)
    half = as_floats(network, torch.bfloat16)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in ("packed", "float32", "bfloat16")}
        packed.save(made, files["packed"])
        for name, one in (("float32", floats), ("bfloat16", half)):
            save_file({k: v.contiguous() for k, v in one.state_dict().items()}, files[name])
        disk = {f"disk_{name}": file.stat().st_size for name, file in files.items()}
    weights = sum(x.weight.numel() for x in weight_layers(network).values())
    words = sum(layer.words.nbytes for layer in made.layers[1:])
    return disk | {
        "weights": weights,
        "memory_packed": made.weight_bytes + words,
        "memory_float32": 4 * weights,
        "memory_bfloat16": 2 * weights,
    }


def main() -> None:
    """Measure, print a line for each batch, then the JSON."""
    parser = argparse.ArgumentParser(description="Packed inference against float.")
    parser.add_argument("--run", default="cifar10-convnet-long-w1-s1")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        network = training.published_run(options.run).network()
    except UserError as error:
        parser.error(str(error))
    made = packing.pack(network)
    floats, half = (as_floats(network, dtype) for dtype in (torch.float32, torch.bfloat16))
    result: dict[str, object] = {"benchmark": "packed", "run": options.run}
    result |= {"threads": 1, "turns": options.turns, "bytes": sizes(network, made)}
    for batch in options.batch:
        x = noise(batch, network.image_shape)
        laid = x.contiguous(memory_format=torch.channels_last)
        rounded = laid.bfloat16()
        with torch.inference_mode():
            equal = torch.equal(made(x), network(x))
            taken = best_of(
                {
                    "packed": lambda x=x: made(x),
                    "float32": lambda x=laid: floats(x),
                    "bfloat16": lambda x=rounded: half(x),
                },
                options.turns,
            )
        ratios = {f"{k}_over_packed": taken[k] / taken["packed"] for k in ("float32", "bfloat16")}
        found = {"seconds": taken, "scores_equal": equal} | ratios
        result[f"batch_{batch}"] = found
        print(
            f"batch {batch}: packed {1e3 * taken['packed']:.1f} ms, float32 takes "
            f"{ratios['float32_over_packed']:.2f} and bfloat16 "
            f"{ratios['bfloat16_over_packed']:.2f} times as long; scores equal: {equal}",
            flush=True,
        )
    result["machine"] = {"processor": processor(), "cores": os.cpu_count()}
    result["versions"] = versions("torch", "numpy")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
