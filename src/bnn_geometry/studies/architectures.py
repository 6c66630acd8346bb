"""Recurrent, residual and attention networks: what binary weights cost, and the geometry in each.

``bnn-geometry study architectures`` trains the variants at several learning rates; the tables that
it wrote are published in ``runs/architectures``. The rate of a variant is the one with the lowest
mean error on held-out training images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.data.datasets import Dataset, Provenance
from bnn_geometry.networks.attention import PatchAttention
from bnn_geometry.networks.layers import latent_angles, weight_layers
from bnn_geometry.networks.recurrent import RowReader
from bnn_geometry.networks.residual import ResidualNet
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing import controls, dot_products, measurements
from bnn_geometry.probing.layer_inputs import LayerInput, sample_inputs
from bnn_geometry.studies import replicates, sweep
from bnn_geometry.studies.images import images as study_images
from bnn_geometry.studies.images import provenance
from bnn_geometry.studies.tables import Published
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.small_networks import Budget, train_small


@dataclass(frozen=True)
class Variant:
    """A network and the images that it is trained on.

    Attributes
    ----------
    family : str
        Its architecture: variants of one family have the same shape.
    dataset : str
    build : callable
        Makes it from a generator.
    """

    family: str
    dataset: str
    build: Callable[..., nn.Module]


def _recurrent(**options: Any) -> Variant:
    return Variant("recurrent", "mnist", partial(RowReader, **options))


_REAL = {"binary": False}
VARIANTS: dict[str, Variant] = {
    "recurrent, binary": _recurrent(),
    "recurrent, ternary": _recurrent(recurrent="ternary"),
    "recurrent, real": _recurrent(recurrent="continuous", **_REAL),
    "no norm, binary": _recurrent(normalized=False, **_REAL),
    "no norm, ternary": _recurrent(recurrent="ternary", normalized=False, **_REAL),
    "no norm, real": _recurrent(recurrent="continuous", normalized=False, **_REAL),
    "residual, binary": Variant("residual", "cifar10", ResidualNet),
    "residual, no shortcuts": Variant("residual", "cifar10", partial(ResidualNet, shortcut=False)),
    "residual, real": Variant("residual", "cifar10", partial(ResidualNet, **_REAL)),
    "attention, binary": Variant("attention", "mnist", PatchAttention),
    "attention, real": Variant("attention", "mnist", partial(PatchAttention, **_REAL)),
}
"""Every network by its name. "Real" is the continuous counterpart: real weights and hard tanh.

Of the recurrent ones ``ternary`` has ternary recurrent weights and is binary in all else. Those
without a norm are real in all but the recurrent weights, as the networks of Ott et al. (2016).
"""

COUNTERPARTS = {
    "recurrent, binary": "recurrent, real",
    "residual, binary": "residual, real",
    "attention, binary": "attention, real",
}
"""The networks with all weights and activations binary, and the same ones with none."""

BUDGET = Budget(epochs=5, batch_size=100, train_images=4000)
"""How every variant is trained."""

RATES = (3e-3, 1e-2)
"""Peaks of the learning rate, of which each variant has its own."""

VALIDATION_IMAGES, TEST_IMAGES, PROBE_IMAGES, SAMPLES = 1000, 4000, 300, 1000
"""Training images held out, test images, those of them that are probed, input vectors a layer."""

SAMPLE_SEED = 1
"""Of which images these are."""


def study(
    *,
    variants: Sequence[str] | None = None,
    seeds: Sequence[int] = (1, 2, 3),
    root: str | None = None,
) -> sweep.Study:
    """Variants, each from the same seeds on the same images, at every learning rate.

    Its tables are

    errors
        A row per run: variant, seed, lr, train_error (over the last epoch), validation_error and
        test_error (fractions).
    layers
        variant, seed, lr and the columns of :func:`measure`.

    Parameters
    ----------
    variants : sequence of str, optional
        Some of :data:`VARIANTS`; all.
    seeds : sequence of int
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a choice makes no table, or images are not there.
    """
    chosen = list(VARIANTS) if variants is None else variants
    sweep.check_choice(VARIANTS, chosen, seeds, needed=None)
    data = {name: provenance(name, root) for name in ("mnist", "cifar10")}
    fingerprints = {name: found["fingerprint"] for name, found in data.items()}
    return sweep.Study(
        name="architectures",
        parts={
            f"{variant}, lr {lr:g}, seed {seed}": {"variant": variant, "seed": seed, "lr": lr}
            for seed in seeds
            for variant in chosen
            for lr in RATES
        },
        function=partial(part, root=root, fingerprints=fingerprints),
        settings={
            "budget": BUDGET.as_dict(),
            "rates": list(RATES),
            "validation_images": VALIDATION_IMAGES,
            "test_images": TEST_IMAGES,
            "probe_images": PROBE_IMAGES,
            "samples": SAMPLES,
        },
        keys=dict.fromkeys(("errors", "layers"), ("variant", "seed", "lr")),
        data=_both(data),
    )


def _both(data: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    # a study says of one set of images where it is from: what the two say, side by side
    return {
        key: "; ".join(str(found[key]) for found in data.values())
        for key in ("dataset", "source", "title", "detail", "fingerprint")
    } | {"path": None}


def part(
    variant: str, seed: int, lr: float, *, root: str | None, fingerprints: Mapping[str, str]
) -> sweep.Rows:
    """The rows of one variant, seed and learning rate."""
    name = VARIANTS[variant].dataset
    return run(variant, study_images(name, root, fingerprints[name]), seed=seed, lr=lr)


def run(
    variant: str,
    dataset: Dataset,
    *,
    seed: int,
    lr: float,
    budget: Budget = BUDGET,
    validation_images: int = VALIDATION_IMAGES,
    test_images: int = TEST_IMAGES,
    images: int = PROBE_IMAGES,
    samples: int = SAMPLES,
) -> sweep.Rows:
    """Train one variant and measure it.

    Parameters
    ----------
    variant : str
        One of :data:`VARIANTS`.
    dataset : Dataset
        What it is trained on.
    seed, lr : int, float
        Of weights and order, and the peak of the learning rate.
    budget : Budget
    validation_images, test_images, images, samples : int
        See the constants of the same names.

    Returns
    -------
    dict
        The rows of this run in each of the tables of :func:`study`.
    """
    made = build(variant, seed)
    train = dataset.train.sample(budget.train_images + validation_images, SAMPLE_SEED)
    test = dataset.test.sample(test_images, SAMPLE_SEED)
    cut = len(train.labels) - validation_images
    held_out = torch.arange(cut, len(train.labels))
    network = build(variant, seed)
    train_error = train_small(
        network, train.images[:cut], train.labels[:cut], budget, lr=lr, seed=seed
    )
    errors = {
        "train_error": train_error,
        "validation_error": evaluate(network, train, indices=held_out),
        "test_error": evaluate(network, test),
    }
    tables = {
        "errors": pd.DataFrame([errors]),
        "layers": measure(network, made, test.images[:images], samples=samples, seed=seed),
    }
    for table in tables.values():
        for column, value in (("lr", lr), ("seed", seed), ("variant", variant)):
            table.insert(0, column, value)
    return tables


def build(variant: str, seed: int) -> nn.Module:
    """A variant's network with the weights of a seed, in evaluation mode."""
    return VARIANTS[variant].build(torch.Generator().manual_seed(seed)).eval()


def _signs(at: LayerInput) -> tuple[Tensor, Tensor]:
    return at.dot(binarize(at.weight)), at.dot(at.weight)


SIGNS = dot_products.Comparison("signs", r"x\cdot\mathrm{bin}(w^c)", r"x\cdot w^c", _signs)
"""x·bin(w^c) against x·w^c, also of a layer that computes with three values.

:meta hide-value:
"""


def measure(
    network: nn.Module, untrained: nn.Module, images: Tensor, *, samples: int, seed: int
) -> pd.DataFrame:
    """r and angle of every layer beside what chance gives.

    Parameters
    ----------
    network, untrained : Module
        The network, and itself before training.
    images : Tensor of uint8, shape (images, channels, h, w)
    samples : int
        Input vectors of each layer for the controls.
    seed : int
        Of the sample and of what the controls shuffle.

    Returns
    -------
    DataFrame
        The columns of :func:`bnn_geometry.probing.measurements.measure_layers`;
        untrained_r and untrained_angle of the same layer; the medians over filters of
        :func:`bnn_geometry.probing.controls.control_correlations`: measured, permuted_inputs,
        random_weights, white_inputs, shuffled_magnitudes, all of signs; and signs_r and
        signs_angle, which are r and angle but for a layer of three values.
    """
    table = measurements.measure_layers(network, images).set_index("layer")
    before = measurements.measure_layers(untrained, images).set_index("layer")
    table[["untrained_r", "untrained_angle"]] = before[["r", "angle"]]
    signs = dot_products.as_table(dot_products.probe(network, images, [SIGNS])[SIGNS.name])
    table["signs_r"] = signs["r"]
    generator = torch.Generator().manual_seed(seed)
    sampled = sample_inputs(network, images, samples=samples, generator=generator)
    for name, layer in weight_layers(network).items():
        found = controls.control_correlations(layer.weight, sampled[name].x, generator)
        for control, r in found.items():
            if control != "wrong pairing":
                table.loc[name, control.replace(" ", "_")] = r.nanmedian().item()
        table.loc[name, "signs_angle"] = latent_angles(layer.weight).nanmedian().item()
    return table.reset_index()


# --- what the tables say --------------------------------------------------------------------------


def chosen_rates(errors: pd.DataFrame) -> pd.Series:
    """The learning rate of each variant: lowest mean error on held-out images; index variant."""
    means = errors.groupby(["variant", "lr"], sort=False)["validation_error"].mean().unstack()
    return means.idxmin(axis=1)


def at_chosen_rates(found: Published) -> dict[str, pd.DataFrame]:
    """The rows of every table at the variant's learning rate."""
    rates = chosen_rates(found.tables["errors"])
    return {
        name: table[table["lr"] == table["variant"].map(rates)].reset_index(drop=True)
        for name, table in found.tables.items()
    }


def errors_in_percent(errors: pd.DataFrame) -> pd.DataFrame:
    """Mean test error of each variant and its standard error over the seeds, percent.

    Parameters
    ----------
    errors : DataFrame
        The rows at the chosen rates.

    Returns
    -------
    DataFrame
        Index variant; error, error_se, and train (mean error over the last epoch), seeds.
    """
    by_variant = (100 * errors.set_index("variant")[["test_error", "train_error"]]).groupby(
        "variant", sort=False
    )
    test = by_variant["test_error"]
    return pd.DataFrame(
        {
            "error": test.mean(),
            "error_se": test.sem(),
            "train": by_variant["train_error"].mean(),
            "seeds": test.size(),
        }
    )


def gap(errors: pd.DataFrame, variant: str, other: str) -> replicates.Difference:
    """By how many points the mean test error of a variant is above that of another (Welch)."""
    return replicates.welch(*_by_seed(errors, variant, other, "test_error"))


def paired_gap(
    errors: pd.DataFrame, variant: str, other: str, column: str = "test_error"
) -> replicates.Difference:
    """By how many points, seed by seed, the error of a variant is above that of another.

    Parameters
    ----------
    errors : DataFrame
        One row for each variant and seed; errors as fractions.
    variant, other : str
        Two of :data:`VARIANTS` that begin with the same weights.
    column : str
        Which error.

    Raises
    ------
    ValueError
        If the two do not begin with the same weights, and so have nothing in common.
    """
    one, two = (build(name, 0).state_dict() for name in (variant, other))
    if one.keys() != two.keys() or not all(torch.equal(one[k], two[k]) for k in one):
        raise ValueError(f"{variant!r} and {other!r} do not begin with the same weights.")
    return replicates.paired(*_by_seed(errors, variant, other, column))


def _by_seed(errors: pd.DataFrame, variant: str, other: str, column: str) -> list[np.ndarray]:
    by_seed = 100 * errors.pivot(index="seed", columns="variant", values=column)
    return [by_seed[name].to_numpy() for name in (variant, other)]


def layer_means(layers: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Means over the seeds of every number of a variant's layers, and what training adds to r.

    Returns
    -------
    DataFrame
        Index layer, in their order; the columns of :func:`measure`, and excess, the mean of r less
        untrained_r of the same seed, with its standard error excess_se over the seeds.
    """
    rows = layers[layers["variant"] == variant].drop(columns=["variant", "seed", "lr"])
    rows = rows.assign(excess=rows["r"] - rows["untrained_r"])
    by_layer = rows.groupby("layer", sort=False)
    return by_layer.mean().assign(excess_se=by_layer["excess"].sem())


def every_layer() -> list[tuple[str, str]]:
    """The layers of the binary networks that have a counterpart: variant and name."""
    return [
        (variant, name) for variant in COUNTERPARTS for name in weight_layers(build(variant, 0))
    ]


def provenance_of(found: Published, variant: str) -> Provenance:
    """Where the images of one variant are from: the study's data name two sets side by side."""
    names = found.data["dataset"].split("; ")
    which = names.index(VARIANTS[variant].dataset)
    values = {
        key: found.data[key].split("; ")[which]
        for key in ("dataset", "source", "title", "detail", "fingerprint")
    }
    return Provenance(**values, path=None, train_images=0, test_images=TEST_IMAGES)
