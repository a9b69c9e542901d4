"""The conditions of a run: what programs read of its state. Pure.

Complete or Failed is True from the end on. Suspended, Stalled and Degraded are mentioned once they have held. Reported
comes with the end.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scoring_operator.api.conditions import Conditions, find_condition, set_condition
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.types import Plan


def run_conditions(run: ScoringRun, plan: Plan, now: datetime) -> Conditions:
    """The conditions of a run after this plan; they keep their transition times where their status stays."""
    found: Conditions = [dict(one) for one in run.status.get("conditions") or ()]
    generation = run.generation

    def set_(kind: str, *, true: bool | None, reason: str, message: str = "") -> None:
        set_condition(found, kind, true=true, reason=reason, message=message, generation=generation, now=now)

    def set_if_ever_true(kind: str, *, true: bool, reason: str, message: str = "") -> None:
        """What never held is not mentioned."""
        if true or find_condition(run.status, kind):
            set_(kind, true=true, reason=reason, message=message)

    if plan.reported:
        set_("Reported", true=plan.reported.true, reason=plan.reported.reason, message=plan.reported.message)
    if run.ended:  # nothing else changes any more
        return found
    suspended = plan.phase == "Suspended"
    set_if_ever_true("Suspended", true=suspended, reason="SpecSuspend" if suspended else "Resumed")
    if plan.trouble and not plan.end:
        set_("Stalled", true=True, reason=plan.trouble.reason, message=plan.trouble.message)
    else:
        set_if_ever_true("Stalled", true=False, reason="Progressing")
    if plan.end:
        set_(plan.end.condition, true=True, reason=plan.end.reason, message=plan.end.message)
        failed, partial = _degraded_counts(plan)
        message = f"{failed} devices failed and {partial} were scored only in part"
        reason = "DevicesFailed" if failed else "PartlyScored"
        set_if_ever_true("Degraded", true=bool(failed or partial), reason=reason, message=message)
    return found


def _degraded_counts(plan: Plan) -> tuple[int, int]:
    """Failed and partial devices of a run that is Complete nevertheless."""
    if plan.progress is None or plan.end is None or plan.end.condition != "Complete":
        return 0, 0
    return plan.progress.count("failed"), plan.progress.count("partial")


def invalid_spec_patch(body: Mapping[str, Any], message: str, now: datetime) -> dict[str, Any] | None:
    """What to change in the status of a run that this operator cannot read; None where it says so, or has ended."""
    old, generation = body.get("status") or {}, body["metadata"].get("generation", 1)
    conditions: Conditions = [dict(one) for one in old.get("conditions") or ()]
    set_condition(
        conditions, "Stalled", true=True, reason="InvalidSpec", message=message, generation=generation, now=now
    )
    new = {"observedGeneration": generation, "message": message[:1024], "conditions": conditions}
    return None if "completionTime" in old or {**old, **new} == old else new
