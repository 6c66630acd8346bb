"""The house: which room uses which, how long its modules are, and what importing it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from notebooks_under_test import ROOT

PACKAGE = ROOT / "src" / "bnn_geometry"
ROOMS = ("geometry", "data", "networks", "training", "probing", "studies", "book")
MOST_LINES = 400


def test_rooms_use_only_those_below_them():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_modules_are_short_or_say_why_not():
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            docstring = text.split('"""')[1]
            assert "One file because" in docstring, f"{path.name} is long and does not say why"


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after some code has run in a new process."""
    program = f"import sys\n{code}\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (
            "import bnn_geometry as bg; dir(bg); bg.data; bg.training; bg.book; bg.geometry",
            {"torch", "numpy", "scipy", "pandas", "matplotlib", "sphinx", "papermill"},
        ),
        (
            "from bnn_geometry import geometry\nfor n in geometry.__all__: getattr(geometry, n)",
            {"torch", "pandas", "matplotlib"},
        ),
        (
            "from bnn_geometry import data, training; training.recipe; data.locate('mnist')",
            {"torch", "torchvision", "pandas"},
        ),
    ],
    ids=["the package", "geometry", "recipes and finding data"],
)
def test_importing_costs_only_what_is_used(code, heavy):
    assert not heavy & loaded_by(code)


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_name_of_a_face_is_there_and_says_what_it_is(room):
    face = importlib.import_module(f"bnn_geometry.{room}".rstrip("."))
    assert face.__all__
    for name in face.__all__:
        value = getattr(face, name)
        assert not callable(value) or value.__doc__, name
