"""Figures of the chapter on training, over the one style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from bnn_geometry.book.plots.style import BLUE, GREY, LOOKS, MARKERS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def plot_errors(curves: Sequence[tuple[str, pd.DataFrame]], ax: Axes, *, title: str) -> Axes:
    """Test error of several runs by epoch, and their training error as thin lines.

    Parameters
    ----------
    curves : sequence of up to six (label, history)
        Columns epoch, train_error, test_error (fractions).
    ax : Axes
    title : str
    """
    for (label, history), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(
            history["epoch"],
            100 * history["test_error"],
            marker=marker,
            ms=4.5,
            color=colour,
            ls=style,
            label=label,
        )
        ax.plot(history["epoch"], 100 * history["train_error"], color=colour, lw=0.7, ls=style)
    ax.set(title=title, xlabel="epoch", ylabel="error (%)", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_seeds(runs: pd.DataFrame, ax: Axes, *, title: str) -> Axes:
    """Test error by epoch of several networks, each trained from several seeds.

    A line for the mean over seeds with marks, a band from the least to the largest.

    Parameters
    ----------
    runs : DataFrame
        A row per run and epoch: network (label of the line, up to six of them), seed, epoch,
        test_error (fraction).
    ax : Axes
    title : str
    """
    names = list(runs["network"].unique())
    for name, (colour, marker, style) in zip(names, LOOKS, strict=False):
        sns.lineplot(
            runs[runs["network"] == name].assign(percent=lambda table: 100 * table["test_error"]),
            x="epoch",
            y="percent",
            estimator="mean",
            errorbar=("pi", 100),
            color=colour,
            marker=marker,
            ms=6,
            ls=style,
            label=name,
            ax=ax,
        )
    ax.set(title=title, xlabel="epoch", ylabel="test error (%)", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def plot_ablations(summary: pd.DataFrame, ax: Axes) -> Axes:
    """What each variant of a recipe adds to the validation error.

    Parameters
    ----------
    summary : DataFrame
        Index variant; difference and difference_se, percentage points, NaN where unknown. See
        :func:`bnn_geometry.studies.ablations.summarize`.
    ax : Axes
    """
    rows = np.arange(len(summary))
    ax.axvline(0, color="black", lw=1)
    ax.errorbar(
        summary["difference"],
        rows,
        xerr=summary["difference_se"].fillna(0),
        fmt="o",
        ms=6,
        capsize=3,
        color=BLUE,
    )
    ax.set_yticks(rows, summary.index)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="validation error minus that of the reference (points)")
    return ax


def plot_latent_histograms(
    histograms: pd.DataFrame, axes: Sequence[Axes], *, start: float | None = None
) -> None:
    """Density of each layer's latent weights on a logarithmic scale, a panel for each layer.

    Parameters
    ----------
    histograms : DataFrame
        Columns layer, left, right, density; see
        :func:`bnn_geometry.probing.weights.latent_histograms`.
    axes : sequence of Axes
        At least one for each layer.
    start : float, optional
        Density at which all began, drawn as a dashed line.
    """
    for (name, table), ax in zip(histograms.groupby("layer", sort=False), axes, strict=False):
        edges = [*table["left"], table["right"].iloc[-1]]
        ax.stairs(table["density"], edges, fill=True, color=(*BLUE, 0.5), ec=BLUE)
        if start is not None:
            ax.axhline(start, color="black", lw=1, ls="--")
        ax.set(title=name, yscale="log")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_xticks([-1, 0, 1])


def plot_by_layer(table: pd.DataFrame, ax: Axes, *, column: str, ylabel: str) -> Axes:
    """A quantity of every layer by epoch.

    Parameters
    ----------
    table : DataFrame
        Columns epoch, layer and the named one.
    ax : Axes
    column : str
    ylabel : str
    """
    names = table["layer"].unique()
    colours = sns.color_palette("viridis", len(names))
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = table[table["layer"] == name]
        ax.plot(
            rows["epoch"],
            rows[column],
            marker=MARKERS[i % len(MARKERS)],
            ms=4.5,
            lw=1.2,
            color=colour,
            label=name,
        )
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax


def plot_filters(filters: NDArray, axes: Sequence[Axes]) -> None:
    """Filters of the first layer as pictures, the latent ones above the binary ones.

    Parameters
    ----------
    filters : ndarray, shape (columns, 2, 3, h, w)
        Latent and binary weights of each filter in [−1, 1]: −1 is shown as none of a colour, +1 as
        all of it.
    axes : sequence of two Axes
        For the row of latent filters and that of binary ones.
    """
    columns, _, _, h, w = filters.shape
    for kind, (ax, label) in enumerate(zip(axes, ("latent", "binary"), strict=True)):
        picture = np.ones((h, columns * (w + 1) - 1, 3))
        for i in range(columns):
            picture[:, i * (w + 1) : i * (w + 1) + w] = (
                filters[i, kind].transpose(1, 2, 0) + 1
            ) / 2
        ax.imshow(picture, interpolation="nearest")
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.grid(False)


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
