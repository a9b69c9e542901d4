"""What a Job's pods and its outcome record say about devices. Pure, and everything read here is untrusted.

A scorer pod has no Kubernetes token: its words are its exit code, its termination message and, where that was lost,
the outcome record it wrote to storage before it ended. A word that does not hold together is no word at all: the Job
is then judged by how its last pod died.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from scoring_operator.api.views import PodView
from scoring_operator.contract.command import EXIT_CONFIGURATION, EXIT_TRANSIENT
from scoring_operator.contract.outcome_message import OutcomeMessage, parse_outcome_message, sanitize

TRANSIENT_REASONS = frozenset({"StorageUnavailable", "IdentityUnavailable", "ImagePull"})
IMAGE_PULL_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_REASON_BY_EXIT_CODE = {EXIT_CONFIGURATION: "ConfigurationInvalid", EXIT_TRANSIENT: "StorageUnavailable"}


@dataclass(frozen=True, slots=True)
class JobResult:
    """What was heard on looking at a Job: its message, or how its last pod died, or that the Job is not there.

    `started` is when its first pod did; `seconds` is how long its pods ran, added up.
    """

    message: OutcomeMessage | None = None
    failure_reason: str = ""
    failure_detail: str = ""
    missing: bool = False
    started_at: datetime | None = None
    pod_seconds: int = 0


def result_from_pods(pods: Iterable[PodView], devices: int) -> JobResult:
    """What the terminal pods of one Job say.

    The newest pod with a message that holds together speaks for the Job: a retried pod repeats what earlier ones did.
    For devices it does not speak of, `death` says how the very last pod ended.
    """
    ordered = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))
    if not ordered:
        return JobResult(failure_reason="JobLost", failure_detail="the Job's pods are gone")
    starts = [start for pod in ordered if (start := _parse_time(pod.status.start_time))]
    result = JobResult(started_at=min(starts, default=None), pod_seconds=sum(map(_pod_seconds, ordered)))
    for pod in reversed(ordered):
        ended = pod.scorer.terminated
        message = parse_outcome_message(ended.message, devices) if ended and ended.message else None
        if message is not None:
            death, detail = ("", "") if message.is_complete_for(devices) else _pod_failure(ordered[-1])
            return replace(result, message=message, failure_reason=death, failure_detail=detail)
    death, detail = _pod_failure(ordered[-1])
    return replace(result, failure_reason=death, failure_detail=detail)


def _pod_seconds(pod: PodView) -> int:
    """Seconds from a pod's start, when its place on the node was taken, to the end of its container."""
    ended = pod.scorer.terminated
    start, end = _parse_time(pod.status.start_time), _parse_time(ended.finished_at if ended else None)
    return max(int((end - start).total_seconds()), 0) if start and end else 0


def last_pod_failure(pods: Iterable[PodView]) -> JobResult:
    """How the last pod of a Job ended that owes no message: what stands in its place is the end of its log."""
    last = max(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), default=None)
    if last is None:
        return JobResult(failure_reason="JobLost", failure_detail="the Job's pods are gone")
    death, detail = _pod_failure(last)
    ended = last.scorer.terminated
    lines = ended.message.strip().splitlines() if ended else []
    return JobResult(failure_reason=death, failure_detail=_log_message(lines[-1]) if lines else detail)


def _log_message(line: str) -> str:
    """A line of the scorer's log: its message, or the line as it is."""
    try:
        found = msgspec.json.decode(line, type=dict[str, Any]).get("message")
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    return sanitize(found if isinstance(found, str) else line)


def pending_reason(pods: Sequence[PodView]) -> tuple[str, str] | None:
    """The reason and message that keep pods from starting: the first container's or scheduler's complaint."""
    for pod in pods:
        waiting = pod.scorer.waiting
        if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
            return waiting.reason, sanitize(waiting.message)
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return condition.reason or "Unschedulable", sanitize(condition.message)
    return None


def _pod_failure(pod: PodView) -> tuple[str, str]:
    """The typed reason and a detail of how a pod ended that left no message."""
    state, status = pod.scorer, pod.status
    if state.waiting and state.waiting.reason in IMAGE_PULL_REASONS:
        return "ImagePull", sanitize(state.waiting.message or state.waiting.reason)
    if status.reason in ("DeadlineExceeded", "Evicted"):
        return status.reason, sanitize(status.message or f"the pod was ended: {status.reason}")
    if state.terminated is None:
        return "Unknown", sanitize(status.message or "the pod ended without its container's state")
    if state.terminated.reason == "OOMKilled":
        return "OOMKilled", "the container ran out of memory"
    code = state.terminated.exit_code
    return _REASON_BY_EXIT_CODE.get(code, "Unknown"), f"exit code {code} without a message"


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
