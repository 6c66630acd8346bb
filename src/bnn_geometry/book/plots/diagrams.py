"""The figures of the theory chapter, among them Figure 1 of the paper, drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch
from numpy.typing import NDArray

from bnn_geometry.book.plots.style import BLUE, GREEN, PURPLE, VERMILION

FORWARD = {"color": BLUE, "ls": "-"}
BACKWARD = {"color": VERMILION, "ls": (0, (4, 2))}
SERIES = (("o", "-", BLUE), ("s", "--", VERMILION), ("^", ":", GREEN), ("D", "-.", PURPLE))
"""Marker, line style and colour of the series of one plot: none is told by colour alone."""


def _tensor(ax: Axes, x: float, y: float, name: str) -> None:
    # an oval: the tensor above, the derivative of the cost with respect to it below
    ax.add_patch(Ellipse((x, y), 1.1, 1.24, facecolor="white", edgecolor="black", lw=1.2))
    ax.text(x, y + 0.25, f"${name}$", ha="center", va="center", fontsize=15)
    ax.text(x, y - 0.25, f"$\\delta {name}$", ha="center", va="center", fontsize=13, color="0.3")


def _box(ax: Axes, x: float, y: float, text: str) -> None:
    style = {"boxstyle": "square,pad=0", "facecolor": "white", "edgecolor": "black", "lw": 1.2}
    ax.add_patch(FancyBboxPatch((x - 0.66, y - 0.45), 1.32, 0.9, **style))
    ax.text(x, y, text, ha="center", va="center", fontsize=11.5, linespacing=1.25)


def _arrows(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    # forward (solid) and backward (dashed) beside each other; both are drawn apart by 0.1
    (x0, y0), (x1, y1) = start, end
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = -(y1 - y0) / length * 0.1, (x1 - x0) / length * 0.1
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 12, "lw": 1.5}
    ax.annotate("", (x1 + dx, y1 + dy), (x0 + dx, y0 + dy), arrowprops=style | FORWARD)
    ax.annotate("", (x0 - dx, y0 - dy), (x1 - dx, y1 - dy), arrowprops=style | BACKWARD)


def plot_transformer(ax: Axes) -> Axes:
    """Figure 1a: the binary convolution transformer, one layer of a binary network.

    Ovals are tensors, each with the derivative of the cost with respect to it; boxes are
    functions; the green field is the transformer. Nothing is computed.

    Parameters
    ----------
    ax : Axes
        About 2.4 times as wide as high; its axes are switched off.
    """
    field = {"boxstyle": "round,pad=0,rounding_size=0.2", "fc": "#e3f1e6", "ec": "none"}
    ax.add_patch(FancyBboxPatch((1.5, 0.0), 6.85, 3.75, **field))
    column = (0.65, 2.4, 4.1, 5.75, 7.4, 9.2)
    low, high = 0.85, 2.75
    for x, y, name in (
        (column[0], low, "x^b"),
        (column[1], high, "w^b"),
        (column[3], high, "w^c"),
        (column[3], low, "x^c"),
        (column[5], low, "x^b"),
    ):
        _tensor(ax, x, y, name)
    for x, y, text in (
        (column[1], low, "convolve"),
        (column[2], low, "pool,\nbatch norm"),
        (column[2], high, "binarize"),
        (column[4], low, "binarize"),
    ):
        _box(ax, x, y, text)
    oval, box = 0.57, 0.68  # half a width, and a little
    for i, (left, right) in enumerate(
        ((oval, box), (box, box), (box, oval), (oval, box), (box, oval))
    ):
        _arrows(ax, (column[i] + left, low), (column[i + 1] - right, low))
    _arrows(ax, (column[3] - oval, high), (column[2] + box, high))
    _arrows(ax, (column[2] - box, high), (column[1] + oval, high))
    _arrows(ax, (column[1], high - 0.64), (column[1], low + 0.47))
    ax.plot([], [], lw=1.5, label="forward", **FORWARD)
    ax.plot([], [], lw=1.5, label="backward", **BACKWARD)
    ax.legend(loc="upper right", bbox_to_anchor=(0.86, 0.98), fontsize=11.5)
    ax.text(6.5, high - 0.42, "accumulates\nthe steps", va="center", fontsize=11.5)
    ax.set_xlim(0.05, 9.8)
    ax.set_ylim(-0.05, 3.8)
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def plot_estimator(
    x: NDArray, forward: NDArray, backward: NDArray, ax: Axes, *, title: str
) -> Axes:
    """Figure 1b: what a binarize transformer computes, and what is differentiated in its place.

    Parameters
    ----------
    x, forward, backward : ndarray, shape (points,)
        The input, bin(input), and the function whose derivative the backward pass uses.
    ax : Axes
    title : str
    """
    ax.plot(x, backward, lw=2, label="backward: differentiated", **BACKWARD)
    for side in (x <= 0, x > 0):  # two pieces: a step has no riser
        ax.plot(x[side], forward[side], lw=2.2, **FORWARD)
    jump = {"color": BLUE, "ls": "", "marker": "o", "ms": 6}
    ax.plot([0], [-1], **jump)  # bin(0) = −1
    ax.plot([0], [1], mfc="white", **jump)
    ax.plot([], [], lw=2.2, label="forward: bin", **FORWARD)
    ax.set(title=title, xlabel="input", ylabel="output", ylim=(-2.2, 2.7))
    ax.set_yticks([-2, -1, 0, 1, 2])
    ax.legend(loc="upper left")
    return ax


def plot_small_network(
    inputs: NDArray,
    hidden_weights: NDArray,
    sums: NDArray,
    output_weights: NDArray,
    output: float,
    ax: Axes,
    *,
    title: str,
    flipped: Sequence[tuple[int, int]] = (),
) -> Axes:
    """A network of one hidden layer with its numbers; a line's style is its binary weight.

    Parameters
    ----------
    inputs : ndarray, shape (n,)
    hidden_weights : ndarray, shape (units, n)
        Latent; their values stand on the lines.
    sums : ndarray, shape (units,)
        Dot products of the hidden units; the sign of each is what the unit passes on.
    output_weights : ndarray, shape (units,)
        Latent.
    output : float
    ax : Axes
        Its axes are switched off.
    title : str
    flipped : sequence of (unit, input), optional
        Hidden weights that are drawn with emphasis.
    """
    rows = np.linspace(1, -1, len(inputs))
    units = np.linspace(0.72, -0.72, len(sums))
    styles = {True: {"color": BLUE, "ls": "-"}, False: {"color": VERMILION, "ls": (0, (5, 2))}}

    def edge(start: tuple[float, float], end: tuple[float, float], weight: float, at: float, lw):
        style = styles[bool(weight > 0)]
        ax.plot([start[0], end[0]], [start[1], end[1]], lw=lw, zorder=1, **style)
        x, y = (s + at * (e - s) for s, e in zip(start, end, strict=True))
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        text = f"{weight:+.2g}".replace("-", "−")
        strong = "bold" if lw > 2 else "normal"
        ax.text(x, y, text, ha="center", va="center", fontsize=10.5, bbox=box, fontweight=strong)

    def node(x: float, y: float, text: str, radius: float = 0.29) -> None:
        ax.add_patch(Circle((x, y), radius, facecolor="white", edgecolor="black", lw=1.2, zorder=2))
        ax.text(x, y, text, ha="center", va="center", fontsize=11, zorder=3, linespacing=1.3)

    for j, unit in enumerate(units):
        for i, row in enumerate(rows):
            wide = 3.4 if (j, i) in flipped else 1.4
            edge((0, row), (2.1, unit), hidden_weights[j, i], 0.25, wide)
        edge((2.1, unit), (3.8, 0), output_weights[j], 0.52, 1.4)
    for row, value in zip(rows, inputs, strict=True):
        node(0, row, f"{value:+.0f}".replace("-", "−"))
    for unit, total in zip(units, sums, strict=True):
        sign = "+1" if total > 0 else "−1"
        node(2.1, unit, f"$a$ = {total:.0f}\n$h$ = {sign}".replace("-", "−"), 0.4)
    node(3.8, 0, f"$o$ = {output:.0f}".replace("-", "−"), 0.4)
    ax.plot([], [], lw=1.4, label="$w^b = +1$", **styles[True])
    ax.plot([], [], lw=1.4, label="$w^b = -1$", **styles[False])
    ax.legend(loc="lower right", bbox_to_anchor=(1.02, -0.06))
    ax.set(title=title, xlim=(-0.4, 4.3), ylim=(-1.4, 1.4), aspect="equal")
    ax.axis("off")
    return ax


def plot_pair_law(
    cosines: NDArray, grid: NDArray, probability: NDArray, ax: Axes, *, title: str
) -> Axes:
    """Cosine between random ±1 vectors: how often each value occurred, and its exact probability.

    Parameters
    ----------
    cosines : ndarray, shape (samples,)
        Simulated.
    grid, probability : ndarray, shape (values,)
        Possible values, or an interval of them, and their exact probabilities.
    ax : Axes
    title : str
    """
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    share = np.histogram(cosines, bins=edges)[0] / len(cosines)
    ax.stairs(share, edges, fill=True, color=BLUE, alpha=0.5, label="simulated")
    ax.plot(grid, probability, "k.-", ms=4, lw=0.8, label="exact law")
    ax.set(title=title, xlabel="cosine of the angle", ylabel="probability")
    return ax


def plot_direction_law(
    angles: NDArray, grid: NDArray, density: NDArray, ax: Axes, *, title: str
) -> Axes:
    """Angle between random directions: histogram and exact density.

    Parameters
    ----------
    angles : ndarray, shape (samples,)
        Simulated, degrees.
    grid, density : ndarray, shape (points,)
        Angles in degrees and the density per degree; the histogram covers the same range.
    ax : Axes
    title : str
    """
    bins = np.linspace(grid[0], grid[-1], 41)
    share = np.histogram(angles, bins=bins)[0] / len(angles)
    ax.stairs(share / np.diff(bins), bins, fill=True, color=BLUE, alpha=0.5, label="simulated")
    ax.plot(grid, density, color="black", lw=1.3, label="exact law")
    ax.set(title=title, xlabel="angle (degrees)", ylabel="density (per degree)")
    ax.set_xlim(grid[0], grid[-1])
    return ax


def plot_largest_cosines(table: pd.DataFrame, ax: Axes) -> Axes:
    """Largest cosine among N random ±1 vectors against N, for a few dimensions.

    Parameters
    ----------
    table : DataFrame
        Columns n, N, ``mean``, ``low`` and ``high`` over independent sets, and ``law``.
    ax : Axes
    """
    for (n, rows), (marker, style, colour) in zip(table.groupby("n"), SERIES, strict=False):
        ax.plot(rows["N"], rows["law"], color=colour, lw=1.2, ls=style)
        spread = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        ax.errorbar(
            rows["N"], rows["mean"], yerr=spread, fmt=marker, ms=5, color=colour, label=f"n = {n:,}"
        )
    ax.plot([], [], color="black", lw=1.2, label="law (median)")
    ax.set(xscale="log", xlabel="number of vectors N", ylabel="largest |cosine|")
    ax.set_ylim(0, 1.5 * table["high"].max())  # room for the legend
    ax.legend(loc="upper left", ncols=2)
    return ax


def plot_capacity(table: pd.DataFrame, ax: Axes, *, title: str) -> Axes:
    """How many almost orthogonal vectors fit, against n, on logarithmic axes.

    Parameters
    ----------
    table : DataFrame
        Index n; one column for each curve, decadic logarithms of numbers of vectors. Its name is
        the curve's label.
    ax : Axes
    title : str
    """
    for name, (marker, style, colour) in zip(table.columns, SERIES, strict=False):
        ax.plot(table.index, table[name], style, marker=marker, ms=5, color=colour, label=name)
    ax.set(xscale="log", yscale="log", title=title, xlabel="dimension n")
    ax.set(ylabel="log₁₀ of the number of vectors")
    ax.set_ylim(top=30 * table.max().max())  # room for the legend
    ax.legend(loc="upper left")
    return ax


def plot_sign_laws(table: pd.DataFrame, ax: Axes, residuals: Axes) -> Axes:
    """The arcsine law and Bussgang's theorem, simulated.

    Parameters
    ----------
    table : DataFrame
        One row for each pair of ``law`` and ``rho``; columns ``simulated``, ``error`` (standard),
        ``exact``.
    ax : Axes
        Of the simulated values, with the laws as lines.
    residuals : Axes
        Of the differences, in standard errors.
    """
    for (law, rows), (marker, style, colour) in zip(
        table.groupby("law", sort=False), SERIES, strict=False
    ):
        ax.plot(rows["rho"], rows["exact"], color=colour, lw=1.2, ls=style)
        ax.errorbar(
            rows["rho"],
            rows["simulated"],
            yerr=rows["error"],
            fmt=marker,
            ms=5,
            color=colour,
            label=law,
        )
        z = (rows["simulated"] - rows["exact"]) / rows["error"]
        residuals.plot(rows["rho"], z, marker, ms=5, color=colour)
    ax.set(xlabel="correlation ρ of x and y", ylabel="mean of the product")
    ax.legend(loc="upper left")
    residuals.axhspan(-2, 2, color="0.9", lw=0)
    residuals.axhline(0, color="black", lw=1)
    residuals.set(xlabel="correlation ρ of x and y", ylabel="(simulated − exact) / s.e.")
    residuals.set_ylim(-4, 4)
    for panel in (ax, residuals):
        panel.set_xticks([-0.8, -0.4, 0, 0.4, 0.8])
    return ax


def plot_predicted_correlations(table: pd.DataFrame, ax: Axes, *, title: str) -> Axes:
    """Correlation of dot products: simulated against predicted.

    Parameters
    ----------
    table : DataFrame
        One row for each unit: ``weights`` (what kind), ``predicted``, ``simulated``, ``error``
        (standard).
    ax : Axes
    title : str
    """
    low = table[["predicted", "simulated"]].min().min() - 0.03
    ax.plot([low, 1], [low, 1], color="black", lw=1, label="equal")
    for (kind, rows), (marker, _, colour) in zip(
        table.groupby("weights", sort=False), SERIES, strict=False
    ):
        ax.errorbar(
            rows["predicted"],
            rows["simulated"],
            yerr=rows["error"],
            fmt=marker,
            ms=4,
            lw=1,
            color=colour,
            label=kind,
        )
    ax.set(title=title, xlabel="r predicted", ylabel="r simulated")
    ax.legend(loc="upper left")
    return ax


def plot_correlation_trend(table: pd.DataFrame, ax: Axes, *, white: float) -> Axes:
    """Correlation of dot products against the anisotropy of the inputs.

    Parameters
    ----------
    table : DataFrame
        One row for each unit: ``weights`` (what kind), ``decay`` of the eigenvalues of the inputs'
        covariance, ``predicted``.
    ax : Axes
    white : float
        Limit for white inputs, drawn as a line.
    """
    ax.axhline(white, color="black", lw=1, ls="--", label="white, n → ∞")
    for i, ((kind, rows), (marker, _, colour)) in enumerate(
        zip(table.groupby("weights", sort=False), SERIES, strict=False)
    ):
        middle = rows.groupby("decay")["predicted"].quantile([0.05, 0.5, 0.95]).unstack()
        ax.errorbar(
            middle.index + 0.04 * (i - 0.5),  # apart, to be seen
            middle[0.5],
            yerr=[middle[0.5] - middle[0.05], middle[0.95] - middle[0.5]],
            fmt=marker,
            ms=5,
            capsize=3,
            color=colour,
            label=kind,
        )
    ax.set(title="predicted", xlabel="decay of the eigenvalues", ylabel="r (median, 5 % to 95 %)")
    ax.legend(loc="lower left")
    return ax
