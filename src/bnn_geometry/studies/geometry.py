"""The geometry of one published run, with all that it is compared with: what an argument rests on.

``bnn-geometry study geometry RUN`` writes it to ``runs/geometry-RUN``. The images are run through
the network once; a sample of what enters each layer is kept, and all correlations, the network's
own and those of its controls, come from that sample.
"""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bnn_geometry.errors import UserError
from bnn_geometry.studies import geometry_errors, geometry_layers, sweep
from bnn_geometry.studies.images import images as study_images
from bnn_geometry.studies.images import provenance
from bnn_geometry.training import runs

VECTORS = 10_000
"""Of each convolution, from test images and from training images each."""

SHUFFLES, TURNS = 5, 10
"""Draws of the same signs with shuffled magnitudes, and of the random turn by the same angle."""

TRAIN_IMAGES, REFIT_IMAGES = 2000, 200
"""Training images for components, directions and readouts, and those that refit batch norm."""

UNTRAINED_IMAGES = 1000
"""Test images on which the network before training is measured."""

PATCHES, SEED = 1000, 0

DIGITS = 5
"""Of the numbers in the tables: an r has a standard error of 10⁻⁴ and more."""


def name(run: str) -> str:
    """Folder of a run's measurements, in the folder of published runs."""
    return f"geometry-{run}"


def study(
    *, run_folder: str, images: int = 10_000, error_images: int = 1000, root: str | None = None
) -> sweep.Study:
    """Measurements of a finished run, as parts: its layers, its beginning, and each change.

    Its tables are

    layers
        A row per layer, comparison (``weights``: x·w^b with x·w^c; ``activations``: w^b·x^b with
        w^b·x^c), control and draw. Columns n (fan-in), filters, images and vectors (0: a closed
        form); r (all filters pooled), median and mean (over filters); their standard errors over
        images r_se and median_se; excess, that of the measured r over this control's, and its
        excess_se and median_excess_se, on the same images; disagreement (fraction of different
        signs), what the angle alone gives, from_angle (mean of θ/π), and from_r (of arccos(r)/π).
        The controls are those of :func:`bnn_geometry.probing.weight_pairs.weight_pairs`;
        ``white inputs`` (the filter's cosine; √(2/π) of activations), ``permuted inputs``,
        ``random signs``, ``untrained``; ``without k components``, ``k components`` and
        ``covariance of other images`` (components of training images, r of test images).
    filters
        A row per filter: angle (degrees), disagreement, and a correlation in a column for each of
        those.
    untrained_filters
        The same of the network before training.
    inputs
        A row per layer: participation (ratio of the inputs' covariance), share_k (part of the
        variance along the leading k components).
    directions, readout
        See :func:`bnn_geometry.probing.judged_directions.judged_directions` and
        :func:`bnn_geometry.probing.directions.readout_errors`, fitted on training images.
    clouds, cloud_axes
        Counts of pairs of dot products in the cells of a grid: from first·first_width on, one
        first_width wide, and likewise the second.
    answers
        A row per change of :func:`bnn_geometry.studies.geometry_errors.changes`: right, image by
        image, packed.
    first_layer, patches
        See :func:`bnn_geometry.studies.geometry_pictures.first_layer`.

    Parameters
    ----------
    run_folder : str
        Of the run.
    images : int
        Test images on which r is measured; all where there are fewer.
    error_images : int
        Those on which changes are judged.
    root : str, optional
        Folder of the images.

    Raises
    ------
    UserError
        If a number makes no sense, or run or images are not there.
    """
    for option, value in (("--images", images), ("--error-images", error_images)):
        if value < 2 * 20:
            raise UserError(f"{option} must be at least 40, for standard errors, not {value}.")
    made = runs.read(Path(run_folder))
    network = made.network()
    data = provenance(made.recipe.dataset, root)
    if data["fingerprint"] != made.data["fingerprint"]:
        raise UserError(
            f"The run in {run_folder} was trained on {made.data['title']} and these images are "
            f"{data['title']}: measure with the same ones."
        )
    folder = made.path.resolve().name
    command = ["bnn-geometry", "study", "geometry", f"runs/{folder}", "--images", f"{images}"]
    command += ["--error-images", f"{error_images}"]
    parts: dict[str, dict[str, Any]] = {"layers": {"what": "layers"}}
    parts["untrained"] = {"what": "untrained"}
    for change in geometry_errors.changes(network, shuffles=SHUFFLES, turns=TURNS):
        parts["{change}, {layer}, draw {draw}".format(**change)] = {"what": "answers", **change}
    return sweep.Study(
        name=name(folder),
        parts=parts,
        function=partial(
            part,
            run=str(made.path.resolve()),
            images=images,
            error_images=error_images,
            root=root,
            fingerprint=data["fingerprint"],
        ),
        settings={
            "run": folder,
            "weights": made.info["sha256"]["weights.safetensors"],
            "command": shlex.join(command),
            "images": images,
            "error_images": error_images,
            "refit_images": REFIT_IMAGES,
            "train_images": TRAIN_IMAGES,
            "untrained_images": UNTRAINED_IMAGES,
            "fitted_vectors": geometry_layers.FITTED,
            "vectors": VECTORS,
            "seed": SEED,
        },
        keys={
            "layers": ("comparison", "layer", "control", "draw"),
            "filters": ("layer", "filter"),
            "untrained_filters": ("layer", "filter"),
            "inputs": ("layer",),
            "directions": ("layer", "kind", "direction"),
            "readout": ("layer",),
            "clouds": ("comparison", "layer", "first", "second"),
            "cloud_axes": ("comparison", "layer"),
            "answers": ("change", "layer", "draw"),
            "first_layer": ("filter",),
            "patches": ("image",),
        },
        data=data,
    )


def part(
    *,
    run: str,
    images: int,
    error_images: int,
    root: str | None,
    fingerprint: str,
    what: str,
    **change: Any,
) -> sweep.Rows:
    """The tables of one part."""
    made = runs.read(Path(run))
    dataset = study_images(made.recipe.dataset, root, fingerprint)
    if what == "answers":
        test = dataset.test.sample(error_images, SEED)
        refit = dataset.train.sample(REFIT_IMAGES, SEED).images
        right = geometry_errors.answers(made.network(), refit, test, change)
        row = change | {"images": len(test.labels), "refit_images": len(refit), "right": right}
        return {"answers": pd.DataFrame([row])}
    if what == "untrained":
        test = dataset.test.sample(min(images, UNTRAINED_IMAGES), SEED)
        tables = geometry_layers.untrained_tables(
            made.untrained(), test, vectors=VECTORS, seed=SEED
        )
        return {key: _short(table) for key, table in tables.items()}
    network, test = made.network(), dataset.test.sample(images, SEED)
    tables = geometry_layers.layer_tables(
        network,
        test,
        dataset.train.sample(TRAIN_IMAGES, SEED),
        vectors=VECTORS,
        draws=SHUFFLES,
        patches=PATCHES,
        seed=SEED,
    )
    return {key: _short(table) for key, table in tables.items()}


def _short(table: pd.DataFrame) -> pd.DataFrame:
    # so many digits as they are worth: a filter has twenty numbers
    shown = table.copy()
    for column in shown.select_dtypes("float"):
        shown[column] = [float(f"{value:.{DIGITS}g}") for value in shown[column]]
    return shown
