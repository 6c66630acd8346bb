"""Ways to binarize a trained network, or to take its magnitudes away, and a table of their errors.

The chapter measures some of them on the network that the build trained; ``tools/pretrained.py``
measures all of them on a published run, and what it wrote is published in ``runs/pretrained``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry import storage
from bnn_geometry.networks import magnitudes
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.evaluation import evaluate

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Split

GROUPS = ("parts", "magnitudes", "from the first", "one layer", "from the last")
"""Of conversions, in the order of :func:`every`."""

POWERS = (0.0, 0.5, 2.0)
"""Exponents p of bin(w)·``|w|^p``; p = 1 is the network as it is."""

SHUFFLE_SEED = 0
"""Of every random change, so that two networks are changed alike."""

FINE_TUNING = ("start", "images", "lr", "seed", "error_before", "test_error", "test_images")
"""Columns of the table of short trainings."""

FILE, TABLES = "pretrained.json", ("conversions.csv", "fine_tuning.csv")


@dataclass(frozen=True)
class Conversion:
    """One way to change a trained network.

    Attributes
    ----------
    group : str
        One of ``GROUPS``.
    name : str
        What was changed.
    apply : callable
        Takes the network, returns the changed copy.
    """

    group: str
    name: str
    apply: Callable[[nn.Module], nn.Module]


def parts() -> list[Conversion]:
    """Weights, scaled weights, activations and both, of the whole network; nothing comes first."""

    def of(name: str, **what: bool) -> Conversion:
        return Conversion("parts", name, lambda net: binarize_network(net, **what))

    return [
        Conversion("parts", "nothing", lambda net: net),
        of("weights: bin(w)"),
        of("weights: α bin(w)", scaled=True),
        of("activations", weights=False, activations=True),
        of("weights and activations", activations=True),
    ]


def layer_by_layer(network: nn.Module) -> list[Conversion]:
    """Weights and input of one layer alone, and of the layers from either end up to one.

    The last of those ``from the first`` and ``from the last`` is the whole network.
    """
    names = list(weight_layers(network))

    def of(group: str, name: str, layers: list[str]) -> Conversion:
        return Conversion(
            group,
            name,
            lambda net: binarize_network(net, activations=True, layers=layers),
        )

    return [
        *(of("from the first", name, names[: i + 1]) for i, name in enumerate(names)),
        *(of("one layer", name, [name]) for name in names),
        *(of("from the last", name, names[i:]) for i, name in reversed([*enumerate(names)])),
    ]


def of_magnitudes() -> list[Conversion]:
    """Magnitudes made more even, dealt anew, divided out; and random turns by the same angles."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(SHUFFLE_SEED)

    def turned(like: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
        return lambda net: magnitudes.rotate_like(net, like(net), generator())

    def power(p: float) -> Callable[[nn.Module], nn.Module]:
        return lambda net: magnitudes.raise_magnitudes(net, p)

    def shuffled(net: nn.Module) -> nn.Module:
        return magnitudes.shuffle_magnitudes(net, generator())

    return [
        *(Conversion("magnitudes", f"|w|^{p:g}", power(p)) for p in POWERS),
        Conversion("magnitudes", "magnitudes dealt anew", shuffled),
        Conversion(
            "magnitudes",
            "signs dealt anew",
            lambda net: magnitudes.shuffle_signs(net, generator()),
        ),
        Conversion("magnitudes", "random turn, as |w|^0", turned(power(0.0))),
        Conversion("magnitudes", "random turn, as dealt anew", turned(shuffled)),
        Conversion(
            "magnitudes",
            "filters of length 1",
            lambda net: magnitudes.normalize_filters(net, transform=False),
        ),
        Conversion(
            "magnitudes",
            "filters of length 1, statistics divided",
            lambda net: magnitudes.normalize_filters(net, transform=True),
        ),
    ]


def every(network: nn.Module) -> list[Conversion]:
    """All of them, group by group."""
    return [*parts(), *of_magnitudes(), *layer_by_layer(network)]


def measure(
    network: nn.Module, conversion: Conversion, training_images: Tensor, test: Split
) -> dict[str, Any]:
    """Test errors of a changed network, with its batch norms as trained and refitted.

    Parameters
    ----------
    network : Module
        With continuous weights.
    conversion : Conversion
    training_images : Tensor of uint8, shape (images, channels, h, w)
        To refit batch norm with.
    test : Split
        To measure on.

    Returns
    -------
    dict
        group, converted, angle (median over filters of the angle by which the weights turned,
        degrees), kept and refitted (fractions of the test images), test_images.
    """
    changed = conversion.apply(network)
    refitted = refit_batch_norm(changed, training_images)
    angles = magnitudes.rotation_angles(network, changed)["angle"]
    return {
        "group": conversion.group,
        "converted": conversion.name,
        "angle": float(np.nanmedian(angles)),
        "kept": evaluate(changed, test),
        "refitted": evaluate(refitted, test),
        "test_images": len(test.labels),
    }


def table(
    network: nn.Module,
    conversions: Iterable[Conversion],
    training_images: Tensor,
    test: Split,
) -> pd.DataFrame:
    """:func:`measure` for several conversions, a row each."""
    return pd.DataFrame([measure(network, c, training_images, test) for c in conversions])


def in_percent(table: pd.DataFrame) -> pd.DataFrame:
    """Errors in per cent with their standard errors, for figures and tables.

    Parameters
    ----------
    table : DataFrame
        See :func:`measure`.

    Returns
    -------
    DataFrame
        Index converted; group, angle, kept and refitted (per cent), kept_error and refitted_error
        (standard errors from the number of test images, percentage points).
    """
    percent = table.set_index("converted")[["group", "angle"]].copy()
    for column in ("kept", "refitted"):
        p = table[column].to_numpy()
        percent[column] = 100 * p
        percent[f"{column}_error"] = 100 * np.sqrt(p * (1 - p) / table["test_images"].to_numpy())
    return percent


# --- the published tables -------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """What was measured on published runs.

    Attributes
    ----------
    conversions : DataFrame
        Columns of :func:`measure`, with activation before them: that of the network converted.
    fine_tuning : DataFrame
        A row per short training: start (``pretrained`` or ``scratch``), images (training images
        seen), lr, seed, error_before and test_error (fractions, at the start and at the end, both
        with batch norm refitted) and test_images.
    settings : dict
        Names of the runs, images to refit and to measure with, the recipe of fine-tuning.
    data : dict
        Provenance of the images.
    versions : dict
        Of Python and the libraries.
    """

    conversions: pd.DataFrame
    fine_tuning: pd.DataFrame
    settings: dict[str, Any]
    data: dict[str, Any]
    versions: dict[str, str]


def write(folder: Path, found: Published) -> None:
    """Write the tables and what they were made with, each file with its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in zip(TABLES, (found.conversions, found.fine_tuning), strict=True):
        rows.to_csv(folder / name, index=False)
    values = {"settings": found.settings, "data": found.data, "versions": found.versions}
    storage.write_manifest(folder, FILE, values, TABLES)


def read(folder: Path) -> Published:
    """Read the tables and verify their hashes.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    remedy = "Restore the folder, or run tools/pretrained.py again."
    with storage.reading(folder, "measurements of pretrained networks", remedy=remedy):
        values = storage.read_manifest(folder, FILE, TABLES, remedy=remedy)
        conversions, fine_tuning = (pd.read_csv(folder / name) for name in TABLES)
        return Published(
            conversions, fine_tuning, values["settings"], values["data"], values["versions"]
        )
