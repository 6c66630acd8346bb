"""Which code trained a run: the commit, and a hash of every file that training may use."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from bnn_geometry import storage

ROOMS = ("geometry", "data", "networks", "training")
"""What training may use, besides the files beside the rooms."""

COMMIT = "BNN_COMMIT"

_PACKAGE = Path(__file__).resolve().parents[1]


def commit() -> str | None:
    """Commit of the package's repository, with ``+`` where tracked files differ.

    A copy without its repository has the commit that ``$BNN_COMMIT`` names; None without that.
    """
    try:
        said = [
            subprocess.run(
                ["git", "-C", str(_PACKAGE), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno", "."])
        ]
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get(COMMIT)
    return said[0] + ("+" if said[1] else "")


def code_hashes() -> dict[str, str]:
    """SHA-256 of each file of the rooms that training may use, by its path in the package."""
    files = [_PACKAGE / f"{name}.py" for name in ("errors", "paths", "storage")]
    files += [file for room in ROOMS for file in sorted((_PACKAGE / room).rglob("*.py"))]
    return {file.relative_to(_PACKAGE).as_posix(): storage.file_hash(file) for file in files}


def code_hash() -> str:
    """One hash over all of them."""
    return storage.text_hash(json.dumps(code_hashes(), sort_keys=True))
