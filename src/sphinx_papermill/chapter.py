"""A chapter: what its header declares, and its parameters.

The header is the notebook's metadata, which jupytext keeps at the top of the text::

    # ---
    # jupyter:
    #   sphinx_papermill:
    #     after: [measuring]    # chapters it builds on
    #     files: [rows.toml]    # files beside it
    #     data: [weather]       # a list for each name in papermill_fingerprints, papermill_folders
    #   jupytext:
    #     notebook_metadata_filter: sphinx_papermill  # jupytext keeps it when it saves the text
    # ---
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx_papermill import imports
from sphinx_papermill.errors import BookError

if TYPE_CHECKING:
    from nbformat import NotebookNode

HEADER = "sphinx_papermill"
"""Key of the header in a chapter's metadata, and of the record in an executed notebook's."""

KERNEL = "python3"


@dataclass(frozen=True)
class Chapter:
    """A chapter of a book.

    Attributes
    ----------
    name : str
        Its Sphinx document name.
    path : Path
    notebook : NotebookNode
        Not executed.
    after : tuple of str
        Chapters it builds on.
    files : tuple of str
        Files beside it.
    lists : dict
        What else it builds on: names, by kind.
    parameters : dict
        Injected by the build, where they differ from its own.
    """

    name: str
    path: Path
    notebook: NotebookNode
    after: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    lists: Mapping[str, tuple[str, ...]] | None = None
    parameters: Mapping[str, Any] | None = None

    @property
    def code(self) -> str:
        """All code cells as one text of plain Python.

        Raises
        ------
        BookError
            If one of them is not Python.
        """
        cells = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        texts = []
        for number, cell in enumerate(cells, start=1):
            try:
                texts.append(imports.plain_python(cell.source))
            except SyntaxError as error:
                raise BookError(
                    f"Chapter {self.name}: cell {number} of {len(cells)} is not Python: "
                    f"{error.msg} in its line {error.lineno}."
                ) from error
        return "\n".join(texts)


def read_notebook(path: Path) -> NotebookNode:
    """Read a py:percent chapter (or any file jupytext reads) as a notebook for the Python kernel.

    A mark of UTF-8 at its beginning is passed over.

    Raises
    ------
    BookError
        If there is no such file, or jupytext cannot read it.
    """
    import jupytext

    if not path.is_file():
        raise BookError(f"There is no chapter {path}.")
    try:
        notebook = jupytext.reads(path.read_text("utf-8-sig"), {"extension": path.suffix})
    except Exception as error:  # of the YAML in its header, of its encoding, of its format
        what = " ".join(str(error).split())
        raise BookError(f"Chapter {path.stem} cannot be read: {what}.") from error
    # Whatever kernel a chapter was last opened with, here it is this environment's.
    notebook.metadata["kernelspec"] = {
        "name": KERNEL,
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    return notebook


def declared_parameters(notebook: NotebookNode, chapter: str) -> dict[str, Any]:
    """Names and values of the cell tagged ``parameters``: plain literals, typed or not.

    Raises
    ------
    BookError
        If the cell holds anything else.
    """
    values: dict[str, Any] = {}
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) > 1:  # values are injected below the first alone
        raise BookError(
            f"Chapter {chapter}: {len(tagged)} cells are tagged parameters: make it one."
        )
    for cell in tagged:
        if cell.cell_type != "code":
            raise BookError(f"Chapter {chapter}: the cell tagged parameters holds no code.")
        try:
            statements = imports.parse(imports.without_magics(cell.source)).body
        except SyntaxError as error:
            raise BookError(
                f"Chapter {chapter}: its parameters are not Python: {error.msg} in line "
                f"{error.lineno} of their cell."
            ) from error
        for node in statements:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    pass
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="run_line_magic"))):
                    continue
                case ast.Pass() | ast.Expr(value=ast.Constant()):
                    continue
                case _:
                    raise BookError(
                        f"Chapter {chapter}: its cell of parameters holds {ast.unparse(node)!r}, "
                        "which is no assignment of a plain literal."
                    )
            try:
                values[name] = ast.literal_eval(value)
            except ValueError as error:
                raise BookError(
                    f"Chapter {chapter}: its parameter {name} is not a plain literal."
                ) from error
    return values


def check_parameters(declared: Mapping[str, Any], given: Mapping[str, Any], chapter: str) -> None:
    """Refuse parameters that the chapter does not declare, or of another type.

    Where a chapter's own value is None, any will do; where it is a float, a whole number will.

    Raises
    ------
    BookError
        With the names, or the type, that the chapter knows.
    """
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise BookError(f"Chapter {chapter} has no parameter {name!r}; it has: {known}.")
        expected = type(declared[name])
        fits = (
            declared[name] is None
            or type(value) is expected
            or (expected is float and type(value) is int)
        )
        if not fits:
            raise BookError(
                f"Parameter {name} of chapter {chapter} is {expected.__name__}, "
                f"as in {name} = {declared[name]!r}; {value!r} is not."
            )


def _header(notebook: NotebookNode, kinds: Iterable[str], chapter: str) -> dict[str, Any]:
    declared = notebook.metadata.get(HEADER) or {}
    first = notebook.cells[0].source if notebook.cells else ""
    if not declared and re.search(rf"^[#\s]*{HEADER}\s*:", first, re.M):
        raise BookError(
            f"Chapter {chapter}: {HEADER} is not in its header, which begins the file with `# ---` "
            "and `# jupyter:`."
        )
    if not isinstance(declared, dict):
        raise BookError(f"Chapter {chapter}: {HEADER} in its header must be lists by name.")
    lists: dict[str, tuple[str, ...]] = dict.fromkeys(("after", "files", *kinds), ())
    for key, value in declared.items():
        if key not in lists:
            raise BookError(
                f"Chapter {chapter}: unknown {HEADER}.{key} in its header, which can have "
                f"{', '.join(lists)}."
            )
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise BookError(f"Chapter {chapter}: {HEADER}.{key} in its header must be a list.")
        lists[key] = tuple(value)
    return lists


def load(
    name: str,
    path: Path,
    *,
    kinds: Iterable[str] = (),
    parameters: Mapping[str, Any] | None = None,
) -> Chapter:
    """Read a chapter and what its header declares.

    Parameters
    ----------
    name : str
    path : Path
    kinds : iterable of str
        Lists that a header may have besides ``after`` and ``files``.
    parameters : mapping, optional
        Those of the whole book: each goes to the chapters that declare it with another value.

    Raises
    ------
    BookError
        If the header or the parameters are not as they must be.
    """
    notebook = read_notebook(path)
    lists = _header(notebook, kinds, name)
    after, files = lists.pop("after"), lists.pop("files")
    for file in files:
        if not (path.parent / file).is_file():
            raise BookError(f"Chapter {name} reads {file!r}, which is not beside it.")
    declared = declared_parameters(notebook, name)
    injected = {k: v for k, v in (parameters or {}).items() if declared.get(k, v) != v}
    check_parameters(declared, injected, name)
    return Chapter(name, path, notebook, after, files, lists, injected)


def in_order(chapters: Mapping[str, Chapter]) -> list[Chapter]:
    """The chapters, each after all that it builds on.

    Raises
    ------
    BookError
        If one builds on a chapter that the book does not have, or on itself.
    """
    for chapter in chapters.values():
        for other in chapter.after:
            if other not in chapters:
                raise BookError(f"Chapter {chapter.name} builds on {other!r}, which is not there.")
    try:
        order = TopologicalSorter({c.name: c.after for c in chapters.values()}).static_order()
        return [chapters[name] for name in order]
    except CycleError as error:
        raise BookError(f"Chapters build on each other: {' → '.join(error.args[1])}.") from error
