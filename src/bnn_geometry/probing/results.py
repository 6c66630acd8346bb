"""What :func:`~bnn_geometry.probing.dot_products.probe` found, kept in a folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from bnn_geometry import paths, storage
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.probing.dot_products import as_table
from bnn_geometry.probing.joint_statistics import LayerStatistics

FILE, ARRAYS = "probe.json", "statistics.safetensors"
MAX_BINS = 10_000
"""On each axis of a histogram."""
SCALARS = ("fan_in", "values", "r", "centred_r", "slope", "intercept", "disagreement")


@dataclass(frozen=True, eq=False)
class ProbeResults:
    """Statistics of one run's dot products.

    Attributes
    ----------
    run : str
        Name of the run's folder.
    of_sha256 : str
        Hash of its weights, 64 hex digits.
    data : Provenance
        Of the test images.
    images : int
        How many of them.
    statistics : dict of str to list of LayerStatistics
        By the name of the comparison, in the order of the layers.
    """

    run: str
    of_sha256: str
    data: Provenance
    images: int
    statistics: dict[str, list[LayerStatistics]]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the histograms and single filters, as JSON can hold it.

        Each comparison is a list of the rows of
        :func:`bnn_geometry.probing.dot_products.as_table`, with None
        where a correlation is not defined.
        """
        tables = {}
        for comparison, found in self.statistics.items():
            table = as_table(found)
            rows = table.astype(object).where(table.notna(), None).reset_index()
            tables[comparison] = rows.to_dict("records")
        return {"run": self.run, "data": self.data.title, "images": self.images} | tables


def _sparse(histogram: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    cells = np.flatnonzero(histogram)
    return cells.astype(np.int32), histogram.ravel()[cells]


def write(path: Path, results: ProbeResults) -> None:
    """Write a folder with all that was found; whole, or not at all.

    Raises
    ------
    UserError
        If it cannot be written, or there is something at ``path``.
    """
    layers: dict[str, list[dict[str, Any]]] = {}
    arrays: dict[str, NDArray] = {}
    for comparison, statistics in results.statistics.items():
        layers[comparison] = []
        for found in statistics:
            # JSON has no NaN
            scalars = {
                name: None if np.isnan(value := getattr(found, name)) else value for name in SCALARS
            }
            layers[comparison].append({"layer": found.layer} | scalars | {"limits": found.limits})
            key = f"{comparison}.{found.layer}"
            arrays[f"{key}.filter_r"] = np.asarray(found.filter_r, dtype=np.float64)
            arrays[f"{key}.cells"], arrays[f"{key}.counts"] = _sparse(found.histogram)
    values = {
        "run": results.run,
        "of_sha256": results.of_sha256,
        "data": asdict(results.data) | {"path": None},  # of no use on another machine
        "images": results.images,
        "versions": storage.versions(),
        "bins": len(next(iter(results.statistics.values()))[0].histogram),
        "statistics": layers,
    }
    with storage.new_folder(path) as folder:
        save_file(arrays, folder / ARRAYS)
        (folder / ARRAYS).chmod(0o644)  # as the other files: it is made for one user
        storage.write_manifest(folder, FILE, values, [ARRAYS])


def read(path: Path) -> ProbeResults:
    """Read a folder and verify every hash in it.

    Raises
    ------
    UserError
        If it is missing, damaged or edited.
    """
    remedy = "Restore the folder, or measure again with `bnn-geometry probe`."
    with storage.reading(path, "measurements of dot products", remedy=remedy):
        values = storage.read_manifest(path, FILE, [ARRAYS], remedy=remedy)
        arrays = load_file(path / ARRAYS)
        bins = values["bins"]
        if type(bins) is not int or not 0 < bins <= MAX_BINS:
            raise ValueError(f"histograms cannot have {bins!r:.60} bins")
        statistics: dict[str, list[LayerStatistics]] = {}
        for comparison, layers in values["statistics"].items():
            statistics[comparison] = []
            for row in layers:
                numbers = [row[name] for name in SCALARS if row[name] is not None]
                right = all(type(x) in (int, float) for x in (*numbers, *row["limits"]))
                if not right or not storage.is_word(row["layer"]):
                    raise ValueError(f"the row of {row['layer']!r:.60} makes no sense")
                key = f"{comparison}.{row['layer']}"
                histogram = np.zeros(bins * bins, dtype=np.int64)
                histogram[arrays[f"{key}.cells"]] = arrays[f"{key}.counts"]
                scalars = {name: np.nan if row[name] is None else row[name] for name in SCALARS}
                statistics[comparison].append(
                    LayerStatistics(
                        layer=row["layer"],
                        **scalars,
                        filter_r=arrays[f"{key}.filter_r"],
                        histogram=histogram.reshape(bins, bins),
                        limits=tuple(row["limits"]),
                    )
                )
        return ProbeResults(
            values["run"],
            values["of_sha256"],
            Provenance(**values["data"]),
            values["images"],
            statistics,
        )


def published(run: str) -> ProbeResults:
    """The measurements of a published run: folder ``probe-`` and its name, beside it.

    Raises
    ------
    UserError
        As :func:`read`.
    """
    return read(paths.published(f"probe-{run}"))
