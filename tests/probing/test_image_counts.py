"""r on parts of the images: what each gives by itself, and a spread that falls as it should."""

import numpy as np
import pytest
import torch
from torch import nn

from bnn_geometry.errors import UserError
from bnn_geometry.networks.inference import as_given
from bnn_geometry.probing import probe_arrays
from bnn_geometry.probing.image_counts import correlation_by_images


@pytest.fixture
def layer():
    torch.manual_seed(1)
    return nn.Linear(20, 3, bias=False)


def test_every_part_is_measured_by_itself_and_what_is_left_over_is_not(layer):
    x = torch.randn(35, 20, generator=torch.Generator().manual_seed(2))
    found = correlation_by_images(nn.Sequential(layer), x, [5, 10], preprocess=as_given)
    w = layer.weight.detach()
    for count, parts in ((5, 7), (10, 3)):
        each = [probe_arrays(x[i * count : (i + 1) * count], w).r for i in range(parts)]
        row = found.loc[("0", count)]
        assert row["parts"] == parts
        assert np.isclose(row["r"], np.mean(each), atol=1e-6)
        assert np.isclose(row["r_sd"], np.std(each, ddof=1), atol=1e-6)


def test_no_more_parts_than_asked_for_are_measured(layer):
    x = torch.randn(100, 20, generator=torch.Generator().manual_seed(2))
    found = correlation_by_images(nn.Sequential(layer), x, [5], most=4, preprocess=as_given)
    assert list(found["parts"]) == [4]


def test_the_spread_falls_like_one_over_the_root_of_the_images(layer):
    x = torch.randn(16_000, 20, generator=torch.Generator().manual_seed(3))
    found = correlation_by_images(nn.Sequential(layer), x, [10, 160], most=100, preprocess=as_given)
    ratio = found.loc[("0", 10), "r_sd"] / found.loc[("0", 160), "r_sd"]
    assert (
        4 / 1.35 < ratio < 4 * 1.35
    )  # two standard deviations, each known to a fourteenth: 3 s.e.


@pytest.mark.parametrize("count", [0, 6])
def test_one_part_has_no_spread(layer, count):
    network, x = nn.Sequential(layer), torch.zeros(10, 20)
    with pytest.raises(UserError, match=f"no two parts of {count} among 10 images"):
        correlation_by_images(network, x, [count], preprocess=as_given)
