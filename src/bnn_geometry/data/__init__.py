"""CIFAR-10 and MNIST: finding, reading, keeping and fetching them, and stand-ins."""

from importlib import import_module
from typing import Any

_NAMES = {
    "DATASETS": "standards",
    "SOURCES": "locations",
    "Dataset": "datasets",
    "Provenance": "datasets",
    "Split": "datasets",
    "describe": "locations",
    "fetch": "download",
    "fingerprint": "datasets",
    "load": "datasets",
    "locate": "locations",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
