"""The environment in which a process that trains should be started."""

from __future__ import annotations

import os

ENVIRONMENT = {
    "GOMP_SPINCOUNT": "10000",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
}
"""OpenMP's threads wait for each other by spinning, a millisecond at a time: as soon as another
process wants a core too (the other chapter of a build, for one) training becomes ten times as
slow. With shorter spins it hardly suffers, and alone it loses nothing. OpenBLAS, by which numpy
multiplies, waits in the same way, and the products here are too small for two threads: beside
another process one is twice as fast. glibc returns freed memory at once, and every step allocates
the same large tensors anew: a third of a narrow network's time would go into the system handing out
zeroed pages. Other libraries ignore these settings."""


def environment() -> dict[str, str]:
    """These variables; one that the user has set keeps its value."""
    return {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
