from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.fleets import parse_fleet
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Completion, finish
from scoring_operator.planner.queueing import (
    ELSEWHERE,
    Demand,
    blocking_run,
    fair_shares,
    name_for,
    next_runs,
    pauses_for,
    run_shares,
    slow_start,
)
from tests.testkit.builders import NOW, a_progress, a_run

NEXT_HOUR = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}
OF_SCHEDULE = parse_fleet(
    {"name": "default", "namespaces": ["scoring"], "schedules": [{"namespace": "scoring", "name": "hourly"}]}
)
ENDED = {"conditions": [{"type": "Complete", "status": "True"}]}


def waiting(run: ScoringRun) -> Demand:
    return Demand(run, "Queued", progress=None)


def running(run: ScoringRun) -> Demand:
    return Demand(run, "Running", progress=a_progress(3))


def blocking(demand: Demand, others: list[Demand]) -> str:
    found = blocking_run(demand, others)
    return name_for(demand, found) if found else ""


def test_newer_run_of_the_same_fleet_and_window_waits() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking(waiting(second), [waiting(first), waiting(second)]) == "first"
    assert blocking(waiting(first), [waiting(first), waiting(second)]) == ""


def test_older_run_waits_for_a_running_newer_one() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking(waiting(first), [running(second)]) == "second"
    assert blocking(running(second), [waiting(first)]) == ""


def test_newer_of_two_running_runs_yields() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert blocking(running(second), [running(first)]) == "first"
    assert blocking(running(first), [running(second)]) == ""


def test_runs_of_one_schedule_run_one_after_the_other() -> None:
    first = running(a_run("first", uid="1", schedule="hourly"))
    of_schedule = a_run("second", uid="2", schedule="hourly", window=NEXT_HOUR)
    assert blocking(waiting(of_schedule), [first]) == "first"
    assert blocking(waiting(a_run("second", uid="2", window=NEXT_HOUR)), [first]) == ""


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
    assert blocking(waiting(a_run("second", uid="2")), [other]) == ""


def test_blocking_run_of_another_namespace_is_not_named() -> None:
    other = running(a_run("first", uid="1", namespace="elsewhere"))
    assert blocking(waiting(a_run("second", uid="2")), [other]) == ELSEWHERE


def test_active_run_is_named_before_waiting_ones_in_any_order() -> None:
    first, second, third = (a_run(name, uid=uid) for name, uid in (("first", "5"), ("second", "4"), ("third", "3")))
    others = [waiting(third), running(first)]
    assert blocking(waiting(second), others) == "first"
    assert blocking(waiting(second), others[::-1]) == "first"


def scheduled(name: str = "hourly-20180828t230000z", **options: Any) -> Demand:
    return Demand(a_run(name, schedule="hourly", **options), "Queued", None, OF_SCHEDULE)


def test_scheduled_run_goes_before_a_run_by_hand() -> None:
    by_hand, official = running(a_run("slow", uid="1", namespace="elsewhere")), scheduled(uid="2")
    assert blocking(by_hand, [official]) == ELSEWHERE
    assert blocking(official, [by_hand]) == ELSEWHERE  # until the other has paused
    assert blocking(official, [replace(by_hand, phase="Queued")]) == ""


def test_only_a_run_by_hand_that_blocks_a_scheduled_run_pauses_for_it() -> None:
    by_hand, official = running(a_run(uid="1")), scheduled(uid="2")
    kinds = [(by_hand, official), (official, by_hand), (official, official), (by_hand, by_hand)]
    assert [pauses_for(*kind) for kind in kinds] == [True, False, False, False]


def test_forged_label_of_a_schedule_blocks_no_scheduled_run() -> None:
    forged = running(a_run("forged", uid="1", schedule="hourly", window=NEXT_HOUR))
    assert blocking(scheduled(uid="2"), [forged]) == ""


def test_run_that_is_being_deleted_blocks_no_other() -> None:
    deleted = running(msgspec.structs.replace(a_run("first", uid="1"), deleting=True))
    assert blocking(waiting(a_run("second", uid="2")), [deleted]) == ""
    assert (deleted.finished, deleted.jobs) == (True, 0)


def test_end_of_a_run_wakes_the_first_waiting_ones_and_the_running_ones() -> None:
    ended = Demand(a_run("ended", uid="0", status=ENDED), "Complete", None)
    queue = [waiting(a_run(f"run-{number}", uid=str(number))) for number in (2, 1, 3)]
    assert next_runs(ended, queue) == ["1"]
    assert next_runs(ended, [*queue, running(a_run("active", uid="9"))]) == ["9"]
    assert next_runs(ended, [waiting(a_run(uid="4", window=NEXT_HOUR)), ended]) == []


def test_shares_are_fair_between_namespaces_then_schedules_then_runs() -> None:
    crowd = [(Demand(a_run(uid=f"c{n}", namespace="crowd"), "Running", None), 1) for n in range(50)]
    mine = [(Demand(a_run(uid=uid), "Running", None), 9) for uid in ("a", "b")]
    official = (scheduled(uid="s"), 9)
    shares = run_shares([*crowd, *mine, official], 16, None)
    assert (shares["a"], shares["b"], shares["s"]) == (2, 2, 4)
    assert sum(shares[f"c{n}"] for n in range(50)) == 8


def test_limits_of_a_namespace_and_a_fleet_bound_the_shares() -> None:
    bounded = parse_fleet({"name": "small", "namespaces": ["scoring"], "maxActiveJobs": 3})
    one = (Demand(a_run(uid="1", fleet="small"), "Running", None, bounded), 50)
    two = (Demand(a_run(uid="2"), "Running", None), 50)
    assert run_shares([one, two], 20, None) == {"1": 3, "2": 17}
    assert run_shares([one, two], 20, 10) == {"1": 3, "2": 7}


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
