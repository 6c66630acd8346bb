"""One style: colours, looks of curves, settings, and new figures in it.

Figures are made without pyplot: a notebook shows each of them once, by
:func:`bnn_geometry.book.display.show`.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

BLUE, ORANGE, GREEN, VERMILION, PURPLE = (sns.color_palette("colorblind")[i] for i in range(5))
GREY = "0.45"

LOOKS = (
    (VERMILION, "o", "-"),
    (BLUE, "s", "--"),
    (GREEN, "^", "-."),
    (ORANGE, "D", ":"),
    (PURPLE, "v", (0, (6, 1, 1, 1, 1, 1))),
    (GREY, "P", (0, (1, 1))),
)
"""Colour, marker and line of up to six curves: any one of them tells the curves apart."""

LINES = ("--", ":", "-", "-.")
"""Of what a figure compares its curves with, all of it black."""

MARKERS = "osD^v<>PX*"
"""Of up to ten curves in the order of their colours: the layers of a network."""

STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("notebook", font_scale=1.0),
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "bnn-geometry",  # the same figure is the same file
    "figure.dpi": 100,
}


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 6.8, height: float = 3.2, **subplots: object
) -> tuple[Figure, NDArray]:
    """A figure in the book's style and its axes.

    Parameters
    ----------
    rows, columns : int
    width, height : float
        Of the whole figure, inches; the text column of a page is about 8 wide, and a phone shows it
        400 pixels wide.
    **subplots
        Passed on, such as ``sharex``.

    Returns
    -------
    Figure, ndarray of Axes of shape (rows, columns)
    """
    mpl.rcParams.update(STYLE)  # what is drawn later, legends for one, reads the style then
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def log_axis(ax: Axes, which: str, ticks: Sequence[float]) -> None:
    """Make an axis logarithmic, with plain numbers at those of the ticks that are in view.

    Parameters
    ----------
    ax : Axes
        With all its curves: the limits are kept.
    which : str
        ``x`` or ``y``.
    ticks : sequence of float
    """
    ax.set(**{f"{which}scale": "log"})
    axis = getattr(ax, f"{which}axis")
    low, high = sorted(axis.get_view_interval())
    shown = [t for t in ticks if low <= t <= high]
    axis.set_ticks(shown, [f"{t:,}" for t in shown])
    axis.set_minor_formatter(NullFormatter())
