"""The high-dimensional geometry of binary neural networks: helpers for the executable book.

A house of rooms, each a package whose face has the names meant for others; a stranger begins
with ``import bnn_geometry as bg`` and ``bg.probe(network, images)``. Nothing is loaded before it is
used, so that commands which need no torch start at once.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["geometry", "data", "networks", "training", "probing", "studies", "book"],
    submod_attrs={
        "data.datasets": ["load"],
        "geometry.angles": ["angle", "sample_angles"],
        "networks.conversion": ["binarize_network"],
        "networks.layers": ["BinaryActivation", "BinaryConv2d", "BinaryLinear"],
        "probing.dot_products": ["as_table", "probe", "probe_arrays"],
        "training.build": ["build_network"],
        "training.loop": ["train"],
        "training.recipes": ["recipe"],
    },
)
