"""How many images a correlation needs: the same measured on disjoint parts of the images."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from torch import Tensor, nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import Preprocess, scale_images
from bnn_geometry.probing.dot_products import probe_weights


def correlation_by_images(
    network: nn.Module,
    images: Tensor,
    counts: Sequence[int],
    *,
    most: int = 20,
    preprocess: Preprocess = scale_images,
) -> pd.DataFrame:
    """The correlation r of every layer on several disjoint parts of the images.

    Its spread over the parts is what a reader with that many images is off by, typically; parts
    that share images would make it too small.

    Parameters
    ----------
    network, images, preprocess
        As for :func:`bnn_geometry.probing.dot_products.probe`.
    counts : sequence of int
        Images in a part.
    most : int
        Parts of each count, at most.

    Returns
    -------
    DataFrame
        Index: layer and images. Columns r, the mean over the parts; r_sd, their standard deviation;
        parts, how many.

    Raises
    ------
    UserError
        If there are not two parts of some count, and as :func:`bnn_geometry.probing.probe`.
    """
    rows = {}
    for count in counts:
        parts = [part for part in images.split(max(count, 1)) if len(part) == count][:most]
        if len(parts) < 2:
            raise UserError(f"There are no two parts of {count} among {len(images)} images.")
        found = pd.DataFrame(
            {s.layer: s.r for s in probe_weights(network, part, preprocess=preprocess)}
            for part in parts
        )
        for layer in found:
            rows[layer, count] = found[layer].mean(), found[layer].std(), len(parts)
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["r", "r_sd", "parts"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["layer", "images"])
    return table.astype({"parts": int}).sort_index(level="images", sort_remaining=False)
