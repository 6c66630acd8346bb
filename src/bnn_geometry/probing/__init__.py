"""What enters a trained network's layers, and its dot products beside controls."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "controls": ["control_correlations"],
        "dot_products": [
            "ACTIVATIONS",
            "Comparison",
            "WEIGHTS",
            "as_table",
            "probe",
            "probe_arrays",
            "probe_weights",
        ],
        "image_counts": ["correlation_by_images"],
        "joint_statistics": ["LayerStatistics"],
        "layer_inputs": ["observe", "sample_inputs"],
        "measurements": ["measure_layers"],
        "weights": ["weight_angles"],
    },
)
