"""Figures of the chapter on pretrained networks, over the one style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bnn_geometry.book.plots.style import BLUE, GREEN, LOOKS, ORANGE, VERMILION


def plot_scales(scales: pd.DataFrame, ax: Axes, *, ratios: Mapping[str, float]) -> Axes:
    """The best scale of every filter against the root mean square of its weights, log-log.

    Parameters
    ----------
    scales : DataFrame
        From :func:`bnn_geometry.networks.magnitudes.scales`.
    ax : Axes
    ratios : mapping
        Label → α/rms of a law of the entries, drawn as a line.
    """
    dense = scales["layer"].str.startswith("fc")
    for label, rows, colour, marker in (
        ("convolutions", scales[~dense], BLUE, "o"),
        ("dense layers", scales[dense], ORANGE, "^"),
    ):
        ax.plot(
            rows["rms"], rows["alpha"], marker, ms=4, mfc="none", mew=0.8, color=colour, label=label
        )
    ends = np.array([scales["rms"].min(), scales["rms"].max()])
    for (label, ratio), style in zip(ratios.items(), ("-", "--", ":"), strict=False):
        ax.plot(ends, ratio * ends, color="black", lw=1.2, ls=style, label=label)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="root mean square of a filter's weights",
        ylabel="best scale α of the filter",
    )
    ax.legend(fontsize="small")
    return ax


def plot_residuals(scales: pd.DataFrame, expected: pd.DataFrame, ax: Axes) -> Axes:
    """What the best scale leaves over in every filter, by layer, beside independent entries.

    Parameters
    ----------
    scales : DataFrame
        From :func:`bnn_geometry.networks.magnitudes.scales`.
    expected : DataFrame
        From :func:`bnn_geometry.networks.magnitudes.expected_residuals`.
    ax : Axes
    """
    sns.boxplot(
        data=scales,
        x="layer",
        y="residual",
        order=list(expected.index),
        color="0.85",
        linecolor="0.35",
        fliersize=2,
        width=0.6,
        ax=ax,
    )
    x = np.arange(len(expected))
    ax.errorbar(
        x,
        expected["own"],
        yerr=expected["own_sd"],
        fmt="D",
        ms=5,
        capsize=3,
        color=VERMILION,
        label="the layer's own law (± s.d.)",
    )
    for column, label, style, colour in (
        ("gaussian", "Gaussian entries", "--", GREEN),
        ("uniform", "uniform entries", ":", BLUE),
    ):
        ax.plot(x, expected[column], color=colour, lw=1.6, ls=style, label=label)
    ax.set(xlabel="", ylabel="residual $\\sin^2\\theta$ of a filter")
    ax.set_ylim(bottom=0)
    ax.tick_params(axis="x", labelsize="small", rotation=45)
    ax.grid(axis="x", visible=False)
    ax.legend(fontsize="small", loc="lower right")
    return ax


def plot_magnitudes(
    histograms: Sequence[tuple[str, pd.DataFrame]],
    axes: NDArray,
    *,
    laws: Mapping[str, tuple[NDArray, NDArray]],
) -> None:
    """Densities of ``|w|`` in every layer of one or more networks, in units of the filter's mean.

    Parameters
    ----------
    histograms : sequence of (label, DataFrame)
        From :func:`bnn_geometry.networks.magnitudes.magnitude_histograms`, of networks of the
        same layers.
    axes : ndarray of Axes
        At least one for each layer.
    laws : mapping
        Label → (values, densities), drawn as a thin black line.
    """
    for name, ax in zip(histograms[0][1]["layer"].unique(), axes.flat, strict=False):
        for (label, table), (colour, _, style) in zip(histograms, LOOKS, strict=False):
            rows = table[table["layer"] == name]
            edges = [*rows["left"], rows["right"].iloc[-1]]
            ax.stairs(rows["density"], edges, color=colour, ls=style, lw=1.8, label=label)
        for (label, (t, density)), style in zip(laws.items(), ((0, (5, 2)), ":"), strict=False):
            ax.plot(t, density, color="black", lw=1, ls=style, label=label)
        ax.set(title=name, xlim=(0, edges[-1]))
        ax.set_ylim(bottom=0)


def plot_turns(
    groups: Mapping[str, pd.DataFrame], ax: Axes, *, start: float, chance: float
) -> Axes:
    """Test error, batch norm refitted, against the angle by which the weights were turned.

    Parameters
    ----------
    groups : mapping
        Label → DataFrame with columns angle (degrees), refitted and refitted_error (per cent) and
        an index of names, which are written beside the points.
    ax : Axes
    start, chance : float
        Errors of the network as it was and of guessing, drawn as lines.
    """
    for i, ((label, table), (colour, marker, _)) in enumerate(
        zip(groups.items(), LOOKS, strict=False)
    ):
        ax.errorbar(
            table["angle"],
            table["refitted"],
            yerr=table["refitted_error"],
            fmt=marker,
            ms=7,
            color=colour,
            mfc="none" if i else colour,
            label=label,
        )
        for name, row in table.iterrows():
            if name:
                ax.annotate(
                    str(name),
                    (row["angle"], row["refitted"]),
                    xytext=(6, 6),
                    textcoords="offset points",
                    fontsize="x-small",
                )
    ax.axhline(start, color="black", lw=1.2, ls="-", label="trained continuous")
    ax.axhline(chance, color="black", lw=1.2, ls=":", label="guessing")
    ax.set(
        xlabel="median angle by which a filter was turned (degrees)",
        ylabel="test error (%)",
        xlim=(-3, 98),
        ylim=(0, 100),
    )
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def plot_layer_errors(table: pd.DataFrame, ax: Axes, *, references: Mapping[str, float]) -> Axes:
    """Test error with one layer binary, or the layers up to one, before and after refitting.

    Parameters
    ----------
    table : DataFrame
        Index layer; kept, refitted and their standard errors kept_error, refitted_error: per cent.
    ax : Axes
    references : mapping
        Label → test error in per cent, drawn as horizontal lines.
    """
    x = np.arange(len(table))
    for column, label, marker, colour, style in (
        ("kept", "batch norm as trained", "o", VERMILION, ":"),
        ("refitted", "batch norm refitted", "s", BLUE, "-"),
    ):
        ax.errorbar(
            x,
            table[column],
            yerr=table[f"{column}_error"],
            fmt=marker,
            ls=style,
            lw=1,
            ms=6,
            mfc="none",
            color=colour,
            label=label,
        )
    for (label, error), style in zip(references.items(), ("-", "--", ":"), strict=False):
        ax.axhline(error, color="black", lw=1.2, ls=style, label=label)
    ax.set_xticks(x, table.index, fontsize="small", rotation=45)
    ax.set(ylabel="test error (%)", ylim=(0, 100))
    ax.grid(axis="x", visible=False)
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
