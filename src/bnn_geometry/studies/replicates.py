"""The same training from several seeds: curves side by side, and how far two recipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnn_geometry.training.runs import Run


class Difference(NamedTuple):
    """Of two mean test errors, in percentage points."""

    mean: float
    """That of the first runs minus that of the second."""
    error: float
    """Its standard error from the spread over seeds; NaN where a side has one run."""


def curves(runs: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Test errors by epoch, as :func:`bnn_geometry.book.plots.training.plot_seeds` draws them.

    Parameters
    ----------
    runs : mapping of str to sequence of Run
        By the network's label.

    Returns
    -------
    DataFrame
        A row per run and epoch: network, seed, epoch, test_error (fraction).
    """
    return pd.concat(
        [
            run.history[["epoch", "test_error"]].assign(network=label, seed=run.seed)
            for label, several in runs.items()
            for run in several
        ],
        ignore_index=True,
    )[["network", "seed", "epoch", "test_error"]]


def final_errors(runs: Sequence[Run]) -> np.ndarray:
    """Test error of each run with the weights it kept, percent; shape (runs,)."""
    return np.array([100 * run.kept["test_error"] for run in runs])


def difference(first: Sequence[Run], second: Sequence[Run]) -> Difference:
    """How much larger the mean test error of the first runs is, with its standard error.

    The runs of each side share a recipe and have different seeds. The sides are taken to be
    independent, of unequal variance (Welch): networks of different kinds that start from the same
    seed have no more in common than others.

    Raises
    ------
    ValueError
        If a side has no run, or two of the same seed.
    """
    for side in (first, second):
        if not side or len({run.seed for run in side}) < len(side):
            raise ValueError("Each side needs runs, and each of its runs a seed of its own.")
    errors = [final_errors(side) for side in (first, second)]
    with_spread = all(len(e) > 1 for e in errors)
    variance = sum(e.var(ddof=1) / len(e) for e in errors) if with_spread else np.nan
    return Difference(float(errors[0].mean() - errors[1].mean()), float(np.sqrt(variance)))
