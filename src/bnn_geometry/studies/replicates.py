"""The same training from several seeds: how far two recipes differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bnn_geometry.training.runs import Run


class Difference(NamedTuple):
    """Of two mean test errors, in percentage points; where a side has one run, only the mean."""

    mean: float
    """That of the first runs minus that of the second."""
    error: float
    """Its standard error from the spread over seeds."""
    df: float
    """Degrees of freedom of that (Welch–Satterthwaite)."""
    low: float
    """Lower end of its 95 % interval, by Student's t with so many degrees of freedom."""
    high: float
    """Upper end."""
    remark: str = ""
    """How the runs were made differently, besides what is compared: see :func:`unlike`."""


class Pooled(NamedTuple):
    """A variance that several groups share."""

    variance: float
    """NaN where no group has two values."""
    df: int
    """Its degrees of freedom."""


def final_errors(runs: Sequence[Run]) -> np.ndarray:
    """Test error of each run with the weights it kept, percent; shape (runs,)."""
    return np.array([100 * run.kept["test_error"] for run in runs])


def unlike(runs: Sequence[Run]) -> str:
    """How runs differ that should share number format, threads and training code, in words.

    Returns
    -------
    str
        Empty where all are the same; what a run's record does not hold is ``unknown``.
    """
    found = []
    for name, key in (("formats", "computed_in"), ("threads", "threads"), ("code", "code")):
        values = [
            str(run.computed_in if key == "computed_in" else run.info.get(key) or "unknown")
            for run in runs
        ]
        several = sorted({value[:12] if key == "code" else value for value in values})
        if len(several) > 1:
            found.append(f"{name} {', '.join(several)}")
        elif several == ["unknown"]:
            found.append(f"{name} unknown")
    return f"The runs were not made alike: {'; '.join(found)}." if found else ""


def difference(first: Sequence[Run], second: Sequence[Run]) -> Difference:
    """How much larger the mean test error of the first runs is, with its error and interval.

    The runs of each side share a recipe and have different seeds. The sides are taken to be
    independent, of unequal variance (Welch), though networks that start from the same seed may have
    more in common than others.

    Raises
    ------
    ValueError
        If a side has no run, or two of the same seed.
    """
    for side in (first, second):
        if not side or len({run.seed for run in side}) < len(side):
            raise ValueError("Each side needs runs, and each of its runs a seed of its own.")
    return welch(*(final_errors(side) for side in (first, second)), unlike([*first, *second]))


def welch(first: np.ndarray, second: np.ndarray, remark: str = "") -> Difference:
    """How much larger the mean of the first values is, of two independent samples.

    Parameters
    ----------
    first, second : ndarray, shape (seeds,)
        Such as test errors in percent.
    remark : str
        How they were made differently, besides what is compared.
    """
    a, b = (np.asarray(side, dtype=np.float64) for side in (first, second))
    mean = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2:
        return Difference(mean, *[np.nan] * 4, remark)
    shares = [errors.var(ddof=1) / len(errors) for errors in (a, b)]
    error = float(np.sqrt(sum(shares)))
    squares = sum(v**2 / (len(e) - 1) for v, e in zip(shares, (a, b), strict=True))
    df = float(error**4 / squares) if squares else np.nan
    half = error * stdtrit(df, 0.975)
    return Difference(mean, error, df, float(mean - half), float(mean + half), remark)


def paired(first: np.ndarray, second: np.ndarray) -> Difference:
    """How much larger the mean of the first values is, each beside one of the second.

    Parameters
    ----------
    first, second : ndarray, shape (seeds,)
        Such as test errors in percent, of networks that begin with the same weights and images.
        The interval is over seeds; it knows nothing of the choice of the test images they share.
    """
    apart = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    mean, df = float(apart.mean()), len(apart) - 1
    if df < 1:
        return Difference(mean, *[np.nan] * 4)
    error = float(apart.std(ddof=1) / np.sqrt(len(apart)))
    half = error * stdtrit(df, 0.975)
    return Difference(mean, error, df, float(mean - half), float(mean + half))


def over_images(first: float, second: float, images: int) -> Difference:
    """How much larger the first of two networks' error is, by the number of images alone.

    Another seed would give another error: of that the interval knows nothing. The errors are taken
    to be independent, though both networks were given the same images, which widens it.

    Parameters
    ----------
    first, second : float
        Error of each network, a fraction.
    images : int
        How many it was measured on.
    """
    mean = 100 * (first - second)
    error = 100 * float(np.sqrt(sum(p * (1 - p) for p in (first, second)) / images))
    half = error * stdtrit(np.inf, 0.975)
    return Difference(float(mean), error, np.inf, float(mean - half), float(mean + half))


def pooled_variance(values: pd.Series, groups: pd.Series) -> Pooled:
    """The variance within groups, if it is the same in all: of few seeds each, one says little.

    Parameters
    ----------
    values : Series
    groups : Series
        Of which group each value is, with the same index.
    """
    by_group = values.groupby(groups)
    df = int((by_group.size() - 1).sum())
    squares = float((values - by_group.transform("mean")).pow(2).sum())
    return Pooled(squares / df if df else np.nan, df)
