"""A folder of built pages, opened in the system's own Chromium through playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Request, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none, and the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",  # the search fetches pages for its excerpts
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no host is reached even where a page asks for one
)

WITHIN = ("data:", "blob:", "about:")
"""Addresses of what a page already holds."""

PATIENCE = 60_000
"""Milliseconds that a page may take to load."""


def find_browser() -> str | None:
    """The Chromium that this machine has, if any."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@dataclass(frozen=True)
class Visit:
    """An open page, and what it has done so far.

    Attributes
    ----------
    page : playwright.sync_api.Page
        What a reader sees and touches.
    asked : dict of str to str
        Address and kind of everything that the page asked for, in order.
    missing : set of str
        The addresses at which there was nothing.
    errors : list of str
        Exceptions that nobody caught, and errors written to the console.
    """

    page: Page
    asked: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Write down what the page does from here on."""

        def ask(request: Request) -> None:
            if not request.url.startswith(WITHIN):
                self.asked.setdefault(request.url, request.resource_type)

        self.page.on("request", ask)
        self.page.on("requestfailed", lambda request: self.missing.add(request.url))
        self.page.on("websocket", lambda socket: self.asked.setdefault(socket.url, "websocket"))
        self.page.on("pageerror", lambda error: self.errors.append(error.message))
        self.page.on(
            "console",
            # what did not load stands in `missing` already
            lambda line: (
                line.type == "error"
                and not line.text.startswith("Failed to load resource")
                and self.errors.append(line.text)
            ),
        )


@contextmanager
def opened(folder: Path) -> Iterator[Callable[..., Visit]]:
    """Start a browser on a folder of pages, as a reader who opens them from disk.

    Parameters
    ----------
    folder : Path
        The built book.

    Yields
    ------
    callable
        Opens a page by its path in the folder, in a tab of its own; further arguments are those of
        ``playwright.sync_api.Browser.new_page``.

    Raises
    ------
    playwright.sync_api.Error
        If the browser does not start, ends, or cannot load a page.
    """
    base = folder.resolve().as_uri()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=list(FLAGS))

        def visit(name: str, **options: Any) -> Visit:
            one = Visit(browser.new_page(**options))
            one.watch()
            one.page.goto(f"{base}/{name}", timeout=PATIENCE)
            return one

        try:
            yield visit
        finally:
            browser.close()
