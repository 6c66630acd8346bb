r"""Dot products of a trained network, before and after binarization (Figure 3 of the paper).

A probe runs the network once in float32 and looks at the input x of every weight layer. For each
filter and each position it forms two dot products and streams their joint statistics
(:mod:`bnn_geometry.probing.joint_statistics`). A layer's dot products are never held for all
images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.correlation import quartiles
from bnn_geometry.probing.joint_statistics import JointMoments, LayerStatistics
from bnn_geometry.probing.layer_inputs import LayerInput, observe


@dataclass(frozen=True)
class Comparison:
    """Two dot products of every layer that are to be compared.

    Attributes
    ----------
    name : str
    first, second : str
        What they are, in TeX: labels of the axes.
    pair : callable
        ``pair(layer_input)`` returns both, each of shape (filters, values), or None for a layer
        where there is nothing to compare.
    """

    name: str
    first: str
    second: str
    pair: Callable[[LayerInput], tuple[Tensor, Tensor] | None]


def _weights(at: LayerInput) -> tuple[Tensor, Tensor]:
    return at.dot(at.layer.binary_weight), at.dot(at.layer.weight)


def _activations(at: LayerInput) -> tuple[Tensor, Tensor] | None:
    if at.continuous is None:
        return None
    weight = at.layer.binary_weight
    return at.dot(weight), at.dot(weight, at.continuous)


WEIGHTS = Comparison("weights", r"x\cdot w^b", r"x\cdot w^c", _weights)
"""x·w^b against x·w^c, with the inputs of the network as it was trained: Figure 3 of the paper.

:meta hide-value:
"""

ACTIVATIONS = Comparison("activations", r"w^b\cdot x^b", r"w^b\cdot x^c", _activations)
"""w^b·x^b against w^b·x^c, x^c the activation after batch norm and before it is binarized.

:meta hide-value:
"""


def probe(
    network: nn.Module,
    images: Tensor,
    comparisons: Sequence[Comparison] = (WEIGHTS,),
    *,
    batch_size: int = 50,
    progress: bool = False,
) -> dict[str, list[LayerStatistics]]:
    r"""Statistics of pairs of dot products in every weight layer, in one run of the network.

    The network runs as it was trained, in evaluation mode and in float32. What enters a layer are
    real pixels in the first, ±1 in the others (and 0 where a convolution pads). No layer's dot
    products are ever held for more than a batch.

    Parameters
    ----------
    network : Module
        Any network made of :class:`BinaryLinear` and :class:`BinaryConv2d`; its mode is restored.
    images : Tensor of uint8, shape (images, channels, h, w)
    comparisons : sequence of Comparison
    batch_size : int
        Images at a time; the result depends on it, and on the order of the images, by rounding
        alone.
    progress : bool
        Show a bar on standard error, where that is a terminal.

    Returns
    -------
    dict of str to list of LayerStatistics
        By the comparison's name; in the order of the layers, without those where there is nothing
        to compare.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.probing.layer_inputs.observe`, and if a dot product is not finite.
    """
    layers = weight_layers(network)
    found: dict[str, dict[str, JointMoments]] = {c.name: {} for c in comparisons}

    def see(at: LayerInput) -> None:
        for comparison in comparisons:
            pair = comparison.pair(at)
            if pair is None:
                continue
            try:
                found[comparison.name].setdefault(at.name, JointMoments()).add(at.x, *pair)
            except FloatingPointError:
                raise UserError(
                    f"Layer {at.name} has dot products that are not finite: see the network."
                ) from None

    observe(network, images, see, batch_size=batch_size, progress=progress)
    return {
        comparison: [at[name].finish(name, layers[name]) for name in layers if name in at]
        for comparison, at in found.items()
    }


def probe_weights(
    network: nn.Module, images: Tensor, *, batch_size: int = 50
) -> list[LayerStatistics]:
    r"""Statistics of x·w^b (first) against x·w^c (second) in every weight layer.

    As :func:`probe` with :data:`WEIGHTS` alone.
    """
    return probe(network, images, (WEIGHTS,), batch_size=batch_size)[WEIGHTS.name]


# of as_table, also where there is no layer to compare
_COLUMNS = [
    *("n", "r", "centred_r", "filter_r_25", "filter_r", "filter_r_75", "filter_r_se"),
    *("slope", "disagreement"),
]


def as_table(statistics: list[LayerStatistics]) -> pd.DataFrame:
    """One row per layer: fan-in, r, median per-filter r and quartiles, slope, sign disagreement.

    filter_r_se is the standard error of the median over filters, as for Gaussian ones with the same
    quartiles.
    """
    rows = []
    for s in statistics:
        low, median, high = quartiles(s.filter_r)
        filters = max(np.isfinite(s.filter_r).sum(), 1)
        rows.append(
            {
                "layer": s.layer,
                "n": s.fan_in,
                "r": s.r,
                "centred_r": s.centred_r,
                "filter_r_25": low,
                "filter_r": median,
                "filter_r_75": high,
                # √(π/2) times that of a mean; the quartiles of a Gaussian are 1.349 s.d. apart
                "filter_r_se": np.sqrt(np.pi / 2 / filters) * (high - low) / 1.349,
                "slope": s.slope,
                "disagreement": s.disagreement,
            }
        )
    return pd.DataFrame(rows, columns=["layer", *_COLUMNS]).set_index("layer")
