"""What the reference notebooks are, shared by the tests and by tools/make_notebooks.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "book").glob("*.py"))
NOTEBOOKS = ROOT / "tests" / "notebooks"

PARAMETERS = {"preset": "smoke", "source": "stand-in"}
"""Injected into every chapter that declares them."""


def pin(scratch: Path) -> None:
    """Set the environment in which notebooks are made and run: no data, no cache, one thread."""
    (scratch / "data").mkdir(parents=True, exist_ok=True)
    os.environ["BNN_DATA"] = str(scratch / "data")
    os.environ["BNN_CACHE"] = str(scratch / "cache")
    os.environ["BNN_LIVE"] = str(scratch / "live")
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["MKL_NUM_THREADS"] = "1"
    os.environ.pop("BNN_PRESET", None)
    os.environ["BNN_EXECUTED"] = str(NOTEBOOKS)  # the ledger judges what the notebooks recorded


def notes(cell: NotebookNode) -> list[NotebookNode]:
    """The outputs of a cell that record a claim."""
    return [o for o in cell.outputs if "claim" in o.get("metadata", {}).get("bnn_geometry", {})]


def as_reference(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its sources, tags, text outputs and records of claims.

    Pictures and times are taken out, and of cells whose outputs are not compared all but the
    records.
    """
    for i, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        cell["id"] = f"cell-{i}"  # a random one would change at every regeneration
        if cell.cell_type != "code":
            continue
        if "injected-parameters" in tags:
            cell.source = cell.source.strip()
        for output in cell.outputs:
            if "image/svg+xml" in output.get("data", {}):
                output.data["image/svg+xml"] = "<svg/>"
                output.metadata.get("bnn_geometry", {}).pop("pdf", None)
        if "nbval-ignore-output" in tags:
            cell.outputs = notes(cell)  # of its outputs only what the ledger reads
    notebook.metadata = {
        key: notebook.metadata[key]
        for key in ("kernelspec", "language_info")
        if key in notebook.metadata
    }
    notebook.metadata.get("language_info", {}).pop("version", None)
    return notebook
