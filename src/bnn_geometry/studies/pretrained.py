"""Ways to binarize a trained network, or to take its magnitudes away, and a table of their errors.

The chapter measures some of them on the network that the build trained; ``bnn-geometry study
pretrained`` measures all of them on a published run, and trains the binary network for a short time
from the continuous one's weights and anew. What it wrote is published in ``runs/pretrained``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.networks import magnitudes
from bnn_geometry.networks.batch_norm import refit_batch_norm
from bnn_geometry.networks.conversion import binarize_network
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.studies import sweep
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

GROUPS = ("parts", "magnitudes", "one layer")
"""Of conversions, in the order of :func:`every`."""

POWERS = (0.0, 0.5, 2.0)
"""Exponents p of bin(w)·``|w|^p``; p = 1 is the network as it is."""

DRAWS = 3
"""Seeds of every random change, from 0 on: one draw says little."""

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
    draw : int
        Seed of a random change.
    """

    group: str
    name: str
    apply: Callable[[nn.Module], nn.Module]
    draw: int = 0


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


def of_magnitudes(draws: int = DRAWS) -> list[Conversion]:
    """Magnitudes made more even, dealt anew, divided out; and random turns by the same angles."""

    def power(p: float) -> Callable[[nn.Module], nn.Module]:
        return lambda net: magnitudes.raise_magnitudes(net, p)

    def shuffled(net: nn.Module, draw: int) -> nn.Module:
        return magnitudes.shuffle_magnitudes(net, torch.Generator().manual_seed(draw))

    def turned(net: nn.Module, like: nn.Module, draw: int) -> nn.Module:
        return magnitudes.rotate_like(net, like, torch.Generator().manual_seed(draw))

    random: dict[str, Callable[[nn.Module, int], nn.Module]] = {
        "magnitudes dealt anew": shuffled,
        "random turn, as |w|^0": lambda net, draw: turned(net, power(0.0)(net), draw),
        "random turn, as dealt anew": lambda net, draw: turned(net, shuffled(net, draw), draw),
        "signs dealt anew": lambda net, draw: magnitudes.shuffle_signs(
            net, torch.Generator().manual_seed(draw)
        ),
    }
    return [
        *(Conversion("magnitudes", f"|w|^{p:g}", power(p)) for p in POWERS),
        *(
            Conversion("magnitudes", name, partial(change, draw=draw), draw)
            for name, change in random.items()
            for draw in range(draws)
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
        group, converted, draw, angle (median over filters of the angle by which the weights turned,
        degrees), kept and refitted (fractions of the test images), test_images.
    """
    changed = conversion.apply(network)
    refitted = refit_batch_norm(changed, training_images)
    angles = magnitudes.rotation_angles(network, changed)["angle"]
    return {
        "group": conversion.group,
        "converted": conversion.name,
        "draw": conversion.draw,
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
        Index converted; group, angle, kept and refitted (per cent, means over the draws), kept_se
        and refitted_se (standard errors, percentage points: from the number of test images, and
        where there are several draws from their spread as well).
    """
    table = table.drop(columns="draw", errors="ignore")
    of = table.groupby(["group", "converted"], sort=False)
    percent = of[["angle", "test_images"]].mean()
    for column in ("kept", "refitted"):
        p = of[column].mean()
        # the draws are measured on the same images: these errors do not average out
        images = p * (1 - p) / percent["test_images"]
        draws = (of[column].var() / of.size()).fillna(0.0)
        percent[column] = 100 * p
        percent[f"{column}_se"] = 100 * np.sqrt(images + draws)
    return percent.drop(columns="test_images").reset_index("group")


# --- the study ------------------------------------------------------------------------------------


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1,), root: str | None = None
) -> sweep.Study:
    """Every conversion of a published network, and short trainings that begin at its weights.

    Its tables are

    conversions
        The columns of :func:`measure`, with activation before them: that of the network converted.
        The binary run is there once, as it is.
    fine_tuning
        A row per short training: start (``pretrained`` or ``scratch``), images (training images
        seen), lr, seed, error_before and test_error (fractions, at the start and at the end, both
        with batch norm refitted) and test_images.

    Parameters
    ----------
    variants : sequence of str, optional
        Some of :data:`GROUPS` and :data:`SHORT`; all.
    seeds : sequence of int
        Of the short trainings.
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a choice makes no table, or images or runs are not there.
    """
    known = [*GROUPS, SHORT]
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
        f"{activation}: {way.group}: {way.name}" + (f", draw {way.draw}" if way.draw else ""): {
            "activation": activation,
            "group": way.group,
            "converted": way.name,
            "draw": way.draw,
        }
        for activation, way in ways
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
            "conversions": ("activation", "group", "converted", "draw"),
            "fine_tuning": ("start", "images", "lr", "seed"),
        },
        data=data,
    )


def part(*, root: str | None, fingerprint: str, **arguments: Any) -> sweep.Rows:
    """The row of one conversion, or of one short training."""
    continuous, binary = published_run(CONTINUOUS), published_run(BINARY)
    dataset = study_images(binary.recipe.dataset, root, fingerprint)
    test = dataset.test.sample(TEST_IMAGES, SAMPLE_SEED)
    refit = dataset.train.sample(REFIT_IMAGES, SAMPLE_SEED).images
    if "start" in arguments:
        row = fine_tuned(continuous, binary, dataset, refit, test, **arguments)
        return {"fine_tuning": pd.DataFrame([row])}
    activation = arguments["activation"]
    network = (binary if activation == "binary" else continuous).network()
    wanted = arguments["group"], arguments["converted"], arguments["draw"]
    way = next(way for way in every(network) if (way.group, way.name, way.draw) == wanted)
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
