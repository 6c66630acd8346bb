"""What an executed notebook becomes on its page of the book."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from docutils import nodes

from sphinx_papermill import imports
from sphinx_papermill.chapter import HEADER
from sphinx_papermill.staleness import OWN

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INDEX_NAMES = re.compile(
    r"(<tr[^>]*>\s*)((?:<th></th>\s*)+)((?:(?!</?tr).)*</tr>)\s*"
    r"<tr>\s*((?:<th>[^<]+</th>\s*)+)(?:<th></th>\s*)+</tr>",
    re.S,
)


def tidy_table(html: str) -> str:
    """A table of pandas as a reader expects it.

    The names of the index head their columns instead of taking a row of their own, negative
    numbers have a minus sign instead of a hyphen, and whole numbers of five digits and more have
    their thousands set apart.

    Parameters
    ----------
    html : str
        From ``DataFrame._repr_html_``; anything else comes back as it is.
    """
    if 'class="dataframe"' not in html:
        return html
    html = _INDEX_NAMES.sub(lambda m: m[1] + m[4] + m[3], html, count=1)
    html = re.sub(r"(<t[dh]>)-(?=\d)", r"\1−", html)
    return re.sub(r"(?<=<t[dh]>)(−?)(\d{5,})(?=</t)", lambda m: f"{m[1]}{int(m[2]):,}", html)


def as_page(notebook: dict[str, Any]) -> dict[str, Any]:
    """Fold the code, tidy the tables, and say at the end how the page was made.

    A code cell is folded unless it is tagged ``parameters`` or ``show-input``. The cell of
    parameters shows the values with which the chapter was executed.

    Parameters
    ----------
    notebook : dict
        Executed notebook as JSON; changed in place and returned.
    """
    _show_parameters(notebook["cells"])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            # a number and its per cent sign stay on one line
            source = "".join(cell["source"])
            cell["source"] = re.sub(r"(?<=[`\d]) %(?!\w)", "\u00a0%", source)
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].setdefault("tags", [])
        if not {"parameters", "show-input"} & set(tags):
            tags.append("hide-input")
        for output in cell["outputs"]:
            if "text/html" in output.get("data", {}):
                output["data"]["text/html"] = tidy_table("".join(output["data"]["text/html"]))
    record = notebook["metadata"].get(HEADER, {})
    if "key" in record:
        source = _how_it_was_made(record)
        made = {"cell_type": "markdown", "id": "made", "metadata": {}, "source": source}
        notebook["cells"].append(made)
    return notebook


def _values(source: str) -> dict[str, ast.expr]:
    # of the assignments in a cell, by name; the last one is in force
    statements = imports.parse(imports.without_magics(source)).body
    found: dict[str, ast.expr] = {}
    for node in statements:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def _show_parameters(cells: list[dict[str, Any]]) -> None:
    # papermill keeps the chapter's own values and sets others in a cell below, which is folded
    def tagged(tag: str) -> list[dict[str, Any]]:
        return [cell for cell in cells if tag in cell["metadata"].get("tags", [])]

    injected: dict[str, str] = {}
    for cell in tagged("injected-parameters"):
        source = "".join(cell["source"])
        for name, value in _values(source).items():
            injected[name] = ast.get_source_segment(source, value) or ""
    for cell in tagged("parameters") if injected else []:
        own = _values("".join(cell["source"]))
        # columns are counted in bytes; from the end, so that those before stay where they are
        lines = [line.encode() for line in "".join(cell["source"]).split("\n")]
        places = {n: (own[n].lineno, own[n].col_offset) for n in injected.keys() & own.keys()}
        for name in sorted(places, key=places.__getitem__, reverse=True):
            at, value = own[name], injected[name].encode()
            first, last = at.lineno - 1, at.end_lineno - 1
            text = lines[first][: at.col_offset] + value + lines[last][at.end_col_offset :]
            lines[first : last + 1] = [text]
        cell["source"] = b"\n".join(lines).decode()


_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")  # of one, its beginning is shown


def _how_it_was_made(record: Mapping[str, Any]) -> str:
    # a fold at the end of the page
    used = record["inputs"]
    versions = {"Python": used["python"], **used["libraries"]}
    at = f", at `{record['variant']}`" if record["variant"] else ""
    lines = [
        f"Executed in {record['seconds']:g} s{at}, on {record['machine']}, with "
        f"{', '.join(f'{name} {version}' for name, version in versions.items() if version)}."
    ]
    for kind, names in used["named"].items():
        if kind != OWN and names:
            short = {name: _HASH.sub(r"\1", text) for name, text in names.items()}
            lines.append(f"{kind}: {', '.join(f'`{n}` ({text})' for n, text in short.items())}.")
    body = "\n\n".join(lines)
    return f":::{{dropdown}} How this page was made\n{body}\n:::\n"


def typeset_numbers(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """doctree-resolved: numbers that the prose takes from the code have a minus sign, no hyphen."""
    for inline in doctree.findall(nodes.inline):
        if "pasted-text" in inline["classes"]:
            for text in list(inline.findall(nodes.Text)):
                inline.replace(text, nodes.Text(re.sub(r"(?<![\w.])-(?=\d)", "−", text.astext())))
