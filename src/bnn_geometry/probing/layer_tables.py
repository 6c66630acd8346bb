"""What a page compares layer by layer, as tables: controls, predictions, angles, components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.geometry.binarized_angle import angle_sd
from bnn_geometry.geometry.distributions import UNIFORM, empirical
from bnn_geometry.geometry.quantizers import limit_angle
from bnn_geometry.networks.layers import latent_angles
from bnn_geometry.networks.linear_layers import latent_weights
from bnn_geometry.probing.controls import (
    control_correlations,
    predicted_correlations,
    quartile_table,
)
from bnn_geometry.probing.joint_statistics import LayerStatistics
from bnn_geometry.probing.layer_inputs import LayerSample, by_group


def _over_groups(found: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    # of each group's filters → of all filters
    found = [*found]
    return {name: torch.cat([group[name] for group in found]) for name in found[0]}


SHOWN_ENTRIES = 20_000
"""Latent weights of a layer, at most, that stand for its law where a spread is computed."""


def control_tables(
    network: nn.Module, samples: Mapping[str, LayerSample], generator: torch.Generator
) -> dict[str, pd.DataFrame]:
    """Each control of :func:`bnn_geometry.probing.controls.control_correlations`, by layer.

    Parameters
    ----------
    network : Module
    samples : mapping of str to LayerSample
        Inputs of its weight layers: of those there is a row.
    generator : torch.Generator

    Returns
    -------
    dict of str to DataFrame
        By the control's name. Index layer; n (fan-in) and the columns of
        :func:`bnn_geometry.probing.controls.quartile_table`.
    """
    weights = latent_weights(network)
    found = pd.concat(
        {
            name: quartile_table(
                _over_groups(
                    control_correlations(w, x, generator)
                    for w, x in by_group(weights[name], sample.x)
                )
            )
            for name, sample in samples.items()
        },
        names=["layer", "control"],
    )
    n = [weights[name][0].numel() for name in found.index.get_level_values("layer")]
    found.insert(0, "n", n)
    return {
        control: table.droplevel("control")
        for control, table in found.groupby("control", sort=False)
    }


def predictions(
    network: nn.Module,
    samples: Mapping[str, LayerSample],
    measured: list[LayerStatistics],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Predicted and measured r of every filter, for each part of the inputs' covariance.

    Parameters
    ----------
    network : Module
    samples : mapping of str to LayerSample
        Inputs of every weight layer, of other images than those of ``measured``.
    measured : list of LayerStatistics
        Of the weights, in every layer.
    seed : int
        Of the randomized decomposition.

    Returns
    -------
    DataFrame
        Columns layer, filter, model (see
        :func:`bnn_geometry.probing.controls.predicted_correlations`; 10 and 100 components),
        predicted, measured and off, the distance between the two. NaN where a dot product does not
        vary.
    """
    weights = latent_weights(network)
    frames = []
    for found in measured:
        models = _over_groups(
            predicted_correlations(w, x, components=(10, 100), seed=seed)
            for w, x in by_group(weights[found.layer], samples[found.layer].x)
        )
        for model, r in models.items():
            frame = pd.DataFrame({"predicted": r.numpy(), "measured": found.filter_r})
            frames.append(frame.rename_axis("filter").reset_index().assign(
                layer=found.layer, model=model))  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    return table.assign(off=(table["predicted"] - table["measured"]).abs())


def medians_by_model(predictions: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median over filters of a column of :func:`predictions`: layers by models, in their order."""
    medians = predictions.groupby(["layer", "model"], sort=False)[column].median().unstack("model")
    return medians.loc[predictions["layer"].unique(), predictions["model"].unique()]


@torch.no_grad()
def angle_spread(network: nn.Module) -> pd.DataFrame:
    """Median and spread of the angle between w^c and w^b over each layer's filters, and theory.

    Returns
    -------
    DataFrame
        Index layer; n (fan-in), sd and sd_se (standard deviation over filters and its standard
        error, as of Gaussian ones), independent (that of independent entries with the layer's own
        law), uniform (of uniform ones), median, limit (of the layer's own law as n → ∞) and off,
        the distance of the median from it. Degrees.
    """
    rows = {}
    for name, weight in latent_weights(network).items():
        angle = pd.Series(latent_angles(weight).cpu().numpy())
        n, entries = weight[0].numel(), weight.flatten().cpu().numpy()
        limit = limit_angle(empirical(entries))
        rows[name] = {
            "n": n,
            "sd": angle.std(),
            "sd_se": angle.std() / np.sqrt(2 * (len(angle) - 1)),
            "independent": angle_sd(empirical(entries[:SHOWN_ENTRIES]), n),
            "uniform": angle_sd(UNIFORM, n),
            "median": angle.median(),
            "limit": limit,
            "off": abs(angle.median() - limit),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")


def component_shares(x: Tensor, weights: Mapping[str, Tensor]) -> pd.DataFrame:
    """How inputs and weights are shared out among the principal components of the inputs.

    Parameters
    ----------
    x : Tensor, shape (samples, n)
        Inputs of a layer.
    weights : mapping of str to Tensor, shape (filters, ...)
        Label → weight vectors.

    Returns
    -------
    DataFrame
        Index component, from 1, of the largest variance first; ``inputs``: the part of the
        variance along each; a column for each kind of weights: the part of the squared length,
        mean over filters.
    """
    x = x.double()
    _, size, axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    share = pd.DataFrame({"inputs": (size.square() / size.square().sum()).numpy()})
    for label, w in weights.items():
        along = (w.detach().flatten(1).double() @ axes.T).square()
        share[label] = (along / along.sum(1, keepdim=True)).mean(0).numpy()
    share.index = pd.RangeIndex(1, len(share) + 1, name="component")
    return share
