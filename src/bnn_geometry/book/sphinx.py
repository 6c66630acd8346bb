"""Sphinx extension: what this book sets for ``sphinx_papermill`` that ``_config.yml`` cannot know.

The preset of the environment, and what depends on it; where the published runs are; the workers'
environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnn_geometry import data, paths
from bnn_geometry.book import presets
from bnn_geometry.errors import UserError
from bnn_geometry.training.environment import chapter_environment
from sphinx_papermill.extension import stop

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

TIMEOUTS = {"smoke": 300, "book": 900, "paper": None}
"""Seconds that one cell may take."""


def data_fingerprint(name: str, book: Path) -> str:
    """Of the images that a chapter gets for a data set: where they are from, and a hash of them."""
    return f"{data.locate(name).source} {data.fingerprint(name)}"


def sizes_fingerprint(chapter: str, book: Path) -> str:
    """Of a chapter's own sizes at the preset of the build; empty where the book has no presets."""
    if not (book / presets.FILE).exists():
        return ""
    return presets.fingerprint(chapter, presets.from_environment(), book)


def configure(app: Sphinx, config: Config) -> None:
    """config-inited, before sphinx_papermill's own."""
    book = Path(app.srcdir)
    try:
        paths.pin()  # a relative folder is meant from where the user stands, not from the chapters
        preset = presets.from_environment()
        if (book / presets.FILE).exists():
            config.papermill_budgets = presets.budgets(preset, book)
    except UserError as error:
        stop(str(error))
    config.papermill_variant = preset
    config.papermill_parameters = {"preset": preset}
    config.papermill_timeout = TIMEOUTS[preset]
    store = book / paths.STORE
    runs = os.environ.get(paths.RUNS) or str(book.resolve().parent / "runs")
    config.papermill_folders = {"runs": runs}
    config.papermill_environment = chapter_environment(alone=preset == "paper") | {
        paths.RUNS: runs,
        paths.LIVE: os.environ.get(paths.LIVE) or str(store / "live"),
        paths.EXECUTED: str(store / preset),  # the ledger reads the others' results
    }


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("config-inited", configure, priority=50)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
