"""Networks of three values beside one of signs: what a run holds, in one table."""

import numpy as np
import pytest
from tiny import TINY, tiny_dataset

from bnn_geometry.errors import UserError
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.probing.measurements import measure_layers
from bnn_geometry.studies import ternary
from bnn_geometry.training import making


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    dataset = tiny_dataset("mlp")
    recipe = TINY["mlp"].with_(epochs=1)
    return {
        weights: making.make(
            folder / weights,
            recipe.with_(weights=weights),
            dataset,
            seed=1,
            measure=lambda network: measure_layers(network, dataset.test.images),
            measured=len(dataset.test.images),
        )
        for weights in ("binary", "ternary-twn")
    }


def test_a_row_says_what_the_network_holds(runs):
    table = ternary.by_layer(runs)
    for weights, run in runs.items():
        for name, layer in weight_layers(run.network()).items():
            row = table.loc[(weights, name)]
            w, b = (x.detach().double().numpy() for x in (layer.weight, layer.binary_weight))
            assert row["zeros"] == (b == 0).mean()
            assert (row["n"], row["weight_count"]) == (w.shape[1], w.size)
            cosine = (w * b).sum(1) / np.linalg.norm(w, axis=1) / np.linalg.norm(b, axis=1)
            assert row["angle"] == pytest.approx(np.median(np.degrees(np.arccos(cosine))), rel=1e-6)
    assert (table.loc["binary", "zeros"] == 0).all()
    assert (table.loc["ternary-twn", "zeros"] > 0.2).all()
    found = ternary.summary(runs, table)
    of = table.loc["ternary-twn"]
    zeros = np.average(of["zeros"], weights=of["weight_count"])
    assert found.loc["ternary-twn", "zeros"] == pytest.approx(zeros)
    assert found.loc["binary", "error"] == runs["binary"].kept["test_error"]


def test_runs_that_differ_in_more_are_refused(runs, tmp_path):
    dataset, recipe = tiny_dataset("mlp"), TINY["mlp"].with_(epochs=1, lr=0.5)
    other = making.make(tmp_path / "other", recipe, dataset, seed=2)
    with pytest.raises(
        UserError, match="binary and other differ also in lr, measured images, seed"
    ):
        ternary.by_layer({"binary": runs["binary"], "other": other})
    with pytest.raises(UserError, match="The run other has no measurements"):
        ternary.by_layer({"other": other})
