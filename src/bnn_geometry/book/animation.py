"""A flow in the plane that moves: inline SVG, set in motion by a checkbox and nothing but CSS.

It stands still until the reader asks for it, needs no script and no other host, and can be stopped
at any time. The static figure beside it shows the same flow.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from IPython.display import display
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from bnn_geometry.book.plots.style import BLUE, VERMILION

if TYPE_CHECKING:
    from bnn_geometry.geometry.flows import Flow


def _keyframes(name: str, points: NDArray[np.float64]) -> str:
    # positions at equal times; y points down in an SVG
    stops = (
        f"{100 * i / (len(points) - 1):.4g}%{{transform:translate({x:.3f}px,{-y:.3f}px)}}"
        for i, (x, y) in enumerate(points)
    )
    return f"@keyframes {name}{{{''.join(stops)}}}"


def flow_in_the_plane(
    flow: Flow, *, target: Sequence[float], name: str, alt: str, seconds: float = 24.0
) -> str:
    """HTML of an animated flow: u, f(u) and the average of f(u) so far.

    Parameters
    ----------
    flow : Flow
        Of one row in two dimensions, with its path, each update logged.
    target : sequence of two floats
        v*; only its direction is drawn.
    name : str
        Letters, digits and hyphens: what the parts are called on the page, where it occurs once.
    alt : str
        What is seen, for a reader who cannot see it.
    seconds : float
        Of one round through the whole path.

    Raises
    ------
    ValueError
        If the flow is another, the name has other characters, or there is no description.
    """
    if flow.path is None or flow.path.shape[1:] != (1, 2) or len(flow.path) < 2:
        raise ValueError("The flow needs one row in two dimensions, and its path.")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"{name!r} is no name: use small letters, digits and hyphens.")
    if not alt.strip():
        raise ValueError("An animation needs a description.")
    path = flow.path[:, 0]
    output = np.where(path > 0, 1.0, -1.0)
    mean = np.cumsum(output, axis=0) / np.arange(1, len(output) + 1)[:, np.newaxis]
    direction = 1.4 * np.asarray(target, dtype=np.float64) / np.abs(target).max()
    blue, red = to_hex(BLUE), to_hex(VERMILION)
    parts = {"latent": path, "output": output, "mean": mean}
    style = "".join(_keyframes(f"{name}-{part}", points) for part, points in parts.items())
    style += "".join(
        f"#{name} .{part}{{animation:{name}-{part} {seconds:g}s {timing} infinite paused}}"
        for part, timing in (("latent", "linear"), ("output", "step-end"), ("mean", "step-end"))
    )
    style += f"#{name} input:checked~svg *{{animation-play-state:running}}"
    style += f"#{name} svg{{display:block;width:22rem;max-width:100%}}"
    # lines take the colour of the text, in the dark a light one; the theme would lay white below
    style += (
        f'html[data-theme="dark"] .bd-content div.cell_output .text_html:has(>#{name})'
        "{background:none;color:inherit}"
    )
    corners = "".join(
        f'<rect x="{x - 0.05}" y="{y - 0.05}" width="0.1" height="0.1"/>'
        for x in (-1, 1)
        for y in (-1, 1)
    )
    return (
        f'<div id="{name}"><style>{style}</style>'
        f'<input type="checkbox" id="{name}-play"> '
        f'<label for="{name}-play">Play the animation</label>'
        f'<svg viewBox="-1.5 -1.5 3 3" role="img" aria-label="{html.escape(alt)}">'
        '<rect x="-1" y="-1" width="2" height="2" fill="none" stroke="#8889" stroke-width="0.01"/>'
        '<path d="M-1.5 0H1.5M0 -1.5V1.5" stroke="#8889" stroke-width="0.01"/>'
        f'<path d="M0 0L{direction[0]:.3f} {-direction[1]:.3f}" stroke="currentColor" '
        'stroke-width="0.015" stroke-dasharray="0.06 0.04"/>'
        f'<g fill="{red}">{corners}</g>'
        f'<circle class="output" r="0.15" fill="none" stroke="{red}" stroke-width="0.03"/>'
        '<path class="mean" d="M0 -0.09L0.09 0L0 0.09L-0.09 0Z" fill="currentColor"/>'
        f'<circle class="latent" r="0.06" fill="{blue}"/></svg></div>'
    )


def show(flow: Flow, *, target: Sequence[float], name: str, alt: str) -> None:
    """Show a flow in a notebook and in the book; see :func:`flow_in_the_plane`."""
    page = flow_in_the_plane(flow, target=target, name=name, alt=alt)
    display({"text/html": page, "text/plain": f"Animation: {alt}"}, raw=True)
