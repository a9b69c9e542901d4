"""The reason that a pod does not run, that none is created, or that one crashes again and again."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from fleetscore.texts import printable

STARTING_REASONS = ("", "ContainerCreating", "PodInitializing")
MIN_RESTARTS = 3
"""Restarts of a container from which on it counts as crashing, if the last one is recent."""

RECENT = timedelta(hours=1)
MAX_CHARS = 200


def pod_blocker(pod: Mapping[str, Any]) -> str:
    """Return the reason that a pod does not run: its waiting container, or its condition; empty if it runs."""
    status = pod.get("status") or {}
    for container in _containers(status):
        waiting = _state(container).get("waiting") or {}
        if waiting.get("reason", "") not in STARTING_REASONS:
            text = waiting.get("message")
            if waiting["reason"] == "CrashLoopBackOff" and (ended := _last_end(container)):
                text = f"container {container.get('name', '')} ended with {_termination(ended)}"
            return _sentence(waiting["reason"], text)
    for container in _containers(status):
        ended = _state(container).get("terminated") or {}
        if ended and (container in (status.get("containerStatuses") or []) or ended.get("exitCode")):
            return _sentence(ended.get("reason"), last_line(ended.get("message")))
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _sentence(condition.get("reason"), condition.get("message"))
    return _sentence(status.get("reason"), status.get("message"))


def first_blocker(pods: Iterable[Mapping[str, Any]]) -> str:
    """Return the first reason of pods that do not run; the newest pods first, and those that ended last."""
    ordered = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    ordered.sort(key=lambda pod: (pod.get("status") or {}).get("phase") == "Failed")
    live = (pod for pod in ordered if not pod["metadata"].get("deletionTimestamp"))
    return next(filter(None, map(pod_blocker, live)), "")


def pod_restarts(pod: Mapping[str, Any], now: datetime | None) -> str:
    """Return a sentence about a container that crashes again and again; empty if there is none.

    Args:
        pod: The pod.
        now: The time of the API server; None if it is unknown.
    """
    for container in _containers(pod.get("status") or {}):
        ended, count = _last_end(container), container.get("restartCount") or 0
        finished = ended.get("finishedAt")
        if count >= MIN_RESTARTS and finished and now and now - datetime.fromisoformat(finished) < RECENT:
            return f"container {container.get('name', '')} restarted {count} times, last after {_termination(ended)}"
    return ""


def deployment_blocker(deployment: Mapping[str, Any]) -> str:
    """Return the reason that a Deployment has no pods, or that its rollout does not end; empty without one."""
    conditions = (deployment.get("status") or {}).get("conditions") or []
    for type_, bad in (("ReplicaFailure", "True"), ("Progressing", "False")):
        for one in conditions:
            if one.get("type") == type_ and one.get("status") == bad:
                return _sentence(one.get("reason"), one.get("message"))
    return ""


def job_has_ended(job: Mapping[str, Any]) -> bool:
    """Return True if a Job has succeeded or failed."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one.get("type") in ("Complete", "Failed") and one.get("status") == "True" for one in conditions)


def job_failure(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> str:
    """Return the reason that a Job failed or that its pod does not start; empty without one.

    Args:
        job: The Job.
        pods: Its pods.
        events: Its events.
    """
    status, listed = job.get("status") or {}, list(pods)
    conditions = {one.get("type"): one for one in status.get("conditions") or [] if one.get("status") == "True"}
    if "Complete" in conditions or status.get("succeeded"):
        return ""
    last = first_blocker(listed)
    if failed := conditions.get("Failed"):
        return "; ".join(filter(None, (_sentence(failed.get("reason"), failed.get("message")), last)))
    if last or listed:
        return last
    warnings = [one for one in events if one.get("type") == "Warning"]
    latest = max(warnings, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default=None)
    return _sentence(latest.get("reason"), latest.get("message")) if latest else ""


def last_line(message: object) -> str:
    """Return the last line of a log, or the message in it if the line is a JSON object."""
    lines = str(message or "").strip().splitlines()
    if not lines:
        return ""
    try:
        found = json.loads(lines[-1])["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return lines[-1]
    return str(found)


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _state(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return container.get("state") or {}


def _last_end(container: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (container.get("lastState") or {}).get("terminated") or {}
    return found


def _termination(ended: Mapping[str, Any]) -> str:
    reason = ended.get("reason")
    code = f"exit code {ended.get('exitCode')}" + (f" ({reason})" if reason not in (None, "", "Error") else "")
    return ": ".join(filter(None, (code, last_line(ended.get("message")))))


def _sentence(reason: object, text: object) -> str:
    return ": ".join(filter(None, (printable(reason), printable(text, max_chars=MAX_CHARS))))
