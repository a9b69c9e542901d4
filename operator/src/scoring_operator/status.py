"""The status of a run: counts, conditions, samples; and the events that its changes call for. Pure.

Bounded whatever the number of devices: at most 20 samples of each kind and 16 reasons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scoring_operator.decision import Observed, Plan
from scoring_operator.intervals import EMPTY
from scoring_operator.progress import Progress
from scoring_operator.scoringrun import ScoringRun, Window

OUTCOMES = ("scored", "partial", "empty", "failed", "notRun", "alreadyScored")
MOST_REASONS = 16
MOST_SAMPLES = 20

Conditions = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Event:
    """An event on the run: for a change of its state, never for a device."""

    type: str  # Normal or Warning
    reason: str
    message: str


def report(run: ScoringRun, plan: Plan, seen: Observed, now: datetime) -> dict[str, Any]:
    """The whole status of a run after this plan.

    Args:
        run: the run, with the status as last written (its conditions keep their transition times).
        plan: the plan of this pass.
        seen: what the plan was made from.
        now: the API server's time.
    """
    if run.ended:
        return {**run.status, "conditions": _conditions(run, plan, now)}
    progress = plan.progress
    status: dict[str, Any] = {
        "observedGeneration": run.generation,
        "phase": plan.phase,
        "message": _message(plan, seen),
        "window": window_text(run.spec.window),
        **_times(run, plan, now),
        "conditions": _conditions(run, plan, now),
    }
    if progress is not None:
        status |= _counts(progress, seen) | _samples(progress, seen.devices)
    if _knows_less(run, plan):
        status |= _kept(run.status, ended=plan.end is not None)
    return status


def _knows_less(run: ScoringRun, plan: Plan) -> bool:
    """Whether progress was lost and what was in it has not been found again: then the old numbers stand."""
    progress, told = plan.progress, run.status.get("devices", {})
    if progress is None:
        return True
    return progress.frozen.rebuilt and not plan.end and progress.recorded < sum(told.get(key, 0) for key in OUTCOMES)


def _kept(old: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    """The numbers as they were; after the end nothing is under way any more."""
    keys = ("devices", "withoutModel", "results", "failureReasons", "topAnomalies", "failures")
    kept = {key: old[key] for key in keys if key in old}
    if ended and (devices := kept.get("devices")):
        left = devices["pending"] + devices["active"]
        kept["devices"] = {**devices, "pending": 0, "active": 0, "notRun": devices["notRun"] + left}
    return kept


def _times(run: ScoringRun, plan: Plan, now: datetime) -> dict[str, Any]:
    """Times that have come, and how long the run took or has taken."""
    keys = ("startTime", "firstPodTime", "lastProgressTime")
    times: dict[str, Any] = {key: datetime.fromisoformat(run.status[key]) for key in keys if key in run.status}
    if plan.progress is not None:
        clock = plan.progress.clock
        found = (clock.started, clock.first_pod[0] if clock.first_pod else None, clock.progressed)
        times |= {key: time for key, time in zip(keys, found, strict=True) if time}
    elif plan.discover:
        times.setdefault("startTime", now)
    if plan.end:
        times["completionTime"] = plan.end.time
    start = times.get("startTime")
    written = {key: time_text(time) for key, time in times.items() if time}
    if start:
        written["duration"] = duration_text((plan.end.time if plan.end else now) - start)
    return written


def _message(plan: Plan, seen: Observed) -> str:
    progress = plan.progress
    if plan.end:
        return plan.end.message[:1024]
    if plan.phase == "Queued":
        return f"waits for run {seen.ahead} to end"
    if progress is None:
        return "suspended before it began" if plan.phase == "Suspended" else "listing the fleet's devices"
    done = f"{progress.recorded} of {progress.total} devices done"
    return f"{done}; {plan.trouble.message}"[:1024] if plan.trouble else done


def _counts(progress: Progress, seen: Observed) -> dict[str, Any]:
    """Devices by outcome, adding up to total; sums; reasons."""
    active = sum(len(batch.positions) for name, batch in progress.open.items() if seen.has_job(name))
    devices = {outcome: progress.count(outcome) for outcome in OUTCOMES}
    results = progress.results
    count, samples = progress.frozen.without_model
    return {
        "devices": {
            "total": progress.total,
            "pending": progress.total - progress.recorded - active,
            "active": active,
            **devices,
        },
        "withoutModel": {"count": count, "samples": list(samples[:MOST_SAMPLES])},
        "results": {
            "rows": results.rows,
            "badRows": results.bad_rows,
            "unscoredRows": results.unscored_rows,
            "anomalies": results.anomalies,
            "anomalousDevices": results.anomalous_devices,
        },
        "failureReasons": _reasons({reason: len(found) for reason, found in progress.reasons.items() if found}),
    }


def _reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """At most 16 keys, the rarest ones joined under Other."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MOST_REASONS:
        return dict(ordered)
    kept = dict(ordered[: MOST_REASONS - 1])
    kept["Other"] = kept.get("Other", 0) + sum(count for _, count in ordered[MOST_REASONS - 1 :])
    return kept


def _samples(progress: Progress, devices: Sequence[str]) -> dict[str, Any]:
    """The most anomalous devices, and some that failed, by name."""

    def device(position: int) -> str:
        return devices[position] if position < len(devices) else f"#{position}"

    failed = progress.outcomes.get("failed", EMPTY) | progress.outcomes.get("partial", EMPTY)
    return {
        "topAnomalies": [{"device": device(at), "rows": rows, "anomalies": n} for at, rows, n in progress.top],
        "failures": [
            {"device": device(at), "reason": reason, "message": message or reason}
            for at, reason, message in progress.samples
            if at in failed
        ][:MOST_SAMPLES],
    }


def _conditions(run: ScoringRun, plan: Plan, now: datetime) -> Conditions:
    conditions: Conditions = [dict(condition) for condition in run.status.get("conditions") or ()]
    generation = run.generation

    def say(kind: str, *, true: bool | None, reason: str, message: str = "") -> None:
        set_condition(conditions, kind, true=true, reason=reason, message=message, generation=generation, now=now)

    def say_of_state(kind: str, *, true: bool, reason: str, message: str = "") -> None:
        """What never held is not mentioned."""
        if true or condition(run.status, kind):
            say(kind, true=true, reason=reason, message=message)

    if plan.reported:
        say("Reported", true=plan.reported.true, reason=plan.reported.reason, message=plan.reported.message)
    if run.ended:  # nothing else changes any more
        return conditions
    suspended = plan.phase == "Suspended"
    say_of_state("Suspended", true=suspended, reason="SpecSuspend" if suspended else "Resumed")
    if plan.trouble and not plan.end:
        say("Stalled", true=True, reason=plan.trouble.reason, message=plan.trouble.message)
    else:
        say_of_state("Stalled", true=False, reason="Progressing")
    if plan.end:
        say(plan.end.condition, true=True, reason=plan.end.reason, message=plan.end.message)
        failed, partial = _shortfall(plan)
        message = f"{failed} devices failed and {partial} were scored only in part"
        reason = "DevicesFailed" if failed else "PartlyScored"
        say_of_state("Degraded", true=bool(failed or partial), reason=reason, message=message)
    return conditions


def _shortfall(plan: Plan) -> tuple[int, int]:
    """Failed and partial devices of a run that is Complete nevertheless."""
    if plan.progress is None or plan.end is None or plan.end.condition != "Complete":
        return 0, 0
    return plan.progress.count("failed"), plan.progress.count("partial")


def unreadable(body: Mapping[str, Any], message: str, now: datetime) -> dict[str, Any] | None:
    """What to change in the status of a run that this operator cannot read; None where it says so, or has ended."""
    old, generation = body.get("status") or {}, body["metadata"].get("generation", 1)
    conditions: Conditions = [dict(one) for one in old.get("conditions") or ()]
    set_condition(
        conditions, "Stalled", true=True, reason="Unreadable", message=message, generation=generation, now=now
    )
    new = {"observedGeneration": generation, "message": message[:1024], "conditions": conditions}
    return None if "completionTime" in old or {**old, **new} == old else new


def set_condition(
    conditions: Conditions, kind: str, *, true: bool | None, reason: str, message: str, generation: int, now: datetime
) -> None:
    """Set one condition (`true` None: Unknown); its transition time moves only when its status flips."""
    status = "Unknown" if true is None else str(bool(true))
    old = next((condition for condition in conditions if condition["type"] == kind), None)
    flipped = old is None or old.get("status") != status
    entry = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message[:1024],
        "observedGeneration": generation,
        "lastTransitionTime": time_text(now) if flipped or old is None else old["lastTransitionTime"],
    }
    if old is None:
        conditions.append(entry)
    else:
        old.update(entry)


def differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a status is worth writing: a duration that has merely grown is not."""
    return {**old, "duration": None} != {**new, "duration": None}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that turns one status into another: what is gone has to be named as null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch


def events(old: Mapping[str, Any], plan: Plan, new: Mapping[str, Any]) -> list[Event]:
    """The events that a change of status calls for; to be sent once the new status is written."""
    found: list[Event] = []
    if old.get("phase") != new["phase"]:
        bad = bool(plan.end and plan.end.condition == "Failed")
        found.append(
            Event("Warning" if bad else "Normal", plan.end.reason if plan.end else new["phase"], new["message"])
        )
    before, after = _true(old, "Stalled"), _true(new, "Stalled")
    if after and (not before or before["reason"] != after["reason"]):
        found.append(Event("Warning", "Stalled", f"{after['reason']}: {after['message']}"))
    if not _true(old, "Degraded") and (degraded := _true(new, "Degraded")):
        found.append(Event("Warning", "Degraded", degraded["message"]))
    if plan.slow:
        message = "at the pace seen the run will take longer than its window; raise parallelism or devicesPerJob"
        found.append(Event("Warning", "TooSlow", message))
    return found


def _true(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    found = condition(status, kind)
    return found if found and found["status"] == "True" else None


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of this type in a status; None where there is none."""
    return next((found for found in status.get("conditions") or () if found["type"] == kind), None)


def time_text(time: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration_text(duration: timedelta) -> str:
    """A duration as kubectl writes ages: 45s, 12m5s, 1h3m."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60}m"


def window_text(window: Window) -> str:
    """A window for the column: its start and its length."""
    hours, seconds = divmod(int(window.length.total_seconds()), 3600)
    minutes, rest = divmod(seconds, 60)
    parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{rest}s" * bool(rest)]
    return f"{window.start.astimezone(UTC):%Y-%m-%dT%H:%MZ}/{''.join(parts)}"
