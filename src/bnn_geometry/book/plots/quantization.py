"""Figures of the chapter on more than one bit and on rotations; style and rules as in plots.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from bnn_geometry.book.plots.style import BLUE, GREY, LOOKS, ORANGE, VERMILION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnn_geometry.geometry.rotation import RotationSample

ROTATIONS = {
    "plain": ("not rotated", VERMILION, "o", "-"),
    "haar": ("Haar-random rotation", BLUE, "s", "--"),
    "hadamard": ("random signs + Hadamard", ORANGE, "^", "-."),
}
"""Label, colour, marker and line of each way to binarize."""


def plot_ternary(
    curves: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]],
    ax: Axes,
    *,
    best: Sequence[tuple[float, float]],
    rule: float,
    point: tuple[float, float, str],
) -> Axes:
    """Angle of ternarization against the threshold: laws as lines, simulations as points.

    Parameters
    ----------
    curves : sequence of (label, law, simulated)
        DataFrames with columns threshold and angle; simulated with angle_se too, degrees.
    ax : Axes
    best : sequence of (threshold, angle)
        Minimum of each curve, drawn as a star.
    rule : float
        Threshold of a rule, drawn as a vertical line.
    point : (threshold, angle, label)
        One more point to mark.
    """
    for (label, law, simulated), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(law["threshold"], law["angle"], color=colour, ls=style, lw=1.4, label=label)
        ax.errorbar(
            simulated["threshold"],
            simulated["angle"],
            yerr=simulated["angle_se"],
            fmt=marker,
            ms=4.5,
            color=colour,
        )
    ax.plot(*zip(*best, strict=True), "*", ms=13, color="black", mfc="none", label="best threshold")
    ax.plot(*point[:2], "D", ms=8, color="black", mfc="none", label=point[2])
    ax.axvline(rule, color="black", lw=1, ls=":", label=f"threshold {rule:g} E|w|")
    ax.set(xlabel="threshold / E|w|", ylabel="angle to the ternary vector (degrees)")
    ax.set_xlim(0, None)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def plot_bits(
    curves: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]],
    ax: Axes,
    *,
    bound: tuple[NDArray, NDArray],
) -> Axes:
    """Angle against bits per weight, with the rate-distortion bound.

    Parameters
    ----------
    curves : sequence of (label, exact, simulated)
        DataFrames with columns bits and angle; simulated with angle_se too, degrees.
    ax : Axes
    bound : (bits, angle)
    """
    ax.plot(*bound, color="black", lw=1.6, label="bound, Gaussian entries")
    ax.fill_between(*bound, 1, color="0.93", lw=0)
    for (label, exact, simulated), (colour, marker, style) in zip(curves, LOOKS, strict=False):
        ax.plot(exact["bits"], exact["angle"], color=colour, ls=style, lw=1.2)
        ax.errorbar(
            simulated["bits"],
            simulated["angle"],
            yerr=simulated["angle_se"],
            fmt=marker,
            ms=6,
            color=colour,
            mfc="none",
            label=label,
        )
    ax.set(xlabel="bits per weight", ylabel="angle (degrees)", yscale="log")
    ax.set_xlim(bound[0][0], bound[0][-1])
    ax.set_ylim(3, 60)
    ticks = [3, 5, 10, 20, 30, 45, 60]
    ax.set_yticks(ticks, [str(t) for t in ticks])
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="lower left")
    return ax


def plot_rotation_histogram(
    sample: RotationSample, ax: Axes, *, pairs: NDArray, limit: float
) -> Axes:
    """Angles to the binarization with and without rotation, and between pairs, as densities.

    Parameters
    ----------
    sample : RotationSample
    ax : Axes
    pairs : ndarray
        Angles between independent vectors, degrees; no rotation changes them.
    limit : float
        Angle to the binarization of a direction drawn uniformly, n → ∞, degrees.
    """
    bins = np.arange(0, 181, 1.5)
    sns.histplot(
        x=pairs,
        bins=bins,
        stat="density",
        element="step",
        color=GREY,
        alpha=0.25,
        label="two vectors",
        ax=ax,
    )
    for name, (label, colour, _, style) in ROTATIONS.items():
        sns.histplot(
            x=np.degrees(np.arccos(getattr(sample, name).ravel())),
            bins=bins,
            stat="density",
            element="step",
            fill=False,
            color=colour,
            ls=style,
            lw=1.6,
            label=label,
            ax=ax,
        )
    ax.axvline(limit, color="black", lw=1, ls=":", label="limit for uniform directions")
    ax.set(title=f"n = {sample.n}", xlabel="angle (degrees)", ylabel="density (per degree)")
    ax.set_xlim(0, 180)
    ax.set_xticks([0, 30, 60, 90, 120, 150, 180])
    return ax


def plot_rotation_kinds(table: pd.DataFrame, ax: Axes) -> Axes:
    """Angle of each kind of vector to its binarization, rotated and not.

    Parameters
    ----------
    table : DataFrame
        Index: kind of vector. Columns ``plain``, ``haar``, ``hadamard`` and the same with ``_se``:
        angle of the mean cosine and its standard error, degrees.
    ax : Axes
    """
    rows = np.arange(len(table))
    for shift, (name, (label, colour, marker, _)) in zip(
        (-0.2, 0.0, 0.2), ROTATIONS.items(), strict=True
    ):
        ax.errorbar(
            table[name],
            rows + shift,
            xerr=table[f"{name}_se"],
            fmt=marker,
            ms=6,
            color=colour,
            label=label,
        )
    ax.set_yticks(rows, table.index)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="angle to the binarization (degrees)", xlim=(-3, 93))
    ax.set_xticks([0, 30, 45, 60, 90])
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax
