"""A published continuous network converted in every way, and short trainings from its weights.

``bnn-geometry study pretrained`` measures all of :mod:`bnn_geometry.studies.conversions`, and
trains the binary network for a short time from the continuous one's weights and anew. What it wrote
is published in ``runs/pretrained``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor

from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.studies import sweep
from bnn_geometry.studies.conversions import CHANGES, GROUPS, every, measure, pair, parts
from bnn_geometry.studies.images import images as study_images
from bnn_geometry.studies.images import provenance
from bnn_geometry.training import fine_tuning
from bnn_geometry.training.build import build_network
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.live import published_run
from bnn_geometry.training.loop import train

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset, Split
    from bnn_geometry.training.runs import Run

CONTINUOUS = "cifar10-convnet-fast-hardtanh-w0.5-s1"
"""The published run that is converted."""

BINARY = "cifar10-convnet-fast-w0.5-s1"
"""The published run that it is compared with, and whose recipe the short trainings have."""

TEST_IMAGES, REFIT_IMAGES = 1000, 500
"""Test images that measure, and training images that refit batch norm."""

SAMPLE_SEED = 0
"""Which images those are."""

SHORT = "fine-tuning"
"""What the short trainings are called among the study's variants."""

SHORT_IMAGES, SHORT_RATES = 2500, (1e-3, 5e-3)
"""Training images of the short trainings, one epoch each, and their learning rates."""

DRAWS = 3
"""Seeds of what is paired with a random turn, from 0 on: one draw says little."""

PAIRED = "paired"
"""What the pairs are called among the study's variants."""


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1,), root: str | None = None
) -> sweep.Study:
    """Every conversion of a published network, and short trainings that begin at its weights.

    Its tables are

    conversions
        The columns of :func:`~bnn_geometry.studies.conversions.measure`, with activation before
        them: that of the network converted. The binary run is there once, as it is.
    pairs
        The columns of :func:`~bnn_geometry.studies.conversions.pair`.
    fine_tuning
        A row per short training: start (``pretrained`` or ``scratch``), images (training images
        seen), lr, seed, error_before and test_error (fractions, at the start and at the end, both
        with batch norm refitted) and test_images.

    Parameters
    ----------
    variants : sequence of str, optional
        Some of :data:`~bnn_geometry.studies.conversions.GROUPS`, :data:`PAIRED` and
        :data:`SHORT`; all.
    seeds : sequence of int
        Of the short trainings.
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a choice makes no table, or images or runs are not there.
    """
    known = [*GROUPS, PAIRED, SHORT]
    chosen = known if variants is None else variants
    sweep.check_choice(known, chosen, seeds, needed=None)
    continuous, binary = published_run(CONTINUOUS), published_run(BINARY)
    data = provenance(binary.recipe.dataset, root)
    ways = [("binary", parts()[0])]
    ways += [
        (continuous.recipe.activation, way)
        for way in every(continuous.network())
        if way.group in chosen
    ]
    made = {
        f"{activation}: {way.group}: {way.name}": {
            "activation": activation,
            "group": way.group,
            "converted": way.name,
        }
        for activation, way in ways
    }
    if PAIRED in chosen:
        made |= {
            f"{change} and a random turn, draw {draw}": {"change": change, "draw": draw}
            for draw in range(DRAWS)
            for change in CHANGES
        }
    if SHORT in chosen:
        made |= {
            f"{begin}, {SHORT_IMAGES} images, lr {lr:g}, seed {seed}": {
                "start": begin,
                "images": SHORT_IMAGES,
                "lr": lr,
                "seed": seed,
            }
            for seed in seeds
            for lr in SHORT_RATES
            for begin in ("pretrained", "scratch")
        }
    return sweep.Study(
        name="pretrained",
        parts=made,
        function=partial(part, root=root, fingerprint=data["fingerprint"]),
        settings={
            "continuous": CONTINUOUS,
            "binary": BINARY,
            "weights": [run.info["sha256"]["weights.safetensors"] for run in (continuous, binary)],
            "test_images": TEST_IMAGES,
            "refit_images": REFIT_IMAGES,
            "sample_seed": SAMPLE_SEED,
            "fine_tuning": binary.recipe.with_(epochs=1, compile="never").as_dict(),
        },
        keys={
            "conversions": ("activation", "group", "converted"),
            "pairs": ("change", "draw"),
            "fine_tuning": ("start", "images", "lr", "seed"),
        },
        data=data,
    )


def part(*, root: str | None, fingerprint: str, **arguments: Any) -> sweep.Rows:
    """The row of one conversion, pair or short training."""
    continuous, binary = published_run(CONTINUOUS), published_run(BINARY)
    dataset = study_images(binary.recipe.dataset, root, fingerprint)
    test = dataset.test.sample(TEST_IMAGES, SAMPLE_SEED)
    refit = dataset.train.sample(REFIT_IMAGES, SAMPLE_SEED).images
    if "start" in arguments:
        row = fine_tuned(continuous, binary, dataset, refit, test, **arguments)
        return {"fine_tuning": pd.DataFrame([row])}
    if "change" in arguments:
        row = pair(continuous.network(), training_images=refit, test=test, **arguments)
        return {"pairs": pd.DataFrame([row])}
    activation = arguments["activation"]
    network = (binary if activation == "binary" else continuous).network()
    wanted = arguments["group"], arguments["converted"]
    way = next(way for way in every(network) if (way.group, way.name) == wanted)
    row = {"activation": activation} | measure(network, way, refit, test)
    return {"conversions": pd.DataFrame([row])}


def fine_tuned(
    continuous: Run,
    binary: Run,
    dataset: Dataset,
    refit: Tensor,
    test: Split,
    *,
    start: str,
    images: int,
    lr: float,
    seed: int,
) -> dict[str, Any]:
    """Test error after one epoch of binary training on so many images, batch norm refitted."""
    recipe = binary.recipe.with_(epochs=1, train_images=images, lr=lr, compile="never")
    network = (
        fine_tuning.as_latents(continuous.network(), recipe)
        if start == "pretrained"
        else build_network(recipe, seed)
    )
    before = evaluate(refit_batch_norm(network, refit), test)
    # the history's errors, with running averages that lag behind, are not wanted
    few = replace(dataset, test=test.sample(1, SAMPLE_SEED))
    trained = train(network, few, recipe, seed=seed).network
    return {
        "start": start,
        "images": images,
        "lr": lr,
        "seed": seed,
        "error_before": before,
        "test_error": evaluate(refit_batch_norm(trained, refit), test),
        "test_images": len(test.labels),
    }
