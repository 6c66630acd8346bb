"""Take the README's picture from the built book: Figure 2 of the paper, at preset `book`.

The chapter draws it; nothing is computed or drawn here.

    make book
    python tools/readme_picture.py
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

BOOK = Path(__file__).resolve().parents[1] / "book"
CHAPTER = BOOK / ".executed" / "book" / "random_vectors.ipynb"
FIGURE = "fig-angles"
PICTURE = BOOK / "_static" / "two-angles.svg"


def figure(notebook: Path, name: str) -> str:
    """The SVG of a figure in an executed chapter.

    Raises
    ------
    ValueError
        If the chapter has not been executed, or has no such figure.
    """
    if not notebook.exists():
        raise ValueError(f"There is no {notebook}: build the book first, at preset book.")
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            shown = output.get("metadata", {}).get("bnn_geometry", {})
            if shown.get("figure", {}).get("name") == name:
                return "".join(output["data"]["image/svg+xml"])
    raise ValueError(f"{notebook} has no figure {name}.")


def shortened(svg: str) -> str:
    """The same picture in fewer bytes: coordinates to a tenth of a point."""

    def rounded(number: re.Match[str]) -> str:
        return f"{float(number.group()):.1f}".rstrip("0").rstrip(".")

    def path(coordinates: re.Match[str]) -> str:
        return re.sub(r"-?\d+\.\d+", rounded, " ".join(coordinates.group().split()))

    return re.sub(r'(?<=\sd=)"[^"]*"', path, re.sub(r"\n +", "\n", svg))


def main(arguments: list[str] | None = None) -> int:
    """Write the picture; 1, with a sentence, if the book has not been built."""
    parser = argparse.ArgumentParser(description="Take the README's picture from the built book.")
    parser.add_argument("notebook", nargs="?", type=Path, default=CHAPTER)
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    try:
        svg = shortened(figure(options.notebook, FIGURE))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    options.picture.write_text(svg, encoding="utf-8")
    print(f"{options.picture}: {len(svg.encode()) / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
