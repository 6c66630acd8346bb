"""A cloud in the plane and the signs of its vectors: on the page a slider rotates it.

In a notebook, in print and without JavaScript there is a static picture of it at two rotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnn_geometry.book import display, plots
from bnn_geometry.book.interactive import FigureWithData, as_text
from bnn_geometry.book.plots.style import BLUE, VERMILION
from bnn_geometry.book.sphinx_interactive import SIGNS

if TYPE_CHECKING:
    from bnn_geometry.book.display import Origin

REACH = 1.6
"""Of the axes of the plane: a vector longer than that is not drawn."""


def draw(
    clouds: Mapping[str, NDArray[np.float64]], tables: Mapping[str, pd.DataFrame], limit: float
) -> Figure:
    """The cloud at two rotations, and below it the angles of vectors to their signs.

    Parameters
    ----------
    clouds : mapping
        Title → points, shape (points, 2): two of them.
    tables : mapping
        For :func:`bnn_geometry.book.plots.by_layer`, with a column ``angle``.
    limit : float
        Drawn as a line.
    """
    figure, axes = plots.new_figure(2, 2, width=5.8, height=6.2, height_ratios=[1, 0.95])
    for ax, (title, points) in zip(axes[0], clouds.items(), strict=True):
        ax.plot(*points.T, ".", ms=5, color=VERMILION)
        codes = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)]) / np.sqrt(2)
        ax.plot(*codes.T, "s", ms=8, mfc="none", mec=BLUE, mew=1.6)
        for line in (ax.axhline, ax.axvline):
            line(0, color="0.4", lw=1)
        ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal", title=title)
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel="first entry")
        ax.grid(False)
    axes[0, 0].set_ylabel("second entry")
    row = axes[1, 0].get_gridspec()[1, :]
    for ax in axes[1]:
        ax.remove()
    ax = figure.add_subplot(row)
    plots.by_layer(tables, ax, column="angle", lines={f"law: {limit:.1f}°": limit}, sideways=True)
    ax.set(xlabel="angle to the signs (degrees)", xlim=(25, 75))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def show_signs(
    points: NDArray[np.float64],
    clouds: Mapping[str, NDArray[np.float64]],
    tables: Mapping[str, pd.DataFrame],
    limit: float,
    *,
    name: str,
    caption: str,
    origin: Origin,
    alt: str,
) -> None:
    """Show the figure of :func:`draw`; on the page the cloud below it can be rotated.

    Parameters
    ----------
    points : ndarray, shape (points, 2)
        Before any rotation.
    clouds, tables, limit
        As for :func:`draw`.
    name, caption, origin, alt
        As for :func:`bnn_geometry.book.display.show`; the alt text describes the static picture.
    """
    data = {"points": [[round(float(v), 3) for v in row] for row in points], "reach": REACH}
    figure = FigureWithData(draw(clouds, tables, limit), SIGNS, as_text(data))
    display.show(figure, name, caption, origin, alt=alt)  # type: ignore[arg-type]
