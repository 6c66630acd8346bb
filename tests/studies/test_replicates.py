"""Several seeds of one training: the difference of two kinds with its error."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tiny import TINY, tiny_dataset

from bnn_geometry.studies import replicates as seeds
from bnn_geometry.training import making


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    return making.make(path, TINY["mlp"], tiny_dataset(), seed=1)


def with_errors(run, *errors, first_seed=1):
    """Copies of a run that end at these test errors."""
    made = []
    for seed, error in enumerate(errors, first_seed):
        history = run.history.copy()
        history.loc[history["epoch"] == run.info["kept_epoch"], "test_error"] = error
        made.append(replace(run, seed=seed, history=history))
    return made


def test_over_images_by_hand():
    """By the normal interval of two binomial shares."""
    found = seeds.over_images(0.16, 0.12, 10_000)
    error = 100 * math.sqrt((0.16 * 0.84 + 0.12 * 0.88) / 10_000)
    assert (found.mean, found.error) == (pytest.approx(4), pytest.approx(error))
    assert (found.low, found.high) == pytest.approx(stats.norm.interval(0.95, 4, error))
    assert not found.remark


def test_paired_by_hand():
    first, second = np.array([20.0, 24.0, 25.0]), np.array([15.0, 17.0, 20.0])
    found = seeds.paired(first, second)
    test = stats.ttest_rel(first, second)
    assert (found.mean, found.df) == (pytest.approx(17 / 3), 2)
    assert found.error == pytest.approx(found.mean / test.statistic)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert math.isnan(seeds.paired(first[:1], second[:1]).low)


def test_difference_by_hand(run):
    found = seeds.difference(with_errors(run, 0.20, 0.24, 0.22), with_errors(run, 0.15, 0.17))
    # means 22 and 16; variances 4 of three and 2 of two
    assert found.mean == pytest.approx(6)
    assert found.error == pytest.approx(math.sqrt(4 / 3 + 2 / 2))
    test = stats.ttest_ind([20, 24, 22], [15, 17], equal_var=False)
    assert found.df == pytest.approx(test.df)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_two_samples_without_runs():
    found = seeds.welch(np.array([20.0, 24.0, 22.0]), np.array([15.0, 17.0]), "remark")
    test = stats.ttest_ind([20, 24, 22], [15, 17], equal_var=False)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (found.mean, found.remark) == (pytest.approx(6), "remark")


def test_runs_that_were_not_made_alike_are_compared_with_a_remark(run):
    first, second = with_errors(run, 0.20, 0.24), with_errors(run, 0.15, 0.17)
    assert seeds.difference(first, second).remark == ""
    changes = {"precision": "bfloat16", "threads": 7, "code": "f" * 64}
    for name, (key, value) in zip(("formats", "threads", "code"), changes.items(), strict=True):
        other = replace(second[1], info=run.info | {key: value})
        remark = seeds.difference(first, [second[0], other]).remark
        assert name in remark
        assert str(value)[:12] in remark
        assert not any(word in remark for word in {"formats", "threads", "code"} - {name})
    old = [replace(r, info={k: v for k, v in r.info.items() if k != "code"}) for r in first]
    assert seeds.difference(old[:1], old[1:]).remark.endswith("alike: code unknown.")


def test_one_run_has_no_spread(run):
    found = seeds.difference(with_errors(run, 0.2, 0.3), with_errors(run, 0.1))
    assert found.mean == pytest.approx(15)
    assert all(math.isnan(value) for value in found[1:5])


def test_no_spread_at_all_has_no_degrees_of_freedom(run):
    found = seeds.difference(with_errors(run, 0.2, 0.2), with_errors(run, 0.1, 0.1))
    assert (found.mean, found.error) == pytest.approx((10, 0))
    assert math.isnan(found.df)


def test_pooled_variance_is_that_within_groups():
    values, groups = pd.Series([1.0, 3, 10, 14, 12, 7]), pd.Series(list("aabbbc"))
    assert seeds.pooled_variance(values, groups) == (pytest.approx((2 + 8) / 3), 3)
    # as in a one-way analysis of variance
    rng = np.random.default_rng(0)
    draws = pd.DataFrame({"x": rng.standard_normal(4000) * 3, "group": np.arange(4000) % 1000})
    found = seeds.pooled_variance(draws["x"] + 5 * draws["group"], draws["group"])
    assert found.df == 3000
    assert abs(found.variance / 9 - 1) < 4 * math.sqrt(2 / found.df)
    variance, df = seeds.pooled_variance(values[:1], groups[:1])
    assert math.isnan(variance)
    assert df == 0


def test_kept_epoch_counts(run):
    errors = seeds.final_errors([run])
    assert errors == pytest.approx([100 * run.kept["test_error"]])


@pytest.mark.parametrize("side", [[], "twice"])
def test_no_run_or_the_same_seed_twice_is_refused(run, side):
    side = [run, run] if side == "twice" else side
    for pair in ((side, [run]), ([run], side)):
        with pytest.raises(ValueError, match="a seed of its own"):
            seeds.difference(*pair)
