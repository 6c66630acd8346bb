"""The interactive Figure 2: on the page a slider chooses the dimension, a list the entries' law.

In a notebook the figure is a static picture whose SVG carries the histograms in a ``<metadata>``
element. While the book is built :mod:`bnn_geometry.book.sphinx_interactive` moves them from the
picture
to the page, where ``angle-histograms.js`` draws them with plotly.js. The picture stays: it is what
is printed, and what a reader without JavaScript sees.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bnn_geometry.book import display as notebook
from bnn_geometry.book.sphinx_interactive import ANGLES
from bnn_geometry.geometry.quantizers import limit_angle

if TYPE_CHECKING:
    from bnn_geometry.geometry.angles import AngleSample

BIN_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Degrees: the narrowest that is at least an eighth of the standard deviation, else the widest. The
widest also for ±1 vectors, all of whose angles to their binarizations are zero."""

DENSITY_POINTS = 161
"""Points at which a density is drawn, from end to end of the sample and a little beyond."""

Density = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Histogram:
    """Histogram of one angle, and the density that is drawn over it.

    Attributes
    ----------
    start, width : float
        Left edge of the first bin and width of each, degrees.
    counts : ndarray of int, shape (bins,)
        From the first bin that is not empty to the last.
    mean, sd : float
        Of the sample, degrees.
    density_start, density_step : float
        Grid of the density, degrees.
    density : ndarray, shape (points,)
        Per degree; empty where none is drawn.
    """

    start: float
    width: float
    counts: NDArray[np.int64]
    mean: float
    sd: float
    density_start: float
    density_step: float
    density: NDArray[np.float64]


@dataclass(frozen=True)
class AngleHistograms:
    """Figure 2 of the paper in one dimension.

    Attributes
    ----------
    law : str
        Name of the law of one entry.
    n : int
        Dimension.
    limit : float
        Angle between a vector and its binarization as n → ∞, degrees.
    binarized : Histogram
        Angle between w and bin(w).
    pairs : Histogram
        Angle between two independent vectors.
    """

    law: str
    n: int
    limit: float
    binarized: Histogram
    pairs: Histogram


def histogram(angles: NDArray[np.float64], density: Density | None = None) -> Histogram:
    """Count angles in equal bins, and evaluate a density where they lie.

    Parameters
    ----------
    angles : ndarray, shape (samples,)
        Degrees, in [0, 180].
    density : callable, optional
        From angles in degrees to density per degree.

    Raises
    ------
    ValueError
        If there are no angles, one is not in [0, 180], or the density is not finite and ≥ 0.
    """
    angles = np.asarray(angles, dtype=np.float64)
    if angles.size == 0 or not np.all((angles >= 0) & (angles <= 180)):
        raise ValueError("A histogram needs at least one angle, all between 0 and 180 degrees.")
    sd = float(angles.std())
    width = next((w for w in BIN_WIDTHS if 8 * w >= sd), BIN_WIDTHS[-1])
    if sd < 1e-4:  # a point mass, whose narrow peak would dwarf the other histogram
        width = BIN_WIDTHS[-1]
    # 180° belongs to the last bin
    bins = np.minimum(np.floor(angles / width).astype(np.int64), round(180 / width) - 1)
    first = int(bins.min())
    low, high = float(angles.min()), float(angles.max())
    margin = 0.1 * (high - low)
    grid = np.linspace(max(0.0, low - margin), min(180.0, high + margin), DENSITY_POINTS)
    values = np.empty(0)
    if density is not None:  # which may be constant
        values = np.broadcast_to(np.asarray(density(grid), dtype=np.float64), grid.shape)
    if not np.all(np.isfinite(values) & (values >= 0)):
        raise ValueError(
            f"The density is negative or not finite between {grid[0]:.4g}° and {grid[-1]:.4g}°."
        )
    return Histogram(
        start=first * width,
        width=width,
        counts=np.bincount(bins - first),
        mean=float(angles.mean()),
        sd=sd,
        density_start=float(grid[0]),
        density_step=float(grid[1] - grid[0]),
        density=values,
    )


def angle_histograms(
    sample: AngleSample,
    *,
    binarized_density: Density | None = None,
    pair_density: Density | None = None,
) -> AngleHistograms:
    """Both histograms of a sample, with the limit for its law.

    Parameters
    ----------
    sample : AngleSample
    binarized_density, pair_density : callable, optional
        Laws to draw over them: from angles in degrees to density per degree.

    Raises
    ------
    ValueError
        If a density is not finite where the sample lies.
    """
    return AngleHistograms(
        law=sample.law.name,
        n=sample.n,
        limit=limit_angle(sample.law),
        binarized=histogram(sample.binarized_angle, binarized_density),
        pairs=histogram(sample.pair_angle, pair_density),
    )


def _rounded(value: float, digits: int = 4) -> float:
    # no more digits than a screen shows: the data travel with the page
    return float(f"{value:.{digits}g}")


def _histogram_as_json(histogram: Histogram) -> dict[str, Any]:
    return {
        "start": round(histogram.start, 1),
        "width": histogram.width,
        "counts": histogram.counts.tolist(),
        "mean": round(histogram.mean, 2),
        "sd": round(histogram.sd, 2),
        "densityStart": _rounded(histogram.density_start, 6),
        "densityStep": _rounded(histogram.density_step, 6),
        "density": [_rounded(value) for value in histogram.density],
    }


def as_json(histograms: Sequence[AngleHistograms], *, n: int | None = None) -> str:
    """The data of an interactive figure, for its page.

    Parameters
    ----------
    histograms : sequence of AngleHistograms
        Of one or more laws, each in the same dimensions. The order of the laws is that of the
        list on the page; the slider goes through the dimensions upwards.
    n : int, optional
        Dimension that is shown first; by default the smallest.

    Returns
    -------
    str
        Without ``<``, ``>`` and ``&``, so that it can stand in a ``<script>`` and in an SVG.

    Raises
    ------
    ValueError
        If there are none, a law and dimension occur twice, a law lacks a dimension that another
        has, or ``n`` is none of the dimensions.
    """
    if not histograms:
        raise ValueError("An interactive figure needs at least one histogram.")
    laws = list(dict.fromkeys(h.law for h in histograms))
    dimensions = sorted({h.n for h in histograms})
    found = {(h.law, h.n): h for h in histograms}
    if len(found) != len(histograms):
        raise ValueError("A law and dimension occur twice: give one histogram for each.")
    for law in laws:
        for dimension in dimensions:
            if (law, dimension) not in found:
                raise ValueError(
                    f"There is no histogram for entries {law}, n = {dimension}: give every law "
                    "the same dimensions."
                )
    if n is not None and n not in dimensions:
        raise ValueError(f"n = {n} cannot be shown first: the dimensions are {dimensions}.")
    data = {
        "dimensions": dimensions,
        "first": 0 if n is None else dimensions.index(n),
        "laws": [
            {
                "name": law,
                "limit": round(found[law, dimensions[0]].limit, 2),
                "histograms": [
                    {
                        "binarized": _histogram_as_json(found[law, dimension].binarized),
                        "pairs": _histogram_as_json(found[law, dimension].pairs),
                    }
                    for dimension in dimensions
                ],
            }
            for law in laws
        ],
    }
    return as_text(data)


def as_text(data: Any) -> str:
    """Data as JSON without ``<``, ``>`` and ``&``: it can stand in a ``<script>`` and in an SVG."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":  # only within strings, where JSON has this way to write them
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@dataclass(frozen=True)
class FigureWithData:
    """A figure that saves with the data of its interactive form in the SVG.

    Attributes
    ----------
    figure : Figure
    kind : str
        Of :data:`bnn_geometry.book.sphinx_interactive.SCRIPTS`.
    data : str
        See :func:`as_text`.
    """

    figure: Figure
    kind: str
    data: str

    def savefig(self, file: io.StringIO | io.BytesIO, **options: Any) -> None:
        """As that of the figure; an SVG gets the data."""
        if not isinstance(file, io.StringIO):
            self.figure.savefig(file, **options)
            return
        buffer = io.StringIO()
        self.figure.savefig(buffer, **options)
        body, end, rest = buffer.getvalue().rpartition("</svg>")
        file.write(f'{body}<metadata id="{self.kind}">{self.data}</metadata>\n{end}{rest}')


def show_histograms(
    histograms: Sequence[AngleHistograms],
    *,
    static: Figure,
    name: str,
    caption: str,
    alt: str,
    n: int | None = None,
) -> None:
    """Show an interactive figure: in a notebook its static picture, on the page slider and list.

    Parameters
    ----------
    histograms : sequence of AngleHistograms
        From :func:`angle_histograms`: one or more laws, each in the same dimensions.
    static : Figure
        For print, for readers without JavaScript and for notebooks.
    name, caption, alt : str
        As for :func:`bnn_geometry.book.display.show`. The caption stands under either; the alt text
        describes the static picture.
    n : int, optional
        Dimension that is shown first; by default the smallest.

    Raises
    ------
    ValueError
        If a text is missing, or for histograms that :func:`as_json` refuses.
    """
    with_data = FigureWithData(static, ANGLES, as_json(histograms, n=n))
    notebook.show(with_data, name=name, caption=caption, alt=alt)  # type: ignore[arg-type]
