"""The first layer's filters, as they are shown."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest

from bnn_geometry.book import filters
from bnn_geometry.book.display import Origin

WEIGHTS = np.linspace(-1, 1, 2 * 27).reshape(2, 27)
FIRST = pd.DataFrame(WEIGHTS, columns=[f"w{i}" for i in range(27)]).assign(filter=[0, 1])
PATCHES = pd.DataFrame(
    np.arange(3 * 27).reshape(3, 27), columns=[f"p{i}" for i in range(27)]
).assign(image=0)
SHOWN = {
    "name": "fig-x", "caption": "Filters.", "origin": Origin(), "alt": "Two filters and clouds.",
}  # fmt: skip


@pytest.fixture
def displayed(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "bnn_geometry.book.display.display", lambda data, **options: seen.append(data)
    )
    return seen


def test_the_data_of_every_filter_go_with_the_picture(displayed):
    filters.show_filters(FIRST, PATCHES.replace(5, -1), pd.Series([0.25, 0.75]), **SHOWN)
    text = re.search(r'<metadata id="first-layer">(.*?)</metadata>', displayed[0]["image/svg+xml"])
    data = json.loads(text[1])
    assert data["r"] == [0.25, 0.75]
    np.testing.assert_allclose(data["weights"], WEIGHTS, atol=5e-4)
    assert data["patches"][0][:6] == [0, 1, 2, 3, 4, -1]  # −1: what a convolution pads
    with pytest.raises(ValueError, match="2 filters and 1 correlations"):
        filters.show_filters(FIRST, PATCHES, pd.Series([0.5]), **SHOWN)


def test_pixels_enter_as_the_network_takes_them_and_channels_become_colours():
    x = filters._inputs(pd.DataFrame([[0, 255, -1, 51]], columns=["p0", "p1", "p2", "p3"]))
    np.testing.assert_allclose(x, [[-1, 1, 0, -0.6]])
    picture = filters.as_picture(np.r_[np.ones(9), -np.ones(9), np.zeros(8), 5])
    assert picture.shape == (3, 3, 3)
    np.testing.assert_array_equal(picture[0, 0], [1, 0, 0.5])
    np.testing.assert_array_equal(picture[2, 2], [1, 0, 1])
