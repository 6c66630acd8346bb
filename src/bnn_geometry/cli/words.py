"""What the commands share: values from the command line, and sizes for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def parse_value(text: str) -> Any:
    """A value by its look, as papermill's own command reads them: number, boolean, else text."""
    for literal, value in (("true", True), ("false", False)):
        if text.lower() == literal:
            return value
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def size(folder: Path) -> str:
    """Megabytes that a folder takes."""
    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return f"{total / 1e6:.1f} MB"
