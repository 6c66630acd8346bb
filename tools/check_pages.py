"""Check the rendered book as a reader would complain about it.

No page may ask another host for anything, show a figure without a caption or a description, or an
interactive one without its data, scripts and static picture, skip a level of headings, or print
a warning or what should have been rendered (LaTeX, roles, tracebacks).

    python tools/check_pages.py book/_build/html
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bs4 import BeautifulSoup

LOADED = (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"))
"""Elements that fetch what they name; so do links to styles and icons, which are handled apart."""

GENERATED = ("genindex.html", "py-modindex.html", "search.html")
"""Sphinx's own pages, with its own pictures."""

DRAWING = ("plotly-basic.min.js", "angle-histograms.js")
"""Scripts that draw interactive figures, loaded where there is one."""

UNRENDERED = re.compile(
    r"\\(?:frac|mathrm|cdot|lVert|begin|sqrt)|\{(?:glue|numref|cite|doc|eq)[:}]|Traceback \(most"
    r"|<Figure size|<Axes:|np\.float64\("
)


def _interactive(page: BeautifulSoup) -> list[str]:
    # an interactive figure is a figure with a static picture, data, and what draws them
    found = []
    data = page.find_all("script", class_="angle-histograms")
    for one in data:
        name = one.get("data-figure")
        figure = page.find("figure", id=name)
        if figure is None or figure.find("img") is None:
            found.append(f"the interactive figure {name} has no static picture")
        try:
            laws = json.loads(one.string or "")["laws"]
        except (ValueError, KeyError, TypeError):
            laws = []
        if not laws:
            found.append(f"the interactive figure {name} has no data")
    loaded = {tag["src"].split("?")[0].split("/")[-1] for tag in page.find_all("script", src=True)}
    for script in DRAWING:
        if (script in loaded) != bool(data):
            found.append(
                f"it does not load {script}" if data else f"it loads {script}, but draws nothing"
            )
    return found


def _missing(page: Path, html: str) -> list[str]:
    # without them the page would quietly show the static picture
    tags = BeautifulSoup(html, "html.parser").find_all("script", src=True)
    own = [s for s in (tag["src"].split("?")[0] for tag in tags) if s.endswith(DRAWING)]
    return [f"it loads {s}, which is not there" for s in own if not (page.parent / s).is_file()]


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

    found += _interactive(page)

    level = 0
    for heading in article.find_all(re.compile("^h[1-6]$")):
        if int(heading.name[1]) > level + 1:
            found.append(f"the heading {heading.get_text(strip=True)!r} skips a level")
        level = int(heading.name[1])

    for printed in article.select(".cell_output .stderr"):
        found.append(f"it prints {printed.get_text(' ', strip=True)[:60]!r}, as a warning does")
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
    wrong = []
    for page in pages:
        html = page.read_text(encoding="utf-8")
        wrong += [f"{page.name}: {c}" for c in complaints(html) + _missing(page, html)]
    print("\n".join(wrong) or f"{len(pages)} pages, nothing to complain about")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/_build/html")))
