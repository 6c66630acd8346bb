"""The room's face: what it offers is there, and none of the room needs torch."""

import subprocess
import sys

import bnn_geometry.geometry as room

WITHOUT_TORCH = """
import importlib, pkgutil, sys
import bnn_geometry.geometry as room
assert "numpy" not in sys.modules, "the face is not lazy"
for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")
found = {"torch", "pandas", "matplotlib"} & set(sys.modules)
assert not found, found
"""


def test_the_room_is_numpy_and_scipy_alone():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_other_names_are_not_there():
    assert dir(room) == room.__all__
    assert not hasattr(room, "nothing_of_the_kind")
