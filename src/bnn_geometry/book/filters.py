"""The interactive picture of the first layer: a filter, its patch, its cloud and its correlation.

On the page a list chooses the filter; in a notebook, in print and without JavaScript there is a
static picture of three of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnn_geometry.book import display, plots
from bnn_geometry.book.interactive import FigureWithData, as_text
from bnn_geometry.book.plots.style import BLUE
from bnn_geometry.book.sphinx_interactive import FILTERS

if TYPE_CHECKING:
    from bnn_geometry.book.display import Origin

PATCHES = 300
"""Of each cloud: more would be dots upon dots, and data that travel with the page."""


def _inputs(patches: pd.DataFrame) -> NDArray[np.float64]:
    # pixels as they enter the network; −1 stands for what a convolution pads, which is 0
    pixels = patches.filter(regex=r"^p\d+$").to_numpy(float)
    return np.where(pixels < 0, 0.0, 2 * pixels / 255 - 1)


def as_picture(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of one filter, channels first, as a picture of three by three: −1 is 0 and 1 is 1."""
    return (weights.reshape(3, 3, 3).transpose(1, 2, 0).clip(-1, 1) + 1) / 2


def draw(
    weights: NDArray[np.float64], x: NDArray[np.float64], r: NDArray[np.float64], chosen: list[int]
) -> Figure:
    """Some filters: latent and binary patch, and the cloud of their dot products.

    Parameters
    ----------
    weights : ndarray, shape (filters, 27)
    x : ndarray, shape (patches, 27)
    r : ndarray, shape (filters,)
    chosen : list of int
        Which filters, a column each.
    """
    figure, axes = plots.new_figure(3, len(chosen), height=6.2)
    for column, number in zip(axes.T, chosen, strict=True):
        w = weights[number]
        b = np.where(w > 0, 1.0, -1.0)
        for ax, vector, name in ((column[0], w, "$w^c$"), (column[1], b, "$w^b$")):
            ax.imshow(as_picture(vector))
            ax.set(xticks=[], yticks=[], ylabel=name)
        column[0].set_title(f"filter {number}: r = {r[number]:.2f}")
        column[2].plot(x @ b, x @ w, ".", ms=3, color=BLUE)
        column[2].set_xlabel(r"$x\cdot w^b$")
    axes[2, 0].set_ylabel(r"$x\cdot w^c$")
    return figure


def show_filters(
    first_layer: pd.DataFrame,
    patches: pd.DataFrame,
    r: pd.Series,
    *,
    name: str,
    caption: str,
    origin: Origin,
    alt: str,
) -> None:
    """Show the filters of the first layer: on the page one at a time, chosen from a list.

    Parameters
    ----------
    first_layer, patches : DataFrame
        Of :class:`bnn_geometry.studies.geometry_results.Geometry`.
    r : Series
        Correlation of each filter, in their order.
    name, caption, origin, alt
        As for :func:`bnn_geometry.book.display.show`; the alt text describes the static picture of
        the filters with the lowest, the median and the highest correlation.

    Raises
    ------
    ValueError
        If there is not one correlation for each filter.
    """
    weights = first_layer.filter(regex=r"^w\d+$").to_numpy(float)
    if len(weights) != len(r):
        raise ValueError(f"There are {len(weights)} filters and {len(r)} correlations.")
    some = patches.iloc[:PATCHES]
    x, found = _inputs(some), r.to_numpy(float)
    ranked = np.argsort(found)
    chosen = [int(ranked[i]) for i in (0, len(ranked) // 2, -1)]
    data = {
        "weights": [[round(float(v), 3) for v in row] for row in weights],
        "patches": some.filter(regex=r"^p\d+$").astype(int).to_numpy().tolist(),
        "r": [round(float(v), 3) for v in found],
    }
    figure = FigureWithData(draw(weights, x, found, chosen), FILTERS, as_text(data))
    display.show(figure, name, caption, origin, alt=alt)  # type: ignore[arg-type]
