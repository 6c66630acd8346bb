"""Open every page of the built book in headless Chromium and see what it asks for.

`check_pages.py` reads the pages; here their scripts run, and a reader scrolls, unfolds and types
into the search field. A page may ask for nothing but files of the book. Other hosts are not
reached even where a page does ask for them.

    python tools/check_offline.py book/_build/html
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import http.server
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

SEARCH = "search.html?q=binary"
"""Looked up in the book's own index; opened where the book has a search page."""

READER = """
document.querySelectorAll("details").forEach(fold => { fold.open = true; });
document.querySelectorAll("input[type=search]").forEach(field => {
  field.value = "angle";
  field.dispatchEvent(new Event("input", {bubbles: true}));
  field.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true}));
});
document.querySelectorAll("[loading=lazy]").forEach(picture => { picture.loading = "eager"; });
window.scrollTo(0, document.body.scrollHeight);
"""
"""What a page may wait for: that somebody unfolds, searches, and reads to the end."""

QUIET = 0.4
"""Seconds without news after which a loaded page is taken to be done."""

PATIENCE = 60.0
"""Seconds that a page may take."""

WITHIN = ("data:", "blob:", "about:")
"""Addresses of what a page already holds."""

ENDED = "The browser has ended before it was asked to."


def find_browser() -> str | None:
    """The Chromium that this machine has, if any."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Browser:
    """A headless Chromium, spoken to in the DevTools protocol over two pipes.

    Parameters
    ----------
    program : str
        Path of the browser.
    profile : Path
        An empty folder for what it keeps.
    host : str
        The only host that it may reach.
    """

    def __init__(self, program: str, profile: Path, host: str = "127.0.0.1") -> None:
        options = [
            "--headless",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--disable-gpu",
            "--no-first-run",
            "--no-proxy-server",
            f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {host}",
        ]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # root has none
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # the browser listens on descriptor 3 and talks on 4: neither may be in use on the way there
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (commands, answers)]
        self._pid = os.posix_spawn(
            program,
            [program, *options],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, high[0], 3),
                (os.POSIX_SPAWN_DUP2, high[1], 4),
            ],
            setpgroup=0,
        )
        for fd in (commands, answers, *high):
            os.close(fd)
        self._number = 0
        self._buffer = b""

    def close(self) -> None:
        """End the browser."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._commands)
        os.close(self._answers)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> int:
        """Send a command; returns its number, which the answer bears.

        Raises
        ------
        RuntimeError
            If the browser has ended.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        try:
            os.write(self._commands, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise RuntimeError(ENDED) from error
        return self._number

    def messages(self, quiet: float) -> Iterator[dict[str, Any]]:
        """Yield answers and events until none has come for `quiet` seconds.

        Raises
        ------
        RuntimeError
            If the browser has ended.
        """
        while True:
            while b"\0" in self._buffer:
                message, self._buffer = self._buffer.split(b"\0", 1)
                yield json.loads(message)
            if not select.select([self._answers], [], [], quiet)[0]:
                return
            received = os.read(self._answers, 1 << 16)
            if not received:
                raise RuntimeError(ENDED)
            self._buffer += received

    def call(
        self,
        method: str,
        session: str | None = None,
        listener: Callable[[dict[str, Any]], None] = lambda event: None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Send a command and wait for its result; what comes in between goes to `listener`.

        Raises
        ------
        RuntimeError
            If the browser refuses the command, ends, or does not answer.
        """
        number = self.send(method, session, **parameters)
        for message in self.messages(PATIENCE):
            if message.get("id") != number:
                listener(message)
            elif "error" in message:
                raise RuntimeError(f"The browser refuses {method}: {message['error']['message']}")
            else:
                return message["result"]
        raise RuntimeError(f"The browser does not answer {method}.")


class Visit:
    """A look at one page of a book served at `base`.

    Attributes
    ----------
    requests : list of (str, str)
        Address and kind of everything that the page asked for, in order.
    refused : set of str
        The addresses at which there was nothing.
    """

    def __init__(self, browser: Browser, base: str) -> None:
        self._browser = browser
        self._base = base
        self._open: dict[str, str | None] = {}  # request: session of the one who waits for it
        self._loaded = False
        self.requests: list[tuple[str, str]] = []
        self.refused: set[str] = set()

    def _watch(self, session: str) -> None:
        # a page, or a frame or worker of its own: before the first line of it runs
        self._browser.send("Network.enable", session)
        self._browser.send(
            "Target.setAutoAttach",
            session,
            autoAttach=True,
            waitForDebuggerOnStart=True,
            flatten=True,
        )
        self._browser.send("Runtime.runIfWaitingForDebugger", session)

    def _hear(self, event: dict[str, Any]) -> None:
        about = event.get("params", {})
        match event.get("method"):
            case "Target.attachedToTarget":
                self._watch(about["sessionId"])
            case "Network.requestWillBeSent" if not about["request"]["url"].startswith(WITHIN):
                address, kind = about["request"]["url"], about.get("type", "Other")
                self.requests.append((address, kind))
                # no other host answers, and a document that is left at once is never finished
                if address.startswith(self._base) and kind != "Document":
                    self._open[about["requestId"]] = event.get("sessionId")
            case "Network.webSocketCreated":
                self.requests.append((about["url"], "WebSocket"))
            case "Network.responseReceived" if about["response"]["status"] >= 400:
                self.refused.add(about["response"]["url"])
            case "Network.loadingFinished" | "Network.loadingFailed":
                self._open.pop(about["requestId"], None)
            case "Target.detachedFromTarget":  # a worker or frame that ends waits for nothing
                ended = about["sessionId"]
                self._open = {r: session for r, session in self._open.items() if session != ended}
            case "Page.loadEventFired":
                self._loaded = True

    def _settle(self, address: str) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for message in self._browser.messages(QUIET):
                self._hear(message)
                if time.monotonic() > end:
                    break
            else:
                if self._loaded and not self._open:
                    return
        raise RuntimeError(f"{address} is not done after {PATIENCE:.0f} seconds.")

    def open(self, page: str) -> Self:
        """Load a page and read it as `READER` does.

        Raises
        ------
        RuntimeError
            If the page is not done after `PATIENCE` seconds.
        """
        address = self._base + page
        call = functools.partial(self._browser.call, listener=self._hear)
        target = call("Target.createTarget", url="about:blank")["targetId"]
        session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        call("Page.enable", session)
        call("Page.navigate", session, url=address)
        self._settle(address)
        call("Runtime.evaluate", session, expression=READER)
        self._settle(address)
        call("Target.closeTarget", targetId=target)
        return self

    def foreign(self) -> list[str]:
        """What the page asked for that is no file of the book, each with its kind."""
        wanted = []
        for address, kind in dict.fromkeys(self.requests):
            # the browser looks for a favicon by itself, wherever a page names none
            if address == self._base + "favicon.ico":
                continue
            if not address.startswith(self._base) or address in self.refused:
                wanted.append(f"{address.removeprefix(self._base)} ({kind.lower()})")
        return wanted


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder to this machine alone; gives the address, with its last slash."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def check(folder: Path, program: str) -> dict[str, list[str]]:
    """Open every page of a folder.

    Parameters
    ----------
    folder : Path
        The built book.
    program : str
        The browser.

    Returns
    -------
    dict
        What each page asked for that is no file of the book; empty lists where all is well.
    """
    pages = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*.html"))
        if not any(part.startswith("_") for part in path.relative_to(folder).parts)
    ]
    if SEARCH.partition("?")[0] in pages:
        pages.append(SEARCH)
    if not pages:
        return {}
    found = {}
    with (
        served(folder) as base,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        closing(Browser(program, Path(profile))) as browser,
    ):
        for page in pages:
            found[page] = Visit(browser, base).open(page).foreign()
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a sentence for every page that asks for more than the book; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("book/_build/html"))
    folder = parser.parse_args(arguments).folder
    program = find_browser()
    if program is None:
        print(f"No browser to open the pages with: none of {', '.join(BROWSERS)}.", file=sys.stderr)
        return 1
    try:
        found = check(folder, program)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    if not found:
        print(f"There are no pages in {folder}: build the book first.", file=sys.stderr)
        return 1
    for page, wanted in found.items():
        if wanted:
            print(f"{page} asks for what is no file of the book: {', '.join(wanted)}.")
    if any(found.values()):
        return 1
    print(f"{len(found)} pages opened, nothing asked of another host")
    return 0


if __name__ == "__main__":
    sys.exit(main())
