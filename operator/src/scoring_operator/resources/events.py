"""The events that changes of a run's status call for: one for each change of state, never for a device. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scoring_operator.api import names
from scoring_operator.api.conditions import find_condition, true_condition
from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import GROUP, KIND, VERSION, ScoringRun
from scoring_operator.planner.types import Plan


@dataclass(frozen=True, slots=True)
class Event:
    """An event on the run: for a change of its state, never for a device."""

    type: str  # Normal or Warning
    reason: str
    message: str


def status_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> list[Event]:
    """The events that a change of status calls for; to be sent once the new status is written."""
    return [*_phase_events(old, plan, new), *_stall_events(old, new), *_result_events(old, plan, new)]


def _phase_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> Iterator[Event]:
    if old.get("phase") != new["phase"]:
        bad = bool(plan.end and plan.end.condition == "Failed")
        yield Event("Warning" if bad else "Normal", plan.end.reason if plan.end else new["phase"], new["message"])


def _stall_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    before, after = true_condition(old, "Stalled"), true_condition(new, "Stalled")
    if after and (not before or before["reason"] != after["reason"]):
        yield Event("Warning", "Stalled", f"{after['reason']}: {after['message']}")
    if before and not after and "completionTime" not in new:
        yield Event("Normal", "Recovered", f"no longer stalled for {before['reason']}")


def _result_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> Iterator[Event]:
    """What the run came to, beside its end."""
    if not true_condition(old, "Degraded") and (degraded := true_condition(new, "Degraded")):
        yield Event("Warning", "Degraded", degraded["message"])
    if plan.slow:
        message = "at the pace seen the run will take longer than its window; raise parallelism or devicesPerJob"
        yield Event("Warning", "TooSlow", message)
    before, after = find_condition(old, "Reported"), find_condition(new, "Reported")
    if before and after and before["status"] != after["status"]:
        good = after["status"] == "True"
        message = after["message"] if good else f"{after['reason']}: {after['message']}"
        yield Event("Normal" if good else "Warning", "Reported" if good else "ReportFailed", message)


def event_manifest(run: ScoringRun, said: Event, now: datetime) -> dict[str, Any]:
    """An event on the run; its name follows from its content, so that a repetition is no second event."""
    time = format_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{run.name}.{names.digest(run.uid, said.reason, said.message, time)}",
            "namespace": run.namespace,
        },
        "involvedObject": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": run.name,
            "namespace": run.namespace,
            "uid": run.uid,
        },
        "type": said.type,
        "reason": said.reason,
        "message": said.message[:1024],
        "source": {"component": "scoring-operator"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
