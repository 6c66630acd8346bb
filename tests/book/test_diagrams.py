"""The theory chapter's figures: the parts are there, and what is plotted is what it is given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from bnn_geometry.book.plots import diagrams
from bnn_geometry.book.plots import style as plots


def axes():
    _, ax = plots.new_figure()
    return ax[0, 0]


def dashed(line):
    return line.get_linestyle() == "--"


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
    figure, ax = plots.new_figure(width=7.2, height=3.2)
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
    x = np.linspace(-2, 2, 11)
    ax = diagrams.plot_estimators(x, x, np.clip(x, -1, 1), axes())
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_array_equal(drawn["backward: weights"], x)
    np.testing.assert_array_equal(drawn["backward: activations"], np.clip(x, -1, 1))
    levels = [set(y) for y in (line.get_ydata() for line in ax.lines) if len(set(y)) == 1]
    assert levels == [{-1.0}, {1.0}, {-1.0}, {1.0}]  # the pieces and their ends


def test_the_sign_is_the_copy_and_the_remainder_everywhere():
    x = np.linspace(-2, 2, 12)
    ax = diagrams.plot_sign(x, 0.8, axes())
    copy = next(line for line in ax.lines if line.get_label() == "copy: Bx")
    rest = [line for line in ax.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    np.testing.assert_array_equal(np.concatenate([line.get_xdata() for line in rest]), x)
    total = copy.get_ydata() + np.concatenate([line.get_ydata() for line in rest])
    np.testing.assert_allclose(total, np.where(x > 0, 1, -1))


def test_the_ellipse_of_a_covariance_is_two_deviations_out_along_every_direction():
    covariance = np.array([[1.0, 0.4], [0.4, 0.5]])
    w, b = np.array([3.0, 1.0]), np.array([1.0, 1.0])
    ax = diagrams.plot_metric(w, b, {"white": np.eye(2), "other": covariance}, axes())
    outline = ax.patches[1].get_xy() - [4.4, 0]
    for direction in (w, b, [1, 0]):
        reach = (outline @ direction).max()
        assert reach == pytest.approx(2 * np.sqrt(direction @ covariance @ direction), rel=1e-3)
    arrows = [np.array(t.xy) for t in ax.texts if getattr(t, "arrow_patch", None)]
    assert arrows[0] == pytest.approx(1.5 * w / np.linalg.norm(w))
    assert arrows[3] - [4.4, 0] == pytest.approx(1.5 * b / np.linalg.norm(b))
    assert [t.get_text() for t in ax.texts if t.get_va() == "top"] == ["white", "other"]


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
