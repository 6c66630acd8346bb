"""Check the rendered book as a reader would complain about it.

No page may ask another host for anything, show a figure without a caption or a description, skip a
level of headings, or print what should have been rendered (LaTeX, roles, tracebacks).

    python tools/check_pages.py book/_build/html
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bs4 import BeautifulSoup

LOADED = (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"))
"""Elements that fetch what they name; so do links to styles and icons, which are handled apart."""

GENERATED = ("genindex.html", "py-modindex.html", "search.html")
"""Sphinx's own pages, with its own pictures."""

UNRENDERED = re.compile(
    r"\\(?:frac|mathrm|cdot|lVert|begin|sqrt)|\{(?:glue|numref|cite|doc|eq)[:}]|Traceback \(most"
    r"|<Figure size|<Axes:|np\.float64\("
)


def complaints(html: str) -> list[str]:
    """What is wrong with a page, one sentence each; an empty list if nothing is."""
    page = BeautifulSoup(html, "html.parser")
    found = []
    asked = [tag.get(name, "") for kind, name in LOADED for tag in page.find_all(kind)]
    asked += [
        tag.get("href", "")
        for tag in page.find_all("link")
        if not {"canonical", "license"} & set(tag.get("rel", []))
    ]
    asked += re.findall(r"@import\s+[\"'](.*?)[\"']", html)
    found += [f"it asks another host for {a}" for a in asked if re.match(r"(https?:)?//", a)]

    article = page.find("article") or page
    for figure in article.find_all("figure"):
        name = figure.get("id", "without a name")
        caption = figure.find("figcaption")
        if caption is None or len(caption.get_text(strip=True)) < 20:
            found.append(f"the figure {name} has no caption")
    for image in article.find_all("img"):
        # where a picture has no description Sphinx writes its file name
        text = image.get("alt", "")
        if len(text) < 20 or text.endswith((".png", ".svg")):
            found.append(f"the picture {image.get('src')} has no description")

    level = 0
    for heading in article.find_all(re.compile("^h[1-6]$")):
        if int(heading.name[1]) > level + 1:
            found.append(f"the heading {heading.get_text(strip=True)!r} skips a level")
        level = int(heading.name[1])

    for tag in article.find_all(["pre", "code", "script", "style"]):
        tag.decompose()
    for tag in article.find_all(class_="math"):
        tag.decompose()
    text = article.get_text(" ")
    found += [f"{m.group()!r} was not rendered" for m in UNRENDERED.finditer(text)]
    return found


def main(folder: Path) -> int:
    """Check every page; print what is wrong, return 1 if anything is."""
    pages = [p for p in sorted(folder.glob("*.html")) if p.name not in GENERATED]
    if not pages:
        print(f"There are no pages in {folder}: build the book first.", file=sys.stderr)
        return 1
    wrong = [
        f"{page.name}: {c}" for page in pages for c in complaints(page.read_text(encoding="utf-8"))
    ]
    print("\n".join(wrong) or f"{len(pages)} pages, nothing to complain about")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/_build/html")))
