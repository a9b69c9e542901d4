"""The conditions of a run, by the conventions of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus).

- Ready is Unknown while the run is active. At the end it is True if the run is Complete, and False if it Failed.
- Reconciling is True while the run is active and continues by itself.
- Stalled is True if the run does not continue by itself: a person has to remove the cause, or the run Failed.
- Waiting is True while a cause outside the run prevents progress that ends by itself.
- Complete or Failed is True after the end of the run and never reverts.

Suspended, Waiting, Stalled and Degraded are present once they have been True. Reported is present after the end.
Suspicious is True if an incident of the whole fleet opened in the run's window; it is absent otherwise.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scoring_operator.api.conditions import (
    MAX_MESSAGE_LENGTH,
    Conditions,
    find_condition,
    set_condition,
    true_condition,
)
from scoring_operator.api.formatting import plural, printable
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Plan, ReportCondition
from scoring_operator.resources.storage_names import MAX_NAME_LENGTH, invalid_names_text

MAX_NAMED_DEVICES = 3  # in the message of Degraded
_REASON_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}")  # an event may have any text as its reason


class _ConditionWriter:
    """The conditions of a status that is being built."""

    def __init__(self, status: Mapping[str, Any], generation: int, now: datetime) -> None:
        self.conditions: Conditions = [dict(one) for one in status.get("conditions") or ()]
        self._status = status
        self._generation = generation
        self._now = now

    def set(self, type_: str, *, true: bool | None, reason: str, message: str = "") -> None:
        set_condition(
            self.conditions,
            type_,
            true=true,
            reason=reason if _REASON_PATTERN.fullmatch(reason) else "Unknown",
            message=message,
            generation=self._generation,
            now=self._now,
        )

    def observe(self) -> None:
        """Mark all conditions as of this generation: `kubectl wait` ignores a condition of an earlier one."""
        for one in self.conditions:
            one["observedGeneration"] = self._generation

    def set_if_ever_true(self, type_: str, *, true: bool, reason: str, message: str = "") -> None:
        if true or find_condition(self._status, type_):
            self.set(type_, true=true, reason=reason, message=message)

    def set_end(self, condition: str, reason: str, message: str) -> None:
        """Set the conditions of a run that has ended: Complete or Failed."""
        complete = condition == "Complete"
        self.set("Ready", true=complete, reason=reason, message=message)
        self.set("Reconciling", true=False, reason=reason)
        self.set_if_ever_true("Waiting", true=False, reason=reason)
        self.set_if_ever_true("Stalled", true=not complete, reason=reason, message="" if complete else message)


def run_conditions(
    run: ScoringRun, plan: Plan, progress: Progress | None, now: datetime, message: str = ""
) -> Conditions:
    """Return the conditions of a run; a condition keeps its transition time while its status stays the same.

    Args:
        run: The run, with its last status.
        plan: The plan of this pass.
        progress: The progress after this pass.
        now: The API server's time.
        message: The state of the run as a sentence.
    """
    writer = _ConditionWriter(run.status, run.generation, now)
    if plan.report_condition:
        reported = plan.report_condition
        writer.set("Reported", true=reported.true, reason=reported.reason, message=reported.message)
        if text := _suspicion(reported):
            writer.set("Suspicious", true=True, reason="FleetIncident", message=text)
    if run.ended:  # all other conditions are permanent
        ended = true_condition(run.status, "Complete", "Failed")
        if ended and not find_condition(run.status, "Ready"):  # it ended under an earlier operator
            writer.set_end(ended.type, ended.reason, ended.message)
        writer.observe()
        return writer.conditions
    suspended = plan.phase == "Suspended"
    if plan.completion:
        end = plan.completion
        writer.set_end(end.condition, end.reason, end.message)
        writer.set_if_ever_true("Suspended", true=False, reason="Resumed")
        writer.set(end.condition, true=True, reason=end.reason, message=end.message)
        reason, text = _degraded(plan, progress)
        writer.set_if_ever_true("Degraded", true=bool(reason), reason=reason or "AllDevicesDone", message=text)
        return writer.conditions
    blocker = plan.blocker
    stalled = blocker is not None and blocker.permanent
    cause = blocker or plan.queued_for
    reason = cause.reason if cause else "Progressing" if plan.phase == "Running" else plan.phase
    writer.set("Ready", true=None, reason=reason, message=message)
    writer.set("Reconciling", true=not stalled, reason=reason, message=message)
    writer.set_if_ever_true("Suspended", true=suspended, reason="SpecSuspend" if suspended else "Resumed")
    for type_, true in (("Stalled", stalled), ("Waiting", blocker is not None and not stalled)):
        text = blocker.message if blocker and true else ""
        writer.set_if_ever_true(type_, true=true, reason=reason if true else "Progressing", message=text)
    return writer.conditions


def _suspicion(reported: ReportCondition) -> str:
    """Return the message of the condition Suspicious; an empty text if no incident of the whole fleet opened."""
    message = reported.written.message if reported.written else None
    if message is None or not message.incidents.opened_fleet:
        return ""
    return (
        "many devices turned bad in this window, which is one incident of the fleet: inspect what they share, "
        "such as ingestion, clock, models or power, before single devices"
    )


def _degraded(plan: Plan, progress: Progress | None) -> tuple[str, str]:
    """Return the reason and the message of the condition Degraded of a Complete run; two empty texts if it is not."""
    if progress is None or plan.completion is None or plan.completion.condition != "Complete":
        return "", ""
    failed, partial = progress.count("failed"), progress.count("partial")
    quarantined = progress.count("quarantined")
    without_model, devices = progress.snapshot.without_model
    invalid, names = progress.snapshot.invalid_names
    named = ", ".join(printable(device, MAX_NAME_LENGTH) for device in devices[:MAX_NAMED_DEVICES])
    found = [
        ("DevicesFailed", f"{plural(failed, 'device')} failed") if failed else None,
        ("PartlyScored", f"{plural(partial, 'device')} scored in part") if partial else None,
        ("DevicesQuarantined", f"{plural(quarantined, 'device')} in quarantine") if quarantined else None,
        ("DevicesWithoutModel", f"{plural(without_model, 'device')} with readings and without a model: {named}")
        if without_model
        else None,
        ("InvalidNames", invalid_names_text(invalid, names)) if invalid else None,
    ]
    problems = [problem for problem in found if problem]
    return (problems[0][0], "; ".join(text for _, text in problems)) if problems else ("", "")


def invalid_spec_patch(body: Mapping[str, Any], message: str, now: datetime) -> dict[str, Any] | None:
    """Return the status patch of a run whose spec this operator cannot read.

    Args:
        body: The JSON of the run.
        message: The error of the parser.
        now: The API server's time.

    Returns:
        The patch; None if the status reports the error already, or the run has ended.
    """
    old, generation = body.get("status") or {}, body["metadata"].get("generation", 1)
    writer = _ConditionWriter(old, generation, now)
    writer.set("Ready", true=False, reason="InvalidSpec", message=message)
    writer.set("Reconciling", true=False, reason="InvalidSpec")
    writer.set("Stalled", true=True, reason="InvalidSpec", message=message)
    new = {"observedGeneration": generation, "message": message[:MAX_MESSAGE_LENGTH], "conditions": writer.conditions}
    return None if "completionTime" in old or {**old, **new} == old else new
