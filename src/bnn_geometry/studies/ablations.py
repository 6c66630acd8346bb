"""What each choice in the recipe ``fast`` is worth: variants of it, and a table of their errors.

``tools/ablations.py`` trains the variants; the table that it wrote is published in
``runs/ablations``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnn_geometry import storage
from bnn_geometry.training.recipes import FAST_CIFAR10, Recipe

REFERENCE = FAST_CIFAR10.with_(
    # small enough to train every variant several times
    width=1 / 8,
    epochs=5,
    train_images=20_000,
    validation_images=5000,
    # the first guess, from which the variants set out
    lr=3e-3,
    batch_size=100,
    schedule="one-cycle",
    loss="cross-entropy",
    label_smoothing=0.0,
    augment=True,
    crop_padding=4,
    # the machine's own choices must not differ between variants
    precision="float32",
    compile="always",
)
"""What every variant changes one thing of."""

VARIANTS: dict[str, dict[str, Any]] = {
    "reference": {},
    "peak learning rate 0.001": {"lr": 0.001},
    "peak learning rate 0.01": {"lr": 0.01},
    "batches of 50": {"batch_size": 50},
    "batches of 200": {"batch_size": 200},
    "linear schedule": {"schedule": "linear"},
    "exponential schedule": {"schedule": "exponential"},
    "flips alone, no crops": {"crop_padding": 0},
    "no augmentation": {"augment": False},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "squared hinge loss": {"loss": "squared-hinge"},
    "latent weights begin in ±0.1": {"init_scale": 0.1},
    "root of the per-layer scale": {"layer_scale_power": 0.5},
    "no per-layer scale": {"per_layer_scale": False},
    "slower batch-norm averages": {"norm_momentum": 0.03},
    "latent weights not clipped": {"clip": False},
    "signs are pooled": {"pool": "after-activation"},
    "batch norm after the signs": {"norm": "after-activation"},
    "continuous, hard tanh": {"activation": "hardtanh"},
    "continuous, ReLU": {"activation": "relu"},
    # written out: the published row is of these, and a test sees when `fast` has others
    "all that fast has": {"schedule": "linear", "lr": 0.005, "crop_padding": 0},
}
"""Name of each variant and the fields of the recipe that it changes."""

MISTAKES = ("latent weights not clipped", "signs are pooled", "batch norm after the signs")
"""Variants that nobody wants, and that common code has."""

CONTINUOUS = ("continuous, hard tanh", "continuous, ReLU")
"""Variants without any binarization."""

FILE, TABLE = "ablations.json", "table.csv"


@dataclass(frozen=True)
class Ablations:
    """A published table of ablations.

    Attributes
    ----------
    table : DataFrame
        A row per run: variant, seed, train_error, validation_error, test_error (fractions).
    reference : Recipe
    data : dict
        Provenance of the images.
    versions : dict
        Of Python and the libraries.
    """

    table: pd.DataFrame
    reference: Recipe
    data: dict[str, Any]
    versions: dict[str, str]


def write(folder: Path, table: pd.DataFrame, data: dict[str, Any], versions: dict) -> None:
    """Write a table and what it was made with, each file with its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / TABLE, index=False)
    settings = {"recipe": REFERENCE.as_dict(), "data": data, "versions": versions}
    storage.write_manifest(folder, FILE, settings, [TABLE])


def read(folder: Path) -> Ablations:
    """Read a table and verify its hash.

    Raises
    ------
    UserError
        If a file is missing or damaged.
    """
    remedy = "Restore the folder, or run tools/ablations.py again."
    with storage.reading(folder, "ablations", remedy=remedy):
        settings = storage.read_manifest(folder, FILE, [TABLE], remedy=remedy)
        return Ablations(
            pd.read_csv(folder / TABLE),
            Recipe(**settings["recipe"]),
            settings["data"],
            settings["versions"],
        )


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Errors of each variant beside the reference, seed by seed.

    Parameters
    ----------
    table : DataFrame
        See :class:`Ablations`; the variant ``reference`` has every seed.

    Returns
    -------
    DataFrame
        Index variant, in their order; runs; validation and test, mean errors in percent;
        difference, mean over seeds of the variant's validation error minus the reference's with
        the same seed, and difference_se, its standard error (NaN for one seed): percentage points.
    """
    errors = table.assign(
        validation=100 * table["validation_error"], test=100 * table["test_error"]
    )
    reference = errors[errors["variant"] == "reference"].set_index("seed")["validation"]
    errors["difference"] = errors["validation"] - errors["seed"].map(reference)
    by_variant = errors.groupby("variant", sort=False)
    return pd.DataFrame(
        {
            "runs": by_variant.size(),
            "validation": by_variant["validation"].mean(),
            "test": by_variant["test"].mean(),
            "difference": by_variant["difference"].mean(),
            "difference_se": by_variant["difference"].std() / np.sqrt(by_variant.size()),
        }
    )
