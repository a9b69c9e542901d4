from typing import Any

import pytest

from scoring_operator.planner.progress import Completion
from scoring_operator.planner.types import Plan
from scoring_operator.resources.events import Event, event_manifest, status_events
from tests.testkit.builders import NOW, UID, a_run, later


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
        (RUNNING, a_status(Waiting=("True", "Quota")), ("Warning", "Waiting", "Quota: Quota it is")),
        (
            a_status(Waiting=("True", "Quota")),
            a_status(Waiting=("False", "Progressing")),
            ("Normal", "Recovered", "no longer waiting for Quota"),
        ),
        (
            RUNNING,
            RUNNING | {"invalidNames": {"count": 1, "samples": ["a?b.csv"]}},
            (
                "Warning",
                "InvalidNames",
                "1 blob name that denotes no device: 'a?b.csv'; a ? in an id is written %3F",
            ),
        ),
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
        (
            RUNNING,
            RUNNING | {"quarantined": {"count": 2, "samples": ["a", "b"]}},
            ("Warning", "Quarantined", "2 devices failed in each of the last windows and get no Job: a, b"),
        ),
        (
            RUNNING,
            RUNNING | {"quarantined": {"count": 0, "samples": [], "problem": "it is damaged"}},
            ("Warning", "HistoryNotUsable", "it is damaged"),
        ),
        (
            RUNNING | {"quarantined": {"count": 1, "samples": ["a"]}},
            RUNNING | {"quarantined": {"count": 1, "samples": ["a"]}},
            None,
        ),
        (RUNNING, a_status(Degraded=("True", "Partly")), ("Warning", "Degraded", "Partly it is")),
        (a_status(Degraded=("True", "Partly")), a_status(Degraded=("True", "Partly")), None),
        (RUNNING, a_status(Suspicious=("True", "Fleet")), ("Warning", "Suspicious", "Fleet it is")),
        (a_status(Suspicious=("True", "Fleet")), a_status(Suspicious=("True", "Fleet")), None),
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
def test_end_of_a_run_has_one_event_with_its_reason(condition: str, kind: str) -> None:
    plan = Plan(condition, completion=Completion(condition, "TheReason", "", NOW))
    new = a_status(condition, Stalled=("True", "TheReason")) | {"completionTime": "2026-11-24T12:00:00Z"}
    found = status_events(a_status(Stalled=("True", "Quota")), plan, new)
    assert found == [Event(kind, "TheReason", "12 of 12 devices done")]


def test_run_that_exceeds_its_window_has_an_event() -> None:
    assert [event.reason for event in status_events(RUNNING, Plan("Running", warn_slow=True), RUNNING)] == ["TooSlow"]


def test_change_of_state_has_an_event_once() -> None:
    after = a_status(Stalled=("True", "Quota"))
    assert [event.reason for event in status_events({}, Plan("Running"), after)] == ["Running", "Stalled"]
    assert status_events(after, Plan("Running"), after) == []


def test_event_is_on_the_run_with_its_time() -> None:
    manifest = event_manifest(a_run(), Event("Warning", "Stalled", "full"), NOW)
    name = manifest["metadata"].pop("name")
    assert name.startswith("hourly.")
    assert manifest == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "scoring"},
        "involvedObject": {
            "apiVersion": "fleetscore.dev/v1alpha1",
            "kind": "ScoringRun",
            "name": "hourly",
            "namespace": "scoring",
            "uid": UID,
        },
        "type": "Warning",
        "reason": "Stalled",
        "message": "full",
        "source": {"component": "scoring-operator"},
        "firstTimestamp": "2026-11-24T12:00:00Z",
        "lastTimestamp": "2026-11-24T12:00:00Z",
        "count": 1,
    }


def test_name_of_an_event_depends_on_its_content_and_time() -> None:
    def name(event: Event, seconds: float = 0) -> str:
        return str(event_manifest(a_run(), event, later(seconds))["metadata"]["name"])

    event = Event("Normal", "Running", "0 of 3 devices done")
    assert name(event) == name(event)
    assert len({name(event), name(event, 1), name(Event("Normal", "Running", "1 of 3 devices done"))}) == 3


def test_message_of_an_event_has_at_most_1024_characters() -> None:
    assert event_manifest(a_run(), Event("Normal", "Running", "m" * 5000), NOW)["message"] == "m" * 1024
