r"""Dot products of a trained network, before and after binarization (Figure 3 of the paper).

A probe runs the network once in float32 and looks at the input x of every weight layer. For each
filter and each position it forms two dot products and streams their joint statistics: moments per
filter and one two-dimensional histogram per layer. A layer's dot products are never held for all
images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.probing.layer_inputs import LayerInput, observe

BINS = 256
"""Bins of a histogram along each axis; a plot shows the part that is not empty, more coarsely."""


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


class _Histogram:
    """Counts of pairs in square cells over [−limit, limit)², on any scale.

    The limits are powers of two, doubled by merging cells two by two when a value lies outside: the
    result depends on the values alone, not on their order nor on how they were cut into batches.
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(BINS, BINS, dtype=torch.int64)
        self.limits: list[float] = [0.0, 0.0]

    def add(self, a: Tensor, b: Tensor) -> None:
        cells = []
        for axis, z in enumerate((a, b)):
            largest = float(z.abs().max())
            limit = self.limits[axis]
            if limit == 0 and largest > 0:
                # every value before this was 0, in the cell to the right of the middle
                limit = float(2.0 ** np.floor(np.log2(largest)))
            while limit and largest >= limit:
                if self.limits[axis]:
                    self._merge(axis)
                limit *= 2
                self.limits[axis] = limit
            self.limits[axis] = limit
            if limit == 0:
                cells.append(torch.full(z.shape, BINS // 2, dtype=torch.int64))
            else:
                cells.append((z * (BINS / (2 * limit))).floor().long() + BINS // 2)
        flat = (cells[0] * BINS + cells[1]).flatten()
        self.counts += torch.bincount(flat, minlength=BINS * BINS).reshape(BINS, BINS)

    def _merge(self, axis: int) -> None:
        counts = self.counts if axis == 0 else self.counts.T
        merged = torch.zeros_like(counts)
        merged[BINS // 4 : -BINS // 4] = counts[0::2] + counts[1::2]
        self.counts = (merged if axis == 0 else merged.T).contiguous()


class _Moments:
    """Streaming joint statistics of two dot products a and b, per filter, in float64.

    Sums are taken about the first batch's means: the plain sums of squares of two nearly equal
    large numbers would cancel.
    """

    def __init__(self) -> None:
        self.count = 0
        self.shift: Tensor | None = None  # (2, filters)
        self.sums: Tensor | None = None  # (5, filters): Σa, Σb, Σa², Σb², Σab about the shift
        self.disagree = 0
        self.histogram = _Histogram()
        self.inputs = 0
        self.energy = 0.0  # Σx² over the layer's inputs

    def add(self, x: Tensor, a: Tensor, b: Tensor) -> None:
        """a, b: (filters, values), float32; x: the input they were made from, any shape."""
        self.inputs += x.numel()
        self.energy += float(x.square().sum(dtype=torch.float64))
        a, b = a.double(), b.double()
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            raise FloatingPointError
        if self.shift is None:
            self.shift = torch.stack([a.mean(1), b.mean(1)])
            self.sums = torch.zeros(5, len(a), dtype=torch.float64)
        self.count += a.shape[1]
        self.disagree += int(((a > 0) != (b > 0)).sum())
        self.histogram.add(a, b)
        a = a - self.shift[0][:, None]
        b = b - self.shift[1][:, None]
        self.sums += torch.stack(
            [a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), (a * b).sum(1)]
        )


@dataclass(frozen=True)
class LayerStatistics:
    """Joint statistics of two dot products in one layer, over filters, positions and images.

    Attributes
    ----------
    layer : str
        Name of the layer.
    fan_in : int
        n, the dimension of the weight vectors.
    values : int
        Number of pairs of dot products.
    r : float
        Pearson correlation, all filters pooled. NaN if one of the two does not vary.
    centred_r : float
        The same after each filter's two means are subtracted: what differs between the filters'
        means does not count.
    slope, intercept : float
        Least squares, second dot product on the first, all filters pooled.
    disagreement : float
        Fraction of pairs with different signs.
    filter_r : ndarray, shape (filters,)
        Pearson correlation within each filter. NaN for one whose dot products do not vary.
    histogram : ndarray of int64, shape (256, 256)
        Counts of all pairs; the first axis is the first dot product.
    limits : tuple of two floats
        The histogram covers [−limit, limit) along each axis; powers of two, the least that hold
        all values, or 0 where all values are 0.
    """

    layer: str
    fan_in: int
    values: int
    r: float
    centred_r: float
    slope: float
    intercept: float
    disagreement: float
    filter_r: NDArray[np.float64] = field(repr=False)
    histogram: NDArray[np.int64] = field(repr=False)
    limits: tuple[float, float]

    def visible_cells(
        self, half: int = 32
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The part of a histogram that is not empty, symmetric about zero, in fewer cells.

        Parameters
        ----------
        half : int
            Cells from the middle to an edge at most; at least half as many.

        Returns
        -------
        counts : ndarray of int64, shape (columns, rows)
            Of the same pairs.
        first, second : ndarray
            Edges of the cells along each axis.
        """
        counts = self.histogram
        edges = []
        for limit in self.limits:
            filled = np.flatnonzero(counts.any(axis=1))
            middle = BINS // 2
            reach = int(max(middle - filled[0], filled[-1] + 1 - middle, 1))
            merge = -(-reach // half)
            cells = -(-reach // merge)
            from_, to = middle - cells * merge, middle + cells * merge
            padding = max(0, -from_)  # merging can reach beyond the last cell
            padded = np.pad(counts, ((padding, padding), (0, 0)))
            kept = padded[from_ + padding : to + padding]
            counts = kept.reshape(2 * cells, merge, -1).sum(axis=1).T
            edges.append(np.arange(-cells, cells + 1) * merge * ((limit or 1.0) / middle))
        return counts, *edges


def _ratio(covariance: NDArray, variances: NDArray) -> NDArray:
    # A variance that is rounding alone counts as none: no silent noise in place of r.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variances > 0, covariance / np.sqrt(variances), np.nan)


# A dot product in float32 is off by a few units in the last place of ‖x‖‖w‖, differently in
# batches of different sizes: a standard deviation below this part of ‖x‖‖w‖ is no spread.
_ROUNDING = 4 * np.finfo(np.float32).eps


def _finish(name: str, layer: BinaryLinear | BinaryConv2d, moments: _Moments) -> LayerStatistics:
    shift = moments.shift.numpy()
    sa, sb, saa, sbb, sab = moments.sums.numpy()
    n = moments.count
    # E‖x‖²·‖w‖², per filter
    energy = layer.fan_in * moments.energy / moments.inputs
    floor_a = _ROUNDING**2 * energy * layer.fan_in
    floor_b = (
        _ROUNDING**2
        * energy
        * layer.weight.detach().double().flatten(1).square().sum(1).cpu().numpy()
    )
    var_a = np.maximum(saa / n - (sa / n) ** 2, 0)
    var_b = np.maximum(sbb / n - (sb / n) ** 2, 0)
    var_a[var_a <= floor_a] = 0
    var_b[var_b <= floor_b] = 0
    cov = sab / n - (sa / n) * (sb / n)
    mean_a, mean_b = shift[0] + sa / n, shift[1] + sb / n
    # law of total covariance: within filters and between their means
    pooled_a = var_a.mean() + mean_a.var()
    pooled_b = var_b.mean() + mean_b.var()
    pooled_a = 0.0 if pooled_a <= floor_a else pooled_a
    pooled_b = 0.0 if pooled_b <= floor_b.mean() else pooled_b
    pooled = cov.mean() + np.mean((mean_a - mean_a.mean()) * (mean_b - mean_b.mean()))
    slope = pooled / pooled_a if pooled_a > 0 else np.nan
    return LayerStatistics(
        layer=name,
        fan_in=layer.fan_in,
        values=n * len(sa),
        r=float(_ratio(np.asarray(pooled), np.asarray(pooled_a * pooled_b))),
        centred_r=float(_ratio(np.asarray(cov.mean()), np.asarray(var_a.mean() * var_b.mean()))),
        slope=float(slope),
        intercept=float(mean_b.mean() - slope * mean_a.mean()),
        disagreement=moments.disagree / (n * len(sa)),
        filter_r=_ratio(cov, var_a * var_b),
        histogram=moments.histogram.counts.numpy(),
        limits=tuple(moments.histogram.limits),
    )


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
    found: dict[str, dict[str, _Moments]] = {c.name: {} for c in comparisons}

    def see(at: LayerInput) -> None:
        for comparison in comparisons:
            pair = comparison.pair(at)
            if pair is None:
                continue
            try:
                found[comparison.name].setdefault(at.name, _Moments()).add(at.x, *pair)
            except FloatingPointError:
                raise UserError(
                    f"Layer {at.name} has dot products that are not finite: see the network."
                ) from None

    observe(network, images, see, batch_size=batch_size, progress=progress)
    return {
        comparison: [_finish(name, layers[name], at[name]) for name in layers if name in at]
        for comparison, at in found.items()
    }


def probe_weights(
    network: nn.Module, images: Tensor, *, batch_size: int = 50
) -> list[LayerStatistics]:
    r"""Statistics of x·w^b (first) against x·w^c (second) in every weight layer.

    As :func:`probe` with :data:`WEIGHTS` alone.
    """
    return probe(network, images, (WEIGHTS,), batch_size=batch_size)[WEIGHTS.name]


def probe_activations(
    network: nn.Module, images: Tensor, *, batch_size: int = 50
) -> list[LayerStatistics]:
    r"""Statistics of w^b·x^b (first) against w^b·x^c (second) in every layer with binary inputs.

    As :func:`probe` with :data:`ACTIVATIONS` alone.
    """
    return probe(network, images, (ACTIVATIONS,), batch_size=batch_size)[ACTIVATIONS.name]


def as_table(statistics: list[LayerStatistics]) -> pd.DataFrame:
    """One row per layer: fan-in, r, median per-filter r and quartiles, slope, sign disagreement.

    filter_r_se is the standard error of the median over filters, as for Gaussian ones with the same
    quartiles.
    """
    rows = []
    for s in statistics:
        finite = s.filter_r[np.isfinite(s.filter_r)]
        quartiles = np.percentile(finite, [25, 50, 75]) if len(finite) else [np.nan] * 3
        rows.append(
            {
                "layer": s.layer,
                "n": s.fan_in,
                "r": s.r,
                "centred_r": s.centred_r,
                "filter_r_25": quartiles[0],
                "filter_r": quartiles[1],
                "filter_r_75": quartiles[2],
                # √(π/2) times that of a mean; the quartiles of a Gaussian are 1.349 s.d. apart
                "filter_r_se": np.sqrt(np.pi / 2 / max(len(finite), 1))
                * (quartiles[2] - quartiles[0])
                / 1.349,
                "slope": s.slope,
                "disagreement": s.disagreement,
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of :func:`as_table` that a page prints, rounded, with names in words."""
    return pd.DataFrame(
        {
            "n": table["n"].astype(int),
            "r": table["r"].round(3),
            "median r of a filter": table["filter_r"].round(3),
            "different sign (%)": (100 * table["disagreement"]).round(1),
        }
    )


@torch.no_grad()
def weight_angles(network: nn.Module) -> pd.DataFrame:
    """Angle between w^c and w^b of every filter.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), filter, angle (degrees), in the order of the layers.
    """
    frames = []
    for name, layer in weight_layers(network).items():
        angle = layer.latent_angles()
        frames.append(
            pd.DataFrame(
                {
                    "layer": name,
                    "n": layer.fan_in,
                    "filter": range(len(angle)),
                    "angle": angle.cpu().numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def latent_histograms(network: nn.Module, bins: int = 40) -> pd.DataFrame:
    """How the latent weights of every layer are distributed on [−1, 1].

    Parameters
    ----------
    network : Module
    bins : int
        Of equal width; the last one holds +1.

    Returns
    -------
    DataFrame
        Columns layer, left, right (edges of a bin) and density; each layer's density integrates to
        the part of its weights that lie in [−1, 1], all of them where they are clipped.
    """
    edges = np.linspace(-1, 1, bins + 1)
    frames = []
    for name, layer in weight_layers(network).items():
        w = layer.weight.double().flatten().cpu().numpy()
        counts, _ = np.histogram(w, edges)
        frames.append(
            pd.DataFrame(
                {
                    "layer": name,
                    "left": edges[:-1],
                    "right": edges[1:],
                    "density": counts / (len(w) * np.diff(edges)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _outputs(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    # What each weight layer puts out, as (filters, values) in float64.
    seen: dict[str, Tensor] = {}

    def see(name: str, z: Tensor) -> None:
        seen[name] = z.movedim(1, 0).flatten(1).double()

    handles = [
        layer.register_forward_hook(lambda module, args, z, name=name: see(name, z))
        for name, layer in weight_layers(network).items()
    ]
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    try:
        with torch.autocast(device.type, enabled=False):
            network(scale_images(images.to(device)))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return seen


@torch.no_grad()
def layer_agreement(network: nn.Module, other: nn.Module, images: Tensor) -> pd.DataFrame:
    """Correlation of two networks' dot products on the same images, in every weight layer.

    Each network runs on its own activations, so that what separates them adds up from layer to
    layer. Scale and shift of a filter do not matter.

    Parameters
    ----------
    network, other : Module
        With the same weight layers; modes are restored.
    images : Tensor of uint8, shape (images, channels, h, w)
        Run at once: about a hundred.

    Returns
    -------
    DataFrame
        Index layer; n (fan-in), filter_r (median over filters of the Pearson correlation over
        images and positions), filter_r_25 and filter_r_75 (quartiles).

    Raises
    ------
    UserError
        If the networks differ in their layers, or there are no images.
    """
    layers = weight_layers(network)
    shapes, others = (
        {name: layer.weight.shape for name, layer in weight_layers(z).items()}
        for z in (network, other)
    )
    if shapes != others or not shapes:
        raise UserError("The two networks do not have the same weight layers.")
    if len(images) == 0:
        raise UserError("There are no images to run the networks on.")
    mine, theirs = _outputs(network, images), _outputs(other, images)
    rows = []
    for name, layer in layers.items():
        a, b = (z[name] - z[name].mean(1, keepdim=True) for z in (mine, theirs))
        r = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).sqrt()
        finite = r[torch.isfinite(r)].cpu().numpy()  # a filter whose output never varies has no r
        quartiles = np.percentile(finite, [25, 50, 75]) if len(finite) else [np.nan] * 3
        rows.append([name, layer.fan_in, *quartiles])
    columns = ["layer", "n", "filter_r_25", "filter_r", "filter_r_75"]
    return pd.DataFrame(rows, columns=columns).set_index("layer")
