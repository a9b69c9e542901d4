import json
import zlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import Position, Positions
from scoring_operator.contract.outcome_message import Results
from scoring_operator.errors import InvalidProgress
from scoring_operator.planner import progress_document
from scoring_operator.planner.progress import (
    MAX_DEVICE_LISTS,
    Completion,
    Progress,
    RunClock,
    RunSnapshot,
    decode,
    encode,
    finish,
    new_progress,
)
from tests.testkit.builders import NOW, a_batch, a_progress, later


def positions(text: str) -> Positions:
    return Positions.parse(text)


def test_new_progress_waits_for_all_devices_that_are_not_scored() -> None:
    progress = new_progress(RunSnapshot(fleet={}), 4, positions("1-2"))
    assert (progress.total, progress.recorded, progress.count("alreadyScored")) == (4, 2, 2)
    assert progress.waiting == positions("0,3")
    assert new_progress(RunSnapshot(fleet={}), 4, positions("")).outcomes == {}


def test_finished_progress_has_an_outcome_for_each_device() -> None:
    progress = replace(
        a_progress(5, already="0"),
        waiting=positions("3-4"),
        open_batches={"a": a_batch("1")},
        queued_batches=(a_batch("2"),),
    )
    end = Completion("Failed", "Cancelled", "", later(7))
    finished = finish(progress, end)
    assert finished.outcomes == {"alreadyScored": positions("0"), "notRun": positions("1-4")}
    assert (finished.waiting, finished.open_batches, finished.queued_batches) == (positions(""), {}, ())
    assert (finished.completion, finished.clock.elapsed(later(99))) == (end, 7.0)
    done = finish(a_progress(2, already="0-1"), end)
    assert done.outcomes == {"alreadyScored": positions("0-1")}


@pytest.mark.parametrize(("failures", "circuit_open"), [(19, False), (20, True)])
def test_circuit_is_open_after_twenty_consecutive_failures(failures: int, circuit_open: bool) -> None:  # noqa: FBT001  # a table
    assert replace(a_progress(), consecutive_failures=failures).circuit_open is circuit_open


def test_progress_decodes_to_itself() -> None:
    progress: Progress = replace(
        a_progress(9, already="0"),
        waiting=positions("3-8"),
        reasons={"Unknown": positions("1")},
        outcomes={"alreadyScored": positions("0")},
        open_batches={"job": a_batch("1", round=1, attempts=2, lost_jobs=1, created=True)},
        queued_batches=(a_batch("2"),),
        results=Results(1, 2, 3, 4, 5),
        top_anomalies=((Position(1), 60, 9),),
        failure_samples=((Position(1), "Unknown", "x"),),
        clock=RunClock(started=NOW, accumulated=3.5, since=NOW, first_pod=(NOW, 1.0), progressed=NOW),
        pod_seconds=7,
        consecutive_failures=3,
        slow_warning_sent=True,
        completion=Completion("Failed", "Cancelled", "m", NOW),
    )
    assert decode(encode(progress)) == progress


def test_progress_has_the_stored_format() -> None:
    snapshot = RunSnapshot({"name": "f"}, ("list",), 2, (1, ("a",)), (1, ("b",)), rebuilt=True)
    progress = replace(
        new_progress(snapshot, 3, positions("0")),
        waiting=positions("2"),
        open_batches={"job": a_batch("1", round=1)},
        clock=RunClock(accumulated=3.5),
    )
    assert json.loads(zlib.decompress(encode(progress))) == {
        "v": 1,
        "frozen": {
            "fleet": {"name": "f"},
            "lists": ["list"],
            "devicesPerJob": 2,
            "withoutModel": [1, ["a"]],
            "unreadable": [1, ["b"]],
            "rebuilt": True,
            "historyProblem": "",
            "marksSuspension": False,
        },
        "total": 3,
        "waiting": "2",
        "outcomes": {"alreadyScored": "0"},
        "reasons": {},
        "queue": [],
        "open": {"job": ["1", 1, 0, 0, 0]},
        "results": {"rows": 0, "bad_rows": 0, "unscored_rows": 0, "anomalies": 0, "anomalous_devices": 0},
        "top": [],
        "samples": [],
        "clock": {"started": None, "ran": 3.5, "since": None, "firstPod": None, "progressed": None},
        "podSeconds": 0,
        "streak": 0,
        "warned": False,
        "end": None,
        "canary": "",
    }


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"malformed", id="not compressed"),
        pytest.param(encode(a_progress())[:-9], id="truncated"),
        pytest.param(zlib.compress(b'{"v": 2}'), id="newer format"),
    ],
)
def test_damaged_progress_is_rejected(data: bytes) -> None:
    with pytest.raises(InvalidProgress):
        decode(data)


def test_progress_of_more_than_4_mib_is_rejected() -> None:
    document = zlib.decompress(encode(a_progress()))
    largest = document.rjust(4 * 2**20)
    assert decode(zlib.compress(largest, 1)) == a_progress()
    with pytest.raises(InvalidProgress, match="more than 4,194,304 bytes"):
        decode(zlib.compress(b" " + largest, 1))


def test_progress_of_an_earlier_operator_is_read() -> None:
    document = json.loads(zlib.decompress(encode(a_progress(2))))
    document |= {"open": {"job": ["1", 0, 0, 0, True]}, "waiting": "0"}
    assert decode(zlib.compress(json.dumps(document).encode())).open_batches["job"] == a_batch("1", created=True)


@pytest.mark.fault("T18")
@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"waiting": "0-1"}, id="missing device"),
        pytest.param({"outcomes": {"scored": "0"}}, id="device in two places"),
        pytest.param({"waiting": "0-3"}, id="additional device"),
        pytest.param({"total": 4}, id="other total"),
        pytest.param({"total": -1}, id="negative total"),
        pytest.param({"samples": [[3, "Unknown", "x"]]}, id="sample of another device"),
        pytest.param({"top": [[-1, 9, 9]]}, id="negative position"),
        pytest.param({"total": 10**6 + 1, "waiting": f"0-{10**6}"}, id="more devices than a run may have"),
        pytest.param({"results": {"rows": 10**30}}, id="number that status cannot hold"),
        pytest.param({"queue": [["", 0, 0, 0, 0]]}, id="batch without devices"),
        pytest.param({"reasons": {"Unknown": "0,2,4,6"}}, id="more intervals than devices"),
        pytest.param({"clock": {"since": "2026-11-24T12:00:00"}}, id="time without a zone"),
        pytest.param({"frozen": {"fleet": {"a": [[]] * 10**5}}}, id="large facts"),
        pytest.param({"frozen": {"fleet": {"a": 0}, "lists": "many"}}, id="other type"),
    ],
)
def test_inconsistent_progress_is_rejected(edited: dict[str, Any]) -> None:
    document = json.loads(zlib.decompress(encode(a_progress(3))))
    assert decode(zlib.compress(json.dumps(document).encode())) == a_progress(3)
    with pytest.raises(InvalidProgress):
        decode(zlib.compress(json.dumps(document | edited).encode()))


def test_clock_counts_only_while_it_runs() -> None:
    clock = RunClock().resumed(NOW)
    assert (clock.started, clock.elapsed(later(5)), clock.resumed(later(5))) == (NOW, 5.0, clock)
    stopped = clock.stopped(later(5))
    assert (stopped.elapsed(later(99)), stopped.stopped(later(99))) == (5.0, stopped)
    again = stopped.resumed(later(100))
    assert (again.started, again.elapsed(later(101))) == (NOW, 6.0)


def test_time_before_the_start_of_the_clock_is_not_negative() -> None:
    assert RunClock(accumulated=2.0, since=NOW).elapsed(later(-5)) == 2.0


def test_running_clock_shifts_with_the_api_servers_and_a_stopped_one_does_not() -> None:
    running = RunClock(accumulated=5.0, since=NOW)
    assert running.shifted(3600).elapsed(later(3600 + 7)) == running.elapsed(later(7)) == 12
    assert running.shifted(-3600).elapsed(later(7 - 3600)) == 12
    assert running.stopped(later(7)).shifted(3600) == running.stopped(later(7))


def test_snapshot_is_stored_under_its_earlier_names() -> None:
    stored = {"fleet": {}, "lists": ["a"], "unreadable": [1, ["b"]]}
    snapshot = msgspec.convert(stored, RunSnapshot)
    assert (snapshot.device_list_names, snapshot.invalid_names) == (("a",), (1, ("b",)))


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "lists", [("hourly-a", "hourly-a"), tuple(f"hourly-{number}" for number in range(201))], ids=["repeated", "many"]
)
def test_progress_with_repeated_or_too_many_device_lists_is_rejected(lists: tuple[str, ...]) -> None:
    progress = a_progress(2)
    snapshot = msgspec.structs.replace(progress.snapshot, device_list_names=lists)
    with pytest.raises(InvalidProgress, match="too many or repeated ConfigMaps"):
        decode(encode(replace(progress, snapshot=snapshot)))


def test_limits_of_a_device_list_are_a_million_devices_in_200_config_maps() -> None:
    assert (progress_document.MAX_DEVICES, MAX_DEVICE_LISTS) == (1_000_000, 200)
