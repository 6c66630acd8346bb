"""Figures of the chapter on random vectors, over the one style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bnn_geometry.book.plots.style import BLUE, GREEN, GREY, LOOKS, VERMILION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnn_geometry.book.interactive import AngleHistograms


def plot_angle_histograms(
    histograms: AngleHistograms, ax: Axes, *, exact: tuple[bool, bool] = (True, True)
) -> Axes:
    """Figure 2 of the paper in one dimension: both angles, as densities, with their laws.

    Parameters
    ----------
    histograms : AngleHistograms
        From :func:`bnn_geometry.book.interactive.angle_histograms`.
    ax : Axes
    exact : (bool, bool)
        Whether the laws of the angle to the binarization and of that between two vectors are
        exact, drawn solid, or asymptotic, drawn dashed.
    """
    both = (
        (histograms.binarized, VERMILION, None, "vector and its binarization"),
        (histograms.pairs, BLUE, "////", "two random vectors"),
    )
    for (h, colour, hatch, label), is_exact in zip(both, exact, strict=True):
        edges = h.start + h.width * np.arange(len(h.counts) + 1)
        heights = h.counts / (h.counts.sum() * h.width)
        drawn = {"fill": True, "edgecolor": colour, "lw": 0.9}
        face = (*colour, 0.35)
        ax.stairs(heights, edges, facecolor=face, label=None if hatch else label, **drawn)
        if hatch:  # apart: an SVG would make it as transparent as the filling
            ax.stairs(heights, edges, facecolor="none", hatch=hatch, label=label, **drawn)
        if len(h.density):
            theta = h.density_start + h.density_step * np.arange(len(h.density))
            ax.plot(
                theta,
                h.density,
                color="black",
                lw=1.2,
                ls="-" if is_exact else (0, (3, 1.5)),
                label="exact law" if is_exact else "asymptotic law",
            )
    ax.axvline(histograms.limit, color="black", lw=1.1, ls=":", label="limit, n → ∞")
    ax.set_xlim(0, 180)
    ax.set_ylim(0, None)
    ax.set_xticks([0, 30, 60, 90, 120, 150, 180])
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    return ax


def merged_legend(axes: Sequence[Axes]) -> tuple[list[object], list[str]]:
    """Handles and labels of several panels, each label once."""
    seen: dict[str, object] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            seen.setdefault(label, handle)
    return list(seen.values()), list(seen)


def plot_trend(curves: Sequence[tuple[str, pd.DataFrame]], ax: Axes, *, ylabel: str) -> Axes:
    """Measured quantities against n on logarithmic axes, with their theory as lines.

    Parameters
    ----------
    curves : sequence of (label, DataFrame)
        Columns n, value, error (standard error) and theory. Values less than two errors above
        zero are left out: a logarithmic axis cannot show them.
    ax : Axes
    ylabel : str
    """
    for (label, table), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(table["n"], table["theory"], color=colour, lw=1.2, ls=style)
        seen = table[table["value"] > 2 * table["error"]]
        ax.errorbar(
            seen["n"],
            seen["value"],
            yerr=seen["error"],
            fmt=marker,
            ms=4.5,
            mfc="none",
            capsize=2,
            color=colour,
            label=label,
        )
    ax.set(xscale="log", yscale="log", ylabel=ylabel)
    return ax


def plot_residuals(curves: Sequence[tuple[str, pd.DataFrame]], ax: Axes) -> Axes:
    """Simulation minus theory in standard errors, against n; the band is ±2.

    Parameters
    ----------
    curves : sequence of (label, DataFrame)
        Columns n and z. Curves are moved apart a little, so that their points do not overlap.
    ax : Axes
    """
    ax.axhspan(-2, 2, color="0.92", lw=0)
    ax.axhline(0, color="black", lw=0.8)
    shifts = 1 + 0.12 * (np.arange(len(curves)) - (len(curves) - 1) / 2)
    for (label, table), (colour, marker, _), shift in zip(curves, LOOKS, shifts, strict=False):
        ax.plot(
            table["n"] * shift, table["z"], marker, ms=4.5, mfc="none", color=colour, label=label
        )
    largest = max(3.4, 1.1 * max(table["z"].abs().max() for _, table in curves))
    ax.set(xscale="log", xlabel="dimension n", ylabel="difference / s.e.")
    ax.set_ylim(-largest, largest)
    ax.set_yticks([-2, 0, 2])
    return ax


def plot_overlap(
    exact: pd.DataFrame, simulated: Sequence[tuple[str, pd.DataFrame]], ax: Axes
) -> Axes:
    """How often the two angles are mistaken for each other, where simulation can see it.

    Parameters
    ----------
    exact : DataFrame
        Index n; columns overlap and closer, probabilities.
    simulated : sequence of three (label, DataFrame)
        Overlap and closer for the law that is exact, closer for another. Columns n, value, error;
        values of zero are left out.
    ax : Axes
    """
    for column, (colour, _, style) in zip(("overlap", "closer"), LOOKS, strict=False):
        ax.plot(exact.index, exact[column], color=colour, ls=style, lw=1.2)
    for (label, table), (colour, marker, _) in zip(simulated, LOOKS, strict=False):
        seen = table[table["value"] > 0]
        # a bar down to zero would leave the axis
        low = np.minimum(seen["error"], 0.8 * seen["value"])
        ax.errorbar(
            seen["n"],
            seen["value"],
            yerr=[low, seen["error"]],
            fmt=marker,
            ms=5,
            mfc="none",
            capsize=2,
            color=colour,
            label=label,
        )
    ax.set(yscale="log", xlabel="dimension n", ylabel="probability")
    ax.legend(fontsize="small")
    return ax


def plot_orders(
    curves: Sequence[tuple[str, NDArray, NDArray]], ax: Axes, *, marks: Sequence[int]
) -> Axes:
    """Tiny probabilities against n: both axes logarithmic in n and in the number of zeros.

    Parameters
    ----------
    curves : sequence of (label, n, -log10 of the probability)
    ax : Axes
    marks : sequence of int
        Dimensions of the paper's layers, drawn as vertical lines.
    """
    for i, n in enumerate(marks):
        ax.axvline(n, color=GREY, lw=0.8, ls=":", label="the paper's layers" if not i else None)
    for (label, n, zeros), (colour, _, style) in zip(curves, LOOKS, strict=False):
        ax.plot(n, zeros, color=colour, ls=style, lw=1.6, label=label)
    ax.set(xscale="log", yscale="log", xlabel="dimension n")
    ticks = [0.3, 1, 10, 100, 1000]
    powers = ["0.5", "0.1", "10⁻¹⁰", "10⁻¹⁰⁰", "10⁻¹⁰⁰⁰"]
    ax.set_yticks(ticks, powers)
    ax.yaxis.set_minor_locator(NullLocator())
    ax.invert_yaxis()
    ax.legend(fontsize="small", loc="lower left")
    return ax


def plot_nearest(table: pd.DataFrame, ax: Axes, *, bound: float) -> Axes:
    """Angle to the nearest binary vector against n, for three kinds of directions.

    Parameters
    ----------
    table : DataFrame
        Column n; ``uniform``, ``low`` and ``high``, mean and quantiles for directions drawn
        uniformly; ``tenth`` and ``axis``, those that share a tenth of the entries and the worst;
        ``pair``, 90° less two standard deviations of the angle between two vectors. Degrees.
    ax : Axes
    bound : float
        Angle to mark, degrees.
    """
    n = table["n"]
    ax.fill_between(n, table["pair"], 90, color="0.88", lw=0, label="two random vectors, 2 s.d.")
    ax.plot(n, table["axis"], color=BLUE, ls="--", marker="s", ms=4, label="an axis (worst)")
    ax.plot(n, table["tenth"], color=GREEN, ls="-.", marker="^", ms=4, label="a tenth of the axes")
    ax.fill_between(n, table["low"], table["high"], color=(*VERMILION, 0.3), lw=0)
    ax.plot(n, table["uniform"], color=VERMILION, marker="o", ms=4, label="drawn uniformly")
    ax.axhline(bound, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", xlabel="dimension n", ylabel="angle to the nearest (degrees)")
    ax.set_ylim(0, 92)
    ax.set_yticks([0, 30, 45, 60, 90])
    return ax


def plot_sparse(
    curves: Sequence[tuple[str, NDArray, NDArray]],
    simulated: pd.DataFrame,
    ax: Axes,
    *,
    pair: float,
    bound: float,
) -> Axes:
    """Angle to the nearest binary vector against the fraction of entries that are not zero.

    Parameters
    ----------
    curves : sequence of (label, fraction, angle in degrees)
    simulated : DataFrame
        Columns fraction, angle, error (standard error), of the first curve.
    ax : Axes
    pair : float
        90° less two standard deviations of the angle between two vectors.
    bound : float
        Angle to mark, degrees.
    """
    ax.axhspan(pair, 90, color="0.88", lw=0)
    for (label, fraction, angle), (colour, _, style) in zip(curves, LOOKS, strict=False):
        ax.plot(fraction, angle, color=colour, ls=style, lw=1.4, label=label)
    ax.errorbar(
        simulated["fraction"],
        simulated["angle"],
        yerr=simulated["error"],
        fmt="o",
        ms=4.5,
        mfc="none",
        color=VERMILION,
    )
    ax.axhline(bound, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", xlabel="part of the entries that is not zero")
    ax.set_ylim(0, 92)
    ax.set_yticks([0, 30, 45, 60, 90])
    ax.legend(loc="lower left")
    return ax


def plot_limits(
    curve: tuple[NDArray, NDArray],
    laws: Mapping[str, tuple[float, float]],
    layers: Sequence[tuple[str, pd.DataFrame]],
    ax: Axes,
    *,
    labels: Mapping[str, tuple[float, float]] | None = None,
) -> Axes:
    """Angle to the binarization against E|w|/√E[w²]: all entries lie on one curve.

    Parameters
    ----------
    curve : (ratio, angle in degrees)
    laws : mapping
        Name → (ratio, simulated angle).
    layers : sequence of (label, DataFrame)
        Trained weights; columns ratio, angle and error (standard error), one row per layer.
    ax : Axes
    labels : mapping, optional
        Name → offset of its text from the point, in points; others stand to the right.
    """
    ax.plot(*curve, color="black", lw=1.2, label="arccos(E|w| / √E w²)")
    ax.plot(*zip(*laws.values(), strict=True), "o", ms=6, mfc="none", color=VERMILION,
            label="simulated")  # fmt: skip
    for name, point in laws.items():
        offset = (labels or {}).get(name, (7, 2))
        ax.annotate(
            name,
            point,
            xytext=offset,
            textcoords="offset points",
            fontsize="small",
            ha="left" if offset[0] >= 0 else "right",
        )
    for (label, table), (colour, marker) in zip(layers, ((GREY, "s"), (BLUE, "^")), strict=False):
        ax.errorbar(
            table["ratio"],
            table["angle"],
            yerr=table["error"],
            fmt=marker,
            ms=6,
            mfc="none",
            capsize=2,
            color=colour,
            label=label,
        )
    ax.set(xlabel="E|w| / √E w²")
    return ax


def plot_convergence(curves: Sequence[tuple[str, pd.DataFrame, float]], ax: Axes) -> Axes:
    """Mean angle to the binarization against n, with its theory and its limit.

    Parameters
    ----------
    curves : sequence of (label, DataFrame, limit in degrees)
        Columns n, angle, angle_se, angle_theory.
    ax : Axes
    """
    for (label, table, limit), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(table["n"], table["angle_theory"], color=colour, ls=style, lw=1.2)
        ax.errorbar(
            table["n"],
            table["angle"],
            yerr=table["angle_se"],
            fmt=marker,
            ms=4.5,
            mfc="none",
            color=colour,
            label=label,
        )
        ax.plot([table["n"].max() * 1.6], [limit], marker="_", ms=12, mew=2, color=colour)
    ax.set(xscale="log", xlabel="dimension n", ylabel="mean angle (degrees)")
    ax.set_ylim(0, 92)
    ax.set_yticks([0, 30, 45, 60, 90])
    return ax


def plot_tails(
    curves: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]],
    pair: tuple[NDArray, NDArray],
    ax: Axes,
) -> Axes:
    """Mean cosine with the binarization against n, for heavier and heavier tails.

    Parameters
    ----------
    curves : sequence of (label, exact, simulated)
        Columns n and cosine; simulated with cosine_se too.
    pair : (n, standard deviation of the cosine of two random vectors)
    ax : Axes
    """
    for (label, exact, simulated), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(exact["n"], exact["cosine"], color=colour, ls=style, lw=1.2)
        ax.errorbar(
            simulated["n"],
            simulated["cosine"],
            yerr=simulated["cosine_se"],
            fmt=marker,
            ms=4.5,
            mfc="none",
            color=colour,
            label=label,
        )
    ax.fill_between(*pair, 1e-9, color="0.88", lw=0, label="two random vectors, 1 s.d.")
    ax.set(xscale="log", yscale="log", xlabel="dimension n", ylabel="mean cosine")
    ax.set_xlim(pair[0][0], pair[0][-1])
    ax.set_ylim(0.8 * pair[1][-1], 1.2)
    return ax
