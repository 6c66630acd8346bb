"""Questions that many runs answer, one way to run them, and what is published of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnn_geometry.studies.sweep import Study

NAMES = ("ablations", "estimators", "pretrained")
"""The studies: modules of this room, each with its variants, ``study``, ``part`` and a summary."""

_FACE = {
    "Study": "sweep",
    "run_study": "sweep",
    "Published": "tables",
    "published": "tables",
    "curves": "replicates",
    "difference": "replicates",
    "final_errors": "replicates",
    "pooled_variance": "replicates",
    "rounding_cost": "publish",
}

__all__ = ["NAMES", "find", *_FACE]


def find(name: str, **choice: Any) -> Study:
    """The study of a name, with the variants, seeds and folder of images that are chosen.

    Raises
    ------
    UserError
        If a choice makes no table, or what the study needs is not there.
    """
    return import_module(f"{__name__}.{name}").study(**choice)


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FACE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
