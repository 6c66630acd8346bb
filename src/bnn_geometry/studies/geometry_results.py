"""Published measurements of a run's geometry, as chapters and claims read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bnn_geometry.errors import UserError
from bnn_geometry.studies import geometry, tables
from bnn_geometry.studies.geometry_errors import ALL, NONE, unpacked


@dataclass(frozen=True, eq=False)
class Cloud:
    """Pairs of dot products of one layer, as :func:`bnn_geometry.book.plots.clouds` draws them.

    Attributes
    ----------
    layer : str
    n : int
        Fan-in.
    r : float
        Pearson correlation of all pairs.
    slope, intercept : float
        Of the regression of the second on the first, from the middles of the cells.
    counts : ndarray of int, shape (columns, rows)
    x, y : ndarray
        Edges of the cells, symmetric about zero.
    """

    layer: str
    n: int
    r: float
    slope: float
    intercept: float
    counts: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """What was measured of a run: the tables of :func:`bnn_geometry.studies.geometry.study`.

    Attributes
    ----------
    run : str
        Name of its folder.
    settings, data : dict
        Command, numbers of images, weights; where the images are from.
    layers : DataFrame
        Of ``untrained`` rows excess and its errors are there, too: of different networks, so that
        the variances add.
    filters : DataFrame
        With the columns untrained and, where inputs are binary, untrained_activation_r.
    inputs, directions, readout, clouds, cloud_axes, answers : DataFrame
    first_layer, patches : DataFrame or None
        None where the first layer has too many inputs to show.
    """

    run: str
    settings: dict[str, Any]
    data: dict[str, Any]
    layers: pd.DataFrame
    filters: pd.DataFrame
    inputs: pd.DataFrame
    directions: pd.DataFrame
    readout: pd.DataFrame
    clouds: pd.DataFrame
    cloud_axes: pd.DataFrame
    answers: pd.DataFrame
    first_layer: pd.DataFrame | None
    patches: pd.DataFrame | None

    def wrong(self, change: str, layer: str = ALL) -> NDArray[np.bool_]:
        """Which test images the changed network classifies wrongly, (draws, images).

        Raises
        ------
        KeyError
            If that was not measured.
        """
        rows = self.answers[(self.answers["change"] == change) & (self.answers["layer"] == layer)]
        if rows.empty:
            raise KeyError((change, layer))
        found = zip(rows["right"], rows["images"], strict=True)
        return ~np.stack([unpacked(text, count) for text, count in found])

    def pictures(self, comparison: str) -> list[Cloud]:
        """The clouds of every layer, of ``weights`` or ``activations``."""
        chosen = self.layers["comparison"] == comparison
        summary = self.layers[chosen & (self.layers["control"] == "measured")].set_index("layer")
        widths = self.cloud_axes[self.cloud_axes["comparison"] == comparison].set_index("layer")
        cells = self.clouds[self.clouds["comparison"] == comparison]
        found = []
        for layer, part in cells.groupby("layer", sort=False):
            places, edges, middles = [], [], []
            for side in ("first", "second"):
                at, width = part[side].to_numpy(), widths.loc[layer, f"{side}_width"]
                reach = max(-at.min(), at.max() + 1)
                places.append(at + reach)
                edges.append(np.arange(-reach, reach + 1) * width)
                middles.append((at + 0.5) * width)
            counts = np.zeros([len(e) - 1 for e in edges], np.int64)
            counts[tuple(places)] = part["count"]
            slope, intercept = np.polyfit(*middles, 1, w=np.sqrt(part["count"]))
            row = summary.loc[layer]
            line = float(slope), float(intercept)
            found.append(Cloud(str(layer), int(row["n"]), float(row["r"]), *line, counts, *edges))
        return found

    def errors(self) -> pd.DataFrame:
        """Test error after every change, beside that of the network as it is, batch norms refitted.

        Returns
        -------
        DataFrame
            Index change and layer; the columns of :func:`compare_errors`.
        """
        pairs = self.answers[["change", "layer"]].drop_duplicates().itertuples(index=False)
        unchanged = self.wrong(NONE)
        rows = {tuple(pair): compare_errors(self.wrong(*pair), unchanged) for pair in pairs}
        return pd.DataFrame(
            rows.values(), pd.MultiIndex.from_tuples(rows, names=["change", "layer"])
        )


def compare_errors(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> dict[str, float]:
    """Two errors on the same images, and how much the first is larger.

    Parameters
    ----------
    first, second : ndarray of bool, shape (draws, images)
        Whether each image is classified wrongly.

    Returns
    -------
    dict
        draws (of the first), images, error (mean over draws), difference, difference_se (over
        images, paired; for the draws that there were), draws_sd (standard deviation of the error
        over draws; NaN of one), and of one draw each lost and gained (images that only the first
        gets wrong, and right) and p (exact test of McNemar). Errors are fractions.
    """
    each = first.mean(0) - second.mean(0)
    images = len(each)
    row = {
        "draws": len(first),
        "images": images,
        "error": float(first.mean()),
        "difference": float(each.mean()),
        "difference_se": float(each.std(ddof=1) / np.sqrt(images)),
        "draws_sd": float(first.mean(1).std(ddof=1)) if len(first) > 1 else np.nan,
        **dict.fromkeys(("lost", "gained", "p"), np.nan),
    }
    if len(first) == len(second) == 1:
        lost, gained = int((first & ~second).sum()), int((second & ~first).sum())
        p = stats.binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
        row |= {"lost": lost, "gained": gained, "p": float(p)}
    return row


def as_geometry(found: tables.Published) -> Geometry:
    """The tables of the study, put together.

    Raises
    ------
    UserError
        If they are those of another study.
    """
    if "filters" not in found.tables or "untrained_filters" not in found.tables:
        raise UserError(f"The study {found.study} measured no geometry.")
    kept = dict(found.tables)
    kept["filters"] = kept["filters"].merge(
        kept.pop("untrained_filters"), on=["layer", "filter"], validate="one_to_one"
    )
    layers = kept["layers"]
    measured = layers[layers["control"] == "measured"].set_index(["comparison", "layer"])
    untrained = layers["control"] == "untrained"
    own = measured.loc[pd.MultiIndex.from_frame(layers.loc[untrained, ["comparison", "layer"]])]
    for value, error, excess_error in (
        ("r", "r_se", "excess_se"),
        ("median", "median_se", "median_excess_se"),
    ):
        both = np.hypot(own[error].to_numpy(), layers.loc[untrained, error])
        layers.loc[untrained, excess_error] = both
        if value == "r":
            difference = own[value].to_numpy() - layers.loc[untrained, value]
            layers.loc[untrained, "excess"] = difference
    return Geometry(
        run=found.settings["run"],
        settings=found.settings,
        data=found.data,
        first_layer=kept.pop("first_layer", None),
        patches=kept.pop("patches", None),
        **kept,
    )


def published_geometry(run: str) -> Geometry:
    """The published measurements of a run: folder ``geometry-`` and its name, verified.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.studies.tables.read`.
    """
    return as_geometry(tables.published(geometry.name(run)))
