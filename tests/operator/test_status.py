from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from scoring_operator.decision import Observed, Plan, Trouble
from scoring_operator.intervals import Intervals
from scoring_operator.progress import Progress, ProgressInvalidError, decode, encode
from scoring_operator.queueing import Place, ahead, shares
from scoring_operator.status import duration_text, events, merge_patch, report
from tests.operator.builders import NOW, a_progress, a_run, later


def test_status_stays_small_at_a_hundred_thousand_devices() -> None:
    devices = [f"device-{n}-" + "x" * 110 for n in range(100_000)]
    progress = replace(
        a_progress(100_000),
        outcomes={"failed": Intervals(tuple((n, n) for n in range(0, 100_000, 2)))},
        reasons={"DataInvalid": Intervals(tuple((n, n) for n in range(0, 100_000, 2)))},
        top=tuple((n, 10**9, 10**9) for n in range(20)),
        samples=tuple((n * 2, "DataInvalid", "m" * 200) for n in range(20)),
    )
    status = report(a_run(), Plan("Running", progress), Observed(devices=devices), NOW)
    assert len(msgspec.json.encode(status)) < 16 * 1024
    assert len(encode(progress)) < 1024 * 1024


def test_a_condition_keeps_its_transition_time_until_it_flips() -> None:
    stalled = Plan("Running", a_progress(), trouble=Trouble("QuotaExceeded", "full"))
    first = report(a_run(), stalled, Observed(), NOW)
    second = report(a_run(status=first), stalled, Observed(), later(60))
    assert second["conditions"][0]["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    third = report(a_run(status=second), Plan("Running", a_progress()), Observed(), later(90))
    assert (third["conditions"][0]["status"], third["conditions"][0]["lastTransitionTime"]) == (
        "False",
        "2026-11-24T12:01:30Z",
    )


def test_an_event_tells_of_a_change_once() -> None:
    plan = Plan("Running", a_progress(), trouble=Trouble("QuotaExceeded", "full"))
    status = report(a_run(), plan, Observed(), NOW)
    assert [event.reason for event in events({}, plan, status)] == ["Running", "Stalled"]
    assert events(status, plan, status) == []


def test_a_merge_patch_names_what_is_gone() -> None:
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1}}) == {"a": None, "b": {"c": 1, "d": None}}


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0s"), (59, "59s"), (125, "2m5s"), (3780, "1h3m")])
def test_durations_read_like_ages(seconds: int, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("data", [b"", b"rubbish", encode(a_progress())[:-9]])
def test_damaged_progress_is_an_error_and_no_empty_progress(data: bytes) -> None:
    with pytest.raises(ProgressInvalidError):
        decode(data)


def test_progress_reads_back_as_it_was() -> None:
    progress: Progress = replace(a_progress(9, already="0"), samples=((1, "Unknown", "x"),), streak=3)
    assert decode(encode(progress)) == progress


NEXT_HOUR = {"start": "2018-08-29T00:00:00Z", "end": "2018-08-29T01:00:00Z"}


def test_two_runs_of_one_fleet_and_window_never_run_at_once() -> None:
    first, second = a_run("first", uid="1"), a_run("second", uid="2")
    assert ahead(second, [Place(first, running=False), Place(second, running=False)], running=False) == "first"
    assert ahead(first, [Place(first, running=False), Place(second, running=False)], running=False) == ""
    assert ahead(first, [Place(second, running=True)], running=False) == "second"
    assert ahead(second, [Place(first, running=False)], running=True) == ""


def test_runs_of_one_schedule_queue_and_others_do_not() -> None:
    first = a_run("first", uid="1", schedule="hourly")
    assert (
        ahead(a_run("b", uid="2", schedule="hourly", window=NEXT_HOUR), [Place(first, running=True)], running=False)
        == "first"
    )
    assert ahead(a_run("b", uid="2", window=NEXT_HOUR), [Place(first, running=True)], running=False) == ""


def test_a_suspended_run_does_not_hold_the_queue() -> None:
    first = a_run("first", uid="1", suspend=True)
    assert ahead(a_run("b", uid="2"), [Place(first, running=False)], running=False) == ""


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
    assert shares(demands, cap) == expected
