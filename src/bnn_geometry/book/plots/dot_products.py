"""Figures of the chapter on dot products; style and rules as in plots.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from bnn_geometry.book.plots.style import BLUE, LOOKS, MARKERS, VERMILION


def plot_r_of_controls(tables: Sequence[tuple[str, pd.DataFrame]], ax: Axes) -> Axes:
    """Median r of a filter with its quartiles, by layer, for several networks or controls.

    Parameters
    ----------
    tables : sequence of up to six (label, DataFrame)
        Index layer; columns n, filter_r, filter_r_25 and filter_r_75.
    ax : Axes
    """
    for i, ((label, table), (colour, marker, _)) in enumerate(zip(tables, LOOKS, strict=False)):
        x = np.arange(len(table)) + 0.13 * (i - (len(tables) - 1) / 2)
        low = table["filter_r"] - table["filter_r_25"]
        high = table["filter_r_75"] - table["filter_r"]
        ax.errorbar(
            x,
            table["filter_r"],
            yerr=[low, high],
            fmt=marker,
            ms=5,
            color=colour,
            mfc="none" if i else colour,
            label=label,
        )
    first = tables[0][1]
    names = [f"{name}\nn = {n:,}" for name, n in zip(first.index, first["n"], strict=True)]
    ax.set_xticks(range(len(first)), names)
    ax.set(ylabel="r of a filter (median, quartiles)")
    ax.grid(axis="x", visible=False)
    return ax


def plot_predictions(points: pd.DataFrame, ax: Axes, *, title: str) -> Axes:
    """Measured r of every filter against the predicted one, with the line of equality.

    Parameters
    ----------
    points : DataFrame
        Columns predicted and measured, a row for each filter.
    ax : Axes
    title : str
    """
    low = float(np.nanmin(points[["predicted", "measured"]].to_numpy()))
    ax.plot([low, 1], [low, 1], color="black", lw=1, ls="--")
    ax.plot(points["predicted"], points["measured"], "o", ms=3.5, mfc="none", color=BLUE, mew=0.8)
    ax.set(title=title)
    ax.set_aspect("equal")
    return ax


def plot_angle_densities(
    angles: pd.DataFrame, axes: Sequence[Axes], *, lines: dict[str, dict[str, float]]
) -> None:
    """Histogram of the angle between w^c and w^b over the filters of each layer.

    Parameters
    ----------
    angles : DataFrame
        From :func:`bnn_geometry.probing.weights.weight_angles`.
    axes : sequence of Axes
        At least one for each layer.
    lines : dict
        Label → layer → angle in degrees, drawn as vertical lines.
    """
    for (name, table), ax in zip(angles.groupby("layer", sort=False), axes, strict=False):
        sns.histplot(x=table["angle"], stat="density", color=BLUE, alpha=0.5, ax=ax)
        for (label, by_layer), style in zip(lines.items(), ("--", ":", "-"), strict=False):
            ax.axvline(by_layer[name], color="black", lw=1.2, ls=style, label=label)
        ax.set(title=f"{name}: n = {table['n'].iloc[0]:,}", xlabel="", ylabel="")
        ax.set_yticks([])


def log_dimension_axis(ax: Axes) -> None:
    """A logarithmic axis of dimensions with few plain numbers on it."""
    ax.set(xscale="log", xlabel="fan-in n")
    ticks = [30, 100, 300, 1000, 3000]
    low, high = ax.get_xlim()
    shown = [t for t in ticks if low <= t <= high]
    ax.set_xticks(shown, [f"{t:,}" for t in shown])
    ax.xaxis.set_minor_formatter(NullFormatter())


def plot_r_against_fan_in(table: pd.DataFrame, ax: Axes) -> Axes:
    """Median r of a filter against n, a line for each layer over networks of several widths.

    Parameters
    ----------
    table : DataFrame
        Columns layer, n and filter_r, a row for each layer of each network.
    ax : Axes
    """
    names = table["layer"].unique()
    colours = sns.color_palette("viridis", len(names))
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = table[table["layer"] == name].sort_values("n")
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(rows["n"], rows["filter_r"], marker=marker, ms=4.5, lw=1.2, color=colour)
    ax.set(ylabel="r of a filter (median)")
    log_dimension_axis(ax)
    return ax


def plot_spread(table: pd.DataFrame, ax: Axes) -> Axes:
    """Standard deviation of the angle over a layer's filters, against n, log-log.

    Parameters
    ----------
    table : DataFrame
        Index layer; columns n, sd, sd_error, theory (of independent entries with the layer's own
        law) and uniform (of uniform ones), degrees.
    ax : Axes
    """
    ordered = table.sort_values("n")
    ax.plot(ordered["n"], ordered["uniform"], color="black", lw=1, label="uniform entries")
    ax.plot(table["n"], table["theory"], "k_", ms=11, label="independent, the layer's entries")
    ax.errorbar(
        table["n"],
        table["sd"],
        yerr=table["sd_error"],
        fmt="o",
        ms=5,
        color=VERMILION,
        label="layers",
    )
    for name, row in table.iterrows():
        ax.annotate(
            str(name), (row["n"], row["sd"]), xytext=(5, 4), textcoords="offset points", fontsize=8
        )
    ax.set(yscale="log", ylabel="s.d. of the angle (degrees)")
    log_dimension_axis(ax)
    ax.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend()
    return ax


def plot_components(share: pd.DataFrame, ax: Axes) -> Axes:
    """How much of the inputs' variance and of the weights lies along each principal component.

    Parameters
    ----------
    share : DataFrame
        Index component (from 1); a column for each curve, fractions that add up to one.
    ax : Axes
    """
    for column, (colour, marker, style) in zip(share, LOOKS, strict=False):
        ax.plot(
            share.index, share[column], color=colour, marker=marker, ms=4, ls=style, label=column
        )
    ax.set(yscale="log", xlabel="principal component of the inputs", ylabel="part of the whole")
    ax.legend()
    return ax


def plot_models(models: pd.DataFrame, ax: Axes) -> Axes:
    """Median r of a filter by layer, as parts of the covariance predict it.

    Parameters
    ----------
    models : DataFrame
        Index layer; a column for each model, the first of them what was measured.
    ax : Axes
    """
    x = np.arange(len(models))
    for column, (colour, marker, style) in zip(models, LOOKS, strict=False):
        ax.plot(x, models[column], color=colour, marker=marker, ms=5, ls=style, lw=1, label=column)
    ax.set_xticks(x, models.index)
    ax.set(ylabel="r of a filter (median)")
    ax.grid(axis="x", visible=False)
    return ax


def plot_directions(table: pd.DataFrame, ax: Axes) -> Axes:
    """Correlation of x·v with x·bin(v) against n for several kinds of directions v.

    Parameters
    ----------
    table : DataFrame
        A row per layer; n, and a column for each kind.
    ax : Axes
    """
    for kind, (colour, marker, _) in zip(table.columns.drop("n"), LOOKS, strict=False):
        ax.plot(table["n"], table[kind], marker, ms=6, mfc="none", color=colour, label=kind)
    ax.set(ylabel="r of x·v and x·bin(v) (median)")
    log_dimension_axis(ax)
    ax.legend()
    return ax


def plot_switched_layers(errors: pd.DataFrame, ax: Axes) -> Axes:
    """Test error when some layers compute with other weights, for several ways to treat the rest.

    Parameters
    ----------
    errors : DataFrame
        Per cent. Index: the layers that are switched, the first row none of them; a column for each
        way. The first number of all is drawn as a line.
    ax : Axes
    """
    x = range(len(errors))
    for column, (colour, marker, _) in zip(errors, LOOKS, strict=False):
        ax.plot(x, errors[column], marker, ms=6, mfc="none", color=colour, label=column)
    ax.axhline(errors.iloc[0, 0], color="black", lw=1, ls="--", label="all binary")
    ax.set_xticks(x, errors.index)
    ax.set(xlabel="layers that compute with latent weights", ylabel="test error (%)", ylim=(0, 100))
    return ax
