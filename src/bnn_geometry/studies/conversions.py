"""Ways to binarize a trained network, or to take its magnitudes away, and tables of their errors.

The null of all of them is a random turn of the weights by the same angle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.networks import magnitudes
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.evaluation import evaluate, misclassified

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Split

GROUPS = ("parts", "magnitudes", "one layer")
"""Of conversions, in the order of :func:`every`."""

POWERS = (0.0, 0.5, 2.0)
"""Exponents p of bin(w)·``|w|^p``; p = 1 is the network as it is."""

SHUFFLE_SEED = 0
"""Of random changes that are drawn once."""


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
    """Weights and input of one layer alone; the input of the first, an image, stays as it is."""

    def of(name: str) -> Conversion:
        return Conversion(
            "one layer", name, lambda net: binarize_network(net, activations=True, layers=[name])
        )

    return [of(name) for name in weight_layers(network)]


def of_magnitudes() -> list[Conversion]:
    """Magnitudes made more even or less, divided out; and signs dealt anew."""

    def power(p: float) -> Callable[[nn.Module], nn.Module]:
        return lambda net: magnitudes.raise_magnitudes(net, p)

    return [
        *(Conversion("magnitudes", f"|w|^{p:g}", power(p)) for p in POWERS),
        Conversion(
            "magnitudes",
            "signs dealt anew",
            lambda net: magnitudes.shuffle_signs(net, _generator(SHUFFLE_SEED)),
        ),
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


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
        Index converted; group, angle, kept and refitted (per cent), kept_se and refitted_se
        (standard errors from the number of test images, percentage points).
    """
    percent = table.set_index("converted")[["group", "angle"]].copy()
    for column in ("kept", "refitted"):
        p = table[column].to_numpy()
        percent[column] = 100 * p
        percent[f"{column}_se"] = 100 * np.sqrt(p * (1 - p) / table["test_images"].to_numpy())
    return percent


# --- the null: a random turn by the same angle ----------------------------------------------------

CHANGES: dict[str, Callable[[nn.Module, int], nn.Module]] = {
    "signs": lambda net, draw: magnitudes.raise_magnitudes(net, 0.0),
    "magnitudes dealt anew": lambda net, draw: magnitudes.shuffle_magnitudes(net, _generator(draw)),
}
"""What is paired with a random turn: of the network, and a seed."""


def pair(
    network: nn.Module, change: str, draw: int, training_images: Tensor, test: Split
) -> dict[str, Any]:
    """Errors of a changed network and of one whose filters were turned as far at random.

    Both have batch norm refitted and are measured on the same images, so that their difference is
    far surer than either error.

    Parameters
    ----------
    network : Module
        With continuous weights.
    change : str
        Of :data:`CHANGES`.
    draw : int
        Seed of the turn, and of the change where that is random.
    training_images, test
        As for :func:`measure`.

    Returns
    -------
    dict
        change, draw, angle (median over filters, degrees), error and turned_error, and the
        fractions of the test images that only one of the two got wrong, only_changed and
        only_turned; test_images.
    """
    changed = CHANGES[change](network, draw)
    turned = magnitudes.rotate_like(network, changed, _generator(draw))
    wrong, wrong_turned = (
        misclassified(refit_batch_norm(net, training_images), test) for net in (changed, turned)
    )
    count = len(test.labels)
    return {
        "change": change,
        "draw": draw,
        "angle": float(np.nanmedian(magnitudes.rotation_angles(network, changed)["angle"])),
        "error": int(wrong.sum()) / count,
        "turned_error": int(wrong_turned.sum()) / count,
        "only_changed": int((wrong & ~wrong_turned).sum()) / count,
        "only_turned": int((~wrong & wrong_turned).sum()) / count,
        "test_images": count,
    }


def over_turn(pairs: pd.DataFrame) -> pd.DataFrame:
    """By how much each change is worse than a random turn by the same angle.

    Parameters
    ----------
    pairs : DataFrame
        Rows of :func:`pair`.

    Returns
    -------
    DataFrame
        Index change; angle (degrees), error, turned_error and their difference over (means over the
        draws, in per cent) with error_se, turned_error_se and over_se. A standard error has the
        part of the images, which do not average out over draws that share them, and that of the
        draws.
    """
    rows = {}
    for change, found in pairs.groupby("change", sort=False):
        more, images = found["only_changed"] - found["only_turned"], found["test_images"]
        columns = {
            "error": (found["error"], found["error"] * (1 - found["error"])),
            "turned_error": (
                found["turned_error"],
                found["turned_error"] * (1 - found["turned_error"]),
            ),
            "over": (more, found["only_changed"] + found["only_turned"] - more**2),
        }
        rows[change] = {"angle": found["angle"].mean()}
        for name, (values, variance) in columns.items():
            draws = values.var() / len(found) if len(found) > 1 else 0.0
            rows[change][name] = 100 * values.mean()
            rows[change][f"{name}_se"] = 100 * np.sqrt((variance / images).mean() + draws)
    return pd.DataFrame(rows).T.rename_axis("change")
