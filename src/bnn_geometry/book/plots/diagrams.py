"""The figures of the theory chapter, among them Figure 1 of the paper, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch
from numpy.typing import NDArray

from bnn_geometry.book.plots.style import BLUE, GREEN, GREY, VERMILION

FORWARD = {"color": BLUE, "ls": "-"}
BACKWARD = {"color": VERMILION, "ls": (0, (4, 2))}


def _step(x: NDArray, ax: Axes, label: str) -> None:
    # two pieces: a step has no riser, and bin(0) = −1
    for side, level in ((x <= 0, -1), (x > 0, 1)):
        ax.plot(x[side], np.full(side.sum(), level), lw=2.2, **FORWARD)
    jump = {"color": BLUE, "ls": "", "marker": "o", "ms": 6}
    ax.plot([0], [-1], **jump)
    ax.plot([0], [1], mfc="white", **jump)
    ax.plot([], [], lw=2.2, label=label, **FORWARD)


def _tensor(ax: Axes, x: float, y: float, name: str) -> None:
    # an oval: the tensor above, the derivative of the cost with respect to it below
    ax.add_patch(Ellipse((x, y), 1.1, 1.24, facecolor="white", edgecolor="black", lw=1.2))
    ax.text(x, y + 0.25, f"${name}$", ha="center", va="center", fontsize=15)
    ax.text(x, y - 0.25, f"$\\delta {name}$", ha="center", va="center", fontsize=13, color="0.3")


def _box(ax: Axes, x: float, y: float, text: str) -> None:
    style = {"boxstyle": "square,pad=0", "facecolor": "white", "edgecolor": "black", "lw": 1.2}
    ax.add_patch(FancyBboxPatch((x - 0.66, y - 0.45), 1.32, 0.9, **style))
    ax.text(x, y, text, ha="center", va="center", fontsize=10.5, linespacing=1.25)


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


def plot_estimators(x: NDArray, weights: NDArray, activations: NDArray, ax: Axes) -> Axes:
    """Figure 1b: what binarize computes, and what is differentiated in its place.

    Parameters
    ----------
    x : ndarray, shape (points,)
    weights, activations : ndarray, shape (points,)
        The functions whose derivatives the backward pass uses.
    ax : Axes
    """
    # a broad pale band: for the most part the dashed line lies on it
    ax.plot(x, activations, lw=7, color=GREEN, alpha=0.35, label="backward: activations")
    ax.plot(x, weights, lw=2, label="backward: weights", **BACKWARD)
    _step(x, ax, "forward: bin")
    ax.set(xlabel="input", ylabel="output", ylim=(-2.2, 2.2), yticks=[-2, -1, 0, 1, 2])
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
            edge((0, row), (2.1, unit), hidden_weights[j, i], 0.3, wide)
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


def plot_sign(x: NDArray, gain: float, ax: Axes) -> Axes:
    """The sign of a number, its copy in proportion, and the remainder.

    Parameters
    ----------
    x : ndarray, shape (points,)
    gain : float
        B of the copy Bx.
    ax : Axes
    """
    _step(x, ax, "sign x")
    ax.plot(x, gain * x, lw=2, label="copy: Bx", **BACKWARD)
    for side in (x <= 0, x > 0):
        rest = np.where(x[side] > 0, 1, -1) - gain * x[side]
        ax.plot(x[side], rest, lw=2.4, ls=":", color=GREEN)
    ax.plot([], [], lw=2.4, ls=":", color=GREEN, label="remainder: η = sign x − Bx")
    density = np.exp(-(x**2) / 2)
    ax.fill_between(
        x, -2.2, -2.2 + 0.7 * density, color=GREY, alpha=0.3, lw=0, label="density of x"
    )
    ax.set(xlabel="x, in standard deviations", xlim=(x[0], x[-1]), ylim=(-2.2, 3.4))
    ax.legend(loc="upper left", ncols=2)
    return ax


def plot_metric(
    weights: NDArray, binary: NDArray, covariances: Mapping[str, NDArray], ax: Axes
) -> Axes:
    """One pair of vectors in the plane under inputs of several covariances.

    Parameters
    ----------
    weights, binary : ndarray, shape (2,)
    covariances : mapping
        Label, which is written below → covariance, shape (2, 2), whose ellipse of two standard
        deviations is filled.
    ax : Axes
        Its axes are switched off.
    """
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14, "lw": 2}
    for i, (label, covariance) in enumerate(covariances.items()):
        x = 4.4 * i
        ellipse = 2 * np.linalg.cholesky(covariance) @ circle
        ax.fill(x + ellipse[0], ellipse[1], color=GREY, alpha=0.25, lw=0)
        for vector, name, look in ((weights, "w^c", BACKWARD), (binary, "w^b", FORWARD)):
            end = 1.5 * vector / np.linalg.norm(vector)
            ax.annotate("", (x + end[0], end[1]), (x, 0), arrowprops=arrow | look)
            ax.text(x + 1.2 * end[0], 1.2 * end[1], f"${name}$", ha="center", va="center",
                    fontsize=13)  # fmt: skip
        ax.text(x, -2.4, label, ha="center", va="top", fontsize=12, linespacing=1.3)
    ax.set(xlim=(-2.2, 4.4 * i + 2.2), ylim=(-3.8, 2.2), aspect="equal")
    ax.axis("off")
    return ax
