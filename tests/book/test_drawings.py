"""Every plot of a single chapter draws a tiny table and says what its axes are."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bnn_geometry.book import plots
from bnn_geometry.book.plots import angles, dynamics
from bnn_geometry.geometry import flows, losses

X = np.array([0.1, 0.4, 0.9])
COLUMNS = """
    alpha angle_se angle_theory axis closer cosine cosine_latent cosine_se density difference
    difference_se error excess excess_se excess_theory fraction gaussian high kept kept_error
    kurtosis left low overlap own own_sd pair r r_sd ratio refitted refitted_error refitted_sd
    residual rms se simulated size tenth test_error theory train_error uniform value z
"""
T = pd.DataFrame(dict.fromkeys(COLUMNS.split(), X), index=["conv1", "conv2", "fc1"]).assign(
    n=[10, 100, 1000], layer=["conv1", "conv2", "fc1"], angle=[30.0, 31.0, 37.0], epoch=[1, 2, 3],
    seed=1, network="a", right=X + 0.1,
)  # fmt: skip
HISTOGRAM = SimpleNamespace(
    start=0, width=60, counts=np.array([1, 2, 1]), density=X, density_start=0, density_step=60
)
FLOW = flows.flow(losses.COSINE, [3.0, 1.0], [-0.8, -0.6], np.full(3, 0.2), keep_path=True)
ARGUMENTS = {
    angles.plot_angle_histograms: (
        SimpleNamespace(binarized=HISTOGRAM, pairs=HISTOGRAM, limit=37.0),
    ),
    dynamics.plot_flow_plane: (FLOW,),
}
OPTIONS = {
    "title": "t", "ylabel": "y", "bound": 45.0, "pair": 60.0, "marks": [27], "size": X,
    "step_size": 0.1, "column": "r",
    "laws": {"uniform": (X, X)}, "target": np.array([3.0, 1.0]), "field": (np.ones((2, 2)),) * 2,
    "lines": {"nearest": 30.0},
}  # fmt: skip
PANELS: dict[str, int] = {}


@pytest.mark.filterwarnings("ignore:vert. bool was deprecated")  # by seaborn's box plots
@pytest.mark.parametrize("plot", ARGUMENTS, ids=lambda plot: f"{plot.__module__}.{plot.__name__}")
def test_a_plot_draws_and_names_its_axes(plot):
    axes = plots.new_figure(1, PANELS.get(plot.__name__, 1), width=3, height=2)[1]
    names = list(inspect.signature(plot).parameters)
    options = {k: v for k, v in OPTIONS.items() if k in names[len(ARGUMENTS[plot]) :]}
    where = {"ax": axes[0, 0]} if "ax" in names else {"axes": axes[0]}
    plot(*ARGUMENTS[plot], **where, **options)
    for ax in axes.flat:
        assert ax.lines or ax.patches or ax.collections or ax.images
        assert ax.get_xlabel() or ax.get_ylabel() or ax.get_title() or plot in UNNAMED


UNNAMED = {angles.plot_angle_histograms}
"""Panels of one figure: the cell that draws them names their axes."""


def test_every_plot_of_a_chapter_is_drawn_here():
    public = {
        function
        for room in (angles, dynamics)
        for name, function in inspect.getmembers(room, inspect.isfunction)
        if name.startswith("plot_") and function.__module__ == room.__name__
    }
    assert public == set(ARGUMENTS)
