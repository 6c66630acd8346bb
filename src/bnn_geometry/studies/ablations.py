"""What each choice in the recipe ``fast`` is worth: variants of it, and a table of their errors.

``bnn-geometry study ablations`` trains the variants on one narrow network; what one is worth is its
error on validation images, and the test error stands beside it. The table that it wrote is
published in ``runs/ablations``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bnn_geometry.studies import sweep
from bnn_geometry.studies.images import images, provenance
from bnn_geometry.studies.replicates import pooled_variance
from bnn_geometry.training.build import build_network
from bnn_geometry.training.loop import train
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


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1, 2), root: str | None = None
) -> sweep.Study:
    """Variants, each from the same seeds on the same images; its one table is ``errors``.

    A row per run: variant, seed, train_error, validation_error, test_error (fractions, of the epoch
    that was kept: the best on the validation images).

    Parameters
    ----------
    variants : sequence of str, optional
        Some of :data:`VARIANTS`, the reference among them; all.
    seeds : sequence of int
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a choice makes no table, or the images are not there.
    """
    return of_variants("ablations", REFERENCE, VARIANTS, chosen=variants, seeds=seeds, root=root)


def of_variants(
    name: str,
    reference: Recipe,
    variants: Mapping[str, Mapping[str, Any]],
    *,
    chosen: Sequence[str] | None,
    seeds: Sequence[int],
    root: str | None,
) -> sweep.Study:
    """The study that trains variants of one recipe: see :func:`study`."""
    chosen = list(variants) if chosen is None else chosen
    sweep.check_choice(variants, chosen, seeds, needed="reference")
    data = provenance(reference.dataset, root)
    return sweep.Study(
        name=name,
        parts={
            f"{variant}, seed {seed}": {
                "variant": variant,
                "seed": seed,
                "changes": dict(variants[variant]),
            }
            for seed in seeds
            for variant in chosen
        },
        function=partial(
            part, reference=reference.as_dict(), root=root, fingerprint=data["fingerprint"]
        ),
        settings={"recipe": reference.as_dict()},
        keys={"errors": ("variant", "seed")},
        data=data,
    )


def part(
    variant: str,
    seed: int,
    changes: Mapping[str, Any],
    *,
    reference: dict[str, Any],
    root: str | None,
    fingerprint: str,
) -> sweep.Rows:
    """The row of one run."""
    recipe = Recipe.from_dict(reference).with_(**changes)
    dataset = images(recipe.dataset, root, fingerprint)
    trained = train(build_network(recipe, seed), dataset, recipe, seed=seed)
    # test images are looked at once, with the network of this epoch
    kept = trained.history.set_index("epoch").loc[trained.kept_epoch]
    errors = {f"{name}_error": kept[f"{name}_error"] for name in ("train", "validation", "test")}
    return {"errors": pd.DataFrame([{"variant": variant, "seed": seed} | errors])}


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Errors of each variant beside the reference, seed by seed.

    Parameters
    ----------
    table : DataFrame
        The errors of :func:`study`; the variant ``reference`` has every seed.

    Returns
    -------
    DataFrame
        Index variant, in their order; runs; validation and test, mean errors in percent;
        difference, mean over seeds of the variant's validation error minus the reference's with
        the same seed, difference_se, its standard error from the variant's own seeds (NaN for one),
        and pooled_se, from the variance within all variants together but for :data:`MISTAKES`,
        whose spread is another (theirs is NaN): percentage points. All differences to one seed
        have the same run of the reference in them, so that they are not independent.
    """
    errors = table.assign(
        validation=100 * table["validation_error"], test=100 * table["test_error"]
    )
    reference = errors[errors["variant"] == "reference"].set_index("seed")["validation"]
    errors["difference"] = errors["validation"] - errors["seed"].map(reference)
    alike = errors[~errors["variant"].isin(["reference", *MISTAKES])]
    pooled = pooled_variance(alike["difference"], alike["variant"]).variance
    by_variant = errors.groupby("variant", sort=False)
    count = by_variant.size()
    pooled_se = np.sqrt(pooled / count).mask(count.index.isin(MISTAKES))
    pooled_se["reference"] = 0.0
    return pd.DataFrame(
        {
            "runs": count,
            "validation": by_variant["validation"].mean(),
            "test": by_variant["test"].mean(),
            "difference": by_variant["difference"].mean(),
            "difference_se": by_variant["difference"].std() / np.sqrt(count),
            "pooled_se": pooled_se,
        }
    )
