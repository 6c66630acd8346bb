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
    changed = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data and not changed:
                for key in ("text/plain", "text/html"):
                    # the mean angle in three dimensions, by a hundredth of a degree
                    data[key], n = re.subn(
                        r"24\.(\d)(\d)", lambda m: f"24.{m[1]}9", data[key], count=1
                    )
                    changed += n
    assert changed == 2
    path = tmp_path / "changed.ipynb"
    nbformat.write(notebook, path)
    done = nbval(path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"^1 failed, \d+ passed", done.stdout, re.M), done.stdout
