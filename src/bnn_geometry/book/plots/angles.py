"""Figure 2 of the paper in one dimension, over the one style."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from bnn_geometry.book.plots.style import BLUE, VERMILION

if TYPE_CHECKING:
    from bnn_geometry.book.interactive import AngleHistograms


def plot_angle_histograms(histograms: AngleHistograms, ax: Axes) -> Axes:
    """Both angles, as densities, with their laws where there are any.

    Parameters
    ----------
    histograms : AngleHistograms
        From :func:`bnn_geometry.book.interactive.angle_histograms`.
    ax : Axes
    """
    both = (
        (histograms.binarized, VERMILION, None, "vector and its binarization"),
        (histograms.pairs, BLUE, "////", "two random vectors"),
    )
    for h, colour, hatch, label in both:
        edges = h.start + h.width * np.arange(len(h.counts) + 1)
        heights = h.counts / (h.counts.sum() * h.width)
        drawn = {"fill": True, "edgecolor": colour, "lw": 0.9}
        face = (*colour, 0.35)
        ax.stairs(heights, edges, facecolor=face, label=None if hatch else label, **drawn)
        if hatch:  # apart: an SVG would make it as transparent as the filling
            ax.stairs(heights, edges, facecolor="none", hatch=hatch, label=label, **drawn)
        if len(h.density):
            theta = h.density_start + h.density_step * np.arange(len(h.density))
            ax.plot(theta, h.density, color="black", lw=1.2, label=None if hatch else "law")
    ax.axvline(histograms.limit, color="black", lw=1.1, ls=":", label="limit, n → ∞")
    ax.set_xlim(0, 180)
    ax.set_ylim(0, None)
    ax.set_xticks([0, 30, 60, 90, 120, 150, 180])
    ax.set_yticks([])
    ax.grid(axis="y", visible=False)
    return ax
