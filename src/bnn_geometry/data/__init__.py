"""CIFAR-10 and MNIST: finding, reading, keeping and fetching them, and stand-ins."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "datasets": ["Dataset", "Provenance", "Split", "fingerprint", "load"],
        "download": ["fetch"],
        "locations": ["SOURCES", "describe", "locate"],
        "standards": ["DATASETS"],
    },
)
