from dataclasses import replace
from typing import Any

import msgspec
import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.contract.report_message import parse_report_message
from scoring_operator.planner.progress import Completion, Progress
from scoring_operator.planner.types import Blocker, Plan, ReportCondition, WrittenReport
from scoring_operator.resources.run_conditions import invalid_spec_patch, run_conditions
from tests.testkit.builders import NOW, a_body, a_progress, a_report_message, a_run, later
from tests.testkit.kstatus import kstatus

WAITING = Plan("Running", blocker=Blocker("QuotaExceeded", "full"))
STALLED = Plan("Running", blocker=Blocker("FailedMount", "no secret", permanent=True))


def conditions_of(
    plan: Plan, *earlier: dict[str, Any], progress: Progress | None = None, seconds: float = 0
) -> dict[str, dict[str, Any]]:
    """Return the conditions by type."""
    run = a_run(status={"conditions": list(earlier)}, generation=3)
    return {one["type"]: one for one in run_conditions(run, plan, progress, later(seconds), "1 of 3 done")}


def ended(condition: str = "Complete", message: str = "done") -> Plan:
    return Plan(condition, completion=Completion(condition, "TheReason", message, NOW))


def kstatus_of(plan: Plan, *, generation: int = 3) -> str:
    conditions = list(conditions_of(plan).values())
    body = a_body(generation=generation)
    return kstatus(body | {"status": {"observedGeneration": 3, "conditions": conditions}})


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan("Pending"), "InProgress"),
        (Plan("Queued"), "InProgress"),
        (Plan("Suspended"), "InProgress"),
        (Plan("Running"), "InProgress"),
        (WAITING, "InProgress"),
        (STALLED, "Failed"),
        (ended("Complete"), "Current"),
        (ended("Failed"), "Failed"),
    ],
    ids=["pending", "queued", "suspended", "running", "waiting", "stalled", "complete", "failed"],
)
def test_kstatus_of_a_run_is_that_of_its_state(plan: Plan, expected: str) -> None:
    assert kstatus_of(plan) == expected
    assert kstatus_of(plan, generation=4) == "InProgress"  # until the new spec is observed


def test_running_run_is_reconciling_and_not_ready_yet() -> None:
    found = conditions_of(Plan("Running"))
    assert {type_: (one["status"], one["reason"], one["message"]) for type_, one in found.items()} == {
        "Ready": ("Unknown", "Progressing", "1 of 3 done"),
        "Reconciling": ("True", "Progressing", "1 of 3 done"),
    }


@pytest.mark.parametrize(
    ("plan", "type_", "reconciling"), [(WAITING, "Waiting", "True"), (STALLED, "Stalled", "False")]
)
def test_blocker_is_waiting_or_stalled_if_a_person_has_to_end_it(plan: Plan, type_: str, reconciling: str) -> None:
    found = conditions_of(plan)
    assert plan.blocker is not None
    assert found[type_] == {
        "type": type_,
        "status": "True",
        "reason": plan.blocker.reason,
        "message": plan.blocker.message,
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }
    assert found["Reconciling"]["status"] == reconciling
    assert found.keys() == {"Ready", "Reconciling", type_}


def test_blocker_that_becomes_permanent_changes_from_waiting_to_stalled() -> None:
    waiting = conditions_of(WAITING)["Waiting"]
    found = conditions_of(STALLED, waiting)
    assert (found["Waiting"]["status"], found["Stalled"]["status"]) == ("False", "True")


@pytest.mark.fault("T9")
@pytest.mark.parametrize("reason", ["x" * 129, "a\nb", "\x1b[2J", ""], ids=["long", "line break", "terminal", "empty"])
def test_text_that_is_not_a_reason_becomes_unknown(reason: str) -> None:
    assert conditions_of(Plan("Running", blocker=Blocker(reason, "m")))["Waiting"]["reason"] == "Unknown"


def test_condition_keeps_its_transition_time_until_its_status_changes() -> None:
    first = conditions_of(STALLED)["Stalled"]
    second = conditions_of(STALLED, first, seconds=60)["Stalled"]
    assert second["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    third = conditions_of(Plan("Running"), second, seconds=90)["Stalled"]
    assert (third["status"], third["reason"], third["lastTransitionTime"]) == (
        "False",
        "Progressing",
        "2026-11-24T12:01:30Z",
    )


def test_suspended_run_has_a_condition_until_it_is_resumed() -> None:
    suspended = conditions_of(Plan("Suspended"))["Suspended"]
    assert (suspended["status"], suspended["reason"]) == ("True", "SpecSuspend")
    resumed = conditions_of(Plan("Running"), suspended)["Suspended"]
    assert (resumed["status"], resumed["reason"]) == ("False", "Resumed")


@pytest.mark.parametrize(("condition", "stalled"), [("Complete", "False"), ("Failed", "True")])
def test_end_of_a_run_is_a_condition_and_decides_ready_and_stalled(condition: str, stalled: str) -> None:
    earlier = [conditions_of(STALLED)["Stalled"], conditions_of(WAITING)["Waiting"]]
    found = conditions_of(replace(ended(condition), blocker=STALLED.blocker), *earlier)
    for type_ in (condition, "Ready"):
        assert (found[type_]["reason"], found[type_]["message"]) == ("TheReason", "done")
    statuses = {type_: one["status"] for type_, one in found.items()}
    assert statuses == {
        condition: "True",
        "Ready": str(condition == "Complete"),
        "Reconciling": "False",
        "Stalled": stalled,
        "Waiting": "False",
    }


def test_complete_run_that_never_stalled_has_no_condition_stalled() -> None:
    assert conditions_of(ended()).keys() == {"Complete", "Ready", "Reconciling"}


@pytest.mark.parametrize(
    ("outcomes", "without_model", "invalid", "reason", "message"),
    [
        ({"failed": "0", "partial": "1-2"}, (), (), "DevicesFailed", "1 device failed; 2 devices scored in part"),
        ({"partial": "0"}, (), (), "PartlyScored", "1 device scored in part"),
        ({"quarantined": "0-1"}, (), (), "DevicesQuarantined", "2 devices in quarantine"),
        ({}, ("fan-1", "fan-2"), (), "DevicesWithoutModel",
         "2 devices with readings and without a model: fan-1, fan-2"),
        ({}, ("fan-1", "fan-2", "fan-3", "fan-4"), (), "DevicesWithoutModel",
         "4 devices with readings and without a model: fan-1, fan-2, fan-3"),
        ({}, (), ("press#1.joblib",), "InvalidNames",
         "1 blob name that denotes no device: 'press#1.joblib'; a # in an id is written %23"),
        ({"scored": "0"}, (), (), None, ""),
    ],
    ids=["failed", "partial", "quarantined", "without model", "more without model", "invalid names", "scored"],
)  # fmt: skip
def test_complete_run_is_degraded_by_what_was_not_scored(
    outcomes: dict[str, str],
    without_model: tuple[str, ...],
    invalid: tuple[str, ...],
    reason: str | None,
    message: str,
) -> None:
    progress = replace(a_progress(3), outcomes={key: Positions.parse(text) for key, text in outcomes.items()})
    snapshot = msgspec.structs.replace(
        progress.snapshot, without_model=(len(without_model), without_model), invalid_names=(len(invalid), invalid)
    )
    progress = replace(progress, snapshot=snapshot)
    degraded = conditions_of(ended(), progress=progress).get("Degraded")
    assert (degraded and degraded["reason"]) == reason
    assert (degraded["message"] if degraded else "") == message
    assert "Degraded" not in conditions_of(ended("Failed"), progress=progress)


@pytest.mark.parametrize(
    "plan", [Plan("Complete"), Plan("Complete", report_condition=ReportCondition(True, "Written", ""))]
)
def test_conditions_of_an_ended_run_follow_its_generation(plan: Plan) -> None:
    earlier = [dict(one, observedGeneration=1) for one in conditions_of(ended()).values()]
    assert {one["observedGeneration"] for one in conditions_of(plan, *earlier).values()} == {3}


def test_report_condition_of_an_ended_run_is_the_only_change() -> None:
    before = conditions_of(ended())
    report = ReportCondition(None, "ReportPending", "waiting")
    found = conditions_of(replace(STALLED, report_condition=report), *before.values(), seconds=60)
    assert (found["Reported"]["status"], found["Reported"]["reason"]) == ("Unknown", "ReportPending")
    del found["Reported"]
    assert found == before


@pytest.mark.parametrize(("condition", "expected"), [("Complete", "Current"), ("Failed", "Failed")])
def test_run_that_ended_under_an_earlier_operator_gets_the_conditions_of_kstatus(condition: str, expected: str) -> None:
    old: dict[str, Any] = {"type": condition, "status": "True", "reason": "TheReason", "message": "done"}
    old |= {"observedGeneration": 3, "lastTransitionTime": "2026-11-24T12:00:00Z"}
    found = conditions_of(Plan(condition), old)
    status = {"observedGeneration": 1, "conditions": list(found.values())}
    assert kstatus(a_body() | {"status": status}) == expected
    assert conditions_of(Plan(condition), *found.values(), seconds=60) == found


def test_message_of_each_condition_has_at_most_1024_characters() -> None:
    assert conditions_of(ended(message="m" * 5000))["Complete"]["message"] == "m" * 1024
    waiting = Plan("Running", blocker=Blocker("QuotaExceeded", "m" * 5000))
    assert conditions_of(waiting)["Waiting"]["message"] == "m" * 1024


def test_invalid_spec_is_reported_once_and_not_after_the_end() -> None:
    body = a_body()
    patch = invalid_spec_patch(body, "no such year", NOW)
    assert patch is not None
    assert (patch["observedGeneration"], patch["message"]) == (1, "no such year")
    stalled = patch["conditions"][-1]
    assert (stalled["type"], stalled["reason"]) == ("Stalled", "InvalidSpec")
    assert kstatus(body | {"status": patch}) == "Failed"
    assert invalid_spec_patch(body | {"status": patch}, "no such year", later(60)) is None
    ended_status = {"completionTime": "2026-11-24T12:00:00Z"}
    assert invalid_spec_patch(body | {"status": ended_status}, "no such year", NOW) is None


def test_message_of_an_invalid_spec_has_at_most_1024_characters() -> None:
    patch = invalid_spec_patch(a_body(), "m" * 5000, NOW)
    assert patch is not None
    assert (patch["message"], patch["conditions"][0]["message"]) == ("m" * 1024, "m" * 1024)


@pytest.mark.parametrize(
    ("incidents", "suspicious"),
    [
        ({"open": 1, "opened": 1, "openedFleet": 1, "causes": {"fleet": 1}}, True),
        ({"open": 1, "causes": {"fleet": 1}}, False),
        ({"open": 2, "opened": 1, "causes": {"fleet": 1, "machine": 1}}, False),
        ({}, False),
    ],
    ids=["opened", "open since an earlier window", "open, and a device opened", "none"],
)
def test_run_is_suspicious_if_an_incident_of_the_whole_fleet_opened(
    incidents: dict[str, Any], *, suspicious: bool
) -> None:
    message = parse_report_message(a_report_message(incidents=incidents))
    assert message is not None
    reported = ReportCondition(True, "ReportWritten", "done", WrittenReport("report.html", message=message))
    found = conditions_of(Plan("Complete", report_condition=reported))
    assert [one["reason"] for one in found.values() if one["type"] == "Suspicious"] == ["FleetIncident"] * suspicious


def test_report_without_a_result_is_not_suspicious() -> None:
    reported = ReportCondition(True, "ReportWritten", "done", WrittenReport("report.html"))
    assert "Suspicious" not in conditions_of(Plan("Complete", report_condition=reported))
