"""Figure 1 of the paper, drawn: the binary convolution transformer and the binarize functions."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, FancyBboxPatch
from numpy.typing import NDArray

from bnn_geometry.plots import BLUE, VERMILION


def _tensor(ax: Axes, x: float, y: float, name: str) -> None:
    # an oval: the tensor above, the derivative of the cost with respect to it below
    ax.add_patch(Ellipse((x, y), 1.25, 1.15, facecolor="white", edgecolor="black", lw=1.2))
    ax.text(x, y + 0.2, f"${name}$", ha="center", va="center", fontsize=12)
    ax.text(x, y - 0.25, f"$\\delta {name}$", ha="center", va="center", fontsize=10, color="0.35")


def _transformer(ax: Axes, x: float, y: float, text: str, width: float = 1.35) -> None:
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - 0.42),
            width,
            0.84,
            boxstyle="square,pad=0",
            facecolor="#d9ead9",
            edgecolor="black",
            lw=1.2,
        )
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=9.5)


def _arrows(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    # forward (solid) and backward (dashed) beside each other; both are drawn apart by 0.09
    (x0, y0), (x1, y1) = start, end
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = -(y1 - y0) / length * 0.09, (x1 - x0) / length * 0.09
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11, "lw": 1.3}
    ax.annotate("", (x1 + dx, y1 + dy), (x0 + dx, y0 + dy), arrowprops={**style, "color": BLUE})
    ax.annotate(
        "",
        (x0 - dx, y0 - dy),
        (x1 - dx, y1 - dy),
        arrowprops={**style, "color": VERMILION, "ls": (0, (4, 2))},
    )


def plot_transformer(ax: Axes) -> Axes:
    """Figure 1a: one binary layer. Ovals are tensors with their derivatives, boxes functions."""
    _tensor(ax, 0.8, 1.0, "x^b")
    _transformer(ax, 2.65, 1.0, "convolve\n(dot products)", 1.6)
    _transformer(ax, 4.75, 1.0, "pool,\nbatch norm")
    _tensor(ax, 6.5, 1.0, "x^c")
    _transformer(ax, 8.2, 1.0, "binarize")
    _tensor(ax, 9.9, 1.0, "x^b")
    _tensor(ax, 0.8, 3.0, "w^c")
    _transformer(ax, 2.65, 3.0, "binarize", 1.6)
    _tensor(ax, 4.75, 3.0, "w^b")
    for start, end in (
        ((1.43, 1.0), (1.85, 1.0)),
        ((3.45, 1.0), (4.07, 1.0)),
        ((5.43, 1.0), (5.87, 1.0)),
        ((7.13, 1.0), (7.52, 1.0)),
        ((8.88, 1.0), (9.27, 1.0)),
        ((1.43, 3.0), (1.85, 3.0)),
        ((3.45, 3.0), (4.12, 3.0)),
        ((4.35, 2.55), (3.1, 1.42)),
    ):
        _arrows(ax, start, end)
    ax.plot([], [], color=BLUE, label="forward")
    ax.plot([], [], color=VERMILION, ls="--", label="backward: derivatives of the cost")
    ax.legend(loc="upper right")
    ax.text(
        6.0, 2.6, "$w^c$ accumulates small steps,\n$w^b = \\mathrm{bin}(w^c)$ computes", va="center"
    )
    ax.set_xlim(0, 10.7)
    ax.set_ylim(0.2, 3.8)
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
    ax.plot(x, backward, color=VERMILION, ls="--", lw=2, label="differentiated backward")
    for side in (x <= 0, x > 0):  # two pieces: a step has no riser
        ax.plot(x[side], forward[side], color=BLUE, lw=2.2)
    ax.plot([], [], color=BLUE, lw=2.2, label="computed forward: bin")
    ax.set(title=title, xlabel="input", ylabel="output", ylim=(-2.2, 2.2))
    ax.legend(loc="upper left")
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
        Possible values and their exact probabilities.
    ax : Axes
    title : str
    """
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    weights = np.full(len(cosines), 1 / len(cosines))
    ax.hist(cosines, bins=edges, weights=weights, color=BLUE, alpha=0.5, label="simulated")
    ax.plot(grid, probability, "k.-", ms=4, lw=0.8, label="exact law")
    ax.set(title=title, xlabel="cosine of the angle", ylabel="probability")
    ax.legend(loc="upper right")
    return ax
