"""What the chapters' own notes in an executed notebook become on its page."""

from __future__ import annotations

from typing import Any


def place_notes(page: dict[str, Any]) -> dict[str, Any]:
    """Turn what chapters noted on figures into cell options of myst-nb.

    The notes are those of :func:`bnn_geometry.book.display.show`; those of
    :func:`bnn_geometry.book.records.record` are for the ledger and leave no trace on the chapter's
    own page.

    Parameters
    ----------
    page : dict
        Executed notebook as JSON; changed in place and returned.
    """
    for cell in page["cells"]:
        shown = []
        for output in cell.get("outputs", []):
            noted = output.get("metadata", {}).get("bnn_geometry", {})
            if "claim" in noted:
                continue
            if noted:
                options = {name: value for name, value in noted.items() if name != "pdf"}
                cell["metadata"]["mystnb"] = options
            shown.append(output)
        if "outputs" in cell:
            cell["outputs"] = shown
    return page
