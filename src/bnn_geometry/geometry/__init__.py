"""Laws of random vectors and of what binarizing them does: numpy and scipy, no torch.

``distributions`` of entries; ``angles`` of vectors, given or drawn; closed forms in
``cosine_moments``, ``binarized_angle``, ``pair_angle`` and ``separation``; the worst direction of
``subspaces``; ``quantizers`` of any number of levels; ``rotation`` before binarization;
``one_bit`` codes and the dot products estimated from them; ``correlation`` of dot products;
``flows`` of section 5.1 with their ``losses`` and ``steady_state``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "angles": ["angle", "nearest_binary_angle", "sample_angles"],
        "binarized_angle": ["angle_sd", "mean_angle"],
        "correlation": ["predicted_correlation"],
        "distributions": ["GAUSSIAN", "LAPLACE", "SIGNS", "UNIFORM", "empirical"],
        "one_bit": ["encode", "estimate", "random_rotation"],
        "pair_angle": ["pair_angle_cdf", "pair_angle_sd"],
        "quantizers": ["limit_angle", "lloyd_max", "ternary"],
        "separation": ["closer_probability"],
        "subspaces": ["farthest_direction", "random_subspace"],
    },
)
