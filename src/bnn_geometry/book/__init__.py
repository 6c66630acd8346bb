"""What the chapters and the build use: presets, display, claims, plots."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["animation", "claims", "filters", "interactive", "ledger", "plots", "presets", "records"],
    submod_attrs={"display": ["Origin", "glue", "show", "span", "table"]},
)
