"""Straight-through estimators, layers, the paper's networks, and changes to a network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batch_norm": ["refit_batch_norm"],
        "conversion": ["binarize_network"],
        "inference": ["as_given", "scale_images"],
        "layers": [
            "BinaryActivation",
            "BinaryConv1d",
            "BinaryConv2d",
            "BinaryLinear",
            "initialize",
            "weight_layers",
        ],
        "models": ["ConvNet", "MLP"],
        "packing": ["pack"],
        "replacement": ["replace_modules"],
        "ternary": ["with_ternary_weights"],
        "straight_through": ["binarize", "binarize_activation", "binarize_weight"],
    },
)
