from typing import Any

import pytest

from scoring_operator.planner.progress import Completion
from scoring_operator.planner.types import Plan
from scoring_operator.resources.events import Event, status_events
from tests.operator.builders import NOW


def a_status(phase: str = "Running", **conditions: tuple[str, str]) -> dict[str, Any]:
    every = [
        {"type": kind, "status": status, "reason": reason, "message": f"{reason} it is"}
        for kind, (status, reason) in conditions.items()
    ]
    return {"phase": phase, "message": "12 of 12 devices done", "conditions": every}


RUNNING = a_status()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (RUNNING, RUNNING, None),
        ({}, a_status("Pending"), ("Normal", "Pending", "12 of 12 devices done")),
        (RUNNING, a_status("Suspended"), ("Normal", "Suspended", "12 of 12 devices done")),
        (RUNNING, a_status(Stalled=("True", "Quota")), ("Warning", "Stalled", "Quota: Quota it is")),
        (a_status(Stalled=("True", "Quota")), a_status(Stalled=("True", "Quota")), None),
        (
            a_status(Stalled=("True", "Quota")),
            a_status(Stalled=("True", "Pods")),
            ("Warning", "Stalled", "Pods: Pods it is"),
        ),
        (
            a_status(Stalled=("True", "Quota")),
            a_status(Stalled=("False", "Progressing")),
            ("Normal", "Recovered", "no longer stalled for Quota"),
        ),
        (RUNNING, a_status(Degraded=("True", "Partly")), ("Warning", "Degraded", "Partly it is")),
        (a_status(Degraded=("True", "Partly")), a_status(Degraded=("True", "Partly")), None),
        (a_status(Reported=("Unknown", "ReportPending")), a_status(Reported=("Unknown", "ReportRunning")), None),
        (
            a_status(Reported=("Unknown", "ReportRunning")),
            a_status(Reported=("True", "ReportWritten")),
            ("Normal", "Reported", "ReportWritten it is"),
        ),
        (
            a_status(Reported=("Unknown", "ReportRunning")),
            a_status(Reported=("False", "JobLost")),
            ("Warning", "ReportFailed", "JobLost: JobLost it is"),
        ),
        (RUNNING, a_status(Reported=("False", "NothingToReport")), None),
    ],
)
def test_each_change_of_state_has_one_event(
    before: dict[str, Any], after: dict[str, Any], expected: tuple[str, str, str] | None
) -> None:
    assert status_events(before, Plan("Running"), after) == ([Event(*expected)] if expected else [])


@pytest.mark.parametrize(("condition", "kind"), [("Complete", "Normal"), ("Failed", "Warning")])
def test_the_end_of_a_run_has_an_event_with_its_reason_and_none_for_what_it_no_longer_waits_for(
    condition: str, kind: str
) -> None:
    plan = Plan(condition, end=Completion(condition, "TheReason", "", NOW))
    new = a_status(condition, Stalled=("False", "Progressing")) | {"completionTime": "2026-11-24T12:00:00Z"}
    found = status_events(a_status(Stalled=("True", "Quota")), plan, new)
    assert found == [Event(kind, "TheReason", "12 of 12 devices done")]


def test_a_run_that_will_not_fit_its_window_has_an_event() -> None:
    assert [event.reason for event in status_events(RUNNING, Plan("Running", slow=True), RUNNING)] == ["TooSlow"]
