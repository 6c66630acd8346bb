"""Recipes, the training loop, and runs on disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batches": ["split_indices"],
        "build": ["build_network"],
        "evaluation": ["check_fit", "evaluate"],
        "history": ["layer_history"],
        "live": ["live_run", "published_run"],
        "loop": ["Trained", "train"],
        "recipes": ["Recipe", "recipe"],
        "runs": ["Run"],
    },
)
