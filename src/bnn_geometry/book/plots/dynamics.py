"""The flow in the plane of the chapter on learning dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from bnn_geometry.book.plots.style import BLUE, VERMILION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnn_geometry.geometry.flows import Flow


def plot_flow_plane(
    flow: Flow, ax: Axes, *, target: NDArray, field: tuple[NDArray, NDArray]
) -> Axes:
    """Flows in two dimensions: paths of u, the four binary vectors, v* and the mean of f(u).

    Parameters
    ----------
    flow : Flow
        In two dimensions, one row for each start, with its path.
    ax : Axes
    target : ndarray, shape (2,)
        v*; only its direction is drawn.
    field : tuple of two ndarray, shape (points, 2)
        Points, and the steps that u takes there.
    """
    size = np.abs(target).max()
    end = 1.3 * target / size
    nearest = np.where(target > 0, 1.0, -1.0)
    ax.axhline(0, color="0.75", lw=1)
    ax.axvline(0, color="0.75", lw=1)
    points, steps = field
    ax.quiver(*points.T, *steps.T, color="0.6", angles="xy", width=0.005, zorder=1)
    ax.plot([0, end[0]], [0, end[1]], color="black", lw=1, ls="--", label="direction of $v^*$")
    for row, path in enumerate(np.moveaxis(flow.path, 1, 0)):
        ax.plot(*path.T, "-", color=BLUE, lw=1.4, label="$u$" if row == 0 else None)
        start = "start of $u$" if row == 0 else None
        ax.plot(*path[0], "o", color=BLUE, ms=7, mfc="white", ls="", label=start)
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    other = corners[(corners != nearest).any(axis=1)]
    ax.plot(*other.T, "s", color=VERMILION, ms=10, mfc="white", mew=2, ls="", label="binary")
    ax.plot(*nearest, "s", color=VERMILION, ms=10, ls="", label="nearest to $v^*$")
    ax.plot(*flow.mean_output.T, "*", color="black", ms=13, ls="", label="mean of $f(u)$")
    ax.set(xlabel="first entry", ylabel="second entry", aspect="equal")
    ax.set_xlim(-1.35, 1.35)
    ax.set_ylim(-1.35, 1.35)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize="small")
    return ax
