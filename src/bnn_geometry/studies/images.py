"""The images of a study, in every process that runs parts of it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bnn_geometry.data import datasets
from bnn_geometry.errors import UserError

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset


def provenance(name: str, root: str | None) -> dict[str, Any]:
    """Where a study's images are from; in which folder they lie is nobody's affair."""
    return datasets.load(name, root=root).provenance.as_dict() | {"path": None}


@lru_cache(maxsize=1)  # a process runs many parts of one study
def images(name: str, root: str | None, fingerprint: str) -> Dataset:
    """The data set, if it is the one with this fingerprint.

    Raises
    ------
    UserError
        If there are other images here, as may be on another machine.
    """
    dataset = datasets.load(name, root=root)
    if dataset.provenance.fingerprint != fingerprint:
        raise UserError(f"The study is of other images than are here: {dataset.provenance.title}.")
    return dataset
