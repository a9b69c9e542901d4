from typing import Any

import pytest

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Completion, finish
from scoring_operator.planner.queueing import Demand, blocking_run, count_later_runs, fair_shares, slow_start
from tests.testkit.builders import NOW, a_progress, a_run

NEXT_HOUR = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


def waiting(run: ScoringRun) -> Demand:
    return Demand(run, "Queued", progress=None)


def running(run: ScoringRun) -> Demand:
    return Demand(run, "Running", progress=a_progress(3))


def test_newer_run_of_the_same_fleet_and_window_waits() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking_run(waiting(second), [waiting(first), waiting(second)]) == "first"
    assert blocking_run(waiting(first), [waiting(first), waiting(second)]) == ""


def test_older_run_waits_for_a_running_newer_one() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking_run(waiting(first), [running(second)]) == "second"
    assert blocking_run(running(second), [waiting(first)]) == ""


def test_newer_of_two_running_runs_yields() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking_run(running(second), [running(first)]) == "first"
    assert blocking_run(running(first), [running(second)]) == ""


def test_runs_of_one_schedule_run_one_after_the_other() -> None:
    first = running(a_run("first", uid="1", schedule="hourly"))
    of_schedule = a_run("second", uid="2", schedule="hourly", window=NEXT_HOUR)
    assert blocking_run(waiting(of_schedule), [first]) == "first"
    assert blocking_run(waiting(a_run("second", uid="2", window=NEXT_HOUR)), [first]) == ""


@pytest.mark.parametrize(
    "other",
    [
        running(a_run("first", uid="1", fleet="other")),
        waiting(a_run("first", uid="1", suspend=True)),
        running(a_run("first", uid="1", status=ENDED)),
    ],
    ids=["other-fleet", "suspended", "ended"],
)
def test_run_does_not_wait_for_a_run_without_conflict(other: Demand) -> None:
    assert blocking_run(waiting(a_run("second", uid="2")), [other]) == ""


def test_blocking_run_of_another_namespace_is_named_with_it() -> None:
    other = running(a_run("first", uid="1", namespace="elsewhere"))
    assert blocking_run(waiting(a_run("second", uid="2")), [other]) == "elsewhere/first"


def test_later_runs_are_ended_runs_of_later_windows_of_the_same_schedule_and_fleet() -> None:
    def one(start: int, *, schedule: str = "hourly", status: dict[str, Any] = ENDED, **more: Any) -> ScoringRun:
        window = {"start": f"2018-08-28T{start:02}:00:00Z", "end": f"2018-08-28T{start + 1:02}:00:00Z"}
        return a_run(schedule=schedule, status=status, window=window, **more)

    others = [one(5), one(6), one(4), one(3), one(7, status={}), one(8, schedule="daily"), one(8, fleet="other")]
    assert count_later_runs(one(4), [*others, one(9, namespace="elsewhere")]) == 2
    assert count_later_runs(one(4, schedule=""), [one(5, schedule="")]) == 0


@pytest.mark.parametrize(
    ("demands", "max_jobs", "expected"),
    [
        ({"a": 5}, 10, {"a": 5}),
        ({"a": 1000, "b": 2}, 10, {"a": 8, "b": 2}),
        ({"a": 1000, "b": 1000}, 10, {"a": 5, "b": 5}),
        ({"a": 0, "b": 3}, 10, {"a": 0, "b": 3}),
    ],
    ids=["alone", "small-and-large", "two-large", "nothing-wanted"],
)
def test_small_demand_is_met_and_the_rest_is_shared(
    demands: dict[str, int], max_jobs: int, expected: dict[str, int]
) -> None:
    assert fair_shares(demands, max_jobs) == expected


@pytest.mark.parametrize(("share", "at_once"), [(0, 0), (1, 1), (4, 1), (5, 2), (100, 25)])
def test_slow_start_is_a_quarter_of_the_share_rounded_up(share: int, at_once: int) -> None:
    assert slow_start(share) == at_once


@pytest.mark.parametrize(
    ("phase", "parallelism", "jobs"),
    [("Running", 100, 4), ("Running", 2, 2), ("Pending", 100, 4), ("Queued", 100, 0), ("Suspended", 100, 0)],
)
def test_demand_is_the_number_of_batches_up_to_parallelism(phase: str, parallelism: int, jobs: int) -> None:
    demand = Demand(a_run(parallelism=parallelism), phase, progress=a_progress(10, per_job=3))
    assert demand.jobs == jobs


def test_run_without_progress_or_with_an_end_demands_no_job() -> None:
    assert Demand(a_run(), "Running", progress=None).jobs == 0
    assert Demand(a_run(status=ENDED), "Running", progress=a_progress(10)).jobs == 0


def test_run_is_finished_when_its_end_is_decided() -> None:
    ended = finish(a_progress(3), Completion("Failed", "Cancelled", "", NOW))
    assert not running(a_run()).finished
    assert Demand(a_run(), "Cancelled", progress=ended).finished
    assert Demand(a_run(status=ENDED), "Complete", progress=None).finished
