"""What each choice in the recipe ``long`` is worth, at a quarter of the width.

``bnn-geometry study choices`` trains variants of a shorter run of it, as :mod:`ablations` does for
the recipe ``fast`` at an eighth; ``ablations.summarize`` reads the table. It takes forty minutes on
two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bnn_geometry.studies import ablations, sweep
from bnn_geometry.studies.ablations import part
from bnn_geometry.training.recipes import LONG_CIFAR10

__all__ = ["REFERENCE", "VARIANTS", "part", "study"]

REFERENCE = LONG_CIFAR10.with_(
    # small enough to train every variant twice, wide enough to be the same kind of network
    width=1 / 4,
    epochs=8,
    warmup_epochs=1,
    train_images=20_000,
    # the machine's own choices must not differ between variants
    precision="bfloat16",
    compile="always",
)
"""What every variant changes one thing of."""

VARIANTS: dict[str, dict[str, Any]] = {
    "reference": {},
    "half the rate": {"lr": REFERENCE.lr / 2},
    "twice the rate": {"lr": 2 * REFERENCE.lr},
    "linear schedule": {"schedule": "linear"},
    "exponential schedule, no warm-up": {"schedule": "exponential", "warmup_epochs": 0},
    "flips alone, no crops": {"crop_padding": 0},
    "no augmentation": {"augment": False},
}
"""Name of each variant and the fields of the recipe that it changes."""


def study(
    *, variants: Sequence[str] | None = None, seeds: Sequence[int] = (1, 2), root: str | None = None
) -> sweep.Study:
    """Variants, each from the same seeds on the same images; its one table is ``errors``.

    Parameters and what is raised: see :func:`bnn_geometry.studies.ablations.study`.
    """
    return ablations.of_variants(
        "choices", REFERENCE, VARIANTS, chosen=variants, seeds=seeds, root=root
    )
