"""Sphinx extension: what LaTeX prints in place of what only a browser shows.

A figure is its PDF, which :func:`bnn_geometry.book.display.show` left in the executed notebook. The
HTML that chapters display (tables, the ledger, the board) becomes the document's own tables, lists
and links. Of HTML that only moves or is drawn, such as an animation, its description is printed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from bnn_geometry import paths

if TYPE_CHECKING:
    from sphinx.application import Sphinx

UNPRINTED = {"button", "input", "label", "script", "style", "svg"}
"""Elements that a page of paper does without."""

BLOCKS: dict[str, type[nodes.Element]] = {
    "blockquote": nodes.block_quote,
    "details": nodes.container,
    "div": nodes.container,
    "dl": nodes.line_block,
    "li": nodes.list_item,
    "p": nodes.paragraph,
    "summary": nodes.paragraph,
    "ul": nodes.bullet_list,
}
"""Elements that hold paragraphs, or are one."""

INLINE: dict[str, type[nodes.Element]] = {
    "b": nodes.strong,
    "code": nodes.literal,
    "dd": nodes.inline,
    "dt": nodes.strong,
    "em": nodes.emphasis,
    "span": nodes.inline,
    "strong": nodes.strong,
    "sup": nodes.superscript,
    "sub": nodes.subscript,
}

ICON = re.compile(r'<span aria-hidden="true">.*?</span>\s*')
"""Stands beside its word; fonts of TeX lack some."""

EMPTY = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
"""Elements of HTML that are never closed."""

SMALL = ("{\\footnotesize\n", "}\n")
"""Around a table: a page of paper is narrower than one of a screen."""


class _Reader(HTMLParser):
    """Reads HTML as it is written by pandas and by this package: well-formed."""

    def __init__(self) -> None:
        super().__init__()
        self.root = nodes.container()
        self.open: list[nodes.Element] = [self.root]
        self.unprinted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNPRINTED and tag not in EMPTY:
            self.unprinted += 1
        if self.unprinted or tag in EMPTY:
            return
        found = {name: value or "" for name, value in attrs}
        node = _element(tag, found)
        node["tag"] = tag
        if "id" in found:
            node["ids"] = [found["id"]]
        node["spans"] = [int(found.get(name, 1)) for name in ("colspan", "rowspan")]
        node["classes"] = found.get("class", "").split()
        self.open[-1].append(node)
        self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag in UNPRINTED and tag not in EMPTY:
            self.unprinted -= 1
        elif not self.unprinted and tag not in EMPTY:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.unprinted and (data.strip() or data == " "):
            self.open[-1].append(nodes.Text(re.sub(r"\s+", " ", data)))


def _element(tag: str, attributes: dict[str, str]) -> nodes.Element:
    if tag == "a":
        address = attributes.get("href", "")
        return nodes.reference("", "", refuri=within(address), internal=True)
    if "verdict" in attributes.get("class", "").split():
        return nodes.emphasis()
    return {**BLOCKS, **INLINE}.get(tag, nodes.container)()


def within(address: str) -> str:
    """Of a page of the book, the address by which its one document has it.

    >>> within("claims.html#claim-ste")
    '%claims#claim-ste'
    >>> within("https://example.org/a.html")
    'https://example.org/a.html'
    """
    return re.sub(r"^([\w-]+)\.html(?=#|$)", r"%\1", address)


def as_nodes(html: str) -> list[nodes.Node]:
    """What HTML says, as a document's nodes; empty where it holds nothing that can be printed."""
    reader = _Reader()
    reader.feed(ICON.sub("", html))
    if not reader.root.astext().strip():
        return []
    for found in list(reader.root.findall(nodes.container)):
        if found.get("tag") == "table":
            found.parent.replace(found, _small(_table(found)))
    _arrange(reader.root)
    return list(reader.root.children)


def _small(table: nodes.table) -> list[nodes.Node]:
    before, after = (nodes.raw("", text, format="latex") for text in SMALL)
    return [before, table, after]


def _rows(part: nodes.Element, tag: str) -> Iterator[nodes.Element]:
    return (node for node in part.findall(nodes.container) if node.get("tag") == tag)


def _widths(table: nodes.Element) -> list[int]:
    # of its columns by their longest texts, those of one row that spans none of them
    columns: list[int] = []
    for row in _rows(table, "tr"):
        cells = list(row.children)
        if all(cell["spans"][0] == 1 for cell in cells) and len(cells) >= len(columns):
            columns += [0] * (len(cells) - len(columns))
            for i, cell in enumerate(cells):
                columns[i] = max(columns[i], min(40, len(cell.astext())), 4)
    return columns


def _table(found: nodes.Element) -> nodes.table:
    widths = _widths(found)
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    for tag, kind in (("thead", nodes.thead), ("tbody", nodes.tbody)):
        part = kind()
        for each in _rows(found, tag):
            part += [_row(row) for row in _rows(each, "tr")]
        if part.children:
            group += part
    return nodes.table("", group, classes=["longtable"] if len(group[-1]) > 20 else [])


def _row(found: nodes.Element) -> nodes.row:
    row = nodes.row()
    for cell in found.children:
        entry = nodes.entry()
        if cell.children:  # an empty paragraph would take a line of its own
            entry += nodes.paragraph("", "", *cell.children)
        for name, span in zip(("morecols", "morerows"), cell["spans"], strict=True):
            if span > 1:
                entry[name] = span - 1
        row += entry
    return row


def _arrange(root: nodes.Element) -> None:
    # what LaTeX's writer expects: texts in paragraphs; and a term before what is said of it
    for node in list(root.findall(nodes.line_block)):
        terms, children = [], list(node.children)
        for term, said in zip(children[::2], children[1::2], strict=True):
            terms.append(nodes.line("", "", term, nodes.Text(": "), said))
        node.children = []
        node += terms
    for node in list(root.findall(nodes.list_item)):
        if not any(isinstance(child, nodes.paragraph) for child in node.children):
            node.children = [nodes.paragraph("", "", *node.children)]
            node.children[0].parent = node
    for node in list(root.findall(nodes.paragraph)):
        if node.get("tag") == "summary":
            _line(node)


def _line(summary: nodes.paragraph) -> None:
    # the line of a claim, whose spans a page sets apart: verdict, claim, kind, value
    parts = [child for child in summary.children if child.astext().strip()]
    target = nodes.target(ids=summary.parent["ids"])
    summary.parent["ids"] = []
    summary.children = []
    summary += target
    for i, part in enumerate(parts):
        summary += nodes.Text("; " if i else "")
        summary += nodes.strong("", "", part) if "short" in part["classes"] else part


def pictures(executed: Path) -> dict[str, bytes]:
    """The PDFs that executed chapters hold, by the figures' ids."""
    found = {}
    for path in sorted(executed.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                noted = output.get("metadata", {}).get("bnn_geometry", {})
                if "pdf" in noted:
                    name = nodes.make_id(noted["figure"]["name"])
                    found[name] = base64.b64decode(noted["pdf"])
    return found


class PrintedForms(SphinxPostTransform):
    """Replaces what a browser shows, before myst-nb selects among the forms of an output."""

    default_priority = 3
    formats: ClassVar[tuple[str, ...]] = ("latex",)  # type: ignore[misc]

    def run(self, **kwargs: Any) -> None:
        """In the one document that all pages make."""
        self._draw_figures()
        for node in list(self.document.findall(nodes.raw)):
            bundle = node.parent.parent
            if node.get("format") == "html" and _holds(bundle, "mime_bundle"):
                self._print(bundle, node.astext())
        for node in list(self.document.findall(nodes.Admonition)):
            if isinstance(node, nodes.Element) and node["ids"]:  # a theorem that is referred to
                node.parent.insert(node.parent.index(node), nodes.target(ids=node["ids"]))
                node["ids"] = []
        for link in self.document.findall(nodes.reference):
            if "claim" in link["classes"]:
                link["refuri"] = within(link["refuri"])

    def _draw_figures(self) -> None:
        folder = Path(self.app.outdir).parent / "pictures"
        executed = Path(self.app.srcdir) / paths.STORE / self.config.papermill_variant
        drawn = pictures(executed)
        for figure in self.document.findall(nodes.figure):
            name = next((found for found in figure["ids"] if found in drawn), None)
            image = next(figure.findall(nodes.image), None)
            if name is None or image is None:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}.pdf"
            path.write_bytes(drawn[name])
            image["candidates"] = {"application/pdf": str(path)}
            image["uri"] = str(path)
            self.env.images.add_file(self.env.docname, str(path))
            for node in list(figure.findall(nodes.container)):
                if _holds(node, "mime_bundle"):
                    node.parent.replace(node, image)

    def _print(self, bundle: nodes.Element, html: str) -> None:
        said = [form.astext() for form in bundle.children if form["mime_type"] == "text/plain"]
        described = nodes.paragraph("", "", nodes.emphasis("", " ".join(said)))
        bundle.parent.replace(bundle, as_nodes(html) or [described])


def _holds(node: nodes.Element | None, kind: str) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == kind


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(PrintedForms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
