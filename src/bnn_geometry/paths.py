"""Every folder of the project, and every environment variable that names one.

=================  ==========================================================================
``BNN_DATA``       folder of the images (default: the cache folder)
``BNN_CACHE``      what can be computed again (``$XDG_CACHE_HOME/bnn-geometry``, else
                   ``~/.cache/bnn-geometry``)
``BNN_RUNS``       the published runs (``runs`` beside the book)
``BNN_LIVE``       runs trained by a build (``live`` in the cache folder)
``BNN_EXECUTED``   the executed chapters of a build (``book/.executed/<preset>``)
``BNN_PRESET``     the preset of a build (``book``)
=================  ==========================================================================

A relative folder is meant from where the user stands. A process that works for another one, such as
a chapter's kernel, stands elsewhere: whoever starts one calls :func:`pin` before.
"""

from __future__ import annotations

import os
from pathlib import Path

from bnn_geometry.errors import UserError

DATA, CACHE, RUNS = "BNN_DATA", "BNN_CACHE", "BNN_RUNS"
LIVE, EXECUTED, PRESET = "BNN_LIVE", "BNN_EXECUTED", "BNN_PRESET"
FOLDERS = (DATA, CACHE, RUNS, LIVE, EXECUTED)
"""The variables that name a folder."""

STORE = ".executed"
"""Where the book keeps its executed chapters, beside them."""


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().absolute()


def _given(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return _absolute(value) if value else None


def pin() -> None:
    """Make every relative folder in the environment absolute, from the working directory."""
    for variable in FOLDERS:
        folder = _given(variable)
        if folder is not None:
            os.environ[variable] = str(folder)


def cache_root() -> Path:
    """The folder that holds what can be computed again, whether or not it exists.

    Not the data root: that one may be read-only.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _given(CACHE) or Path(base).absolute() / "bnn-geometry"


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the data, whether or not it exists.

    Parameters
    ----------
    root
        The folder; None takes ``$BNN_DATA``, else ``$XDG_CACHE_HOME/bnn-geometry``, else
        ``~/.cache/bnn-geometry``.
    """
    if root:
        return _absolute(root)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _given(DATA) or Path(base).absolute() / "bnn-geometry"


def data_root_is_given(root: str | os.PathLike[str] | None = None) -> bool:
    """Whether the data root was named, by an argument or by ``$BNN_DATA``."""
    return bool(root or os.environ.get(DATA))


def book_folder() -> Path:
    """The folder ``book`` of this checkout: under the working directory, or that of the package.

    Raises
    ------
    UserError
        If there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "book" / "_toc.yml").exists():
            return folder / "book"
    raise UserError("There is no book here: run this inside the project's folder.")


def runs_root() -> Path:
    """Where the published runs are: ``$BNN_RUNS``, else the folder ``runs`` beside the book."""
    return _given(RUNS) or book_folder().parent / "runs"


def live_root() -> Path:
    """Where runs made by a build are kept: ``$BNN_LIVE``, else a folder in the cache."""
    return _given(LIVE) or cache_root() / "live"


def executed_folder(preset: str) -> Path:
    """Where the executed chapters of a preset are: ``$BNN_EXECUTED``, set by the build."""
    return _given(EXECUTED) or book_folder() / STORE / preset


def preset_name() -> str:
    """What ``$BNN_PRESET`` names; ``book`` where it is not set. Whether there is such a preset
    :mod:`bnn_geometry.book.presets` knows.
    """
    return os.environ.get(PRESET) or "book"
