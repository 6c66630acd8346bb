"""Open every page of the built book in headless Chromium and see what it asks for.

`check_pages.py` reads the pages; here their scripts run, and a reader scrolls, unfolds and types
into the search field. A page may ask for nothing but files of the book, and no script may fail.

    python tools/check_offline.py book/_build/html
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from browser import BROWSERS, Visit, find_browser, opened
from playwright.sync_api import Error

SEARCH = "search.html"
"""Looks up a word in the book's own index, where the book has such a page."""

READER = """async () => {
  document.querySelectorAll("details").forEach(fold => { fold.open = true; });
  document.querySelectorAll("input[type=search]").forEach(field => {
    field.value = "angle";
    field.dispatchEvent(new Event("input", {bubbles: true}));
    field.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
  });
  document.querySelectorAll("[loading=lazy]").forEach(picture => { picture.loading = "eager"; });
  window.scrollTo(0, document.body.scrollHeight);
  await Promise.all(Array.from(document.images, picture => picture.decode().catch(() => 0)));
  await new Promise(done => setTimeout(done, 400));
}"""
"""What a page may wait for: that somebody unfolds, searches, reads to the end, and lingers."""


def read(visit: Visit, base: str) -> list[str]:
    """Read an open page as `READER` does; what is wrong with it, a phrase each."""
    visit.page.evaluate(READER)
    wanted = [
        f"asks for {address.removeprefix(base)} ({kind})"
        for address, kind in visit.asked.items()
        if not address.startswith(base) or address in visit.missing
    ]
    return wanted + [f"writes to the console: {error}" for error in visit.errors]


def check(folder: Path) -> dict[str, list[str]]:
    """Open every page of a folder; what is wrong with each, empty lists where all is well.

    Raises
    ------
    playwright.sync_api.Error
        If the browser ends, or cannot open a page.
    """
    base = folder.resolve().as_uri() + "/"
    pages = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*.html"))
        if not any(part.startswith("_") for part in path.relative_to(folder).parts)
    ]
    if SEARCH in pages:
        pages.append(f"{SEARCH}?q=binary")
    found = {}
    if pages:
        with opened(folder) as visit:
            for page in pages:
                one = visit(page)
                found[page] = read(one, base)
                one.page.close()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a sentence for every page that asks for more than the book; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("book/_build/html"))
    folder = parser.parse_args(arguments).folder
    if find_browser() is None:
        print(f"No browser to open the pages with: none of {', '.join(BROWSERS)}.", file=sys.stderr)
        return 1
    try:
        found = check(folder)
    except Error as error:
        print(f"The browser has given up: {error}", file=sys.stderr)
        return 1
    if not found:
        print(f"There are no pages in {folder}: build the book first.", file=sys.stderr)
        return 1
    for page, wrong in found.items():
        if wrong:
            print(f"{page}: {'; '.join(wrong)}.")
    if any(found.values()):
        return 1
    print(f"{len(found)} pages opened, nothing asked of another host, no error on the console")
    return 0


if __name__ == "__main__":
    sys.exit(main())
