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

import json
import os
from pathlib import Path

from bnn_geometry.errors import UserError

DATA, CACHE, RUNS = "BNN_DATA", "BNN_CACHE", "BNN_RUNS"
LIVE, EXECUTED, PRESET = "BNN_LIVE", "BNN_EXECUTED", "BNN_PRESET"
XDG = "XDG_CACHE_HOME"
FOLDERS = (DATA, CACHE, RUNS, LIVE, EXECUTED, XDG)
"""The variables that name a folder."""

HEADER = "SPHINX_PAPERMILL_HEADER"
"""Set in the chapters of a build: the lists in the chapter's header, as JSON."""

STORE = ".executed"
"""Where the book keeps its executed chapters, beside them."""


def _absolute(path: str | os.PathLike[str]) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"Whose home is meant by {path}? Name the whole folder.") from error


def _given(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return _absolute(value) if value else None


def pin() -> None:
    """Make every relative folder in the environment absolute, from the working directory."""
    for variable in FOLDERS:
        folder = _given(variable)
        if folder is not None:
            os.environ[variable] = str(folder)


def _default_cache() -> Path:
    return (_given(XDG) or _absolute("~/.cache")) / "bnn-geometry"


def cache_root() -> Path:
    """The folder that holds what can be computed again, whether or not it exists.

    Not the data root: that one may be read-only.
    """
    return _given(CACHE) or _default_cache()


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
    return _given(DATA) or _default_cache()


def data_root_is_given(root: str | os.PathLike[str] | None = None) -> bool:
    """Whether the data root was named, by an argument or by ``$BNN_DATA``."""
    return bool(root or os.environ.get(DATA))


def _is_this_book(book: Path) -> bool:
    # beside the folder, not in it: there it may be a link that the checkout could not make
    try:
        return "bnn_geometry.book.sphinx" in (book.parent / "_config.yml").read_text("utf-8")
    except (OSError, ValueError):
        return False


def book_folder(*, around: bool = False) -> Path:
    """The folder ``book`` of this project: around the working directory, or that of the package.

    Parameters
    ----------
    around : bool
        Take the nearest one around the working directory or none: for what deletes in it.

    Raises
    ------
    UserError
        If there is none, or the nearest one is another project's.
    """
    here = Path.cwd()
    books = [f / "book" for f in (here, *here.parents) if (f / "book" / "_toc.yml").exists()]
    books = books[:1] if around else [*books, Path(__file__).resolve().parents[2] / "book"]
    found = next(filter(_is_this_book, books), None)
    if found is None:
        what = f"{books[0]} is another book" if around and books else "There is no book here"
        raise UserError(f"{what}: run this inside the project's folder.")
    return found


def runs_root() -> Path:
    """Where the published runs are: ``$BNN_RUNS``, else the folder ``runs`` beside the book."""
    return _given(RUNS) or book_folder().parent / "runs"


def published(name: str) -> Path:
    """Where the published run or study of a name is.

    Raises
    ------
    UserError
        As :func:`check_listed`.
    """
    check_listed("runs", name)
    return runs_root() / name


def check_listed(kind: str, name: str) -> None:
    """Refuse what a chapter reads in a build and its header does not name.

    Such a chapter would not be executed again when that changes. ``.`` names all of a kind.

    Raises
    ------
    UserError
        With what to add to the header.
    """
    header = os.environ.get(HEADER)
    if header and not {name, "."} & set(json.loads(header).get(kind, ())):
        raise UserError(
            f"This chapter reads {name!r}, which is not among the {kind} in its header: add it "
            f"there, so that the chapter is executed again when it changes."
        )


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
