import json
import zlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from scoring_operator.api.formatting import format_duration
from scoring_operator.api.intervals import Intervals
from scoring_operator.api.views import JobView
from scoring_operator.errors import InvalidProgress, InvalidRun
from scoring_operator.planner.progress import Completion, Progress, RunClock, decode, encode
from scoring_operator.planner.queueing import QueuedRun, blocking_run, fair_shares
from scoring_operator.planner.types import Blocker, Observation, Plan
from scoring_operator.resources.events import status_events
from scoring_operator.resources.run_conditions import invalid_spec_patch
from scoring_operator.resources.status import build_status, merge_patch
from tests.operator.builders import NOW, a_body, a_job, a_progress, a_run, later


@pytest.mark.fault("T11")
def test_status_stays_small_at_a_hundred_thousand_devices() -> None:
    devices = [f"device-{n}-" + "x" * 110 for n in range(100_000)]
    progress = replace(
        a_progress(100_000),
        outcomes={"failed": Intervals(tuple((n, n) for n in range(0, 100_000, 2)))},
        reasons={"DataInvalid": Intervals(tuple((n, n) for n in range(0, 100_000, 2)))},
        top_anomalies=tuple((n, 10**9, 10**9) for n in range(20)),
        failure_samples=tuple((n * 2, "DataInvalid", "m" * 200) for n in range(20)),
    )
    status = build_status(a_run(), Plan("Running", progress), Observation(devices=devices), NOW)
    assert len(msgspec.json.encode(status)) < 16 * 1024
    assert len(encode(progress)) < 1024 * 1024


def test_a_condition_keeps_its_transition_time_until_it_flips() -> None:
    stalled = Plan("Running", a_progress(), trouble=Blocker("QuotaExceeded", "full"))
    first = build_status(a_run(), stalled, Observation(), NOW)
    second = build_status(a_run(status=first), stalled, Observation(), later(60))
    assert second["conditions"][0]["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    third = build_status(a_run(status=second), Plan("Running", a_progress()), Observation(), later(90))
    assert (third["conditions"][0]["status"], third["conditions"][0]["lastTransitionTime"]) == (
        "False",
        "2026-11-24T12:01:30Z",
    )


def test_an_event_tells_of_a_change_once() -> None:
    plan = Plan("Running", a_progress(), trouble=Blocker("QuotaExceeded", "full"))
    status = build_status(a_run(), plan, Observation(), NOW)
    assert [event.reason for event in status_events({}, plan, status)] == ["Running", "Stalled"]
    assert status_events(status, plan, status) == []


def test_a_merge_patch_names_what_is_gone() -> None:
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1}}) == {"a": None, "b": {"c": 1, "d": None}}


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0s"), (59, "59s"), (125, "2m5s"), (3780, "1h3m")])
def test_durations_read_like_ages(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("data", [b"", b"rubbish", encode(a_progress())[:-9], zlib.compress(b'{"v": 2}')])
def test_damaged_progress_is_an_error_and_no_empty_progress(data: bytes) -> None:
    with pytest.raises(InvalidProgress):
        decode(data)


def test_progress_reads_back_as_it_was() -> None:
    progress: Progress = replace(
        a_progress(9, already="0"), failure_samples=((1, "Unknown", "x"),), consecutive_failures=3
    )
    assert decode(encode(progress)) == progress


@pytest.mark.fault("T18")
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"waiting": "0-1"}, id="a device left out"),
        pytest.param({"outcomes": {"scored": "0"}}, id="a device in two places"),
        pytest.param({"waiting": "0-3"}, id="a device too many"),
        pytest.param({"total": 4}, id="another total"),
        pytest.param({"total": -1}, id="a negative total"),
        pytest.param({"samples": [[3, "Unknown", "x"]]}, id="a sample of no device"),
        pytest.param({"top": [[-1, 9, 9]]}, id="the most anomalous is no device"),
    ],
)
def test_progress_that_was_edited_so_that_it_does_not_hold_together_is_refused(edited: dict[str, Any]) -> None:
    document = json.loads(zlib.decompress(encode(a_progress(3))))
    assert decode(zlib.compress(json.dumps(document).encode())) == a_progress(3)
    with pytest.raises(InvalidProgress):
        decode(zlib.compress(json.dumps(document | edited).encode()))


def test_a_clock_that_goes_moves_with_the_api_servers_and_one_that_stands_has_nowhere_to_move_from() -> None:
    going = RunClock(accumulated=5.0, since=NOW)
    assert going.shifted(3600).elapsed(later(3600 + 7)) == going.elapsed(later(7)) == 12
    assert going.shifted(-3600).elapsed(later(7 - 3600)) == 12
    assert going.stopped(later(7)).shifted(3600) == going.stopped(later(7))


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


COUNTS = {"total": 9, "pending": 3, "active": 2, "scored": 4, "partial": 0, "empty": 0, "failed": 0, "notRun": 0}
TOLD = {"devices": {**COUNTS, "alreadyScored": 0}, "results": {"rows": 240}, "startTime": "2026-11-24T11:00:00Z"}


def test_what_is_known_stays_in_status_while_progress_is_lost() -> None:
    status = build_status(a_run(status=TOLD), Plan("Pending", discover=True), Observation(lost=True), NOW)
    assert {key: status[key] for key in TOLD} == TOLD


def test_a_run_that_ends_because_progress_is_lost_ran_no_more_than_is_known() -> None:
    end = Completion("Failed", "ProgressLost", "gone", NOW)
    status = build_status(a_run(status=TOLD), Plan("Failed", end=end), Observation(), NOW)
    assert status["devices"] == {**COUNTS, "alreadyScored": 0, "pending": 0, "active": 0, "notRun": 5}
    assert (status["results"], status["duration"]) == ({"rows": 240}, "1h0m")


@pytest.mark.parametrize(("found", "scored"), [("0-1", 4), ("0-4", 5)])
def test_counters_do_not_go_back_while_what_was_lost_is_found_again(found: str, scored: int) -> None:
    again = replace(a_progress(9), outcomes={"scored": Intervals.parse(found)})
    again = replace(again, snapshot=msgspec.structs.replace(again.snapshot, rebuilt=True))
    assert build_status(a_run(status=TOLD), Plan("Running", again), Observation(), NOW)["devices"]["scored"] == scored


def test_a_run_that_cannot_be_read_is_told_so_once_and_not_after_its_end() -> None:
    body = a_body()
    patch = invalid_spec_patch(body, "no such year", NOW)
    assert patch is not None
    assert (patch["conditions"][0]["type"], patch["conditions"][0]["reason"]) == ("Stalled", "InvalidSpec")
    assert invalid_spec_patch(body | {"status": patch}, "no such year", later(60)) is None
    assert (
        invalid_spec_patch(body | {"status": {"completionTime": "2026-11-24T12:00:00Z"}}, "no such year", NOW) is None
    )


def test_more_reasons_than_there_is_room_for_are_joined() -> None:
    reasons = {f"Reason{n:02}": Intervals.range_to(n) for n in range(1, 21)}
    counts = build_status(a_run(), Plan("Running", replace(a_progress(), reasons=reasons)), Observation(), NOW)[
        "failureReasons"
    ]
    assert len(counts) == 16
    assert sum(counts.values()) == sum(range(1, 21))
    assert (counts["Reason20"], counts["Other"]) == (20, 1 + 2 + 3 + 4 + 5)


@pytest.mark.parametrize(
    ("plan", "seen", "message"),
    [
        (Plan("Queued"), Observation(ahead="earlier"), "waits for run earlier to end"),
        (Plan("Suspended"), Observation(), "suspended before it began"),
        (Plan("Pending", discover=True), Observation(), "listing the fleet's devices"),
        (Plan("Running", a_progress(), trouble=Blocker("X", "no room")), Observation(), "0 of 3 devices done; no room"),
    ],
)
def test_the_message_says_where_the_run_stands(plan: Plan, seen: Observation, message: str) -> None:
    assert build_status(a_run(), plan, seen, NOW)["message"] == message


def test_runs_of_two_fleets_do_not_wait_for_each_other() -> None:
    other = a_run("first", uid="1", fleet="other")
    assert blocking_run(a_run("b", uid="2"), [QueuedRun(other, running=True)], running=False) == ""


def test_a_run_in_another_namespace_is_named_with_it() -> None:
    other = a_run("first", uid="1", namespace="elsewhere")
    assert blocking_run(a_run("b", uid="2"), [QueuedRun(other, running=True)], running=False) == "elsewhere/first"


def test_what_is_no_run_is_refused_with_the_fields_name() -> None:
    with pytest.raises(InvalidRun, match=r"spec\.parallelism"):
        a_run(parallelism="many")


def test_a_job_belongs_to_its_first_owner() -> None:
    assert a_job("job-1", owner="some-uid").owner_uid == "some-uid"
    assert (JobView().owner_uid, a_job("job-1").name) == ("", "job-1")
