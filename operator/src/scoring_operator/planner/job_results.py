"""The result of a Job, derived from its pods. Everything that is read here is untrusted.

A scorer pod has no Kubernetes token. Its result is its exit code, its termination message, and the outcome record that
it wrote to storage, which replaces a lost message. An inconsistent message is ignored; the result is then derived from
the termination state of the last pod.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from scoring_operator.api.views import PodView
from scoring_operator.contract.command import EXIT_CONFIGURATION, EXIT_TRANSIENT
from scoring_operator.contract.outcome_message import OutcomeMessage, parse_outcome_message, sanitize

PODS_DELETED = "the Job's pods are deleted"
TRANSIENT_REASONS = frozenset({"StorageUnavailable", "IdentityUnavailable", "ImagePull"})
IMAGE_PULL_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_REASON_BY_EXIT_CODE = {EXIT_CONFIGURATION: "ConfigurationInvalid", EXIT_TRANSIENT: "StorageUnavailable"}


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a Job.

    Attributes:
        message: The outcome message; None without a consistent one.
        failure_reason: The reason of the last pod's failure, if the message does not report every device.
        failure_detail: A sentence about that failure.
        missing: Whether the Job does not exist.
        started_at: The start of the first pod.
        pod_seconds: The running time of all pods.
    """

    message: OutcomeMessage | None = None
    failure_reason: str = ""
    failure_detail: str = ""
    missing: bool = False
    started_at: datetime | None = None
    pod_seconds: int = 0


def result_from_pods(pods: Iterable[PodView], device_count: int) -> JobResult:
    """Return the result of a scoring Job.

    The message is that of the newest pod with a consistent one, because a retried pod reports the devices of earlier
    pods, too. The failure is that of the last pod.

    Args:
        pods: The terminated pods of the Job.
        device_count: The number of devices of the Job.
    """
    ordered = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))
    if not ordered:
        return JobResult(failure_reason="JobLost", failure_detail=PODS_DELETED)
    starts = [start for pod in ordered if (start := _parse_time(pod.status.start_time))]
    result = JobResult(started_at=min(starts, default=None), pod_seconds=sum(map(_pod_seconds, ordered)))
    for pod in reversed(ordered):
        ended = pod.scorer.terminated
        message = parse_outcome_message(ended.message, device_count) if ended and ended.message else None
        if message is not None:
            reason, detail = ("", "") if message.is_complete_for(device_count) else _pod_failure(ordered[-1])
            return replace(result, message=message, failure_reason=reason, failure_detail=detail)
    reason, detail = _pod_failure(ordered[-1])
    return replace(result, failure_reason=reason, failure_detail=detail)


def _pod_seconds(pod: PodView) -> int:
    """Return the seconds from a pod's start, when it reserves its resources, to the end of its container."""
    ended = pod.scorer.terminated
    start, end = _parse_time(pod.status.start_time), _parse_time(ended.finished_at if ended else None)
    return max(int((end - start).total_seconds()), 0) if start and end else 0


def last_pod_failure(pods: Iterable[PodView]) -> JobResult:
    """Return the failure of a Job without an outcome message: the detail is the last line of the last pod's log.

    A pod with `terminationMessagePolicy: FallbackToLogsOnError` has the end of its log as its termination message.
    """
    last = max(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), default=None)
    if last is None:
        return JobResult(failure_reason="JobLost", failure_detail=PODS_DELETED)
    reason, detail = _pod_failure(last)
    ended = last.scorer.terminated
    lines = ended.message.strip().splitlines() if ended else []
    return JobResult(failure_reason=reason, failure_detail=_log_message(lines[-1]) if lines else detail)


def _log_message(line: str) -> str:
    """Return the message of a line of the scorer's log, or the line itself."""
    try:
        found = msgspec.json.decode(line, type=dict[str, Any]).get("message")
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    return sanitize(found if isinstance(found, str) else line)


def pending_reason(pods: Sequence[PodView]) -> tuple[str, str] | None:
    """Return the reason and the message of the first pod that cannot start, from its container or the scheduler."""
    for pod in pods:
        waiting = pod.scorer.waiting
        if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
            return waiting.reason, sanitize(waiting.message)
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return condition.reason or "Unschedulable", sanitize(condition.message)
    return None


def _pod_failure(pod: PodView) -> tuple[str, str]:
    """Return the reason and a detail of the failure of a pod without a complete message."""
    state, status = pod.scorer, pod.status
    if state.waiting and state.waiting.reason in IMAGE_PULL_REASONS:
        return "ImagePull", sanitize(state.waiting.message or state.waiting.reason)
    if status.reason in ("DeadlineExceeded", "Evicted"):
        return status.reason, sanitize(status.message or f"the pod was terminated: {status.reason}")
    if state.terminated is None:
        return "Unknown", sanitize(status.message or "the pod ended without a container state")
    if state.terminated.reason == "OOMKilled":
        return "OOMKilled", "the container ran out of memory"
    code = state.terminated.exit_code
    return _REASON_BY_EXIT_CODE.get(code, "Unknown"), f"exit code {code} without a message"


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
