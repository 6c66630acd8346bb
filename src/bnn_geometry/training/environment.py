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
process wants a core too training becomes ten times as slow. With shorter spins it suffers less, and
alone it loses nothing. OpenBLAS, by which numpy multiplies, waits in the same way, and the products
here are too small for two threads: beside another process one is twice as fast. glibc returns freed
memory at once, and every step allocates the same large tensors anew: a third of a narrow network's
time would go into the system handing out zeroed pages. Other libraries ignore these settings."""

CHAPTERS = 2
"""Chapters that a build executes at once: what ``papermill_jobs`` is where nothing sets it."""


def chapter_environment(*, alone: bool = False) -> dict[str, str]:
    """These variables, and a number of threads, for a chapter's kernel.

    Two kernels that each start a thread for every core wait for each other at every operation:
    on two cores the networks of the smoke preset then take three times as long (the perceptron
    ten). So each has its share of the cores. Whatever executes a chapter takes this number, for a
    run is found again only where the number of threads is the same
    (:func:`bnn_geometry.training.live.live_run`). A variable that the user has set keeps its value.

    Parameters
    ----------
    alone : bool
        All cores: at the preset ``paper`` the other chapters wait for days for one that trains.
    """
    import joblib

    share = joblib.cpu_count() if alone else max(1, joblib.cpu_count() // CHAPTERS)
    settings = ENVIRONMENT | {"OMP_NUM_THREADS": str(share)}
    return {name: os.environ.get(name, value) for name, value in settings.items()}
