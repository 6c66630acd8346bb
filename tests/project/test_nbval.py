"""The notebooks' check can fail: a changed number in a reference output turns it red."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
from notebooks_under_test import NOTEBOOKS, ROOT


def nbval(path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "--nbval", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_changed_number_turns_the_notebook_red(tmp_path):
    notebook = nbformat.read(NOTEBOOKS / "random_vectors.ipynb", as_version=4)
    at = next(
        i
        for i, cell in enumerate(notebook.cells)
        if any("text/html" in output.get("data", {}) for output in cell.get("outputs", []))
    )
    del notebook.cells[at + 1 :]  # what comes after it takes time and tells nothing
    (data,) = (o.data for o in notebook.cells[at].outputs if "text/html" in o.get("data", {}))
    for key in ("text/plain", "text/html"):
        # the mean angle in three dimensions, by tenths of a degree
        data[key], changed = re.subn(r"24\.\d", "24.0", data[key], count=1)
        assert changed
    path = tmp_path / "changed.ipynb"
    nbformat.write(notebook, path)
    done = nbval(path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"^1 failed, \d+ passed", done.stdout, re.M), done.stdout
