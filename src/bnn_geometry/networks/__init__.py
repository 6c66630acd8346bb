"""Straight-through estimators, layers, the paper's networks, and changes to a network."""

from importlib import import_module
from typing import Any

_NAMES = {
    "BinaryActivation": "layers",
    "BinaryConv2d": "layers",
    "BinaryLinear": "layers",
    "ConvNet": "models",
    "MLP": "models",
    "binarize": "straight_through",
    "binarize_activation": "straight_through",
    "binarize_network": "conversion",
    "binarize_weight": "straight_through",
    "initialize": "layers",
    "refit_batch_norm": "batch_norm",
    "replace_modules": "replacement",
    "weight_layers": "layers",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
