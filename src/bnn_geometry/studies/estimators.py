"""One network trained with several backward functions, and in the ways that section 5.1 speaks of.

``bnn-geometry study estimators`` trains the variants; the tables that it wrote are published in
``runs/estimators``. Beside the errors, r and the angle of every layer are measured at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import torch
from torch import nn

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.networks import batch_norm, conversion, estimators, variants
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import measurements
from bnn_geometry.studies import sweep
from bnn_geometry.studies.images import images as study_images
from bnn_geometry.studies.images import provenance
from bnn_geometry.studies.tables import Published
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.loop import train
from bnn_geometry.training.recipes import FAST_CIFAR10, Recipe

REFERENCE = FAST_CIFAR10.with_(
    width=1 / 16,
    epochs=3,
    train_images=8000,
    batch_size=50,
    lr=1e-2,
    schedule="one-cycle",
    augment=False,
    precision="float32",
    compile="never",
)
"""How every variant is trained. Its learning rate was chosen for the first of them."""

TEST_IMAGES, PROBE_IMAGES = 2000, 500
"""Test images that measure the errors, and those of them on which dot products are measured."""

Change = Callable[[nn.Module], nn.Module]


def _unchanged(network: nn.Module) -> nn.Module:
    return network


def _activations(estimator: estimators.Estimator) -> Change:
    return partial(estimators.in_activations, estimator=estimator)


def _weights(estimator: estimators.Estimator) -> Change:
    return partial(estimators.in_weights, estimator=estimator)


def _noise(network: nn.Module) -> nn.Module:
    return variants.add_weight_noise(network, torch.Generator().manual_seed(0))


VARIANTS: dict[str, Change] = {
    "reference": _unchanged,
    "activations: identity": _activations(estimators.IDENTITY),
    "activations: tanh": _activations(estimators.TANH),
    "activations: polynomial": _activations(estimators.POLYNOMIAL),
    "activations: swish-like": _activations(estimators.SWISH),
    "activations: outside alone": _activations(estimators.OUTSIDE),
    "activations: nothing": _activations(estimators.NOTHING),
    "weights: tanh": _weights(estimators.TANH),
    "weights: polynomial": _weights(estimators.POLYNOMIAL),
    "weights: swish-like": _weights(estimators.SWISH),
    "mean not subtracted": batch_norm.without_mean_subtraction,
    "independent noise": _noise,
}
"""Name of each variant and what it changes of a network before training. In the reference the
weights have the identity and the activations the hard tanh."""


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1, 2), root: str | None = None
) -> sweep.Study:
    """Variants, each from the same seeds on the same images.

    Its tables are

    errors
        A row per run: variant, seed, train_error (mean over the last epoch), test_error; and with
        batch norm refitted to the training images, refitted_error, of the binary network, and
        latent_error, of the one that computes with w^c in the place of w^b (fractions).
    layers
        variant, seed and the columns of
        :func:`bnn_geometry.probing.measurements.measure_layers`, after the last epoch.

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
    chosen = list(VARIANTS) if variants is None else variants
    sweep.check_choice(VARIANTS, chosen, seeds, needed="reference")
    data = provenance(REFERENCE.dataset, root)
    return sweep.Study(
        name="estimators",
        parts={
            f"{variant}, seed {seed}": {"variant": variant, "seed": seed}
            for seed in seeds
            for variant in chosen
        },
        function=partial(part, root=root, fingerprint=data["fingerprint"]),
        settings={
            "recipe": REFERENCE.as_dict(),
            "test_images": TEST_IMAGES,
            "probe_images": PROBE_IMAGES,
        },
        keys=dict.fromkeys(("errors", "layers"), ("variant", "seed")),
        data=data,
    )


def part(variant: str, seed: int, *, root: str | None, fingerprint: str) -> sweep.Rows:
    """The rows of one variant and seed."""
    return run(variant, study_images(REFERENCE.dataset, root, fingerprint), seed=seed)


def run(
    variant: str,
    dataset: Dataset,
    *,
    seed: int,
    recipe: Recipe = REFERENCE,
    test_images: int = TEST_IMAGES,
    images: int = PROBE_IMAGES,
) -> sweep.Rows:
    """Train one variant and measure it.

    Parameters
    ----------
    variant : str
        One of :data:`VARIANTS`.
    dataset : Dataset
    seed : int
    recipe : Recipe
    test_images : int
        Test images, drawn at random, that measure the errors.
    images : int
        Those of them on which dot products are measured.

    Returns
    -------
    dict
        The rows of this run in each of the tables of :func:`study`.
    """
    dataset = replace(dataset, test=dataset.test.sample(test_images, 1))
    network = VARIANTS[variant](build_network(recipe, seed))
    last = train(network, dataset, recipe, seed=seed).history.iloc[-1]
    seen = dataset.train.sample(min(2000, len(dataset.train.labels)), 1).images
    latent = conversion.compute_with_latents(network, weight_layers(network))
    errors = {
        "train_error": last["train_error"],
        "test_error": last["test_error"],
        "refitted_error": evaluate(batch_norm.refit_batch_norm(network, seen), dataset.test),
        "latent_error": evaluate(batch_norm.refit_batch_norm(latent, seen), dataset.test),
    }
    tables = {
        "errors": pd.DataFrame([errors]),
        "layers": measurements.measure_layers(network, dataset.test.images[:images]),
    }
    for table in tables.values():
        table.insert(0, "seed", seed)
        table.insert(0, "variant", variant)
    return tables


def summarize(found: Published) -> pd.DataFrame:
    """Test error of each run and the r of its median layer.

    Returns
    -------
    DataFrame
        Index variant, in their order; seed 1, seed 2, …: test errors with batch norm refitted, in
        percent; r: median over the layers, mean over the seeds.
    """
    errors = found.tables["errors"].set_index(["variant", "seed"])["refitted_error"] * 100
    by_seed = errors.unstack().reindex(errors.index.unique("variant")).add_prefix("seed ")
    layers = found.tables["layers"].groupby(["variant", "seed"])["r"].median()
    return by_seed.assign(r=layers.groupby("variant").mean())
