"""The reason that a pod does not run, that none is created, or that one crashes again and again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetscore.doctor.pods import deployment_blocker, first_blocker, job_failure, last_line, pod_blocker, pod_restarts

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
CRASHED = {
    "name": "operator",
    "restartCount": 7,
    "lastState": {
        "terminated": {
            "exitCode": 2,
            "reason": "Error",
            "finishedAt": "2026-01-05T11:58:00Z",
            "message": '{"level":"info","message":"starts"}\n{"level":"error","message":"the fleets file is invalid"}',
        }
    },
}
IMAGE = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no image"}}}]}


@pytest.mark.parametrize(
    ("status", "blocker"),
    [
        ({}, ""),
        ({"containerStatuses": [{"state": {"running": {}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}]},
            "ErrImagePull: no",
        ),
        ({"containerStatuses": [{"state": {"terminated": {"reason": "Error"}}}]}, "Error"),
        (
            {"containerStatuses": [{**CRASHED, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}}]},
            "CrashLoopBackOff: container operator ended with exit code 2: the fleets file is invalid",
        ),
        ({"initContainerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}, "ErrImagePull"),
        ({"initContainerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}, ""),
        (
            {"initContainerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "Evicted: low on memory"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
            "Unschedulable",
        ),
    ],
    ids=[
        "none", "running", "waiting", "terminated", "crash", "init-waiting", "init-ended", "init-failed", "creating",
        "evicted", "unschedulable",
    ],
)  # fmt: skip
def test_blocker_of_a_pod_is_its_reason(status: dict[str, Any], blocker: str) -> None:
    assert pod_blocker({"status": status}) == blocker


def a_pod(status: dict[str, Any], created: str = "2026-01-05T11:00:00Z", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"creationTimestamp": created, **metadata}, "status": status}


def test_newest_live_pod_has_the_reason() -> None:
    old = a_pod({"phase": "Failed", "reason": "Evicted"}, "2026-01-05T11:30:00Z")
    deleted = a_pod({"phase": "Running", "reason": "NodeLost"}, deletionTimestamp="2026-01-05T11:59:00Z")
    assert first_blocker([old, deleted, a_pod(IMAGE)]) == "ImagePullBackOff: no image"
    assert first_blocker([old, deleted]) == "Evicted"
    assert first_blocker([]) == ""


def test_pod_that_restarts_again_and_again_is_a_crash() -> None:
    pod = a_pod({"containerStatuses": [CRASHED]})
    text = "container operator restarted 7 times, last after exit code 2: the fleets file is invalid"
    assert pod_restarts(pod, NOW) == text
    assert pod_restarts(pod, NOW + timedelta(hours=3)) == ""
    assert pod_restarts(pod, None) == ""
    assert pod_restarts(a_pod({"containerStatuses": [{**CRASHED, "restartCount": 1}]}), NOW) == ""


def test_blocker_of_a_deployment_is_its_condition() -> None:
    healthy = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert deployment_blocker({"status": {"conditions": [healthy]}}) == ""
    assert deployment_blocker({"status": {"conditions": [late, failure]}}) == "FailedCreate: exceeded quota: q"
    assert deployment_blocker({"status": {"conditions": [late]}}) == "ProgressDeadlineExceeded: timed out"
    assert deployment_blocker({}) == ""


FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit"}]}
EVENTS = [
    {"type": "Normal", "reason": "SuccessfulCreate", "lastTimestamp": "2026-01-05T11:59:00Z"},
    {"type": "Warning", "reason": "Old", "lastTimestamp": "2026-01-05T11:00:00Z"},
    {"type": "Warning", "reason": "FailedCreate", "message": "no account", "lastTimestamp": "2026-01-05T11:30:00Z"},
]


@pytest.mark.parametrize(
    ("status", "pods", "events", "text"),
    [
        (FAILED, [], [], "BackoffLimitExceeded: limit"),
        (FAILED, [a_pod(IMAGE)], [], "BackoffLimitExceeded: limit; ImagePullBackOff: no image"),
        ({"active": 1}, [a_pod(IMAGE)], EVENTS, "ImagePullBackOff: no image"),
        ({"active": 1}, [a_pod({"phase": "Running"})], EVENTS, ""),
        ({"active": 0}, [], EVENTS, "FailedCreate: no account"),
        ({"active": 0}, [], EVENTS[:1], ""),
        ({"succeeded": 1}, [], EVENTS, ""),
        ({"conditions": [{"type": "Complete", "status": "True"}]}, [], EVENTS, ""),
    ],
    ids=["failed", "failed-pod", "waits", "runs", "no-pod", "no-warning", "succeeded", "complete"],
)
def test_failure_of_a_job_has_its_cause(status: Any, pods: list[Any], events: list[Any], text: str) -> None:
    assert job_failure({"status": status}, pods, events) == text


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (None, ""),
        ("a\nb\n", "b"),
        ('{"message": "m"}', "m"),
        ("[1]", "[1]"),
        ("{", "{"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=["none", "lines", "json", "list", "broken", "deep"],
)
def test_last_line_of_a_log_is_its_message(message: object, line: str) -> None:
    assert last_line(message) == line
