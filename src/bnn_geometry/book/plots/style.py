"""One style, one function per figure. Plots draw what they are given; they compute nothing.

Figures are made without pyplot: a notebook shows each of them once, by
:func:`bnn_geometry.book.display.show`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:  # a chapter without networks need not import torch to draw
    from bnn_geometry.probing.joint_statistics import LayerStatistics

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

MARKERS = "osD^v<>PX*"
"""Of up to ten curves in the order of their colours: the layers of a network."""

STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("notebook", font_scale=0.9),
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.titlesize": "medium",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "bnn-geometry",  # the same figure is the same file
    "figure.dpi": 100,
}


def new_figure(
    rows: int = 1, columns: int = 1, *, width: float = 8.0, height: float = 3.2, **subplots: object
) -> tuple[Figure, NDArray]:
    """A figure in the book's style and its axes.

    Parameters
    ----------
    rows, columns : int
    width, height : float
        Of the whole figure, inches; the text column of a page is about 8 wide.
    **subplots
        Passed on, such as ``sharex``.

    Returns
    -------
    Figure, ndarray of Axes of shape (rows, columns)
    """
    mpl.rcParams.update(STYLE)  # what is drawn later, legends for one, reads the style then
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **subplots)


def plot_history(history: pd.DataFrame, ax: Axes, *, title: str, chance: float = 0.9) -> Axes:
    """Training and test error by epoch.

    Parameters
    ----------
    history : DataFrame
        Columns epoch, train_error, test_error (fractions).
    ax : Axes
    title : str
    chance : float
        Error of guessing, drawn as a dotted line.
    """
    ax.plot(
        history["epoch"], 100 * history["train_error"], "s--", color=GREY, ms=5, label="training"
    )
    ax.plot(history["epoch"], 100 * history["test_error"], "o-", color=BLUE, ms=5, label="test")
    ax.axhline(100 * chance, color="black", lw=1, ls=":", label="guessing")
    ax.set(title=title, xlabel="epoch", ylabel="error (%)", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_dot_products(statistics: LayerStatistics, ax: Axes, *, axis_labels: bool = True) -> Axes:
    """Figure 3 of the paper for one layer: a 2-D histogram of both dot products, log colours.

    The two quadrants where the signs differ are grey; the line is the regression.
    """
    counts, x, y = statistics.visible_cells()
    ax.axvspan(x[0], 0, 0.5, 1, color="0.88", lw=0)
    ax.axvspan(0, x[-1], 0, 0.5, color="0.88", lw=0)
    counts = np.ma.masked_equal(counts.T, 0)
    ax.pcolormesh(x, y, counts, norm=LogNorm(), cmap="viridis", rasterized=True)
    if np.isfinite(statistics.slope):
        line = statistics.intercept + statistics.slope * x
        ax.plot(x, line, color="white", lw=2.4)  # an edge, to be seen on any colour
        ax.plot(x, line, color="black", lw=1.1)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.grid(False)
    name = f"{statistics.layer}: n = {statistics.fan_in:,}"
    ax.set_title(f"{name}\nr = {statistics.r:.2f}")
    if axis_labels:
        ax.set(xlabel="$x\\cdot w^b$", ylabel="$x\\cdot w^c$")
    return ax


def plot_r_by_layer(tables: Sequence[tuple[str, pd.DataFrame]], ax: Axes) -> Axes:
    """Median per-filter r of each layer with its quartiles, for one or more networks.

    Parameters
    ----------
    tables : sequence of (label, DataFrame)
        From :func:`bnn_geometry.probing.dot_products.as_table`.
    ax : Axes
    """
    styles = (("o", BLUE), ("s", ORANGE), ("^", GREEN), ("D", PURPLE))
    for i, ((label, table), (marker, colour)) in enumerate(zip(tables, styles, strict=False)):
        x = np.arange(len(table)) + 0.15 * (i - (len(tables) - 1) / 2)
        low, high = (
            table["filter_r"] - table["filter_r_25"],
            table["filter_r_75"] - table["filter_r"],
        )
        ax.errorbar(
            x, table["filter_r"], yerr=[low, high], fmt=marker, color=colour, ms=6, label=label
        )
    first = tables[0][1]
    names = [f"{name}\nn = {n}" for name, n in zip(first.index, first["n"], strict=True)]
    ax.set_xticks(range(len(first)), names)
    ax.set(ylabel="r of a filter (median, quartiles)")
    ax.set_ylim(top=1.01)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="lower right")
    return ax


def plot_weight_angles(angles: pd.DataFrame, ax: Axes, *, limits: dict[str, float]) -> Axes:
    """Angle between w^c and w^b of every filter, by layer.

    Parameters
    ----------
    angles : DataFrame
        From :func:`bnn_geometry.probing.weights.weight_angles`.
    ax : Axes
    limits : dict
        Label → angle in degrees, drawn as horizontal lines.
    """
    sns.boxplot(data=angles, x="layer", y="angle", color=BLUE, fliersize=2, width=0.6, ax=ax)
    for (label, angle), style in zip(limits.items(), ("--", ":", "-."), strict=False):
        ax.axhline(angle, color="black", lw=1, ls=style, label=f"{label}: {angle:.1f}°")
    ax.set(xlabel="", ylabel="angle between $w^c$ and $w^b$ (degrees)")
    ax.legend()
    return ax


def plot_angle_comparison(
    angles: Sequence[tuple[str, pd.DataFrame]], ax: Axes, *, limits: dict[str, float]
) -> Axes:
    """Angle between weights and binary weights of every filter, by layer, of two networks.

    Parameters
    ----------
    angles : sequence of two (label, DataFrame)
        From :func:`bnn_geometry.probing.weights.weight_angles`.
    ax : Axes
    limits : dict
        Label → angle in degrees, drawn as horizontal lines.
    """
    table = pd.concat([frame.assign(network=label) for label, frame in angles])
    sns.boxplot(
        data=table,
        x="layer",
        y="angle",
        hue="network",
        palette=[BLUE, ORANGE],
        fliersize=2,
        width=0.7,
        ax=ax,
    )
    for (label, angle), style in zip(limits.items(), ("--", ":"), strict=False):
        ax.axhline(angle, color="black", lw=1, ls=style, label=f"{label}: {angle:.1f}°")
    ax.set(xlabel="", ylabel="angle between $w$ and bin($w$) (degrees)")
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.1))
    return ax


def plot_conversion(table: pd.DataFrame, ax: Axes, *, references: dict[str, float]) -> Axes:
    """Test errors of a network binarized in several ways, before and after refitting batch norm.

    Parameters
    ----------
    table : DataFrame
        Index: what was binarized. Columns ``kept`` and ``refitted``, test errors, and
        ``kept_error`` and ``refitted_error``, their standard errors; all in percent.
    ax : Axes
    references : dict
        Label → test error in percent, drawn as vertical lines; at most three.
    """
    rows = np.arange(len(table))
    for column, label, marker, colour, shift in (
        ("kept", "batch norm as trained", "o", VERMILION, -0.12),
        ("refitted", "batch norm refitted", "s", BLUE, 0.12),
    ):
        ax.errorbar(
            table[column],
            rows + shift,
            xerr=table[f"{column}_error"],
            fmt=marker,
            ms=7,
            color=colour,
            label=label,
        )
    for (label, error), style in zip(references.items(), ("-", "--", ":"), strict=False):
        ax.axvline(error, color="black", lw=1.2, ls=style, label=label)
    ax.set_yticks(rows, table.index)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="test error (%)", ylabel="binarized", xlim=(0, 100))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
