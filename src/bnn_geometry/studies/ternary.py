"""Networks trained with three values beside one trained with signs, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.runs import Run


def check_alike(runs: Mapping[str, Run]) -> None:
    """Refuse runs that differ in more than the values of their weights.

    Raises
    ------
    UserError
        With the first two that do: in their recipe, seed, images or number of measured images.
    """

    def said(run: Run) -> dict[str, object]:
        same = run.recipe.with_(weights="binary").as_dict()
        others = (run.data["fingerprint"], run.info.get("measured_images"))
        return (
            same | dict(zip(("data", "measured images"), others, strict=True)) | {"seed": run.seed}
        )

    (first, one), *others = runs.items()
    for label, run in others:
        differing = [key for key, value in said(run).items() if said(one)[key] != value]
        if differing:
            raise UserError(f"The runs {first} and {label} differ also in {', '.join(differing)}.")


def by_layer(runs: Mapping[str, Run]) -> pd.DataFrame:
    """Zeros, angle and correlation in every layer of several runs, with the weights they kept.

    Parameters
    ----------
    runs : mapping of str to Run
        Label → run, with measurements and weights.

    Returns
    -------
    DataFrame
        Index (weights, layer), weights being the labels; n (fan-in), weight_count, zeros (fraction
        of the layer's w^b), angle (between w^c and w^b, median over filters, degrees) and r
        (Pearson of x·w^b and x·w^c). Zeros are those of the weights as they were published, angle
        and r were measured on them as they were trained.

    Raises
    ------
    UserError
        As :func:`check_alike`, or if a run has no measurements of the epoch that it kept.
    """
    check_alike(runs)
    tables = {}
    for label, run in runs.items():
        measured = run.measurements
        if measured is None or run.info["kept_epoch"] not in set(measured["epoch"]):
            raise UserError(f"The run {label} has no measurements of the epoch that it kept.")
        kept = measured[measured["epoch"] == run.info["kept_epoch"]].set_index("layer")
        layers = weight_layers(run.network())
        values = {name: layer.binary_weight for name, layer in layers.items()}
        kept["zeros"] = pd.Series({k: float((w == 0).double().mean()) for k, w in values.items()})
        kept["weight_count"] = pd.Series({k: w.numel() for k, w in values.items()})
        tables[label] = kept[["n", "weight_count", "zeros", "angle", "r"]]
    return pd.concat(tables, names=["weights", "layer"])


def summary(runs: Mapping[str, Run], layers: pd.DataFrame) -> pd.DataFrame:
    """A row for each run of :func:`by_layer`.

    Returns
    -------
    DataFrame
        Index weights; error (of the test images) and zeros (of all weights), fractions; error_se,
        the binomial standard error of the former.
    """
    rows = {}
    for label, run in runs.items():
        error, count = run.kept["test_error"], layers.loc[label, "weight_count"]
        rows[label] = {
            "error": error,
            "error_se": (error * (1 - error) / run.data["test_images"]) ** 0.5,
            "zeros": (layers.loc[label, "zeros"] * count).sum() / count.sum(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("weights")
