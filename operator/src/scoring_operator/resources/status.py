"""The status of a run: times, counters and samples; the conditions are in run_conditions.

The size is bounded, whatever the number of devices: at most 20 samples of each kind and 16 reasons.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from scoring_operator.api.conditions import MAX_MESSAGE_LENGTH
from scoring_operator.api.formatting import format_duration, format_time, plural, printable
from scoring_operator.api.intervals import EMPTY
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner import canary
from scoring_operator.planner.pod_reasons import MAX_FAILURE_LENGTH
from scoring_operator.planner.progress import OUTCOMES, Progress
from scoring_operator.planner.progress_document import MAX_SAMPLES
from scoring_operator.planner.types import JobSnapshot, Observation, Plan
from scoring_operator.planner.waiting import waits_for_run
from scoring_operator.resources.report_fields import report_fields
from scoring_operator.resources.run_conditions import run_conditions

MAX_NAME_LENGTH = 200  # characters of the name of a blob
MAX_PROBLEM_LENGTH = 1000
MAX_REASONS = 16  # as in the schema of the CRD
_MESSAGES_WITHOUT_PROGRESS = {"Suspended": "suspended before it began", "Pending": "listing the fleet's devices"}


def build_status(run: ScoringRun, plan: Plan, observation: Observation, now: datetime) -> dict[str, Any]:
    """Return the whole status of a run.

    Args:
        run: The run, with its last status; conditions keep their transition times.
        plan: The plan of this pass.
        observation: The observation of this pass.
        now: The API server's time.
    """
    progress = observation.state.progress if plan.progress is None else plan.progress
    message = _message(plan, progress, observation)
    conditions = run_conditions(run, plan, progress, now, message)
    if run.ended:
        known = {**run.status, "observedGeneration": run.generation, "conditions": conditions}
        return known | report_fields(plan.report_condition)
    status: dict[str, Any] = {
        "observedGeneration": run.generation,
        "phase": plan.phase,
        "message": message,
        "window": run.spec.window.column,
        **_times(run, plan, progress, now, missing=observation.state.missing),
        "conditions": conditions,
    }
    if progress is not None:
        status |= _counts(progress, observation.jobs, observation.state.devices) | _samples(
            progress, observation.state.devices
        )
    ended = plan.completion is not None
    if _progress_was_lost(run, progress, ended=ended):
        status |= _preserved_counts(run.status, ended=ended)
    return status


def build_blocked_status(run: ScoringRun, plan: Plan, now: datetime) -> dict[str, Any]:
    """Return the status of an active run whose passes fail. Its counters and times stay as they are.

    Args:
        run: The run, with its last status; conditions keep their transition times.
        plan: A plan that has only the phase and the blocker.
        now: The API server's time.
    """
    message = _message_with_blocker(_MESSAGES_WITHOUT_PROGRESS.get(plan.phase, ""), plan)
    return {
        "window": run.spec.window.column,
        **run.status,
        "observedGeneration": run.generation,
        "phase": plan.phase,
        "message": message,
        "conditions": run_conditions(run, plan, None, now, message),
    }


def _progress_was_lost(run: ScoringRun, progress: Progress | None, *, ended: bool) -> bool:
    """Return True if progress was lost and has not been rebuilt yet. The previous counters are then kept."""
    if progress is None:
        return True
    previous = run.status.get("devices", {})
    rebuilding = progress.snapshot.rebuilt and not ended
    return rebuilding and progress.recorded < sum(previous.get(key, 0) for key in OUTCOMES)


def _preserved_counts(previous: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
    """Return the previous counters; after the end of the run, unfinished devices are counted as notRun."""
    keys = (
        "devices",
        "withoutModel",
        "invalidNames",
        "quarantined",
        "results",
        "podSeconds",
        "failureReasons",
        "topAnomalies",
        "failures",
    )
    kept = {key: previous[key] for key in keys if key in previous}
    if ended and (devices := kept.get("devices")):
        left = sum(devices.get(key, 0) for key in ("pending", "active", "notRun"))
        kept["devices"] = {**devices, "pending": 0, "active": 0, "notRun": left}
    return kept


def _times(run: ScoringRun, plan: Plan, progress: Progress | None, now: datetime, *, missing: bool) -> dict[str, Any]:
    """Return the times of the run, and its duration up to its end or now."""
    keys = ("startTime", "firstPodTime", "lastProgressTime")
    times: dict[str, Any] = {key: datetime.fromisoformat(run.status[key]) for key in keys if key in run.status}
    if progress is not None:
        clock = progress.clock
        clock_times = (clock.started, clock.first_pod[0] if clock.first_pod else None, clock.progressed)
        times |= {key: time for key, time in zip(keys, clock_times, strict=True) if time}
    elif plan.discover_devices:
        times.setdefault("startTime", now)
    elif not (missing or plan.completion):  # it waits again after a failed listing of its devices
        times.pop("startTime", None)
    if plan.completion:
        times["completionTime"] = plan.completion.time
    start = times.get("startTime")
    written = {key: format_time(time) for key, time in times.items() if time}
    if start:
        written["duration"] = format_duration((plan.completion.time if plan.completion else now) - start)
    return written


def _message(plan: Plan, progress: Progress | None, observation: Observation) -> str:
    if plan.completion:
        return plan.completion.message[:MAX_MESSAGE_LENGTH]
    if plan.phase == "Queued":
        return (plan.blocker or plan.queued_for or waits_for_run(observation)).message[:MAX_MESSAGE_LENGTH]
    if progress is not None:
        done = f"{progress.recorded} of {plural(progress.total, 'device')} done"
        state = "; ".join(filter(None, (done, canary.describe(progress))))
    else:
        state = _MESSAGES_WITHOUT_PROGRESS.get(plan.phase, "")
    if plan.blocker:
        return _message_with_blocker(state, plan)
    if progress and plan.phase == "Running" and _waits_for_slots(progress, observation):
        return f"{state}; waiting for other runs, because all runs together have operator.maxActiveJobs Jobs"
    return state


def _message_with_blocker(state: str, plan: Plan) -> str:
    return "; ".join(filter(None, (state, plan.blocker.message if plan.blocker else "")))[:MAX_MESSAGE_LENGTH]


def _waits_for_slots(progress: Progress, observation: Observation) -> bool:
    """Return True if the run has no Job, and could have one if the operator's limit allowed it."""
    exists = observation.jobs.exists
    return not observation.allocation.slots and not any(exists(name) for name in progress.open_batches)


def _counts(progress: Progress, jobs: JobSnapshot, device_ids: Sequence[str]) -> dict[str, Any]:
    """Return the counters: devices by outcome, which add up to the total, sums over their results, and reasons."""
    active = sum(len(batch.positions) for name, batch in progress.open_batches.items() if jobs.exists(name))
    devices = {outcome: progress.count(outcome) for outcome in OUTCOMES}
    results = progress.results
    count, samples = progress.snapshot.without_model
    without_model = [printable(device, MAX_NAME_LENGTH) for device in samples[:MAX_SAMPLES]]
    return {
        "devices": {
            "total": progress.total,
            "pending": progress.total - progress.recorded - active,
            "active": active,
            **devices,
        },
        "withoutModel": {"count": count, "samples": without_model},
        **_invalid_names(progress),
        **_quarantined(progress, device_ids),
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


def _invalid_names(progress: Progress) -> dict[str, Any]:
    """Return the names of blobs that denote no device, if there are any."""
    count, samples = progress.snapshot.invalid_names
    names = [printable(name, MAX_NAME_LENGTH) for name in samples[:MAX_SAMPLES]]
    return {"invalidNames": {"count": count, "samples": names}} if count else {}


def _quarantined(progress: Progress, device_ids: Sequence[str]) -> dict[str, Any]:
    """Return the devices in quarantine, and why the history could not decide about them, if there is any."""
    positions, problem = progress.outcomes.get("quarantined", EMPTY), progress.snapshot.history_problem
    if not positions and not problem:
        return {}
    samples = [device_ids[at] for at in islice(positions, MAX_SAMPLES) if at < len(device_ids)]
    found: dict[str, Any] = {"count": len(positions), "samples": samples}
    return {"quarantined": found | ({"problem": printable(problem, MAX_PROBLEM_LENGTH)} if problem else {})}


def _most_frequent_reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """Return at most 16 counters; the rarest reasons are joined under Other."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) <= MAX_REASONS:
        return dict(ordered)
    kept = dict(ordered[: MAX_REASONS - 1])
    kept["Other"] = kept.get("Other", 0) + sum(count for _, count in ordered[MAX_REASONS - 1 :])
    return kept


def _samples(progress: Progress, devices: Sequence[str]) -> dict[str, Any]:
    """Return the most anomalous devices and some failed ones, by id."""

    def device(position: int) -> str:
        return devices[position] if position < len(devices) else f"#{position}"

    failed = progress.outcomes.get("failed", EMPTY) | progress.outcomes.get("partial", EMPTY)
    return {
        "topAnomalies": [
            {"device": device(at), "rows": rows, "anomalies": n} for at, rows, n in progress.top_anomalies
        ],
        "failures": [
            {"device": device(at), "reason": reason, "message": printable(message or reason, MAX_FAILURE_LENGTH)}
            for at, reason, message in progress.failure_samples
            if at in failed
        ][:MAX_SAMPLES],
    }


def needs_update(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return True if a status differs in more than its duration."""
    return {**old, "duration": None} != {**new, "duration": None}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch between two statuses (RFC 7396): a key that is removed is null."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch


def json_patch(run: ScoringRun, new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch that replaces a status, if the spec and the status are still the given ones (RFC 6902).

    A change of metadata does not change the generation (status subresource of custom resources, Kubernetes
    documentation). So this patch does not conflict with it. A patch with a resource version does.

    Args:
        run: The run as last read.
        new: The new status.
    """
    expected = {"/metadata/uid": run.uid, "/metadata/generation": run.generation, "/status": run.status or None}
    tests = [{"op": "test", "path": path, "value": value} for path, value in expected.items()]
    return [*tests, {"op": "add", "path": "/status", "value": new}]
