"""Figure 1: the parts are there, and what is plotted is what it is given."""

from __future__ import annotations

import numpy as np

from bnn_geometry import diagrams, plots, theory


def axes():
    _, ax = plots.new_figure()
    return ax[0, 0]


def test_the_transformer_names_every_tensor_with_its_derivative():
    texts = [t.get_text() for t in diagrams.plot_transformer(axes()).texts]
    for name in ("w^c", "w^b", "x^b", "x^c"):
        assert f"${name}$" in texts
        assert f"$\\delta {name}$" in texts
    assert texts.count("binarize") == 2


def test_the_step_is_drawn_in_two_pieces_without_a_riser():
    x = np.linspace(-1, 1, 11)
    ax = diagrams.plot_estimator(x, np.where(x > 0, 1.0, -1.0), x, axes(), title="weights")
    pieces = [line for line in ax.lines if len(line.get_xdata()) and line.get_linestyle() == "-"]
    assert [set(line.get_ydata()) for line in pieces] == [{-1.0}, {1.0}]


def test_the_bars_of_a_simulation_stand_where_the_law_has_its_values():
    cosine, probability = theory.binary_pair_law(4)
    ax = diagrams.plot_pair_law(np.repeat(cosine, 3), cosine, probability, axes(), title="n = 4")
    centres = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    np.testing.assert_allclose(centres, cosine, atol=1e-12)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], 1 / 5)
