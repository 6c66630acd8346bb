"""Make a run small enough to publish, and measure what that costs.

A published run keeps its latent weights in eight bits (:mod:`bnn_geometry.training.int8`). The
binary
network is the very same, since no sign changes; what changes is every measurement of the latent
weights, by as much as is stated beside them. A continuous network computes with what is rounded; so
does a ternary one, where rounding takes a latent across the threshold. Both test errors are stated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from bnn_geometry import storage
from bnn_geometry.data.datasets import Dataset
from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.probing import dot_products, weights
from bnn_geometry.training import int8
from bnn_geometry.training.evaluation import evaluate
from bnn_geometry.training.runs import MEASURED_SEED, Run, fill, read


def rounding_cost(
    exact: ConvNet | MLP, rounded: ConvNet | MLP, images: Tensor | None = None
) -> pd.DataFrame:
    r"""What rounded latent weights change in each layer.

    Parameters
    ----------
    exact, rounded : ConvNet or MLP
        The same network before and after.
    images : Tensor of uint8, shape (images, channels, h, w), optional
        Measure r on these.

    Returns
    -------
    DataFrame
        Index layer; n (fan-in), angle_change (mean over filters of the change of the angle between
        w^c and w^b, without its sign) and angle_change_max, in degrees; with images also r (Pearson
        of x·w^b and x·w^c, all filters pooled) before and r_rounded after.
    """
    before, after = (weights.weight_angles(network) for network in (exact, rounded))
    before["change"] = (after["angle"] - before["angle"]).abs()
    by_layer = before.groupby("layer", sort=False)
    table = pd.DataFrame(
        {
            "n": by_layer["n"].first(),
            "angle_change": by_layer["change"].mean(),
            "angle_change_max": by_layer["change"].max(),
        }
    )
    if images is not None:
        for column, network in (("r", exact), ("r_rounded", rounded)):
            table[column] = dot_products.as_table(dot_products.probe_weights(network, images))["r"]
    return table


def publish(
    run: Run,
    path: Path,
    *,
    dataset: Dataset | None = None,
    images: int = 500,
    weights: bool = True,
) -> Run:
    """Write a run's published form to a new folder.

    What the rounding costs is in the result's ``info["published"]``: ``layers`` (records of
    :func:`rounding_cost`), and with a data set ``images``, ``test_error`` and
    ``test_error_rounded``.

    Parameters
    ----------
    run : Run
        With its weights in float32.
    path : Path
        The folder to make.
    dataset : Dataset, optional
        Measure r and the test error on its test images.
    images : int
        Test images on which r is measured.
    weights : bool
        False: publish history and measurements alone.

    Raises
    ------
    UserError
        If the run was published already, the data set is another than the run's, or the folder
        cannot be written.
    """
    if "published" in run.info:
        raise UserError(f"{run.path} is a published run already: copy the folder.")
    if dataset is not None and dataset.provenance.fingerprint != run.data["fingerprint"]:
        raise UserError(
            f"The run in {run.path} was trained on {run.data['title']} and these images are "
            f"{dataset.provenance.title}: measure with the same ones, or with none."
        )
    published: dict[str, Any] = {"latents": None}
    packed: dict[str, Tensor] = {}
    if weights:
        exact = run.network()
        names = [f"{name}.weight" for name in weight_layers(exact)]
        packed = int8.pack(run.weights, names)
        rounded = run.network()
        rounded.load_state_dict(int8.unpack(packed))
        published = {"latents": "int8"} | _cost(exact, rounded, dataset, images)
        published["of_sha256"] = storage.file_hash(run.path / "weights.safetensors")
    info = {key: value for key, value in run.info.items() if key != "sha256"}
    with storage.new_folder(path) as folder:
        fill(
            folder,
            recipe=run.recipe,
            seed=run.seed,
            info={"data": run.data} | info | {"published": published},
            history=run.history,
            measurements=run.measurements,
            weights=packed,
        )
    return read(path)


def _cost(
    exact: ConvNet | MLP, rounded: ConvNet | MLP, dataset: Dataset | None, images: int
) -> dict[str, Any]:
    if dataset is None:
        return {"layers": rounding_cost(exact, rounded).reset_index().to_dict("records")}
    some = dataset.test.sample(images, MEASURED_SEED).images
    table = rounding_cost(exact, rounded, some)
    return {
        "layers": table.reset_index().to_dict("records"),
        "images": len(some),
        "test_error": evaluate(exact, dataset.test),
        "test_error_rounded": evaluate(rounded, dataset.test),
    }
