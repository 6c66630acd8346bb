r"""Dot products of a trained network, before and after binarization (Figure 3 of the paper).

A probe runs the network once in float32 and looks at the input x of every weight layer. For each
filter and each position it forms two dot products and streams their joint statistics
(:mod:`bnn_geometry.probing.joint_statistics`). A layer's dot products are never held for all
images.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import Preprocess, scale_images
from bnn_geometry.networks.linear_layers import latent_weights
from bnn_geometry.networks.straight_through import binarize
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
    return at.dot(at.binary_weight), at.dot(at.weight)


def _activations(at: LayerInput) -> tuple[Tensor, Tensor] | None:
    if at.continuous is None:
        return None
    weight = at.binary_weight
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
    preprocess: Preprocess = scale_images,
    batch_size: int = 50,
    progress: bool = False,
) -> dict[str, list[LayerStatistics]]:
    r"""Statistics of pairs of dot products in every weight layer, in one run of the network.

    The network may be anybody's. Every :class:`torch.nn.Linear`, ``Conv1d``, ``Conv2d`` and
    ``Conv3d`` in it is measured, and the binary layers of this package: with whatever strides,
    groups or padding, wherever it stands, at each of its calls. Its weights are taken as the latent
    w^c, with w^b = bin(w^c); a bias is left aside. The network runs in evaluation mode, and is left
    as it was: weights, gradients, modes, hooks and buffers. No layer's dot products are ever held
    for more than a batch.

    Parameters
    ----------
    network : Module
        Takes one batch of images.
    images : Tensor, shape (images, ...)
        uint8 of shape (images, channels, h, w), which enter the network as 2x/255 − 1; others, and
        other preprocessing, need ``preprocess``. Some hundreds are enough.
    comparisons : sequence of Comparison
        Default: :data:`WEIGHTS` alone. :data:`ACTIVATIONS` compares behind this package's
        ``BinaryActivation``.
    preprocess : callable
        From a batch of images to what the network takes, such as ``lambda x: (x / 255 - mean) /
        sd``, or :func:`bnn_geometry.networks.inference.as_given` for images that are ready.
    batch_size : int
        Images at a time; the result depends on it, and on the order of the images, by rounding
        alone.
    progress : bool
        Show a bar on standard error, where that is a terminal.

    Returns
    -------
    dict of str to list of LayerStatistics
        By the comparison's name; in the order of the layers, without those where there is nothing
        to compare. :func:`as_table` makes a table of them. r is NaN where a dot product does not
        vary, as on a single image.

    Warns
    -----
    UserWarning
        For each layer that is left out although it may have been meant: as
        :func:`bnn_geometry.probing.layer_inputs.observe`, and from the activations where its input
        is binary but not certainly what a ``BinaryActivation`` put out, such as ±1 that were
        pooled, or changed in place.

    Raises
    ------
    UserError
        As :func:`bnn_geometry.probing.layer_inputs.observe`, and if a dot product is not finite.

    Examples
    --------
    A network trained on images in [0, 1], two of its convolutions the same module:

    >>> import torch
    >>> from torch import nn
    >>> import bnn_geometry as bg
    >>> from bnn_geometry.networks.inference import as_given
    >>> again = nn.Conv2d(8, 8, 3, padding=1, groups=2)
    >>> network = nn.Sequential(
    ...     nn.Conv2d(3, 8, 3, stride=2), again, nn.ReLU(), again, nn.Flatten(), nn.Linear(392, 10)
    ... )
    >>> images = torch.rand(20, 3, 16, 16)
    >>> table = bg.as_table(bg.probe(network, images, preprocess=as_given)["weights"])
    >>> list(table["n"])
    [27, 36, 392]
    """
    weights = latent_weights(network)
    found: dict[str, dict[str, JointMoments]] = {c.name: {} for c in comparisons}
    without: dict[str, dict[str, bool]] = {c.name: {} for c in comparisons}

    def see(at: LayerInput) -> None:
        for comparison in comparisons:
            pair = comparison.pair(at)
            if pair is None:
                missed = without[comparison.name]
                missed[at.name] = missed.get(at.name, False) or at.mixed
                continue
            try:
                found[comparison.name].setdefault(at.name, JointMoments()).add(at.x, *pair)
            except FloatingPointError:
                raise UserError(
                    f"Layer {at.name} has dot products that are not finite: see the network."
                ) from None

    left_out = observe(
        network, images, see, preprocess=preprocess, batch_size=batch_size, progress=progress
    )
    for comparison, layers in without.items():
        for name, mixed in layers.items():
            # of some batches or calls only, a result would be of other inputs than it says
            partly = found[comparison].pop(name, None) is not None
            if (mixed or partly) and name not in left_out:
                warnings.warn(
                    f"Layer {name} is left out of the comparison of {comparison}: what made its "
                    "input binary is not certain.",
                    stacklevel=2,
                )
    return {
        comparison: [
            at[name].finish(name, weights[name])
            for name in weights
            if name in at and name not in left_out
        ]
        for comparison, at in found.items()
    }


def probe_weights(
    network: nn.Module,
    images: Tensor,
    *,
    preprocess: Preprocess = scale_images,
    batch_size: int = 50,
) -> list[LayerStatistics]:
    r"""Statistics of x·w^b (first) against x·w^c (second) in every weight layer.

    As :func:`probe` with :data:`WEIGHTS` alone.
    """
    found = probe(network, images, (WEIGHTS,), preprocess=preprocess, batch_size=batch_size)
    return found[WEIGHTS.name]


def _vectors(z: ArrayLike, name: str) -> Tensor:
    if isinstance(z, Tensor):
        z = z.detach().cpu()
    try:
        vectors = torch.tensor(np.asarray(z, dtype=np.float64))  # a copy
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} must be an array of numbers: {error}") from error
    if vectors.dim() != 2 or vectors.numel() == 0:
        raise UserError(f"{name} must be of shape (vectors, n), not {tuple(vectors.shape)}.")
    if not torch.isfinite(vectors).all():
        raise UserError(f"{name} has values that are not finite.")
    return vectors


def probe_arrays(
    x: ArrayLike, w: ArrayLike, *, name: str = "arrays", batch_size: int = 10_000
) -> LayerStatistics:
    r"""Statistics of x·bin(w) (first) against x·w (second), of vectors without a network.

    Parameters
    ----------
    x : array or Tensor, shape (samples, n)
        What would enter a layer.
    w : array or Tensor, shape (filters, n)
        Its latent weights. Both are taken in float64, and left as they are.
    name : str
        Of the statistics' ``layer``.
    batch_size : int
        Samples at a time.

    Raises
    ------
    UserError
        If they are not two-dimensional, not of the same n, empty, or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from bnn_geometry.probing import probe_arrays
    >>> rng = np.random.default_rng(0)
    >>> found = probe_arrays(rng.standard_normal((5000, 400)), rng.standard_normal((10, 400)))
    >>> round(found.r, 1)  # √(2/π)
    0.8
    """
    x, w = _vectors(x, "x"), _vectors(w, "w")
    if x.shape[1] != w.shape[1]:
        raise UserError(f"x and w must have the same n, not {x.shape[1]} and {w.shape[1]}.")
    moments, b = JointMoments(), binarize(w)
    for some in x.split(batch_size):
        moments.add(some, b @ some.T, w @ some.T)
    return moments.finish(name, w)


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
