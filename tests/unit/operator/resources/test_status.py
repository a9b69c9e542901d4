from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.contract.outcome_message import Results
from scoring_operator.planner.progress import Completion, Progress, RunClock, new_progress
from scoring_operator.planner.progress_codec import encode_progress
from scoring_operator.planner.types import Blocker, Observation, Plan, ReportCondition
from scoring_operator.resources.status import build_blocked_status, build_status, json_patch, merge_patch, needs_update
from tests.testkit.builders import NOW, a_batch, a_job, a_progress, a_run, an_observation, later

COUNTS = {"total": 9, "pending": 3, "active": 2, "scored": 4, "partial": 0, "empty": 0, "failed": 0, "notRun": 0}
PREVIOUS: dict[str, Any] = {
    "devices": {**COUNTS, "alreadyScored": 0},
    "results": {"rows": 240},
    "startTime": "2026-11-24T11:00:00Z",
}


def observed(*names: str, devices: list[str] | None = None, blocked_by: str = "") -> Observation:
    """Return an observation with Jobs of these names."""
    return an_observation(devices=devices or [], jobs={name: a_job(name) for name in names}, blocked_by=blocked_by)


def status_of(
    plan: Plan, observation: Observation | None = None, *, status: dict[str, Any] | None = None
) -> dict[str, Any]:
    return build_status(a_run(status=status), plan, observation or observed(), NOW)


@pytest.mark.fault("T11")
def test_status_of_100000_devices_has_less_than_16_kib() -> None:
    devices = [f"device-{n}-" + "x" * 110 for n in range(100_000)]
    every_second = Positions(tuple((n, n) for n in range(0, 100_000, 2)))
    positions = list(every_second)[:20]
    progress = replace(
        a_progress(100_000),
        outcomes={"failed": every_second},
        reasons={"DataInvalid": every_second},
        top_anomalies=tuple((position, 10**9, 10**9) for position in positions),
        failure_samples=tuple((position, "DataInvalid", "m" * 200) for position in positions),
    )
    status = status_of(Plan("Running", progress), observed(devices=devices))
    assert len(msgspec.json.encode(status)) < 16 * 1024
    assert len(encode_progress(progress)) < 1024 * 1024


def test_status_of_failing_passes_keeps_counters_and_times() -> None:
    run = a_run(status={**PREVIOUS, "phase": "Running", "duration": "5m"})
    status = build_blocked_status(run, Plan("Running", blocker=Blocker("RequestRejected", "it is rejected")), NOW)
    assert {**status, **PREVIOUS, "duration": "5m"} == status
    assert (status["phase"], status["message"]) == ("Running", "it is rejected")
    waiting = next(one for one in status["conditions"] if one["type"] == "Waiting")
    assert (waiting["status"], waiting["reason"]) == ("True", "RequestRejected")


def test_status_of_failing_passes_of_a_new_run_has_its_window_and_phase() -> None:
    status = build_blocked_status(a_run(), Plan("Pending", blocker=Blocker("Forbidden", "no right")), NOW)
    assert status["window"]
    assert status["message"] == "listing the fleet's devices; no right"


def test_status_has_the_counters_of_progress() -> None:
    progress: Progress = replace(
        a_progress(9),
        waiting=Positions.parse("7-8"),
        outcomes={"scored": Positions.parse("0-2"), "failed": Positions.parse("3")},
        reasons={"OOMKilled": Positions.parse("3")},
        open_batches={"a": a_batch("4-5"), "b": a_batch("6")},
        results=Results(600, 1, 2, 30, 4),
        pod_seconds=77,
    )
    status = status_of(Plan("Running", progress), observed("a"))
    assert status["devices"] == {
        "total": 9,
        "pending": 3,
        "active": 2,
        "scored": 3,
        "partial": 0,
        "empty": 0,
        "failed": 1,
        "notRun": 0,
        "alreadyScored": 0,
        "quarantined": 0,
    }
    assert status["results"] == {"rows": 600, "badRows": 1, "unscoredRows": 2, "anomalies": 30, "anomalousDevices": 4}
    assert (status["podSeconds"], status["failureReasons"]) == (77, {"OOMKilled": 1})
    assert (status["phase"], status["window"], status["observedGeneration"]) == ("Running", "2018-08-28T23:00Z/1h", 1)
    assert status["message"] == "4 of 9 devices done"


def test_samples_name_devices_and_have_a_message() -> None:
    positions = list(Positions.parse("0-2"))
    progress = replace(
        a_progress(3),
        outcomes={"failed": Positions.parse("0"), "partial": Positions.parse("1"), "scored": Positions.parse("2")},
        waiting=Positions(),
        top_anomalies=((positions[1], 60, 9), (positions[2], 60, 3)),
        failure_samples=(
            (positions[0], "OOMKilled", ""),
            (positions[1], "ModelNotFound", "tag 4"),
            (positions[2], "DataInvalid", "of an earlier round"),
        ),
    )
    status = status_of(Plan("Running", progress), observed(devices=["fan-1", "fan-2"]))
    assert status["failures"] == [
        {"device": "fan-1", "reason": "OOMKilled", "message": "OOMKilled"},
        {"device": "fan-2", "reason": "ModelNotFound", "message": "tag 4"},
    ]
    assert status["topAnomalies"] == [
        {"device": "fan-2", "rows": 60, "anomalies": 9},
        {"device": "#2", "rows": 60, "anomalies": 3},
    ]


def test_status_has_at_most_twenty_failures_and_devices_without_model() -> None:
    positions = Positions.range_to(30)
    progress = replace(
        a_progress(30),
        outcomes={"failed": positions},
        waiting=Positions(),
        failure_samples=tuple((position, "Unknown", "x") for position in positions),
    )
    snapshot = msgspec.structs.replace(progress.snapshot, without_model=(30, tuple("abcdefghijklmnopqrstuvwxyz")))
    status = status_of(Plan("Running", replace(progress, snapshot=snapshot)))
    assert len(status["failures"]) == 20
    assert status["withoutModel"] == {"count": 30, "samples": list("abcdefghijklmnopqrst")}


@pytest.mark.fault("T9", "T11")
def test_texts_of_edited_progress_are_printable_in_the_status() -> None:
    hostile = "\x1b[2J\u202e\x9b1m\n"
    snapshot = msgspec.structs.replace(a_progress().snapshot, without_model=(1, (hostile,)))
    failed = Positions.parse("0-2")
    progress = replace(
        a_progress(3),
        snapshot=snapshot,
        outcomes={"failed": failed},
        failure_samples=((failed.first, "Unknown", hostile * 200),),
    )
    end = Completion("Complete", "AllDevicesDone", "", NOW)
    status = status_of(Plan("Complete", progress, completion=end), observed(devices=["a", "b", "c"]))
    assert len(status["failures"][0]["message"]) <= 400
    assert status["withoutModel"]["samples"] == ["[2J  1m"]
    assert msgspec.json.encode(status).decode().isprintable()


def test_rare_reasons_are_joined_under_other() -> None:
    reasons = {f"Reason{n:02}": Positions.range_to(n) for n in range(1, 21)}
    counts = status_of(Plan("Running", replace(a_progress(), reasons=reasons)))["failureReasons"]
    assert len(counts) == 16
    assert sum(counts.values()) == sum(range(1, 21))
    assert (counts["Reason20"], counts["Other"]) == (20, 1 + 2 + 3 + 4 + 5)


def test_times_are_those_of_the_clock_and_the_end() -> None:
    clock = RunClock(started=NOW, since=NOW, first_pod=(later(5), 5.0), progressed=later(9))
    end = Completion("Complete", "AllDevicesDone", "all done", later(125))
    status = status_of(Plan("Complete", replace(a_progress(), clock=clock), completion=end))
    assert {key: status[key] for key in status if "Time" in key or key == "duration"} == {
        "startTime": "2026-11-24T12:00:00Z",
        "firstPodTime": "2026-11-24T12:00:05Z",
        "lastProgressTime": "2026-11-24T12:00:09Z",
        "completionTime": "2026-11-24T12:02:05Z",
        "duration": "2m5s",
    }


def test_start_time_of_a_run_is_that_of_its_first_discovery() -> None:
    discovering = Plan("Pending", discover_devices=True)
    assert status_of(discovering)["startTime"] == "2026-11-24T12:00:00Z"
    assert status_of(discovering, status={"startTime": "2026-11-24T11:00:00Z"})["startTime"] == "2026-11-24T11:00:00Z"
    assert "startTime" not in status_of(Plan("Queued"))


@pytest.mark.parametrize("phase", ["Suspended", "Queued"])
def test_run_that_waits_before_its_devices_are_listed_has_not_started(phase: str) -> None:
    waiting = status_of(Plan(phase), status={"startTime": "2026-11-24T11:00:00Z", "duration": "1h"})
    assert "startTime" not in waiting
    assert "duration" not in waiting
    lost = replace(observed(), state=replace(observed().state, missing=True))
    kept = status_of(Plan(phase), lost, status={"startTime": "2026-11-24T11:00:00Z"})
    assert kept["startTime"] == "2026-11-24T11:00:00Z"


def test_counters_are_kept_while_progress_is_lost() -> None:
    status = status_of(Plan("Pending", discover_devices=True), status=PREVIOUS)
    assert {key: status[key] for key in PREVIOUS} == PREVIOUS


def test_end_by_lost_progress_counts_unfinished_devices_as_not_run() -> None:
    end = Completion("Failed", "ProgressLost", "deleted", NOW)
    status = status_of(Plan("Failed", completion=end), status=PREVIOUS)
    assert status["devices"] == {**COUNTS, "alreadyScored": 0, "pending": 0, "active": 0, "notRun": 5}
    assert (status["results"], status["duration"]) == ({"rows": 240}, "1h0m")


@pytest.mark.parametrize(("found", "scored"), [("0-1", 4), ("0-4", 5)])
def test_counters_do_not_decrease_while_progress_is_rebuilt(found: str, scored: int) -> None:
    progress = replace(a_progress(9), outcomes={"scored": Positions.parse(found)})
    progress = replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, rebuilt=True))
    assert status_of(Plan("Running", progress), status=PREVIOUS)["devices"]["scored"] == scored


@pytest.mark.parametrize(
    ("plan", "observation", "message"),
    [
        (Plan("Queued"), observed(blocked_by="earlier"), "waiting for run earlier to end"),
        (Plan("Suspended"), observed(), "suspended before it began"),
        (Plan("Pending", discover_devices=True), observed(), "listing the fleet's devices"),
        (Plan("Running", a_progress(), blocker=Blocker("X", "no slot")), observed(), "0 of 3 devices done; no slot"),
        (Plan("Failed", completion=Completion("Failed", "X", "no fleet", NOW)), observed(), "no fleet"),
    ],
)
def test_message_describes_the_state_of_the_run(plan: Plan, observation: Observation, message: str) -> None:
    assert status_of(plan, observation)["message"] == message


@pytest.mark.parametrize(
    "plan",
    [
        Plan("Running", a_progress(), blocker=Blocker("X", "m" * 5000)),
        Plan("Failed", completion=Completion("Failed", "X", "m" * 5000, NOW)),
    ],
)
def test_message_of_a_status_has_at_most_1024_characters(plan: Plan) -> None:
    assert len(status_of(plan)["message"]) == 1024


def test_status_of_an_ended_run_changes_in_its_conditions_only() -> None:
    complete = {"type": "Complete", "status": "True", "reason": "AllDevicesDone", "lastTransitionTime": "t"}
    before = {"phase": "Complete", "devices": {"scored": 3}, "conditions": [complete]}
    written = Plan("Complete", report_condition=ReportCondition(True, "ReportWritten", "done"))  # a condition
    after = status_of(written, status=before)
    assert [one["type"] for one in after.pop("conditions")] == ["Complete", "Reported", "Ready", "Reconciling"]
    assert after == {"phase": "Complete", "devices": {"scored": 3}, "observedGeneration": 1}


def test_status_of_an_ended_run_observes_a_later_change_of_its_spec() -> None:
    complete = {"type": "Complete", "status": "True", "reason": "AllDevicesDone", "lastTransitionTime": "t"}
    run = a_run(status={"conditions": [complete], "observedGeneration": 1}, generation=2)
    assert build_status(run, Plan("Complete"), an_observation(), NOW)["observedGeneration"] == 2


@pytest.mark.parametrize(
    ("plan", "observed", "message"),
    [
        (Plan("Pending", blocker=Blocker("StorageUnavailable", "no answer")), {},
         "listing the fleet's devices; no answer"),
        (Plan("Running", blocker=Blocker("FailedMount", "no secret")), {"progress": a_progress(3)},
         "0 of 3 devices done; no secret"),
        (Plan("Running"), {"progress": a_progress(1)}, "0 of 1 device done"),
        (Plan("Running"), {"progress": a_progress(3), "slots": 0},
         "0 of 3 devices done; waiting for other runs, because all runs together have operator.maxActiveJobs Jobs"),
    ],
)  # fmt: skip
def test_message_of_an_active_run_says_what_it_waits_for(plan: Plan, observed: dict[str, Any], message: str) -> None:
    assert build_status(a_run(), plan, an_observation(**observed), NOW)["message"] == message


def test_names_that_denote_no_device_are_counted_and_bounded() -> None:
    names = tuple(f"press\n{'x' * 500}#{n}.joblib" for n in range(20))
    progress = a_progress(1)
    progress = replace(progress, snapshot=msgspec.structs.replace(progress.snapshot, invalid_names=(70, names)))
    found = build_status(a_run(), Plan("Running"), an_observation(progress), NOW)["invalidNames"]
    assert found["count"] == 70
    assert len(found["samples"]) == 20
    assert all(len(name) == 200 and name.isprintable() and name.endswith(".joblib") for name in found["samples"])
    assert "invalidNames" not in build_status(a_run(), Plan("Running"), an_observation(a_progress(1)), NOW)


def test_devices_in_quarantine_are_counted_and_bounded() -> None:
    devices = [f"press-{number}" for number in range(30)]
    snapshot = msgspec.structs.replace(a_progress(30).snapshot, history_problem="x\n" * 9999)
    progress = new_progress(snapshot, 30, Positions(), Positions.parse("1-25"))
    status = status_of(Plan("Running", progress), observed(devices=devices))
    assert (status["devices"]["quarantined"], status["quarantined"]["count"]) == (25, 25)
    assert status["quarantined"]["samples"] == devices[1:21]
    assert (len(status["quarantined"]["problem"]), "\n" in status["quarantined"]["problem"]) == (999, False)
    assert "quarantined" not in status_of(Plan("Running", a_progress(3)), observed())


def test_growing_duration_alone_is_not_written() -> None:
    assert not needs_update({"phase": "Running", "duration": "1m"}, {"phase": "Running", "duration": "2m"})
    assert needs_update({"phase": "Running", "duration": "1m"}, {"phase": "Complete", "duration": "1m"})


@pytest.mark.parametrize(("old", "tested"), [({}, None), ({"phase": "Pending"}, {"phase": "Pending"})])
def test_json_patch_tests_spec_and_status_before_it_replaces_the_status(
    old: dict[str, str], tested: dict[str, str] | None
) -> None:
    run = a_run(status=old, generation=3)
    assert json_patch(run, {"phase": "Running"}) == [
        {"op": "test", "path": "/metadata/uid", "value": run.uid},
        {"op": "test", "path": "/metadata/generation", "value": 3},
        {"op": "test", "path": "/status", "value": tested},
        {"op": "add", "path": "/status", "value": {"phase": "Running"}},
    ]


def test_merge_patch_has_null_for_removed_keys() -> None:
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1}}) == {"a": None, "b": {"c": 1, "d": None}}
