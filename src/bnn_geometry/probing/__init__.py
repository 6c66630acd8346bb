"""What enters a trained network's layers, and its dot products beside controls."""

from importlib import import_module
from typing import Any

_NAMES = {
    "ACTIVATIONS": "dot_products",
    "Comparison": "dot_products",
    "LayerStatistics": "joint_statistics",
    "WEIGHTS": "dot_products",
    "as_table": "dot_products",
    "control_correlations": "controls",
    "layer_agreement": "agreement",
    "measure_layers": "measurements",
    "observe": "layer_inputs",
    "predicted_correlations": "controls",
    "probe": "dot_products",
    "probe_weights": "dot_products",
    "sample_inputs": "layer_inputs",
    "weight_angles": "weights",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
