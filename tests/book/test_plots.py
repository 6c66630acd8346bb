"""The general plots: what they draw is what they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bnn_geometry.book import plots
from bnn_geometry.book.plots.style import LOOKS
from bnn_geometry.studies.geometry_results import Cloud

LAYERS = ["conv1", "fc1"]
TABLE = pd.DataFrame(
    {"n": [27, 8192], "r": [0.5, 0.9], "r_25": [0.4, 0.8], "r_75": [0.7, 0.95], "off": [1.0, 2.0],
     "off_se": [0.1, 0.2]},
    index=LAYERS,
)  # fmt: skip


def axes():
    return plots.new_figure(width=3, height=2)[1][0, 0]


def drawn(container):
    """What an errorbar container shows: x, y and the ends of its bars."""
    line, _, (bars,) = container.lines
    return line.get_xdata(), line.get_ydata(), np.array(bars.get_segments())


CLOUD = Cloud(
    layer="conv1", n=1152, r=0.951, slope=2.0, intercept=0.5, counts=np.eye(4, dtype=int),
    x=np.linspace(-2, 2, 5), y=np.linspace(-2, 2, 5),
)  # fmt: skip


def test_a_series_has_its_errors_and_its_theory_in_its_colour():
    measured = pd.DataFrame({"angle": [1.0, 2.0], "se": [0.1, 0.2]}, index=[10, 20])
    law, bound = pd.Series([1.0, 1.5, 2.0], [10, 15, 20]), pd.Series([0.0, 0.0], [10, 20])
    ax = plots.series(
        {"a": measured, "b": measured["angle"]}, axes(), theory={"a": law, "bound": bound}
    )
    x, y, bars = drawn(ax.containers[0])
    np.testing.assert_array_equal([x, y], [[10, 20], [1, 2]])
    np.testing.assert_allclose(bars[:, :, 1], [[0.9, 1.1], [1.8, 2.2]])
    points, theory, other, black = ax.lines
    np.testing.assert_array_equal(theory.get_xydata(), [[10, 1], [15, 1.5], [20, 2]])
    assert theory.get_color() == points.get_color() == LOOKS[0][0]
    assert points.get_linestyle() == "None"  # its law is the line
    assert other.get_linestyle() != "None"
    assert (black.get_color(), black.get_label()) == ("black", "bound")
    assert ax.get_legend_handles_labels()[1] == ["bound", "a", "b"]


def test_a_series_of_many_layers_takes_one_colour_and_marker_each():
    ax = plots.series({str(i): pd.Series([i, i]) for i in range(9)}, axes(), joined=False)
    looks = {(line.get_color(), line.get_marker()) for line in ax.lines}
    assert len(looks) == 9
    assert {line.get_linestyle() for line in ax.lines} == {"None"}


def test_layers_have_quartiles_or_standard_errors_or_neither():
    ax = plots.by_layer({"a": TABLE, "b": TABLE}, axes(), column="r", lines={"white": 0.87})
    x, y, bars = drawn(ax.containers[0])
    np.testing.assert_array_equal(y, [0.5, 0.9])
    np.testing.assert_allclose(bars[:, :, 1], [[0.4, 0.7], [0.8, 0.95]])
    assert (x < drawn(ax.containers[1])[0]).all()  # side by side
    assert [t.get_text() for t in ax.get_xticklabels()] == ["conv1\n27", "fc1\n8,192"]
    assert ax.get_legend_handles_labels()[1] == ["white", "a", "b"]
    _, _, bars = drawn(plots.by_layer({"a": TABLE}, axes(), column="off").containers[0])
    np.testing.assert_allclose(bars[:, :, 1], [[0.9, 1.1], [1.8, 2.2]])
    ax = plots.by_layer({"a": TABLE["r"]}, axes())
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0.5], [1, 0.9]])


def test_long_names_stand_from_top_to_bottom():
    ax = plots.by_layer({"a": TABLE["r"]}, axes(), lines={"white": 0.87}, sideways=True)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0.5, 0], [0.9, 1]])
    assert [t.get_text() for t in ax.get_yticklabels()] == LAYERS
    assert ax.yaxis_inverted()
    assert set(ax.lines[1].get_xdata()) == {0.87}


def test_a_cloud_has_its_counts_its_line_and_grey_where_signs_differ():
    _, panels = plots.new_figure(2, 2, width=4, height=4)
    plots.clouds([CLOUD] * 4, panels)
    ax = panels[1, 0]
    assert ax.get_title() == "conv1: n = 1,152\nr = 0.95"
    counts = ax.collections[0].get_array()
    np.testing.assert_array_equal(counts.filled(0).reshape(4, 4), np.eye(4))
    assert counts.mask.sum() == 12  # empty cells are not coloured
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), 0.5 + 2 * np.linspace(-2, 2, 5))
    corners = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches]
    np.testing.assert_allclose([c.extents for c in corners], [[-2, 0, 0, 2], [0, -2, 2, 0]])
    labels = [[(ax.get_xlabel(), ax.get_ylabel()) for ax in row] for row in panels]
    x, y = r"$x\cdot w^b$", r"$x\cdot w^c$"
    assert labels == [[("", y), ("", "")], [(x, y), (x, "")]]


def test_histograms_are_densities():
    ax = plots.histograms(
        {"a": [0.5, 1.5, 1.6, 9]},
        axes(),
        bins=[0, 1, 2],
        beside={"null": [0.5]},
        lines={"law": 1.5},
    )
    beside, own = (patch.get_xy() for patch in ax.patches)
    assert beside[:, 1].max() == 1
    assert own[:, 1].max() == pytest.approx(2 / 3)  # of those inside
    assert set(ax.lines[0].get_xdata()) == {1.5}
    assert set(ax.get_legend_handles_labels()[1]) == {"a", "null", "law"}


def test_a_logarithmic_axis_has_plain_numbers_where_it_is_seen():
    ax = axes()
    ax.set(xlim=(20, 2000), ylim=(1, 10))
    plots.log_axis(ax, "x", [3, 30, 1000, 3000])
    assert ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_xticklabels()] == ["30", "1,000"]
    assert ax.get_yscale() == "linear"
