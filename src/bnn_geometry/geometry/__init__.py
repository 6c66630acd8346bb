"""Laws of random vectors and of what binarizing them does: numpy and scipy, no torch.

``distributions`` of entries; ``angles`` of vectors, given or drawn; closed forms in
``cosine_moments``, ``binarized_angle``, ``pair_angle`` and ``separation``; ``quantizers`` of any
number of levels; ``rotation`` before binarization; ``correlation`` of dot products;
``hyperdimensional`` counting; ``flows`` of section 5.1 with their ``losses`` and ``steady_state``.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "GAUSSIAN": "distributions",
    "LAPLACE": "distributions",
    "SIGNS": "distributions",
    "UNIFORM": "distributions",
    "empirical": "distributions",
    "angle": "angles",
    "nearest_binary_angle": "angles",
    "sample_angles": "angles",
    "angle_sd": "binarized_angle",
    "mean_angle": "binarized_angle",
    "pair_angle_cdf": "pair_angle",
    "pair_angle_sd": "pair_angle",
    "separation_dimension": "separation",
    "limit_angle": "quantizers",
    "lloyd_max": "quantizers",
    "ternary": "quantizers",
    "predicted_correlation": "correlation",
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
