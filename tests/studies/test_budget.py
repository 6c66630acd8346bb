"""What fits into a budget, and what is learned of costs: by hand."""

import pytest

from bnn_geometry.errors import UserError
from bnn_geometry.studies.budget import Job, plan
from bnn_geometry.studies.costs import Cost, Costs

FIRST = Job("first", epochs=50, epoch=2.0, once=10.0)  # 110 s
LONG = Job("long", epochs=100, epoch=1.0, once=5.0, least=30, shared=True)  # 105 s, 35 at least
WIDE = Job("wide", epochs=100, epoch=0.5, once=5.0, shared=True)
SMALL = Job("small", epochs=4, epoch=1.0, once=0.5)  # 4.5 s
BRANCH = Job("branch", epochs=10, epoch=1.0, once=5.0, after="long")


@pytest.mark.parametrize(
    ("jobs", "seconds", "taken"),
    [
        ([FIRST, LONG, WIDE, SMALL], 1000, {"first": 50, "long": 100, "wide": 100, "small": 4}),
        ([FIRST, LONG, WIDE, SMALL], 110, {"first": 50}),
        ([FIRST, LONG, WIDE, SMALL], 109.9, {"long": 100, "small": 4}),  # the next that fits
        # fewer epochs in one schedule, and as many for those that share them
        ([FIRST, LONG, SMALL], 180, {"first": 50, "long": 65}),
        ([LONG, WIDE], 90, {"long": 85}),
        ([LONG, WIDE], 35, {"long": 30}),
        ([LONG, WIDE], 34.9, {}),
        ([LONG, WIDE, SMALL], 34.9, {"small": 4}),
        # a run that had begun costs what is left of it
        ([Job("first", 50, 2.0, 10.0, done=45), SMALL], 25, {"first": 50, "small": 4}),
        ([Job("long", 100, 1.0, 5.0, done=40, least=30)], 30, {"long": 65}),
        # what comes after another goes with it
        ([LONG, BRANCH], 200, {"long": 100, "branch": 10}),
        ([LONG, BRANCH], 34, {}),
        ([], 10, {}),
    ],
)  # fmt: skip
def test_jobs_that_fit_in_order_of_worth(jobs, seconds, taken):
    found = plan(jobs, seconds)
    assert found.taken == taken
    assert list(found.taken) == [job.name for job in jobs if job.name in taken]
    assert found.left_out == [job.name for job in jobs if job.name not in taken]
    assert sum(found.seconds[name] for name in taken) <= seconds


def test_plan_with_fewer_shared_epochs_states_their_cost():
    wide = Job("wide", epochs=100, epoch=0.1, once=1.0, shared=True)
    found = plan([LONG, wide], 90)
    assert found.taken == {"long": 85}
    assert found.seconds == {"long": 90.0, "wide": 9.5}


def test_costs_are_kept_and_learned(tmp_path):
    costs = Costs(tmp_path / "plan.json", "gpu", 60, {"a": Cost(2.0, 10.0), "b": Cost(1.0, 1.0)})
    costs.learn("a", 45.0, 10)  # 30 s were planned
    assert costs.kinds == {"a": Cost(3.0, 15.0), "b": Cost(1.5, 1.5)}
    costs.learn("a", 22.5, 10)  # quicker: of others nothing is known
    assert costs.kinds == {"a": Cost(1.5, 7.5), "b": Cost(1.5, 1.5)}
    costs.write()
    again, elsewhere = Costs(costs.file, "gpu"), Costs(costs.file, "cpu")
    again.read()
    elsewhere.read()
    assert again == costs
    assert (elsewhere.epochs, elsewhere.kinds) == (60, {})
    costs.file.write_text("{}")
    with pytest.raises(UserError, match=r"The plans in .* cannot be read.*Remove plan.json there"):
        again.read()
