"""Sphinx extension: chapters written as text notebooks are executed when they are stale.

``sphinx.extra_extensions: [sphinx_papermill]`` in a jupytext book's ``_config.yml``; README.md in
this folder has an example and every setting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; a chapter's process, which has no use for Sphinx, never loads it."""
    from sphinx_papermill import extension

    return extension.setup(app)
