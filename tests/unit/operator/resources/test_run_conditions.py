from dataclasses import replace
from typing import Any

import pytest

from scoring_operator.api.intervals import Positions
from scoring_operator.planner.progress import Completion, Progress
from scoring_operator.planner.types import Blocker, Plan, ReportCondition
from scoring_operator.resources.run_conditions import invalid_spec_patch, run_conditions
from tests.testkit.builders import NOW, a_body, a_progress, a_run, later

STALLED = Plan("Running", blocker=Blocker("QuotaExceeded", "full"))


def conditions_of(
    plan: Plan, *earlier: dict[str, Any], progress: Progress | None = None, seconds: float = 0
) -> dict[str, dict[str, Any]]:
    """Return the conditions by type."""
    run = a_run(status={"conditions": list(earlier)}, generation=3)
    return {one["type"]: one for one in run_conditions(run, plan, progress, later(seconds))}


def ended(condition: str = "Complete", message: str = "done") -> Plan:
    return Plan(condition, completion=Completion(condition, "TheReason", message, NOW))


def test_running_run_has_no_conditions() -> None:
    assert conditions_of(Plan("Running")) == {}


def test_blocker_is_the_condition_stalled() -> None:
    assert conditions_of(STALLED) == {
        "Stalled": {
            "type": "Stalled",
            "status": "True",
            "reason": "QuotaExceeded",
            "message": "full",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-11-24T12:00:00Z",
        }
    }


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


@pytest.mark.parametrize("condition", ["Complete", "Failed"])
def test_end_of_a_run_is_a_condition_and_ends_stalled(condition: str) -> None:
    stalled = conditions_of(STALLED)["Stalled"]
    found = conditions_of(replace(ended(condition), blocker=STALLED.blocker), stalled)
    assert (found[condition]["status"], found[condition]["reason"], found[condition]["message"]) == (
        "True",
        "TheReason",
        "done",
    )
    assert found["Stalled"]["status"] == "False"
    assert found.keys() == {condition, "Stalled"}


@pytest.mark.parametrize(
    ("outcomes", "reason", "message"),
    [
        pytest.param({"failed": "0", "partial": "1-2"}, "DevicesFailed", "1 devices failed and 2", id="failed"),
        pytest.param({"partial": "0"}, "PartlyScored", "0 devices failed and 1", id="partial"),
        pytest.param({"scored": "0"}, None, "", id="scored"),
    ],
)
def test_complete_run_with_failed_or_partial_devices_is_degraded(
    outcomes: dict[str, str], reason: str | None, message: str
) -> None:
    progress = replace(a_progress(3), outcomes={key: Positions.parse(text) for key, text in outcomes.items()})
    degraded = conditions_of(ended(), progress=progress).get("Degraded")
    assert (degraded and degraded["reason"]) == reason
    assert degraded is None or degraded["message"] == f"{message} were scored in part"
    assert "Degraded" not in conditions_of(ended("Failed"), progress=progress)


def test_report_condition_of_an_ended_run_is_the_only_change() -> None:
    complete = conditions_of(ended())["Complete"]
    report = ReportCondition(None, "ReportPending", "waiting")
    found = conditions_of(replace(STALLED, report_condition=report), complete, seconds=60)
    assert found["Complete"] == complete
    assert (found["Reported"]["status"], found["Reported"]["reason"]) == ("Unknown", "ReportPending")
    assert found.keys() == {"Complete", "Reported"}


def test_message_of_each_condition_has_at_most_1024_characters() -> None:
    assert conditions_of(ended(message="m" * 5000))["Complete"]["message"] == "m" * 1024
    stalled = Plan("Running", blocker=Blocker("QuotaExceeded", "m" * 5000))
    assert conditions_of(stalled)["Stalled"]["message"] == "m" * 1024


def test_invalid_spec_is_reported_once_and_not_after_the_end() -> None:
    body = a_body()
    patch = invalid_spec_patch(body, "no such year", NOW)
    assert patch is not None
    assert (patch["observedGeneration"], patch["message"]) == (1, "no such year")
    assert (patch["conditions"][0]["type"], patch["conditions"][0]["reason"]) == ("Stalled", "InvalidSpec")
    assert invalid_spec_patch(body | {"status": patch}, "no such year", later(60)) is None
    ended_status = {"completionTime": "2026-11-24T12:00:00Z"}
    assert invalid_spec_patch(body | {"status": ended_status}, "no such year", NOW) is None


def test_message_of_an_invalid_spec_has_at_most_1024_characters() -> None:
    patch = invalid_spec_patch(a_body(), "m" * 5000, NOW)
    assert patch is not None
    assert (patch["message"], patch["conditions"][0]["message"]) == ("m" * 1024, "m" * 1024)
