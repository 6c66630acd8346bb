"""What is measured while a network trains is what the probes say."""

import numpy as np
from small_networks import make

from bnn_geometry.probing import dot_products, measurements
from bnn_geometry.probing.weights import weight_angles


def test_measurements_are_those_of_the_probes():
    network, images = make("mlp")
    table = measurements.measure_layers(network, images)
    assert list(table) == measurements.COLUMNS
    expected = dot_products.as_table(dot_products.probe_weights(network, images)).reset_index()
    shared = [column for column in measurements.COLUMNS if "angle" not in column]
    assert table[shared].equals(expected[shared])
    for row in table.itertuples():
        angles = weight_angles(network).query("layer == @row.layer")["angle"]
        found = [row.angle_25, row.angle, row.angle_75]
        np.testing.assert_allclose(found, np.percentile(angles, [25, 50, 75]))
