"""The geometry of one network's layers on one sample of images: rows of published tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from bnn_geometry.data.datasets import Split
from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.components import (
    Components,
    component_correlation,
    leading_components,
    participation_ratio,
    without_components,
)
from bnn_geometry.probing.directions import readout_errors
from bnn_geometry.probing.judged_directions import discriminants, judged_directions
from bnn_geometry.probing.pair_correlation import (
    PairCorrelation,
    blocks_of,
    covariance_correlation,
    pair_correlation,
)
from bnn_geometry.probing.vectors import LayerVectors, draw_vectors
from bnn_geometry.probing.weight_pairs import MEASURED, SHUFFLED, WeightPair, weight_pairs
from bnn_geometry.studies.geometry_pictures import cloud, first_layer

WEIGHTS, ACTIVATIONS = "weights", "activations"
WHITE, PERMUTED, RANDOM_SIGNS = "white inputs", "permuted inputs", "random signs"
OTHER_IMAGES, UNTRAINED = "covariance of other images", "untrained"

REMOVED, KEPT, SHARES = (1, 10, 50), (1, 3, 10, 30), (1, 3, 10, 30, 50)
"""Leading components that are taken away, that alone predict r, whose part of the variance is
told."""

FITTED = 2000
"""Vectors of a layer, at most, on which directions and readouts are fitted, one an image."""

DIRECTIONS = 5
"""Of each kind."""

COLUMNS = [
    *("comparison", "layer", "n", "control", "draw", "filters", "images", "vectors"),
    *(
        "r",
        "r_se",
        "centred_r",
        "excess",
        "excess_se",
        "median",
        "median_se",
        "median_excess_se",
        "mean",
    ),
    *("disagreement", "disagreement_se", "from_angle", "from_r"),
]


@dataclass
class _Layer:
    # What is found of one layer: summaries, and a column for every kind of filter_r.
    name: str
    n: int
    images: int
    rows: list[dict] = field(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    measured: dict[str, PairCorrelation] = field(default_factory=dict)

    def add(
        self,
        comparison: str,
        control: str,
        found: PairCorrelation,
        *,
        draw: int = 0,
        vectors: int = 0,
        angles: Tensor | None = None,
        column: str | None = None,
    ) -> None:
        if control == MEASURED:
            self.measured[comparison] = found
        measured = self.measured.get(comparison)
        se, filters = found.standard_errors(), found.filter_r
        row = dict.fromkeys(COLUMNS, np.nan) | {
            **{"comparison": comparison, "layer": self.name, "n": self.n},
            **{"control": control, "draw": draw, "filters": len(filters)},
            **{"images": self.images if vectors else 0, "vectors": vectors},
            **{
                "r": found.r,
                "r_se": se[0],
                "centred_r": found.centred_r,
                "median": found.median,
                "median_se": se[1],
            },
            "mean": float(filters.nanmean()),
            "from_r": float((filters.arccos() / torch.pi).nanmean()),
        }
        if found.disagreement is not None:
            row |= {"disagreement": float(found.disagreement.mean()), "disagreement_se": se[2]}
        if angles is not None:
            row["from_angle"] = float(angles.nanmean() / torch.pi)
        if measured is not None and control != MEASURED:
            excess = measured.standard_errors(found)
            row |= {"excess": measured.r - found.r, "excess_se": excess[0]}
            row["median_excess_se"] = excess[1]
        self.rows.append(row)
        if column is not None:
            self.columns[column] = filters.numpy()


def _angles(pair: WeightPair) -> Tensor:
    b, w = pair.binary, pair.continuous
    return ((b * w).sum(1) / (b.norm(dim=1) * w.norm(dim=1))).clamp(-1, 1).arccos()


def _size(vectors: Tensor, energy: Tensor) -> Tensor:
    return energy * vectors.square().sum(1)


def _energy(x: Tensor) -> Tensor:
    return x.square().sum(dtype=torch.float64) / len(x)


def _compare(
    found: _Layer, layer: BinaryLinear | BinaryConv2d, test: LayerVectors, **how: Any
) -> tuple[Tensor, Tensor]:
    # x·w^b against x·w^c of the layer and of its controls; gives x·w^b and x·w^c.
    x, block, energy = test.x, blocks_of(test.image), _energy(test.x)
    columns = {
        MEASURED: "r",
        SHUFFLED: "shuffled",
        "random turn": "turned",
        "weights dealt anew": "dealt",
        "Gaussian directions": "gaussian",
        "uniform directions": "uniform",
    }
    products: tuple[Tensor, Tensor] | None = None
    for pair in weight_pairs(layer.weight, **how):
        b, w = pair.binary, pair.continuous
        if products is None:
            own = b
            products = x @ b.float().T, x @ w.float().T
            found.columns["angle"] = torch.rad2deg(_angles(pair)).numpy()
            first, second = products
        else:
            first = products[0] if b is own else x @ b.float().T
            second = x @ w.float().T
        correlation = pair_correlation(first, second, block, (_size(b, energy), _size(w, energy)))
        found.add(
            WEIGHTS,
            pair.control,
            correlation,
            draw=pair.draw,
            vectors=len(x),
            angles=_angles(pair),
            column=columns[pair.control] if pair.draw == 0 else None,
        )
        if pair.control == MEASURED:
            found.columns["disagreement"] = correlation.disagreement.numpy()
    return products


def _closed(found: _Layer, w: Tensor, b: Tensor, x: Tensor) -> None:
    n = w.shape[1]
    white = covariance_correlation(b, w, lambda v: v, n)
    found.add(WEIGHTS, WHITE, white, column="white")
    mean = x.mean(0, dtype=torch.float64)
    variances = x.var(0, correction=0).double()
    diagonal = covariance_correlation(b, w, lambda v: v * variances, float(variances.sum()), mean)
    found.add(WEIGHTS, PERMUTED, diagonal, column="permuted")


def _activations(found: _Layer, b: Tensor, test: LayerVectors, generator: torch.Generator) -> None:
    # w^b·x^b against w^b·x^c, of random signs, and with every coordinate permuted by itself.
    x, before = test.x, test.continuous
    block, energies = blocks_of(test.image), (_energy(x), _energy(before))
    random = binarize(torch.randn(b.shape, dtype=b.dtype, generator=generator))
    for control, signs, column in ((MEASURED, b, "activation_r"), (RANDOM_SIGNS, random, None)):
        first, second = (z @ signs.float().T for z in (x, before))
        sizes = tuple(_size(signs, energy) for energy in energies)
        correlation = pair_correlation(first, second, block, sizes)
        found.add(ACTIVATIONS, control, correlation, vectors=len(x), column=column)
    centred = [z - z.mean(0) for z in (x, before)]
    spread = [float(z.square().mean(0, dtype=torch.float64).sum()) for z in centred]
    cov = float((centred[0] * centred[1]).mean(0, dtype=torch.float64).sum())
    r = cov / (spread[0] * spread[1]) ** 0.5 if min(spread) > 0 else np.nan
    # the same in every filter; the other is that of a Gaussian number and its sign
    for control, value in ((PERMUTED, r), (WHITE, float(np.sqrt(2 / np.pi)))):
        of_each = torch.full((len(b),), value, dtype=torch.float64)
        found.add(ACTIVATIONS, control, PairCorrelation(value, value, value, of_each))


def _by_components(
    found: _Layer,
    pair: tuple[Tensor, Tensor],
    products: tuple[Tensor, Tensor],
    test: LayerVectors,
    train: LayerVectors,
    components: Components,
) -> None:
    b, w = pair
    block, energy = blocks_of(test.image), _energy(test.x)
    sizes = _size(b, energy), _size(w, energy)
    for k in (k for k in REMOVED if k < len(w[0])):
        rest = [
            without_components(z, v, test.x, components, k)
            for z, v in zip(products, pair, strict=True)
        ]
        left = pair_correlation(*rest, block, sizes)
        name = f"without {k} component{'s' * (k > 1)}"
        found.add(WEIGHTS, name, left, vectors=len(test.x), column=f"without_{k}")
    for k in KEPT:
        alone = component_correlation(b, w, components, k)
        name = f"{k} component{'s' * (k > 1)}"
        found.add(WEIGHTS, name, alone, column=f"components_{k}")
    first, second = (train.x @ v.float().T for v in pair)
    energy = _energy(train.x)
    whole = pair_correlation(
        first, second, blocks_of(train.image), (_size(b, energy), _size(w, energy))
    )
    # of other images: its differences from r are no paired ones
    without = replace(whole, disagreement=None, without=None)
    found.add(WEIGHTS, OTHER_IMAGES, without, column="other_images")


def _inputs(
    name: str, test: LayerVectors, train: LayerVectors, components: Components
) -> dict[str, float]:
    # Vectors of different images as far as they go: their products are a matrix of both.
    some = [z.x[:: max(1, len(z.x) // 4000)] for z in (test, train)]
    row = {
        "layer": name,
        "n": test.x.shape[1],
        "participation": participation_ratio(*some),
        "images": int(test.image[-1]) + 1,
        "vectors": len(test.x),
        "train_images": int(train.image[-1]) + 1,
        "train_vectors": len(train.x),
    }
    for k in SHARES:
        row[f"share_{k}"] = float(components.variances[:k].sum() / components.total)
    return row


def layer_tables(
    network: nn.Module,
    test: Split,
    train: Split,
    *,
    vectors: int,
    draws: int,
    patches: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """All that is measured of a network's layers, for :mod:`bnn_geometry.studies.geometry`.

    Parameters
    ----------
    network : Module
    test, train : Split
        Images to measure on; others on which components, directions and readouts are fitted.
    vectors : int
        Of each convolution at least, from either.
    draws : int
        Of controls that are drawn.
    patches : int
        That enter the first layer, to be shown.
    seed : int
        Of every random choice.
    """
    generator = torch.Generator().manual_seed(seed)
    options = {"vectors": vectors, "generator": generator}
    inputs = draw_vectors(network, test.images, continuous=True, **options)
    others = draw_vectors(network, train.images, **options)
    made: dict[str, list] = {
        key: []
        for key in (
            *("layers", "filters", "inputs", "directions", "readout", "clouds", "cloud_axes"),
        )
    }
    shown: dict[str, pd.DataFrame] = {}
    for name, layer in weight_layers(network).items():
        mine, other = inputs.pop(name), others.pop(name)  # large: each goes once it was used
        w = layer.weight.detach().flatten(1).double().cpu()
        b = binarize(w)
        if not made["layers"]:
            shown = first_layer(layer, mine.first(patches))
        found = _Layer(name, layer.fan_in, len(test.images))
        products = _compare(found, layer, mine, generator=generator, draws=draws)
        _closed(found, w, b, mine.x)
        components = leading_components(other.x, max(*REMOVED, *SHARES, *KEPT))
        _by_components(found, (b, w), products, mine, other, components)
        made["inputs"].append(_inputs(name, mine, other, components))
        clouds = [cloud(WEIGHTS, name, *products)]
        if mine.continuous is not None:
            _activations(found, b, mine, generator)
            both = [z @ b.float().T for z in (mine.x, mine.continuous)]
            clouds.append(cloud(ACTIVATIONS, name, *both))
        for cells, axes in clouds:
            made["clouds"].append(cells)
            made["cloud_axes"].append(axes)
        made["layers"].append(pd.DataFrame(found.rows, columns=COLUMNS))
        filters = pd.DataFrame({"layer": name, "filter": range(len(w)), **found.columns})
        made["filters"].append(filters)
        fit, judge = other.first(FITTED), mine.first(len(test.images))
        directions = {
            "principal": components.axes[:DIRECTIONS],
            "discriminant": discriminants(fit.x, train.labels[fit.image], DIRECTIONS),
            "random": torch.randn(DIRECTIONS, layer.fan_in, generator=generator),
        }
        judged = judged_directions(directions, mine.x, mine.image, components)
        judged.insert(0, "layer", name)
        judged.insert(1, "n", layer.fan_in)
        made["directions"].append(judged)
        readout = readout_errors({name: fit}, train.labels, {name: judge}, test.labels)
        readout = readout.reset_index()
        readout["train_images"], readout["images"] = len(fit.x), len(judge.x)
        made["readout"].append(readout)
    made["inputs"] = [pd.DataFrame(made["inputs"])]
    return shown | {key: pd.concat(tables, ignore_index=True) for key, tables in made.items()}


def untrained_tables(
    network: nn.Module, test: Split, *, vectors: int, seed: int
) -> dict[str, pd.DataFrame]:
    """r of a network before training, on its own inputs: rows of ``layers``, and its filters."""
    generator = torch.Generator().manual_seed(seed)
    inputs = draw_vectors(
        network, test.images, vectors=vectors, generator=generator, continuous=True
    )
    layers, filters = [], []
    for name, layer in weight_layers(network).items():
        mine = inputs.pop(name)
        pair = next(iter(weight_pairs(layer.weight, generator, draws=0)))
        found = _Layer(name, layer.fan_in, len(test.images))
        b, w = pair.binary, pair.continuous
        pairs = {WEIGHTS: (mine.x, w)}
        if mine.continuous is not None:
            pairs[ACTIVATIONS] = mine.continuous, b
        for comparison, (x, v) in pairs.items():
            first, second = mine.x @ b.float().T, x @ v.float().T
            sizes = _size(b, _energy(mine.x)), _size(v, _energy(x))
            column = {WEIGHTS: "untrained", ACTIVATIONS: "untrained_activation_r"}[comparison]
            found.add(
                comparison,
                UNTRAINED,
                pair_correlation(first, second, blocks_of(mine.image), sizes),
                vectors=len(mine.x),
                angles=_angles(pair) if comparison == WEIGHTS else None,
                column=column,
            )
        layers.append(pd.DataFrame(found.rows, columns=COLUMNS))
        filters.append(
            pd.DataFrame({"layer": name, "filter": range(len(pair.binary)), **found.columns})
        )
    return {
        "layers": pd.concat(layers, ignore_index=True),
        "untrained_filters": pd.concat(filters, ignore_index=True),
    }
