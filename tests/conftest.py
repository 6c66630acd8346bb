"""The tests see no data but what they make: see notebooks_under_test.pin."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
# what several test files use lies in one of them, or beside this one
sys.path[:0] = [str(HERE), *(str(folder) for folder in sorted(HERE.iterdir()) if folder.is_dir())]

from notebooks_under_test import pin  # noqa: E402

# At import, before any test imports torch (which reads the number of threads then) and before
# nbval starts the first kernel. Where several processes share the tests, the others have it from
# the first.
_SCRATCH = None
if "PYTEST_XDIST_WORKER" not in os.environ:
    # Tests that read the official files look for them where the user's environment has them.
    if os.environ.get("BNN_DATA"):
        os.environ.setdefault("BNN_TEST_DATA", os.environ["BNN_DATA"])
    _SCRATCH = tempfile.TemporaryDirectory(prefix="bnn-geometry-tests-")
    pin(Path(_SCRATCH.name))


def pytest_unconfigure() -> None:
    """Remove what the tests wrote."""
    if _SCRATCH is not None:
        _SCRATCH.cleanup()
