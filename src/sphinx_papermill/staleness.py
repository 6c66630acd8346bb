"""Whether a chapter's result is still good: its key, and the store of executed notebooks.

An executed notebook carries the **key** of all that decided it: the chapter's text, its parameters,
every source file that it can reach by import, the keys of the chapters it builds on, the
fingerprints of what else its header names, and the versions of the libraries. It also carries a
hash of its own content: one that was edited by hand is no result.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sphinx_papermill import imports
from sphinx_papermill.chapter import HEADER, Chapter
from sphinx_papermill.errors import BookError

FORMAT = 3
"""Enters every key: raise it when what is stored, or how it is executed, changes."""

OWN = "chapter"
"""Kind of fingerprint that is taken of every chapter, by its own name, and stands in no header."""

EXECUTING = ("papermill", "nbclient", "ipykernel", "jupytext")
"""Libraries whose version counts in every book."""


@dataclass(frozen=True)
class Sources:
    """Where what a chapter builds on is found.

    Attributes
    ----------
    book : Path
        The book's folder.
    packages, libraries : tuple of str
        Packages whose modules count by their content, and libraries that count by version.
    fingerprints : dict
        Kind → function of a name and the book's folder, whose text changes with what it names.
    folders : dict
        Kind → folder; a name is one of its entries, whose content counts.
    environment : dict
        Variables that the build sets for the chapters.
    """

    book: Path
    packages: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    fingerprints: Mapping[str, Callable[[str, Path], str]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        """Lists that a header may have besides ``after`` and ``files``."""
        return [kind for kind in (*self.fingerprints, *self.folders) if kind != OWN]


def _content_hash(path: Path) -> str:
    # A link counts as what it leads to: that is what is read.
    if not path.is_dir():
        return imports.file_hash(path)
    files = sorted(Path(folder, name) for folder, name in _files(path))
    return imports.text_hash(
        "\n".join(f"{p.relative_to(path).as_posix()} {imports.file_hash(p)}" for p in files)
    )


def _files(path: Path) -> Iterator[tuple[str, str]]:
    for folder, inner, names in os.walk(path, followlinks=True):
        own = Path(folder).resolve()
        inner[:] = [n for n in inner if not own.is_relative_to(Path(folder, n).resolve())]
        yield from ((folder, name) for name in names if Path(folder, name).is_file())


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _environment(code: str, given: Mapping[str, str]) -> dict[str, str | None]:
    # Hashes (a value may be a secret, and these are published) of what the build sets, but for
    # places, which differ from checkout to checkout, and of what the code itself names.
    values = {**os.environ, **given}
    places = {name for name, value in given.items() if os.path.isabs(value)}
    return {
        name: imports.text_hash(values[name]) if name in values else None
        for name in sorted({*given, *imports.variables(code)} - places)
    }


def _fingerprint(chapter: Chapter, kind: str, name: str, sources: Sources) -> str:
    if kind in sources.folders:
        path = sources.folders[kind] / name
        if not path.exists():
            raise BookError(f"Chapter {chapter.name}: there is no {name!r} of {kind} in {path}.")
        return _content_hash(path)
    try:
        return str(sources.fingerprints[kind](name, sources.book))
    except Exception as error:  # whatever goes wrong in it, the chapter has to be named
        what = " ".join(str(error).split()) or type(error).__name__
        raise BookError(f"Chapter {chapter.name}: {kind} {name!r}: {what}") from error


def inputs(chapter: Chapter, sources: Sources) -> dict[str, Any]:
    """All that decides what a chapter shows, but for the chapters it builds on.

    Raises
    ------
    BookError
        If something that the header names is not there, or code that it reaches is not Python.
    """
    code = chapter.code
    try:
        modules, imported = imports.reachable(code, sources.packages, sources.book)
    except SyntaxError as error:
        raise BookError(
            f"Chapter {chapter.name} reaches {error.filename}, which is not Python: {error.msg} "
            f"in line {error.lineno}."
        ) from error
    named = dict(chapter.lists)
    if OWN in sources.fingerprints:
        named[OWN] = (chapter.name,)
    return {
        "format": FORMAT,
        "text": imports.text_hash(chapter.path.read_text(encoding="utf-8")),
        "parameters": dict(chapter.parameters),
        "modules": {name: imports.file_hash(path) for name, path in modules.items()},
        "files": {name: imports.file_hash(chapter.path.parent / name) for name in chapter.files},
        "named": {
            kind: {name: _fingerprint(chapter, kind, name, sources) for name in names}
            for kind, names in named.items()
        },
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in (*sources.libraries, *EXECUTING)}
        | imports.versions(imported),
        "environment": _environment(code, sources.environment),
    }


def key_of(values: Mapping[str, Any], after: Mapping[str, str]) -> str:
    """SHA-256 over the inputs and the keys of the chapters it builds on, by name."""
    return imports.text_hash(json.dumps({**values, "after": dict(after)}, sort_keys=True))


def partial_name(chapter: str, process: object) -> str:
    """File name of a notebook that is being executed."""
    return f".{chapter}.{process}.tmp.ipynb"


def _content(notebook: Mapping[str, Any]) -> str:
    # of everything but the hash itself
    metadata = {k: v for k, v in notebook["metadata"].items() if k != HEADER}
    record = {k: v for k, v in notebook["metadata"][HEADER].items() if k != "content"}
    return imports.text_hash(
        json.dumps({**notebook, "metadata": {**metadata, HEADER: record}}, sort_keys=True)
    )


def _without_paths(notebook: dict[str, Any], book: Path) -> None:
    # Nobody who gets the notebook has to know where it was made: of files of the book, of its
    # project and of what is installed the relative path stays, as in a warning that names one.
    notebook["metadata"].pop("papermill", None)
    places = {*sys.path}
    for folder in (book.absolute(), book.resolve()):
        places |= {str(folder), str(folder.parent)}
    known = [re.escape(p) for p in sorted(places, key=len, reverse=True) if len(Path(p).parts) > 2]
    end = r"(?:[/\\]|(?![\w.-]))"
    inside = re.compile(rf"(?<![\w.-])(?:{'|'.join(known)}){end}")
    at_home = os.path.expanduser("~").rstrip("/")  # in a container perhaps "/", or not known
    home = re.compile(rf"(?<![\w.-]){re.escape(at_home)}(?![\w.-])")
    cell = re.compile(r"[^\s\"'<>]*[/\\]ipykernel_\d+[/\\]\d+\.py")

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(part) for part in value]
        if isinstance(value, dict):
            return {key: clean(part) for key, part in value.items()}
        if not isinstance(value, str):
            return value
        value = cell.sub("cell", value)
        value = inside.sub(lambda m: "" if m[0][-1] in "/\\" else ".", value)
        return home.sub("~", value) if os.path.isabs(at_home) else value

    for one in notebook["cells"]:
        for output in one.get("outputs", []):
            for key in ("text", "traceback", "evalue"):
                if key in output:
                    output[key] = clean(output[key])
            for kind, value in output.get("data", {}).items():
                if kind.startswith(("text/", "application/")) or kind.endswith("+xml"):
                    output["data"][kind] = clean(value)


def seal(path: Path, book: Path, record: Mapping[str, Any] | None = None) -> None:
    """Give an executed notebook its record and a hash of its content; paths of the machine go.

    Parameters
    ----------
    path : Path
        Of the notebook, which is written anew.
    book : Path
        The book's folder.
    record : mapping, optional
        What its metadata will say besides.
    """
    notebook = json.loads(path.read_text(encoding="utf-8"))
    _without_paths(notebook, book)
    own = notebook["metadata"].setdefault(HEADER, {})
    own.update(record or {})
    own["content"] = _content(notebook)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _sealed(path: Path) -> dict[str, Any] | None:
    # the record of a notebook that nobody has changed since it was sealed
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        record = notebook["metadata"][HEADER]
        return record if record["content"] == _content(notebook) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def is_untouched(path: Path) -> bool:
    """Whether a file is an executed notebook as :func:`seal` left it."""
    return path.suffix == ".ipynb" and path.is_file() and _sealed(path) is not None


class Store:
    """Executed notebooks of one variant of a book, by chapter."""

    def __init__(self, root: Path, variant: str = "") -> None:
        self.root = root
        self.variant = variant
        self.folder = root / variant

    def path(self, name: str) -> Path:
        """Where a chapter's executed notebook lies."""
        return self.folder / f"{name}.ipynb"

    def failed_path(self, name: str) -> Path:
        """Where a partly executed notebook is kept for looking at."""
        return self.folder / f"{name}.failed.ipynb"

    def key(self, name: str) -> str | None:
        """The key a chapter's result was made with; None if there is no whole, untouched result."""
        return (_sealed(self.path(name)) or {}).get("key")

    def keep(self, name: str, executed: Path, record: Mapping[str, Any]) -> None:
        """Move an executed notebook into the store, with its record in the metadata."""
        seal(executed, self.root.parent, record)
        os.replace(executed, self.path(name))  # whole or not at all
        self.failed_path(name).unlink(missing_ok=True)

    def remove_partial(self) -> None:
        """Delete what builds that were killed had half written."""
        for left in self.root.rglob(partial_name("*", "*")):
            with suppress(OSError):  # where nothing can be written, nothing will be
                left.unlink()
