"""The conditions of a run.

Complete or Failed is True after the end of the run and never reverts. Suspended, Stalled and Degraded are present once
they have been True. Reported is present after the end.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scoring_operator.api.conditions import MAX_MESSAGE_LENGTH, Conditions, find_condition, set_condition
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Plan


def run_conditions(run: ScoringRun, plan: Plan, progress: Progress | None, now: datetime) -> Conditions:
    """Return the conditions of a run; a condition keeps its transition time while its status stays the same.

    Args:
        run: The run, with its last status.
        plan: The plan of this pass.
        progress: The progress after this pass.
        now: The API server's time.
    """
    conditions: Conditions = [dict(one) for one in run.status.get("conditions") or ()]
    generation = run.generation

    def set_(type_: str, *, true: bool | None, reason: str, message: str = "") -> None:
        set_condition(conditions, type_, true=true, reason=reason, message=message, generation=generation, now=now)

    def set_if_ever_true(type_: str, *, true: bool, reason: str, message: str = "") -> None:
        if true or find_condition(run.status, type_):
            set_(type_, true=true, reason=reason, message=message)

    if plan.report_condition:
        set_(
            "Reported",
            true=plan.report_condition.true,
            reason=plan.report_condition.reason,
            message=plan.report_condition.message,
        )
    if run.ended:  # all other conditions are permanent
        return conditions
    suspended = plan.phase == "Suspended"
    set_if_ever_true("Suspended", true=suspended, reason="SpecSuspend" if suspended else "Resumed")
    if plan.blocker and not plan.completion:
        set_("Stalled", true=True, reason=plan.blocker.reason, message=plan.blocker.message)
    else:
        set_if_ever_true("Stalled", true=False, reason="Progressing")
    if plan.completion:
        set_(plan.completion.condition, true=True, reason=plan.completion.reason, message=plan.completion.message)
        failed, partial = _degraded_counts(plan, progress)
        message = f"{failed} devices failed and {partial} were scored in part"
        reason = "DevicesFailed" if failed else "PartlyScored"
        set_if_ever_true("Degraded", true=bool(failed or partial), reason=reason, message=message)
    return conditions


def _degraded_counts(plan: Plan, progress: Progress | None) -> tuple[int, int]:
    """Return the numbers of failed and partial devices of a Complete run."""
    if progress is None or plan.completion is None or plan.completion.condition != "Complete":
        return 0, 0
    return progress.count("failed"), progress.count("partial")


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
    conditions: Conditions = [dict(one) for one in old.get("conditions") or ()]
    set_condition(
        conditions, "Stalled", true=True, reason="InvalidSpec", message=message, generation=generation, now=now
    )
    new = {"observedGeneration": generation, "message": message[:MAX_MESSAGE_LENGTH], "conditions": conditions}
    return None if "completionTime" in old or {**old, **new} == old else new
