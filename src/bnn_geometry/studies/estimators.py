"""One network trained with several backward functions, and in the ways that section 5.1 speaks of.

``bnn-geometry study estimators`` trains the variants; the tables that it wrote are published in
``runs/estimators``. Beside the errors, r and the angle of every layer are measured epoch by epoch,
and in the reference the difference between the binary and the latent weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import nn

from bnn_geometry.data.datasets import Dataset
from bnn_geometry.networks import batch_norm, conversion, estimators, variants
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing import measurements, weights
from bnn_geometry.studies import sweep
from bnn_geometry.studies.images import images as study_images
from bnn_geometry.studies.images import provenance
from bnn_geometry.studies.tables import Published
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.live import published_run
from bnn_geometry.training.loop import train
from bnn_geometry.training.recipes import FAST_CIFAR10, Recipe
from bnn_geometry.training.runs import MEASURED_SEED, Run

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

UNTRAINED = {"cifar10-convnet-fast-w0.5-s1": "cifar10", "mnist-mlp-fast-w0.5-s1": "mnist"}
"""Published runs, and their data sets: their networks before training are measured as well."""


class _Recorder:
    # follows one run: measurements at epoch ends, and the difference one step before each

    def __init__(self, network: nn.Module, dataset: Dataset, images: int, follow_noise: bool):
        self._network = network
        self._images = dataset.test.images[:images]
        self._batch = dataset.train.sample(2 * images, 1)
        self._follow_noise = follow_noise
        self._step_before: dict[str, torch.Tensor] = {}
        self._epoch_before: dict[str, torch.Tensor] = {}
        self.layers: list[pd.DataFrame] = []
        self.noise: list[pd.DataFrame] = []

    def see(self, epoch: int) -> None:
        self.layers.append(
            measurements.measure_layers(self._network, self._images).assign(epoch=epoch)
        )
        if not self._follow_noise:
            return
        now = weights.weight_noise(self._network)
        table = weights.weight_noise_statistics(
            self._network, self._batch.images, self._batch.labels
        )
        for column, before in (
            ("step_cosine", self._step_before),
            ("epoch_cosine", self._epoch_before),
        ):
            table[column] = [
                weights.cosine(now[name], before[name]) if before else np.nan
                for name in table["layer"]
            ]
        self.noise.append(table.assign(epoch=epoch))
        self._epoch_before = now

    def on_step(self, step: int, steps: int, loss: torch.Tensor, *, epochs: int) -> None:
        if self._follow_noise and (step + 1) % (steps // epochs) == 0:
            self._step_before = weights.weight_noise(self._network)


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1, 2), root: str | None = None
) -> sweep.Study:
    """Variants, each from the same seeds on the same images, and some untrained networks.

    Its tables are

    errors
        A row per run: variant, seed, train_error (mean over the last epoch), test_error; and with
        batch norm refitted to the training images, refitted_error, of the binary network, and
        latent_error, of the one that computes with w^c in the place of w^b (fractions).
    layers
        variant, seed, epoch (0: untrained) and the columns of
        :func:`bnn_geometry.probing.measurements.measure_layers`.
    noise
        Of the reference: seed, epoch, the columns of
        :func:`bnn_geometry.probing.weights.weight_noise_statistics`,
        and the cosines of ε with itself one step (step_cosine) and one epoch (epoch_cosine)
        before; NaN where there was none.

    Parameters
    ----------
    variants : sequence of str, optional
        Some of :data:`VARIANTS`, the reference among them, and of :data:`UNTRAINED`; all.
    seeds : sequence of int
        Of the variants.
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a choice makes no table, or the images are not there.
    """
    known = [*VARIANTS, *UNTRAINED]
    chosen = known if variants is None else variants
    sweep.check_choice(known, chosen, seeds, needed="reference")
    data = provenance(REFERENCE.dataset, root)
    trained = {
        f"{variant}, seed {seed}": {"variant": variant, "seed": seed}
        for seed in seeds
        for variant in chosen
        if variant in VARIANTS
    }
    untrained = {
        f"{name}, untrained": {
            "variant": name,
            "fingerprint": provenance(UNTRAINED[name], root)["fingerprint"],
        }
        for name in chosen
        if name in UNTRAINED
    }
    return sweep.Study(
        name="estimators",
        parts=trained | untrained,
        function=partial(part, root=root, fingerprint=data["fingerprint"]),
        settings={
            "recipe": REFERENCE.as_dict(),
            "test_images": TEST_IMAGES,
            "probe_images": PROBE_IMAGES,
        },
        keys=dict.fromkeys(("errors", "layers", "noise"), ("variant", "seed")),
        data=data,
    )


def part(
    variant: str, seed: int | None = None, *, root: str | None, fingerprint: str
) -> sweep.Rows:
    """The rows of one variant and seed, or of a published run's untrained network."""
    if variant in UNTRAINED:
        dataset = study_images(UNTRAINED[variant], root, fingerprint)
        return {"layers": untrained_layers(variant, published_run(variant), dataset)}
    return run(variant, study_images(REFERENCE.dataset, root, fingerprint), seed=seed)


def untrained_layers(
    name: str, published: Run, dataset: Dataset, images: int = PROBE_IMAGES
) -> pd.DataFrame:
    """Rows of the table ``layers`` for a run's network as it was before training."""
    test = dataset.test.sample(images, MEASURED_SEED).images
    table = measurements.measure_layers(published.untrained(), test).assign(epoch=0)
    return _named(table, name, published.seed)


def _named(table: pd.DataFrame, variant: str, seed: int) -> pd.DataFrame:
    table.insert(0, "seed", seed)
    table.insert(0, "variant", variant)
    return table


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
        Those of them on which dot products are measured; twice as many training images give the
        gradient.

    Returns
    -------
    dict
        The rows of this run in each of the tables of :func:`study`; noise of the reference alone.
    """
    dataset = replace(dataset, test=dataset.test.sample(test_images, 1))
    network = VARIANTS[variant](build_network(recipe, seed))
    every_epoch = variant == "reference"
    recorder = _Recorder(network.eval(), dataset, images, every_epoch)
    if every_epoch:
        recorder.see(0)
    trained = train(
        network,
        dataset,
        recipe,
        seed=seed,
        on_epoch_end=lambda _, row: (
            recorder.see(row["epoch"]) if every_epoch or row["epoch"] == recipe.epochs else None
        ),
        on_step=partial(recorder.on_step, epochs=recipe.epochs),
    )
    last = trained.history.iloc[-1]
    seen = dataset.train.sample(min(2000, len(dataset.train.labels)), 1).images
    latent = conversion.compute_with_latents(network, weight_layers(network))
    errors = {
        "train_error": last["train_error"],
        "test_error": last["test_error"],
        "refitted_error": evaluate(batch_norm.refit_batch_norm(network, seen), dataset.test),
        "latent_error": evaluate(batch_norm.refit_batch_norm(latent, seen), dataset.test),
    }
    tables = {"errors": pd.DataFrame([errors]), "layers": pd.concat(recorder.layers)}
    if recorder.noise:
        tables["noise"] = pd.concat(recorder.noise)
    return {name: _named(table, variant, seed) for name, table in tables.items()}


def summarize(found: Published) -> pd.DataFrame:
    """Errors and geometry of each variant, mean over seeds with the spread.

    Returns
    -------
    DataFrame
        Index variant, in their order; runs; test, refitted, latent: mean test errors in percent;
        test_sd, refitted_sd: standard deviation over seeds; difference and difference_se: of the
        refitted error to that of the reference with the same seed, percentage points; r and
        r_sd: median over the layers of r after the last epoch; angle: likewise.
    """
    errors = found.tables["errors"].set_index(["variant", "seed"]) * 100
    layers = found.tables["layers"]
    last = layers[layers["epoch"] == layers["epoch"].max()]
    geometry = last.groupby(["variant", "seed"], sort=False)[["r", "angle"]].median()
    errors = errors.join(geometry)
    reference = errors.loc["reference", "refitted_error"]
    seeds = errors.index.get_level_values("seed")
    errors["difference"] = errors["refitted_error"] - reference.reindex(seeds).to_numpy()
    by_variant = errors.groupby("variant", sort=False)
    return pd.DataFrame(
        {
            "runs": by_variant.size(),
            "test": by_variant["test_error"].mean(),
            "test_sd": by_variant["test_error"].std(),
            "refitted": by_variant["refitted_error"].mean(),
            "refitted_sd": by_variant["refitted_error"].std(),
            "latent": by_variant["latent_error"].mean(),
            "difference": by_variant["difference"].mean(),
            "difference_se": by_variant["difference"].std() / np.sqrt(by_variant.size()),
            "r": by_variant["r"].mean(),
            "r_sd": by_variant["r"].std(),
            "angle": by_variant["angle"].mean(),
        }
    )
