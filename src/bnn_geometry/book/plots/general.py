"""The general plots: series, values by layer, clouds of dot products, histograms.

They draw what they are given and compute nothing. Titles, scales and further lines are matplotlib's
own and stand in the cell that draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import ArrayLike, NDArray

from bnn_geometry.book.plots.style import GREY, LINES, LOOKS, MARKERS

if TYPE_CHECKING:  # a chapter without networks need not import torch to draw
    from bnn_geometry.studies.geometry_results import Cloud


def series(
    curves: Mapping[str, pd.Series | pd.DataFrame],
    ax: Axes,
    *,
    theory: Mapping[str, pd.Series] | None = None,
    joined: bool = True,
) -> Axes:
    """Curves with marks and error bars, and what theory says of them as lines.

    Parameters
    ----------
    curves : mapping
        Label → Series over x, or DataFrame over x whose first column is drawn and whose second is
        its standard error. More than six take the colours of an ordered scale: layers of a network.
    ax : Axes
    theory : mapping, optional
        Label → Series over x: a line in the colour of the curve with this label, which is then not
        joined itself; of any other label, a black line.
    joined : bool
        Whether the marks of a curve are joined by lines.
    """
    theory = dict(theory or {})
    many = sns.color_palette("viridis", len(curves))
    for i, (label, curve) in enumerate(curves.items()):
        colour, marker, line = LOOKS[i] if len(curves) <= len(LOOKS) else (
            many[i], MARKERS[i % len(MARKERS)], "-")  # fmt: skip
        table = pd.DataFrame(curve)
        own = theory.pop(label, None)
        ax.errorbar(
            table.index,
            table.iloc[:, 0],
            yerr=table.iloc[:, 1] if table.shape[1] > 1 else None,
            marker=marker,
            ms=5,
            mfc="none" if i else None,
            lw=1.2,
            ls=line if joined and own is None else "",
            color=colour,
            label=label,
        )
        if own is not None:
            ax.plot(own.index, own, color=colour, ls=line, lw=1.2)
    for (label, law), line in zip(theory.items(), LINES, strict=False):
        ax.plot(law.index, law, color="black", ls=line, lw=1.4, label=label)
    return ax


def by_layer(
    tables: Mapping[str, pd.Series | pd.DataFrame],
    ax: Axes,
    *,
    column: str | None = None,
    lines: Mapping[str, float] | None = None,
    sideways: bool = False,
) -> Axes:
    """A value for each layer, or for each of other named things, of several networks or controls.

    Parameters
    ----------
    tables : mapping
        Label → Series, or DataFrame with the named column; the index names the layers, and a column
        n puts the fan-in below the names. Error bars are the quartiles where there are columns with
        ``_25`` and ``_75`` behind the name, else the standard error where there is one with
        ``_se``.
    ax : Axes
    column : str, optional
        Of DataFrames.
    lines : mapping, optional
        Label → value, drawn as a line across all layers.
    sideways : bool
        Names from top to bottom and values to the right: for long names.
    """
    step = min(0.2, 0.65 / len(tables))
    for i, ((label, table), (colour, marker, _)) in enumerate(
        zip(tables.items(), LOOKS, strict=False)
    ):
        values = table if column is None else table[column]
        places = np.arange(len(table)) + step * (i - (len(tables) - 1) / 2)
        error = None
        if column is not None and f"{column}_25" in table:
            error = [values - table[f"{column}_25"], table[f"{column}_75"] - values]
        elif column is not None and f"{column}_se" in table:
            error = table[f"{column}_se"]
        xy = {"x": values, "y": places, "xerr": error} if sideways else {
            "x": places, "y": values, "yerr": error}  # fmt: skip
        ax.errorbar(**xy, fmt=marker, ms=5, mfc="none" if i else None, color=colour, label=label)
    for (label, value), line in zip((lines or {}).items(), LINES, strict=False):
        draw = ax.axvline if sideways else ax.axhline
        draw(value, color="black", lw=1, ls=line, label=label)
    first = next(iter(tables.values()))
    names = list(first.index)
    if isinstance(first, pd.DataFrame) and "n" in first:
        names = [f"{name}\n{n:,.0f}" for name, n in zip(names, first["n"], strict=True)]
        (ax.set_ylabel if sideways else ax.set_xlabel)("layer and its fan-in n")
    if sideways:
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
    else:
        ax.set_xticks(range(len(names)), names)
    ax.grid(axis="y" if sideways else "x", visible=False)
    return ax


def clouds(pictures: Sequence[Cloud], axes: NDArray) -> None:
    """Figure 3 of the paper: a 2-D histogram of both dot products of each layer, log colours.

    The two quadrants where the signs differ are grey; the line is the regression.

    Parameters
    ----------
    pictures : sequence of Cloud
        From :meth:`bnn_geometry.studies.geometry_results.Geometry.pictures`.
    axes : ndarray of Axes
        One for each layer; the outer ones are labelled.
    """
    for found, ax in zip(pictures, axes.flat, strict=True):
        x, y = found.x, found.y
        ax.axvspan(x[0], 0, 0.5, 1, color="0.88", lw=0)
        ax.axvspan(0, x[-1], 0, 0.5, color="0.88", lw=0)
        counts = np.ma.masked_equal(found.counts.T, 0)
        ax.pcolormesh(x, y, counts, norm=LogNorm(), cmap="viridis", rasterized=True)
        line = found.intercept + found.slope * x
        ax.plot(x, line, color="white", lw=2.4)  # an edge, to be seen on any colour
        ax.plot(x, line, color="black", lw=1.1)
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        ax.set_title(f"{found.layer}: n = {found.n:,}\nr = {found.r:.2f}")
        ax.grid(False)
    grid = np.atleast_2d(axes)
    for ax in grid[-1]:
        ax.set_xlabel(r"$x\cdot w^b$")
    for ax in grid[:, 0]:
        ax.set_ylabel(r"$x\cdot w^c$")


def histograms(
    samples: Mapping[str, ArrayLike],
    ax: Axes,
    *,
    bins: ArrayLike | str = "auto",
    beside: Mapping[str, ArrayLike] | None = None,
    lines: Mapping[str, float] | None = None,
) -> Axes:
    """Densities of several samples as steps.

    Parameters
    ----------
    samples : mapping
        Label → values.
    ax : Axes
    bins : array_like or str
        Edges, or numpy's rule for them.
    beside : mapping, optional
        The same for what they are compared with, in grey.
    lines : mapping, optional
        Label → value, drawn as a vertical line.
    """
    for label, values in (beside or {}).items():
        ax.hist(
            values, bins, density=True, histtype="stepfilled", color=GREY, alpha=0.35, label=label
        )
    for (label, values), (colour, _, line) in zip(samples.items(), LOOKS, strict=False):
        look = {"density": True, "histtype": "stepfilled", "fc": (*colour, 0.15), "ec": colour}
        ax.hist(values, bins, ls=line, lw=1.5, label=label, **look)
    for (label, value), line in zip((lines or {}).items(), LINES, strict=False):
        ax.axvline(value, color="black", lw=1.2, ls=line, label=label)
    ax.set_ylabel("density")
    return ax
