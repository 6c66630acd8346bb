"""Questions that many runs answer, one way to run them, and what is published of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from bnn_geometry.studies.sweep import Study

NAMES = ("ablations", "architectures", "choices", "estimators", "geometry", "pretrained")
"""The studies: modules of this room, each with ``study`` and ``part``."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "geometry_results": ["Geometry", "compare_errors", "published_geometry"],
        "publish": ["rounding_cost"],
        "replicates": ["difference", "final_errors", "pooled_variance"],
        "sweep": ["Study", "run_study"],
        "tables": ["Published", "published"],
    },
)
__all__ += ["NAMES", "find"]


def find(name: str, **choice: Any) -> Study:
    """The study of a name, with what is chosen: of variants, seeds, images, or a run.

    Raises
    ------
    UserError
        If a choice makes no table, or what the study needs is not there.
    """
    return import_module(f"{__name__}.{name}").study(**choice)
