"""The result of a Job, derived from its pods. Everything that is read here is untrusted.

A scorer pod has no Kubernetes token. Its result is its exit code, its termination message, and the outcome record that
it wrote to storage, which replaces a lost message. An inconsistent message is ignored; the result is then derived from
the termination state of the last pod.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from scoring_operator.api.formatting import printable
from scoring_operator.api.views import JobView, PodView
from scoring_operator.contract.outcome_message import OutcomeMessage, parse_outcome_message
from scoring_operator.contract.report_message import ReportMessage, parse_report_message
from scoring_operator.planner.pod_reasons import MAX_FAILURE_LENGTH, pod_failure, running_containers, termination_text

PODS_DELETED = "the Job's pods are deleted"
TOO_MANY_PODS = "more pods have the label of the Job than the operator reads; delete the pods that no Job owns"
TRANSIENT_REASONS = frozenset({"StorageUnavailable", "IdentityUnavailable", "ImagePull"})


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a Job.

    Attributes:
        message: The outcome message; None without a consistent one.
        failure_reason: The reason of the last pod's failure, if the message does not report every device.
        failure_detail: A sentence about that failure.
        missing: Whether the Job does not exist.
        ended: Whether the scorer has ended, although the Job has not: another container keeps its pod from ending.
        provisional: Whether only the start is known: the scorer runs, or the Job may replace its pod. The Job may have
            ended since.
        started_at: The start of the first pod.
        pod_seconds: The running time of all pods.
        report: The result of a report Job; None without a consistent one.
    """

    message: OutcomeMessage | None = None
    failure_reason: str = ""
    failure_detail: str = ""
    missing: bool = False
    ended: bool = False
    provisional: bool = False
    started_at: datetime | None = None
    pod_seconds: int = 0
    report: ReportMessage | None = None


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
            reason, detail = ("", "") if message.is_complete_for(device_count) else pod_failure(ordered[-1])
            return replace(result, message=message, failure_reason=reason, failure_detail=detail)
    reason, detail = pod_failure(ordered[-1])
    return replace(result, failure_reason=reason, failure_detail=detail)


def with_job_failure(result: JobResult, job: JobView) -> JobResult:
    """Return the result with the cause of a Job's failure, if no pod says it.

    Another controller may give a Job a deadline, at which the Job controller deletes its pods.

    Args:
        result: The result from the pods of the Job.
        job: The Job.
    """
    failed = job.true_condition("Failed")
    if result.failure_detail != PODS_DELETED or failed is None:
        return result
    text = ": ".join(filter(None, (PODS_DELETED, failed.reason, failed.message)))
    return replace(result, failure_detail=printable(text, MAX_FAILURE_LENGTH))


def unfinished_result(pods: Iterable[PodView], device_count: int) -> JobResult | None:
    """Return the result of a Job that has not finished: that of its scorer, if it has ended in a pod that still runs.

    A pod that is being deleted, as in an eviction, counts only with a complete message: the Job may replace it.

    Args:
        pods: The pods of the Job.
        device_count: The number of devices of the Job.

    Returns:
        The result; only its start if the scorer runs, or its pod may be replaced; None if it has not started.
    """
    every = list(pods)
    current = [pod for pod in every if not pod.ended]
    if any(_scorer_counts(pod, device_count) for pod in current):
        return replace(result_from_pods(every, device_count), ended=True)
    if any(pod.scorer.running or pod.scorer.terminated for pod in current):
        starts = [start for pod in current if (start := _parse_time(pod.status.start_time))]
        return JobResult(started_at=min(starts, default=None), provisional=True)
    return None


def _scorer_counts(pod: PodView, device_count: int) -> bool:
    ended = pod.scorer.terminated
    if ended is None or not pod.terminating:
        return ended is not None
    message = parse_outcome_message(ended.message, device_count)
    return message is not None and message.is_complete_for(device_count)


def _pod_seconds(pod: PodView) -> int:
    """Return the seconds from a pod's start, when it reserves its resources, to the end of its container."""
    ended = pod.scorer.terminated
    start, end = _parse_time(pod.status.start_time), _parse_time(ended.finished_at if ended else None)
    return max(int((end - start).total_seconds()), 0) if start and end else 0


def report_result(pods: Iterable[PodView]) -> JobResult:
    """Return the result of a report Job: the message of its last pod, or else why this pod failed.

    A pod with `terminationMessagePolicy: FallbackToLogsOnError` has the end of its log as its termination message. The
    detail of a failure is its last line.
    """
    last = max(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), default=None)
    if last is None:
        return JobResult(failure_reason="JobLost", failure_detail=PODS_DELETED)
    ended = last.scorer.terminated
    if ended and ended.exit_code == 0:
        return JobResult(report=parse_report_message(ended.message))
    reason, detail = pod_failure(last)
    text = printable(termination_text(ended.message), MAX_FAILURE_LENGTH) if ended else ""
    return JobResult(failure_reason=reason, failure_detail=text or detail)


def unfinished_report_result(pods: Iterable[PodView]) -> JobResult | None:
    """Return the result of a report Job that has not finished, if its container has ended in a pod that still runs.

    A failure counts only next to a container that keeps the pod from ending, and not in a pod that is being deleted.
    Otherwise the Job makes another pod.
    """
    ended = [pod for pod in pods if not pod.ended and pod.scorer.terminated]
    result = replace(report_result(ended), ended=True)
    kept = any(running_containers(pod) for pod in ended if not pod.terminating)
    return result if ended and (kept or not result.failure_reason) else None


def _parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
