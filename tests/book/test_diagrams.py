"""The theory chapter's figures: the parts are there, and what is plotted is what it is given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from bnn_geometry.book.plots import diagrams
from bnn_geometry.book.plots import style as plots
from bnn_geometry.geometry.pair_angle import binary_pair_law


def axes():
    _, ax = plots.new_figure()
    return ax[0, 0]


def dashed(line):
    return line.get_linestyle() == "--"


def points(container):
    """What an errorbar container shows: x, y and the ends of its bars."""
    line, _, (bars,) = container.lines
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    return line.get_xdata(), line.get_ydata(), ends


def test_the_transformer_names_every_tensor_with_its_derivative():
    texts = [t.get_text() for t in diagrams.plot_transformer(axes()).texts]
    for name, count in (("w^c", 1), ("w^b", 1), ("x^b", 2), ("x^c", 1)):
        assert texts.count(f"${name}$") == count
        assert texts.count(f"$\\delta {name}$") == count
    assert texts.count("binarize") == 2


def test_every_arrow_forward_has_one_back_beside_it():
    ax = diagrams.plot_transformer(axes())
    ends = {True: [], False: []}  # forward, and solid: tail and head
    for text in ax.texts:
        arrow = getattr(text, "arrow_patch", None)
        if arrow is not None:
            forward = arrow.get_edgecolor() == to_rgba(plots.BLUE)
            assert (arrow.get_linestyle() in ("-", "solid")) == forward
            ends[forward].append((np.array(text.get_position()), np.array(text.xy)))
    assert len(ends[True]) == 8
    for (tail, head), (back_tail, back_head) in zip(*ends.values(), strict=True):
        np.testing.assert_allclose(np.linalg.norm(tail - back_head), 0.2)
        np.testing.assert_allclose(np.linalg.norm(head - back_tail), 0.2)


def test_no_text_of_the_transformer_leaves_its_box():
    figure, ax = plots.new_figure(height=3.3)
    ax = diagrams.plot_transformer(ax[0, 0])
    figure.draw_without_rendering()  # lays it out
    boxes = [p.get_window_extent() for p in ax.patches[1:]]
    for text in ax.texts:
        if text.get_text() and "accumulates" not in text.get_text():
            inside = text.get_window_extent()
            assert any(
                b.x0 <= inside.x0 and inside.x1 <= b.x1 and b.y0 <= inside.y0 and inside.y1 <= b.y1
                for b in boxes
            ), text.get_text()


def test_the_step_is_drawn_in_two_pieces_without_a_riser():
    x = np.linspace(-1, 1, 11)
    ax = diagrams.plot_estimator(x, np.where(x > 0, 1.0, -1.0), x, axes(), title="weights")
    pieces = [line for line in ax.lines if len(line.get_xdata()) and line.get_linestyle() == "-"]
    assert [set(line.get_ydata()) for line in pieces] == [{-1.0}, {1.0}]


def test_the_small_network_shows_signs_by_the_style_of_its_lines():
    w, v = np.array([[0.1, -0.2, 0.3], [-0.4, 0.5, -0.6]]), np.array([-0.7, 0.8])
    ax = diagrams.plot_small_network(
        np.array([1.0, -1.0, 1.0]), w, np.array([3.0, -1.0]), v, -1.0, axes(), title="t",
        flipped=[(1, 2)],
    )  # fmt: skip
    lines = [line for line in ax.lines if len(line.get_xdata())]
    expected = [0.1, -0.2, 0.3, -0.7, -0.4, 0.5, -0.6, 0.8]  # unit by unit
    assert [dashed(line) for line in lines] == [weight < 0 for weight in expected]
    assert [line.get_linewidth() > 2 for line in lines] == [weight == -0.6 for weight in expected]
    texts = [t.get_text() for t in ax.texts]
    assert [t for t in texts if t[1:2] == "0"] == [f"{z:+g}".replace("-", "−") for z in expected]
    assert [t for t in texts if t in ("+1", "−1")] == ["+1", "−1", "+1"]
    assert [t for t in texts if "$a$" in t] == ["$a$ = 3\n$h$ = +1", "$a$ = −1\n$h$ = −1"]
    assert "$o$ = −1" in texts


@pytest.mark.parametrize("kept", [slice(None), slice(1, 4)])
def test_the_bars_of_a_simulation_stand_where_the_law_has_its_values(kept):
    cosine, probability = binary_pair_law(4)
    sample = np.repeat(cosine, 3)
    ax = diagrams.plot_pair_law(sample, cosine[kept], probability[kept], axes(), title="n = 4")
    values, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, cosine[kept], atol=1e-12)
    np.testing.assert_allclose(values, 1 / 5)  # of all, also where an interval is shown
    np.testing.assert_allclose(ax.lines[0].get_ydata(), probability[kept])


def test_the_histogram_of_directions_is_a_density():
    grid = np.linspace(60, 120, 7)
    ax = diagrams.plot_direction_law(
        np.array([61.0, 89, 90, 91, 200]), grid, np.full(7, 0.01), axes(), title="t"
    )
    values, edges, _ = ax.patches[0].get_data()
    assert (values * np.diff(edges)).sum() == pytest.approx(4 / 5)  # one is outside
    assert (edges[0], edges[-1]) == (60, 120)


def test_largest_cosines_are_drawn_with_their_range_and_law():
    table = pd.DataFrame(
        {"n": [10, 10, 20], "N": [2, 4, 2], "mean": [0.2, 0.4, 0.1], "low": [0.1, 0.3, 0.05],
         "high": [0.4, 0.5, 0.2], "law": [0.25, 0.35, 0.15]}
    )  # fmt: skip
    ax = diagrams.plot_largest_cosines(table, axes())
    x, y, ends = points(ax.containers[0])
    np.testing.assert_array_equal(x, [2, 4])
    np.testing.assert_array_equal(y, [0.2, 0.4])
    np.testing.assert_allclose(ends, [[0.1, 0.4], [0.3, 0.5]])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.25, 0.35])
    labels = ax.get_legend_handles_labels()[1]
    assert {"n = 10", "n = 20", "law (median)"} == set(labels)
    assert ax.get_ylim()[1] > table["high"].max()


def test_capacities_are_drawn_column_by_column():
    table = pd.DataFrame({"one": [1.0, 2.0], "other": [3.0, 9.0]}, index=[10, 100])
    ax = diagrams.plot_capacity(table, axes(), title="t")
    assert [line.get_label() for line in ax.lines] == ["one", "other"]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[10, 3], [100, 9]])


def test_the_laws_of_signs_and_their_residuals():
    table = pd.DataFrame(
        {"law": ["A", "A", "B"], "rho": [0.0, 0.5, 0.5], "simulated": [0.1, 0.5, 0.4],
         "error": [0.05, 0.1, 0.2], "exact": [0.0, 0.6, 0.5]}
    )  # fmt: skip
    ax, residuals = plots.new_figure(1, 2)[1][0]
    diagrams.plot_sign_laws(table, ax, residuals)
    _, y, ends = points(ax.containers[0])
    np.testing.assert_array_equal(y, [0.1, 0.5])
    np.testing.assert_allclose(ends, [[0.05, 0.15], [0.4, 0.6]])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.0, 0.6])
    np.testing.assert_allclose(residuals.lines[0].get_ydata(), [2, -1])
    np.testing.assert_allclose(residuals.lines[1].get_ydata(), [-0.5])


def test_correlations_predicted_and_simulated():
    table = pd.DataFrame(
        {"weights": ["A"] * 20 + ["B"], "decay": [0.0] * 20 + [1.0],
         "predicted": [*np.linspace(0.6, 0.98, 20), 0.5], "simulated": 0.8, "error": 0.1}
    )  # fmt: skip
    ax = diagrams.plot_predicted_correlations(table, axes(), title="t")
    x, y, ends = points(ax.containers[0])
    np.testing.assert_array_equal(x, table["predicted"][:20])
    np.testing.assert_array_equal(y, 0.8)
    np.testing.assert_allclose(ends[0], [0.7, 0.9])
    trend = diagrams.plot_correlation_trend(table, axes(), white=0.8)
    assert set(trend.lines[0].get_ydata()) == {0.8}
    line, _, (bars,) = trend.containers[0].lines
    assert line.get_ydata() == pytest.approx(0.79)
    assert bars.get_segments()[0][:, 1] == pytest.approx(
        np.quantile(table["predicted"][:20], [0.05, 0.95])
    )
