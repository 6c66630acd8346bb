"""What a machine computes quickest with: number format, and compiled or not."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import time
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import device_of, inference

COMPILE_FROM = 1e14
"""Floating-point operations of a run from which compiling it pays: half a minute of compilation
against a sixth of eight minutes, at the 2·10¹¹ a second of two processor cores."""

COMPILE_FROM_CUDA = 3e16
"""The same on a CUDA device, of which some 10¹⁴ a second are expected: five minutes (not measured
yet)."""


def device_name(device: torch.device) -> str:
    """``cpu``, or what a GPU calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions that multiply bfloat16 numbers."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # torch has no public name for this; a release without these falls back to float32
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)


@lru_cache
def product_seconds(dtype: torch.dtype, n: int = 1024, turns: int = 5) -> float:
    """Time of an n × n matrix product on the CPU, the best of several, in seconds."""
    a = torch.ones(n, n, dtype=dtype)
    best = float("inf")
    for _ in range(turns + 1):  # the first one chooses the kernel
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return best


def quick_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 numbers are quicker than those of float32 numbers.

    On a CPU both are timed, once in a process: a processor can have instructions for bfloat16 and
    still be slower with them, as one of Intel's without AMX was, at 0.6 times the rate of float32.
    Where the rates are that far apart the answer is the same every time; a run's folder says which
    it was, and a run is not resumed with the other.
    """
    if not native_bfloat16(device):
        return False
    if device.type != "cpu":
        return True
    return product_seconds(torch.bfloat16) < 0.8 * product_seconds(torch.float32)


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` → ``bfloat16`` where that is quicker, else ``float32``; others as they are.

    Raises
    ------
    UserError
        If the name is none of the three.
    """
    if precision == "auto":
        return "bfloat16" if quick_bfloat16(device) else "float32"
    if precision not in ("float32", "bfloat16"):
        raise UserError(f"Unknown precision {precision!r}: use auto, float32 or bfloat16.")
    return precision


def can_compile() -> bool:
    """Whether ``torch.compile`` finds a C++ compiler and Python's headers."""
    if sys.platform == "win32":  # where torch needs more than those, and nobody has tried
        return False
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    header = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(compiler) is not None and header.exists()


def forward_operations(network: nn.Module) -> int:
    """Floating-point operations of one image's way through the network's products.

    Parameters
    ----------
    network : Module
        With an attribute ``image_shape``; its mode is restored.
    """
    with inference(network) as device, FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *network.image_shape, device=device))
    return counter.get_total_flops()


def resolve_compile(choice: str, network: nn.Module, images: int) -> bool:
    """Whether to compile a network that is to be trained.

    Parameters
    ----------
    choice : str
        ``always``, ``never`` or ``auto``: where it is possible and the run long enough to pay for.
    network : Module
        As :func:`forward_operations` takes it.
    images : int
        In the whole run, each counted as often as it is seen.

    Raises
    ------
    UserError
        If the name is none of the three, or it must and cannot be done.
    """
    if choice == "always" and not can_compile():
        raise UserError(
            "This machine cannot compile the network: that takes a C++ compiler and Python's "
            "headers. Train with compile never or auto."
        )
    if choice == "auto":
        # backward the products of both factors' gradients: twice as much as forward
        worth = COMPILE_FROM_CUDA if device_of(network).type == "cuda" else COMPILE_FROM
        return can_compile() and 3.0 * forward_operations(network) * images >= worth
    if choice not in ("always", "never"):
        raise UserError(f"Unknown compile {choice!r}: use auto, always or never.")
    return choice == "always"
