"""The folder in which a study keeps what is finished: one process at a time uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bnn_geometry.errors import UserError


@contextmanager
def claimed(work: Path) -> Iterator[None]:
    """Make the folder, and keep other processes out; the lock goes with the process.

    Raises
    ------
    UserError
        If it cannot be made, or another process uses it.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"Another process is running a study in {work}.") from error
    except OSError as error:
        raise UserError(f"No study can be run in {work}: {error.strerror}.") from error
    with lock:
        yield
