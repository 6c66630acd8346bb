"""What a page compares layer by layer, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.networks.linear_layers import latent_weights
from bnn_geometry.probing.controls import (
    control_correlations,
    quartile_table,
)
from bnn_geometry.probing.layer_inputs import LayerSample, by_group


def _over_groups(found: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    # of each group's filters → of all filters
    found = [*found]
    return {name: torch.cat([group[name] for group in found]) for name in found[0]}


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
