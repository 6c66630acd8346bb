"""Recipes, the training loop, and runs on disk."""

from importlib import import_module
from typing import Any

_NAMES = {
    "Recipe": "recipes",
    "Run": "runs",
    "Trained": "loop",
    "build_network": "build",
    "check_fit": "evaluation",
    "evaluate": "evaluation",
    "layer_history": "history",
    "live_run": "live",
    "published_run": "live",
    "recipe": "recipes",
    "split_indices": "batches",
    "train": "loop",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
