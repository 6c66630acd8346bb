r"""Dot products of a trained network, before and after binarization (Figure 3 of the paper).

A probe runs the network once in float32 and looks at the input x of every weight layer. For each
filter and each position it forms two dot products and streams their joint statistics: moments per
filter and one two-dimensional histogram per layer. A layer's dot products are never held for all
images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from bnn_geometry.errors import UserError
from bnn_geometry.layers import BinaryActivation, BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.quantize import binarize
from bnn_geometry.training import scale_images

BINS = 50
"""Bins of a histogram along each axis, as in the authors' figures."""


@dataclass
class _Moments:
    """Streaming joint statistics of two dot products a and b, per filter, in float64.

    Sums are taken about the first batch's means: the plain sums of squares of two nearly equal
    large numbers would cancel.
    """

    count: int = 0
    shift: Tensor | None = None  # (2, filters)
    sums: Tensor | None = None  # (5, filters): Σa, Σb, Σa², Σb², Σab about the shift
    disagree: int = 0
    limits: tuple[float, float] | None = None
    histogram: Tensor | None = None
    outside: int = 0
    inputs: int = 0
    energy: float = 0.0  # Σx² over the layer's inputs

    def add(self, x: Tensor, a: Tensor, b: Tensor) -> None:
        """a, b: (filters, values), float32; x: the input they were made from, any shape."""
        self.inputs += x.numel()
        self.energy += float(x.double().square().sum())
        a, b = a.double(), b.double()
        if self.shift is None:
            self.shift = torch.stack([a.mean(1), b.mean(1)])
            self.sums = torch.zeros(5, len(a), dtype=torch.float64)
            # Fixed by the first batch, with room: later batches may reach a little further.
            self.limits = tuple(1.25 * float(z.abs().max()) or 1.0 for z in (a, b))
            self.histogram = torch.zeros(BINS * BINS, dtype=torch.int64)
        self.count += a.shape[1]
        self.disagree += int(((a > 0) != (b > 0)).sum())
        cells = []
        for z, limit in zip((a, b), self.limits, strict=True):
            cells.append(((z + limit) * (BINS / (2 * limit))).floor().long())
        inside = ((cells[0] >= 0) & (cells[0] < BINS)) & ((cells[1] >= 0) & (cells[1] < BINS))
        self.outside += int((~inside).sum())
        flat = (cells[0] * BINS + cells[1])[inside]
        self.histogram += torch.bincount(flat, minlength=BINS * BINS)
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
    slope, intercept : float
        Least squares, second dot product on the first.
    disagreement : float
        Fraction of pairs with different signs.
    filter_r : ndarray, shape (filters,)
        Pearson correlation within each filter: pooling mixes in what varies between filters.
    histogram : ndarray of int64, shape (50, 50)
        Counts; the first axis is the first dot product.
    limits : tuple of two floats
        The histogram covers [−limit, limit] along each axis.
    outside : int
        Pairs that fell outside it.
    """

    layer: str
    fan_in: int
    values: int
    r: float
    slope: float
    intercept: float
    disagreement: float
    filter_r: NDArray[np.float64] = field(repr=False)
    histogram: NDArray[np.int64] = field(repr=False)
    limits: tuple[float, float]
    outside: int


def _ratio(covariance: NDArray, variances: NDArray) -> NDArray:
    # A variance that is rounding alone counts as none: no silent noise in place of r.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variances > 0, covariance / np.sqrt(variances), np.nan)


# A dot product in float32 is off by a few units in the last place of ‖x‖‖w‖, differently in
# batches of different sizes: a standard deviation below this part of ‖x‖‖w‖ is no spread.
_ROUNDING = 4 * np.finfo(np.float32).eps


def _finish(name: str, layer: BinaryLinear | BinaryConv2d, moments: _Moments) -> LayerStatistics:
    if moments.count == 0:
        raise UserError(f"Layer {name} took no part when the network ran: it cannot be probed.")
    if not torch.isfinite(moments.sums).all():
        raise UserError(f"Layer {name} has dot products that are not finite: see the network.")
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
        slope=float(slope),
        intercept=float(mean_b.mean() - slope * mean_a.mean()),
        disagreement=moments.disagree / (n * len(sa)),
        filter_r=_ratio(cov, var_a * var_b),
        histogram=moments.histogram.reshape(BINS, BINS).numpy(),
        limits=moments.limits,
        outside=moments.outside,
    )


def _by_filter(layer: BinaryLinear | BinaryConv2d, z: Tensor) -> Tensor:
    # (batch, filters, h, w), or (..., filters) of a dense layer → (filters, values)
    return z.movedim(1 if isinstance(layer, BinaryConv2d) else -1, 0).flatten(1).cpu()


@contextmanager
def _watching(
    layers: dict[str, BinaryLinear | BinaryConv2d],
    see: Callable[[str, BinaryLinear | BinaryConv2d, Tensor], None],
) -> Iterator[None]:
    handles = [
        layer.register_forward_pre_hook(lambda module, args, name=name: see(name, module, args[0]))
        for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


_See = Callable[[str, BinaryLinear | BinaryConv2d, Tensor], None]


@torch.no_grad()
def _look(network: nn.Module, images: Tensor, batch_size: int, see: _See) -> None:
    """Run the network in evaluation mode and float32; ``see`` gets each weight layer's input."""
    layers = weight_layers(network)
    if not layers:
        raise UserError("The network has no binary layer to probe.")
    if len(images) == 0:
        raise UserError("There are no images to probe the network with.")
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise UserError(f"Layer {name} has weights that are not finite: it cannot be probed.")
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    try:
        with _watching(layers, see), torch.autocast(device.type, enabled=False):
            for start in range(0, len(images), batch_size):
                network(scale_images(images[start : start + batch_size].to(device)))
    finally:
        network.train(was_training)


def probe_weights(
    network: nn.Module, images: Tensor, *, batch_size: int = 50
) -> list[LayerStatistics]:
    r"""Statistics of x·w^b (first) against x·w^c (second) in every weight layer.

    x is what enters the layer when the network runs as it was trained, in evaluation mode and in
    float32: real pixels in the first layer, ±1 in the others (and 0 where a convolution pads).

    Parameters
    ----------
    network : Module
        Any network made of :class:`BinaryLinear` and :class:`BinaryConv2d`; its mode is restored.
    images : Tensor of uint8, shape (images, channels, h, w)
    batch_size : int
        Images at a time; the result depends on it by rounding alone (and the histogram's limits).

    Returns
    -------
    list of LayerStatistics
        In the order of the layers.

    Raises
    ------
    UserError
        If there are no images, no weight layers, a weight or a dot product that is not finite, or
        a layer that the network does not use.
    """
    layers = weight_layers(network)
    moments = {name: _Moments() for name in layers}

    def see(name: str, layer: BinaryLinear | BinaryConv2d, x: Tensor) -> None:
        x = x.float()
        binary = layer.apply_weight(x, layer.binary_weight.float())
        latent = layer.apply_weight(x, layer.weight.float())
        moments[name].add(x, _by_filter(layer, binary), _by_filter(layer, latent))

    _look(network, images, batch_size, see)
    return [_finish(name, layer, moments[name]) for name, layer in layers.items()]


def probe_activations(
    network: nn.Module, images: Tensor, *, batch_size: int = 50
) -> list[LayerStatistics]:
    r"""Statistics of w^b·x^b (first) against w^b·x^c (second) in every layer with binary inputs.

    x^b is what enters the layer, x^c what the :class:`BinaryActivation` before it was given: the
    activation after batch norm and before it is binarized.

    Parameters
    ----------
    network : Module
        Whose layers run one after the other, as those of :mod:`bnn_geometry.models` do.
    images : Tensor of uint8, shape (images, channels, h, w)
    batch_size : int
        As for :func:`probe_weights`.

    Returns
    -------
    list of LayerStatistics
        In the order of the layers, without those whose input is not binarized.

    Raises
    ------
    UserError
        As :func:`probe_weights`, or if what enters a layer is not the binarization of what left
        the batch norm before it.
    """
    layers = weight_layers(network)
    moments: dict[str, _Moments] = {}
    last: list[Tensor] = []  # x^c of the next weight layer

    def see(name: str, layer: BinaryLinear | BinaryConv2d, x: Tensor) -> None:
        if not last:
            return
        continuous = last.pop().reshape(x.shape).float()
        if not torch.equal(binarize(continuous), x.float()):
            raise UserError(f"What enters layer {name} is not the activation before it, binarized.")
        weight = layer.binary_weight.float()
        binary = layer.apply_weight(x.float(), weight)
        moments.setdefault(name, _Moments()).add(
            x, _by_filter(layer, binary), _by_filter(layer, layer.apply_weight(continuous, weight))
        )

    handles = [
        module.register_forward_pre_hook(lambda _, args: last.append(args[0]))
        for module in network.modules()
        if isinstance(module, BinaryActivation)
    ]
    try:
        _look(network, images, batch_size, see)
    finally:
        for handle in handles:
            handle.remove()
    return [_finish(name, layers[name], moments[name]) for name in layers if name in moments]


def principal_directions(
    network: nn.Module,
    images: Tensor,
    *,
    count: int = 5,
    samples: int = 2000,
    seed: int = 0,
    batch_size: int = 50,
) -> pd.DataFrame:
    r"""The directions v along which a layer's inputs x vary most, and what binarizing costs them.

    The inputs are the vectors with which weight vectors are multiplied: patches of a convolution,
    whole activations of a dense layer. Directions and correlations come from the same sample.

    Parameters
    ----------
    network, images, batch_size
        As for :func:`probe_weights`.
    count : int
        Directions per layer, in falling order of variance.
    samples : int
        Input vectors per layer, drawn at random.
    seed : int
        Of that draw.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), direction (from 1), variance (part of the total), angle (between
        v and bin(v), degrees) and r (Pearson, of x·v and x·bin(v)).

    Raises
    ------
    UserError
        As :func:`probe_weights`.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = -(-len(images) // batch_size)
    kept: dict[str, list[Tensor]] = {}

    def see(name: str, layer: BinaryLinear | BinaryConv2d, x: Tensor) -> None:
        if isinstance(layer, BinaryConv2d):
            size = layer.weight.shape[-1]
            x = F.unfold(x, size, padding=layer.padding).movedim(1, 2)  # (batch, positions, n)
        rows = x.reshape(-1, layer.fan_in)
        chosen = torch.randperm(len(rows), generator=generator)[: -(-samples // batches)]
        kept.setdefault(name, []).append(rows[chosen.to(x.device)].cpu().double())

    _look(network, images, batch_size, see)
    table = []
    for name, parts in kept.items():
        x = torch.cat(parts)
        x = x - x.mean(0)
        _, size, directions = torch.linalg.svd(x, full_matrices=False)
        for i, v in enumerate(directions[:count]):
            b = binarize(v)
            along, binary = x @ v, x @ b
            table.append(
                {
                    "layer": name,
                    "n": len(v),
                    "direction": i + 1,
                    "variance": float(size[i] ** 2 / size.square().sum()),
                    "angle": float(
                        torch.rad2deg(torch.arccos((v @ b / len(v) ** 0.5).clamp(max=1)))
                    ),
                    "r": float(along @ binary / (along.norm() * binary.norm())),
                }
            )
    return pd.DataFrame(table)


def as_table(statistics: list[LayerStatistics]) -> pd.DataFrame:
    """One row per layer: fan-in, r, median per-filter r and quartiles, slope, sign disagreement."""
    rows = []
    for s in statistics:
        finite = s.filter_r[np.isfinite(s.filter_r)]
        quartiles = np.percentile(finite, [25, 50, 75]) if len(finite) else [np.nan] * 3
        rows.append(
            {
                "layer": s.layer,
                "n": s.fan_in,
                "r": s.r,
                "filter_r_25": quartiles[0],
                "filter_r": quartiles[1],
                "filter_r_75": quartiles[2],
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
