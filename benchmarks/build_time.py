"""How long the book takes to build: from nothing at each preset, and with nothing changed.

The book is built in a temporary copy, with the data of this machine decoded beforehand (that
happens once per data set, whatever is built). Two baselines say what the time consists of: one
start of jupyter-book without a book to build, and one kernel that imports what a chapter imports.

    python benchmarks/build_time.py [PRESET ...]      # default: smoke book

The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _machine import processor, versions

from bnn_geometry import data
from bnn_geometry.book import presets

ROOT = Path(__file__).resolve().parents[1]
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")


def seconds(command: list[object], **environment: str) -> float:
    """Wall-clock time of a command that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(
        [str(c) for c in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}{done.stderr[-2000:]}\nfailed: {command}")
    return time.perf_counter() - began


def main(names: list[str]) -> None:
    """Measure, print a line for each measurement, then the JSON."""
    result: dict[str, object] = {"benchmark": "build_time"}
    result["data"] = {name: data.load(name).provenance.title for name in data.DATASETS}
    imports = (
        "import seaborn, torch, torchvision; from bnn_geometry.probing import dot_products; "
        "from bnn_geometry.book.plots import series"
    )
    result["jupyter_book_start_s"] = seconds([JUPYTER_BOOK, "--help"])
    result["chapter_imports_s"] = seconds([sys.executable, "-c", imports])
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            book = Path(scratch) / "book"
            ignored = shutil.ignore_patterns("_build", ".executed")
            shutil.copytree(ROOT / "book", book, ignore=ignored)
            shutil.copytree(ROOT / "runs", Path(scratch) / "runs")
            build = [JUPYTER_BOOK, "build", book]
            result[f"{name}_s"] = seconds(build, BNN_PRESET=name)
            print(f"{name}, from nothing: {result[f'{name}_s']:.1f} s", flush=True)
            result[f"{name}_unchanged_s"] = seconds(build, BNN_PRESET=name)
            print(f"{name}, unchanged: {result[f'{name}_unchanged_s']:.1f} s", flush=True)
            result[f"{name}_over_unchanged"] = result[f"{name}_s"] / result[f"{name}_unchanged_s"]
    result["machine"] = {"processor": processor(), "cores": os.cpu_count()}
    result["versions"] = versions("torch", "jupyter-book", "papermill")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main([presets.check(name) for name in sys.argv[1:]] or ["smoke", "book"])
