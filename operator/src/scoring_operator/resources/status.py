"""The status of a run: times, counts, samples; its conditions stand in `conditions`. Pure.

Bounded whatever the number of devices: at most 20 samples of each kind and 16 reasons.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from scoring_operator.api.formatting import format_duration, format_time, format_window
from scoring_operator.api.intervals import EMPTY
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Progress
from scoring_operator.planner.types import Observation, Plan
from scoring_operator.resources.run_conditions import run_conditions

OUTCOMES = ("scored", "partial", "empty", "failed", "notRun", "alreadyScored")
MAX_REASONS = 16
MAX_SAMPLES = 20


def build_status(run: ScoringRun, plan: Plan, observation: Observation, now: datetime) -> dict[str, Any]:
    """The whole status of a run after this plan.

    Args:
        run: the run, with the status as last written (its conditions keep their transition times).
        plan: the plan of this pass.
        seen: what the plan was made from.
        now: the API server's time.
    """
    if run.ended:
        return {**run.status, "conditions": run_conditions(run, plan, now)}
    progress = plan.progress
    status: dict[str, Any] = {
        "observedGeneration": run.generation,
        "phase": plan.phase,
        "message": _message(plan, observation),
        "window": format_window(run.spec.window),
        **_times(run, plan, now),
        "conditions": run_conditions(run, plan, now),
    }
    if progress is not None:
        status |= _counts(progress, observation) | _samples(progress, observation.devices)
    if _progress_was_lost(run, plan):
        status |= _preserved_counts(run.status, ended=plan.end is not None)
    return status


def _progress_was_lost(run: ScoringRun, plan: Plan) -> bool:
    """Whether progress was lost and what was in it has not been found again: then the old numbers stand."""
    progress, previous = plan.progress, run.status.get("devices", {})
    if progress is None:
        return True
    return (
        progress.snapshot.rebuilt and not plan.end and progress.recorded < sum(previous.get(key, 0) for key in OUTCOMES)
    )


def _preserved_counts(previous: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    """The numbers as they were; after the end nothing is under way any more."""
    keys = ("devices", "withoutModel", "results", "podSeconds", "failureReasons", "topAnomalies", "failures")
    kept = {key: previous[key] for key in keys if key in previous}
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
        clock_times = (clock.started, clock.first_pod[0] if clock.first_pod else None, clock.progressed)
        times |= {key: time for key, time in zip(keys, clock_times, strict=True) if time}
    elif plan.discover:
        times.setdefault("startTime", now)
    if plan.end:
        times["completionTime"] = plan.end.time
    start = times.get("startTime")
    written = {key: format_time(time) for key, time in times.items() if time}
    if start:
        written["duration"] = format_duration((plan.end.time if plan.end else now) - start)
    return written


def _message(plan: Plan, observation: Observation) -> str:
    progress = plan.progress
    if plan.end:
        return plan.end.message[:1024]
    if plan.phase == "Queued":
        return f"waits for run {observation.ahead} to end"
    if progress is None:
        return "suspended before it began" if plan.phase == "Suspended" else "listing the fleet's devices"
    done = f"{progress.recorded} of {progress.total} devices done"
    return f"{done}; {plan.trouble.message}"[:1024] if plan.trouble else done


def _counts(progress: Progress, observation: Observation) -> dict[str, Any]:
    """Devices by outcome, adding up to total; sums; reasons."""
    active = sum(len(batch.positions) for name, batch in progress.open_batches.items() if observation.has_job(name))
    devices = {outcome: progress.count(outcome) for outcome in OUTCOMES}
    results = progress.results
    count, samples = progress.snapshot.without_model
    return {
        "devices": {
            "total": progress.total,
            "pending": progress.total - progress.recorded - active,
            "active": active,
            **devices,
        },
        "withoutModel": {"count": count, "samples": list(samples[:MAX_SAMPLES])},
        "results": {
            "rows": results.rows,
            "badRows": results.bad_rows,
            "unscoredRows": results.unscored_rows,
            "anomalies": results.anomalies,
            "anomalousDevices": results.anomalous_devices,
        },
        "podSeconds": progress.pod_seconds,
        "failureReasons": _most_frequent_reasons(
            {reason: len(found) for reason, found in progress.reasons.items() if found}
        ),
    }


def _most_frequent_reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """At most 16 keys, the rarest ones joined under Other."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MAX_REASONS:
        return dict(ordered)
    kept = dict(ordered[: MAX_REASONS - 1])
    kept["Other"] = kept.get("Other", 0) + sum(count for _, count in ordered[MAX_REASONS - 1 :])
    return kept


def _samples(progress: Progress, devices: Sequence[str]) -> dict[str, Any]:
    """The most anomalous devices, and some that failed, by name."""

    def device(position: int) -> str:
        return devices[position] if position < len(devices) else f"#{position}"

    failed = progress.outcomes.get("failed", EMPTY) | progress.outcomes.get("partial", EMPTY)
    return {
        "topAnomalies": [
            {"device": device(at), "rows": rows, "anomalies": n} for at, rows, n in progress.top_anomalies
        ],
        "failures": [
            {"device": device(at), "reason": reason, "message": message or reason}
            for at, reason, message in progress.failure_samples
            if at in failed
        ][:MAX_SAMPLES],
    }


def needs_update(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a status is worth writing: a duration that has merely grown is not."""
    return {**old, "duration": None} != {**new, "duration": None}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that turns one status into another: what is gone has to be named as null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch
