"""Events on a run: one for each change of its state. Devices have no events, because a run may have 100,000."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scoring_operator.api import names
from scoring_operator.api.conditions import MAX_MESSAGE_LENGTH, find_condition, true_condition
from scoring_operator.api.formatting import format_time, plural
from scoring_operator.api.scoringrun import GROUP, KIND, VERSION, ScoringRun
from scoring_operator.planner.types import Plan
from scoring_operator.resources.run_conditions import MAX_NAMED_DEVICES
from scoring_operator.resources.storage_names import invalid_names_text


@dataclass(frozen=True, slots=True)
class Event:
    """An event on a run.

    Attributes:
        type: Normal or Warning.
        reason: The reason, in CamelCase.
        message: A sentence for people.
    """

    type: str
    reason: str
    message: str


def status_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> list[Event]:
    """Return the events of a change of status; they are sent after the status is written.

    Args:
        old: The status before this pass.
        plan: The plan of this pass.
        new: The status after this pass.
    """
    return [
        *_phase_events(old, plan, new),
        *_stall_events(old, new),
        *_quarantine_events(old, new),
        *_result_events(old, plan, new),
    ]


def _phase_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> Iterator[Event]:
    if old.get("phase") != new["phase"]:
        bad = bool(plan.completion and plan.completion.condition == "Failed")
        yield Event(
            "Warning" if bad else "Normal", plan.completion.reason if plan.completion else new["phase"], new["message"]
        )


def _stall_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    if "completionTime" in new:
        return
    before, after = true_condition(old, "Stalled", "Waiting"), true_condition(new, "Stalled", "Waiting")
    if after and (not before or before.reason != after.reason):
        yield Event("Warning", after.type, f"{after.reason}: {after.message}")
    if before and not after:
        yield Event("Normal", "Recovered", f"no longer {before.type.lower()} for {before.reason}")


def _quarantine_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    if "quarantined" in old or not (found := new.get("quarantined")):
        return
    if problem := found.get("problem"):
        yield Event("Warning", "HistoryNotUsable", problem)
    if count := found["count"]:
        named = ", ".join(found["samples"][:MAX_NAMED_DEVICES])
        message = f"{plural(count, 'device')} failed in each of the last windows and get no Job: {named}"
        yield Event("Warning", "Quarantined", message)


def _result_events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events about storage and results: invalid names, failed devices, a slow run, the report."""
    if (invalid := new.get("invalidNames")) and "invalidNames" not in old:
        yield Event("Warning", "InvalidNames", invalid_names_text(invalid["count"], invalid["samples"]))
    if not true_condition(old, "Degraded") and (degraded := true_condition(new, "Degraded")):
        yield Event("Warning", "Degraded", degraded.message)
    if not true_condition(old, "Suspicious") and (suspicious := true_condition(new, "Suspicious")):
        yield Event("Warning", "Suspicious", suspicious.message)
    if plan.warn_slow:
        message = "at its current rate the run takes longer than its window; raise parallelism or devicesPerJob"
        yield Event("Warning", "TooSlow", message)
    before, after = find_condition(old, "Reported"), find_condition(new, "Reported")
    if before and after and before.status != after.status:
        good = after.status == "True"
        message = after.message if good else f"{after.reason}: {after.message}"
        yield Event("Normal" if good else "Warning", "Reported" if good else "ReportFailed", message)


def event_manifest(run: ScoringRun, event: Event, now: datetime) -> dict[str, Any]:
    """Return the manifest of an event; its name is a function of its content, so that a retry creates no second one.

    Args:
        run: The run.
        event: The event.
        now: The API server's time.
    """
    time = format_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{run.name}.{names.digest(run.uid, event.reason, event.message, time)}",
            "namespace": run.namespace,
        },
        "involvedObject": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": run.name,
            "namespace": run.namespace,
            "uid": run.uid,
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message[:MAX_MESSAGE_LENGTH],
        "source": {"component": "scoring-operator"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
