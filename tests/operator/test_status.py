import pytest

from scoring_operator.planner.queueing import QueuedRun, blocking_run, fair_shares
from tests.testkit.builders import a_run

NEXT_HOUR = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}


def test_two_runs_of_one_fleet_and_window_never_run_at_once() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert (
        blocking_run(second, [QueuedRun(first, running=False), QueuedRun(second, running=False)], running=False)
        == "first"
    )
    assert blocking_run(first, [QueuedRun(first, running=False), QueuedRun(second, running=False)], running=False) == ""
    assert blocking_run(first, [QueuedRun(second, running=True)], running=False) == "second"
    assert blocking_run(second, [QueuedRun(first, running=False)], running=True) == ""


def test_runs_of_one_schedule_queue_and_others_do_not() -> None:
    first = a_run("first", uid="1", schedule="hourly")
    assert (
        blocking_run(
            a_run("b", uid="2", schedule="hourly", window=NEXT_HOUR), [QueuedRun(first, running=True)], running=False
        )
        == "first"
    )
    assert blocking_run(a_run("b", uid="2", window=NEXT_HOUR), [QueuedRun(first, running=True)], running=False) == ""


def test_a_suspended_run_does_not_hold_the_queue() -> None:
    first = a_run("first", uid="1", suspend=True)
    assert blocking_run(a_run("b", uid="2"), [QueuedRun(first, running=False)], running=False) == ""


@pytest.mark.parametrize(
    ("demands", "cap", "expected"),
    [
        ({"a": 5}, 10, {"a": 5}),
        ({"a": 1000, "b": 2}, 10, {"a": 8, "b": 2}),
        ({"a": 1000, "b": 1000}, 10, {"a": 5, "b": 5}),
        ({"a": 0, "b": 3}, 10, {"a": 0, "b": 3}),
    ],
)
def test_a_huge_run_leaves_a_small_one_its_share(demands: dict[str, int], cap: int, expected: dict[str, int]) -> None:
    assert fair_shares(demands, cap) == expected


def test_runs_of_two_fleets_do_not_wait_for_each_other() -> None:
    other = a_run("first", uid="1", fleet="other")
    assert blocking_run(a_run("b", uid="2"), [QueuedRun(other, running=True)], running=False) == ""


def test_a_run_in_another_namespace_is_named_with_it() -> None:
    other = a_run("first", uid="1", namespace="elsewhere")
    assert blocking_run(a_run("b", uid="2"), [QueuedRun(other, running=True)], running=False) == "elsewhere/first"
