"""Sphinx extension: an interactive figure's data, moved from its picture to its page.

:mod:`bnn_geometry.book.interactive`, :mod:`bnn_geometry.book.filters` and
:mod:`bnn_geometry.book.rotated_signs` leave them in the SVG. The
page gets them as JSON (``papermill_render`` in ``_config.yml`` names :func:`place_data`), together
with the scripts that draw them; a page without such a figure gets neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils.nodes import make_id

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ANGLES, FILTERS, SIGNS = "angle-histograms", "first-layer", "rotated-signs"
"""Of each kind: id of the data's element in the SVG, and class of that on the page."""

_ELEMENTS = "../elements.js"  # before those that take their helpers from it

SCRIPTS = {
    ANGLES: (
        "../plotly/plotly-basic.min.js",
        _ELEMENTS,
        "../angle-histograms.js",
        "../binarized-vector.js",
    ),
    FILTERS: (_ELEMENTS, "../first-layer.js"),
    SIGNS: (_ELEMENTS, "../rotated-signs.js"),
}
"""Relative to ``_static``, outside of which they lie: jupyter-book adds every script that it finds
there to all pages."""

_DATA = re.compile(rf'<metadata id="({"|".join(SCRIPTS)})">(.*?)</metadata>\n', re.S)


def place_data(page: dict[str, Any]) -> dict[str, Any]:
    """Move the data out of the pictures, each into a raw cell after its figure's.

    Parameters
    ----------
    page : dict
        Executed notebook as JSON; changed in place and returned.
    """
    cells = []
    for cell in page["cells"]:
        cells.append(cell)
        for output in cell.get("outputs", []):
            picture = "".join(output.get("data", {}).get("image/svg+xml", ""))
            found = _DATA.search(picture)
            if found is None:
                continue
            output["data"]["image/svg+xml"] = _DATA.sub("", picture)
            figure = make_id(output["metadata"]["bnn_geometry"]["figure"]["name"])
            cells.append(
                {
                    "cell_type": "raw",
                    "id": f"data-of-{figure}",
                    "metadata": {"format": "text/html"},
                    "source": (
                        f'<script type="application/json" class="{found[1]}" '
                        f'data-figure="{figure}">{found[2]}</script>'
                    ),
                }
            )
    page["cells"] = cells
    return page


def load_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """html-page-context: what is added here is added to this page alone."""
    for kind, scripts in SCRIPTS.items():
        if f'class="{kind}"' in context.get("body", ""):
            for script in scripts:
                app.add_js_file(script, loading_method="defer")


def drop_thebe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """html-page-context: no page has the button that sphinx-thebe's scripts are for.

    They declare one constant twice, which is an error on every page.
    """
    scripts = context.get("script_files", [])
    scripts[:] = [one for one in scripts if "thebe" not in f"{one.filename} {one.attributes}"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("html-page-context", load_scripts)
    app.connect("html-page-context", drop_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
