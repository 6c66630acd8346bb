"""What a history says of single layers, against numpy."""

import numpy as np
import pandas as pd
import pytest
from tiny import TINY, each_network, run

from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.training.build import build_network
from bnn_geometry.training.history import layer_history


def angle_by_hand(w):
    b = np.where(w > 0, 1.0, -1.0)
    cosine = (w * b).sum(1) / (np.linalg.norm(w, axis=1) * np.linalg.norm(b, axis=1))
    return np.degrees(np.arccos(cosine))


@each_network
def test_history_counts_flips_and_measures_angles(kind):
    weights = [
        {k: x.weight.detach().flatten(1).double().numpy() for k, x in weight_layers(n).items()}
        for n in [build_network(TINY[kind], 0)]
    ]
    result = run(
        kind,
        epochs=3,
        lr=1e-2,
        on_epoch_end=lambda network, row: weights.append(
            {
                k: x.weight.detach().flatten(1).double().numpy().copy()
                for k, x in weight_layers(network).items()
            }
        ),
    )
    flipped = 0
    for i, row in result.history.iterrows():
        for name, after in weights[i + 1].items():
            flips = ((weights[i][name] > 0) != (after > 0)).mean()
            assert row[f"flips_{name}"] == flips
            assert row[f"angle_{name}"] == pytest.approx(np.median(angle_by_hand(after)), rel=1e-12)
            assert row[f"ends_{name}"] == (np.abs(after) == 1).mean()
            flipped += flips
    assert flipped > 0
    assert result.history["ends_fc1"].iloc[-1] > 0
    table = layer_history(result.history)
    names = list(weights[0])
    assert table["layer"].tolist() == names * 3
    assert table["epoch"].tolist() == [e for e in (1, 2, 3) for _ in names]
    second = table[(table["epoch"] == 2) & (table["layer"] == names[1])].iloc[0]
    assert second["flips"] == result.history[f"flips_{names[1]}"][1]
    assert second["angle"] == result.history[f"angle_{names[1]}"][1]
    assert second["clipped_fraction"] == result.history[f"ends_{names[1]}"][1]


def test_history_without_layers_has_none():
    assert layer_history(pd.DataFrame({"epoch": [1], "loss": [0.5]})).empty
