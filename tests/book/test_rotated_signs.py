"""The cloud to rotate, as it is shown."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd

from bnn_geometry.book import rotated_signs
from bnn_geometry.book.display import Origin

POINTS = np.array([[1.0, 0.25], [0.5, -0.1234]])
TABLE = pd.DataFrame(
    {"angle": [60.0, 37.0], "angle_25": [58.0, 36.0], "angle_75": [61.0, 38.0]}, ["a", "b"]
)


def test_the_points_go_with_the_picture(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "bnn_geometry.book.display.display", lambda data, **options: seen.append(data)
    )
    rotated_signs.show_signs(
        POINTS, {"as it is": POINTS, "turned": -POINTS}, {"as they are": TABLE}, 37.07,
        name="fig-x", caption="A cloud.", origin=Origin(), alt="Two points and four codes.",
    )  # fmt: skip
    text = re.search(r'<metadata id="rotated-signs">(.*?)</metadata>', seen[0]["image/svg+xml"])
    data = json.loads(text[1])
    assert data == {"points": [[1.0, 0.25], [0.5, -0.123]], "reach": rotated_signs.REACH}


def test_the_static_picture_has_both_clouds_all_codes_and_the_angles():
    figure = rotated_signs.draw({"as it is": POINTS, "turned": -POINTS}, {"plain": TABLE}, 37.07)
    first, second, below = figure.axes
    for ax, points, title in ((first, POINTS, "as it is"), (second, -POINTS, "turned")):
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), points)
        codes = ax.lines[1].get_xydata()
        assert len(np.unique(np.sign(codes), axis=0)) == 4
        np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1)
        assert ax.get_title() == title
        assert ax.get_xlabel()
    np.testing.assert_array_equal(below.containers[0].lines[0].get_xdata(), TABLE["angle"])
    assert "law: 37.1°" in below.get_legend_handles_labels()[1]
