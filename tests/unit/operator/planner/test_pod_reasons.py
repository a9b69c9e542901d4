from typing import Any

import msgspec
import pytest
from msgspec import structs

from scoring_operator.api.conditions import Condition
from scoring_operator.api.views import EventView, InitContainerView, PodSpecView, PodStatusView, PodView, SchedulingGate
from scoring_operator.planner.pod_reasons import (
    event_reason,
    is_explained,
    is_permanent,
    pod_failure,
    running_containers,
    unexplained_reason,
    waiting_reason,
)
from tests.testkit.builders import a_container, a_message, a_pod, a_pod_of

STARTING = a_container(waiting="PodInitializing")
PULL = 'failed to pull and unpack image "registry.example.com/scorer:nope"'


@pytest.mark.parametrize(
    ("pod", "reason", "message"),
    [
        (a_pod_of(a_container(waiting="CreateContainerConfigError", message='secret "s" not found')),
         "CreateContainerConfigError", 'secret "s" not found'),
        (a_pod_of(a_container(waiting="ErrImagePull", message=PULL)), "ImagePullBackOff", PULL),
        (a_pod_of(STARTING, a_container("mesh-proxy", waiting="ImagePullBackOff", message="denied")),
         "ImagePullBackOff", "container 'mesh-proxy': denied"),
        (a_pod_of(STARTING, init=[a_container("mesh-init", waiting="CrashLoopBackOff", message="back-off")]),
         "CrashLoopBackOff", "container 'mesh-init': back-off"),
        (a_pod_of(STARTING, a_container("agent", code=1, message="no licence")),
         "ContainerFailed", "container 'agent': exit code 1: no licence"),
        (a_pod_of(STARTING, init=[a_container("done", code=0)]), None, None),
        (a_pod_of(a_container(waiting="ContainerCreating")), None, None),
    ],
)  # fmt: skip
def test_every_waiting_or_failed_container_explains_a_pod(
    pod: PodView, reason: str | None, message: str | None
) -> None:
    assert (waiting_reason(pod) or (None, None)) == (reason, message)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("PodScheduled", "False", "Unschedulable", "no nodes"), ("Unschedulable", "no nodes")),
        (Condition("PodScheduled", "False"), ("Unschedulable", "")),
        (Condition("PodScheduled", "True"), None),
        (Condition("Ready", "False", "ContainersNotReady"), None),
    ],
)
def test_pod_that_is_not_scheduled_has_the_reason_of_the_scheduler(condition: Condition, expected: Any) -> None:
    assert waiting_reason(PodView(status=PodStatusView(phase="Pending", conditions=(condition,)))) == expected


def test_gated_pod_names_the_gates_that_another_controller_has_to_remove() -> None:
    gated = Condition("PodScheduled", "False", "SchedulingGated", "Scheduling is blocked")
    spec = PodSpecView(scheduling_gates=(SchedulingGate("x.example/arch"), SchedulingGate("y.example/quota")))
    pod = PodView(spec=spec, status=PodStatusView(phase="Pending", conditions=(gated,)))
    text = "Scheduling is blocked; another controller has to remove: x.example/arch, y.example/quota"
    assert waiting_reason(pod) == ("SchedulingGated", text)


def test_three_gates_of_a_pod_are_named() -> None:
    gated = Condition("PodScheduled", "False", "SchedulingGated", "blocked")
    spec = PodSpecView(scheduling_gates=tuple(map(SchedulingGate, "abcd")))
    pod = PodView(spec=spec, status=PodStatusView(phase="Pending", conditions=(gated,)))
    assert waiting_reason(pod) == ("SchedulingGated", "blocked; another controller has to remove: a, b, c")


def reason_of(events: list[dict[str, Any]]) -> tuple[str, str] | None:
    return event_reason(msgspec.convert(events, list[EventView]))


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_missing_pull_secret_is_named_with_the_error_of_the_registry(first: int, second: int) -> None:
    missing = "Unable to retrieve some image pull secrets (regcred)."
    events = [
        {
            "reason": "FailedToRetrieveImagePullSecret",
            "message": missing,
            "lastTimestamp": f"2026-11-24T12:00:0{first}Z",
        },
        {"reason": "Failed", "message": "pull: 401 Unauthorized", "lastTimestamp": f"2026-11-24T12:00:0{second}Z"},
    ]
    assert reason_of(events) == ("Failed", f"{missing} pull: 401 Unauthorized")
    assert reason_of(events[:1]) == ("FailedToRetrieveImagePullSecret", missing)
    assert not is_explained(("ImagePullBackOff", "Failed to pull image: 401 Unauthorized"))


def test_latest_warning_explains_an_object() -> None:
    events = [
        {"type": "Warning", "reason": "FailedMount", "message": "old", "lastTimestamp": "2026-11-24T12:00:00Z"},
        {"type": "Warning", "reason": "FailedMount", "message": "new", "eventTime": "2026-11-24T12:05:00Z"},
        {"type": "Warning", "reason": "FailedScheduling", "message": "y", "lastTimestamp": "2026-11-24T12:08:00Z"},
        {"type": "Normal", "reason": "Pulled", "message": "x", "lastTimestamp": "2026-11-24T12:09:00Z"},
    ]
    assert reason_of(events) == ("FailedMount", "new")
    assert reason_of(events[2:]) is None


def test_pod_that_is_being_deleted_names_its_node_before_its_containers() -> None:
    waiting = a_pod_of(a_container(waiting="ImagePullBackOff"))
    lost = structs.replace(waiting, metadata=structs.replace(waiting.metadata, deletion_timestamp="x"))
    placed = structs.replace(lost, spec=PodSpecView("aks-spot-3"))
    for pod, node in ((lost, "its node"), (placed, "node aks-spot-3")):
        reason, text = waiting_reason(pod) or ("", "")
        assert reason == "PodTerminating"
        assert f"pod job-1-x is being deleted, and {node} does not report its end" in text
    ended = structs.replace(lost, status=structs.replace(lost.status, phase="Failed"))
    assert not ended.terminating


def test_pod_without_a_known_cause_names_the_container_that_it_waits_for() -> None:
    pod = a_pod_of(STARTING, init=[a_container("mesh-validation")])
    assert unexplained_reason(pod) == (
        "PodInitializing",
        "init container 'mesh-validation' of pod job-1-x has not ended",
    )
    sidecars = structs.replace(pod, spec=PodSpecView(init_containers=(InitContainerView("mesh-validation", "Always"),)))
    assert unexplained_reason(sidecars)[1].endswith("of pod job-1-x has no successful startup probe")
    started = structs.replace(pod.status.init_container_statuses[0], started=True)
    status = structs.replace(pod.status, init_container_statuses=(started,))
    assert "pod job-1-x waits in PodInitializing" in unexplained_reason(structs.replace(sidecars, status=status))[1]
    assert unexplained_reason(a_pod_of(a_container(waiting="ContainerCreating")))[0] == "ContainerCreating"
    held = unexplained_reason(a_pod_of(a_container("mesh-proxy"), STARTING))[1]
    assert held == "container 'mesh-proxy' of pod job-1-x runs, and its postStart hook has not let the scorer start"
    assert unexplained_reason(a_pod_of())[0] == "ContainerCreating"


@pytest.mark.parametrize(
    ("reason", "message", "permanent"),
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "ca" : secret "corporate-ca" not found', True),
        ("FailedMount", "references non-existent secret key: ca.crt", True),
        ("FailedMount", "driver name disk.csi.azure.com not found in the list of registered CSI drivers", False),
        ("FailedMount", "failed to sync secret cache: timed out waiting for the condition", False),
        ("ImagePullBackOff", "scorer:nope: not found", True),
        ("ImagePullBackOff", "failed to authorize: 401 Unauthorized", True),
        ("ImagePullBackOff", "dial tcp: i/o timeout", False),
        ("ImagePullBackOff", "toomanyrequests: rate limit", False),
        ("InvalidImageName", "", True),
        ("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu", False),
        ("PodsRejected", 'pods "x" is forbidden: exceeded quota: pods', False),
        ("PodsRejected", 'pods "x" is forbidden: status unknown for quota: compute, resources: pods', False),
        ("PodsRejected", "admission webhook denied the request: no pods on Sundays", True),
        ("PodsRejected", 'pods "x" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi', True),
        ("PodsRejected", 'failed calling webhook "mutate.kyverno.svc-fail": context deadline exceeded', False),
        ("PodsRejected", 'failed calling webhook "x": tls: certificate signed by unknown authority', True),
        ("PodsRejected", 'violates PodSecurity "restricted:latest": runAsNonRoot != true', True),
        ("ImagePullBackOff", "no basic auth credentials", True),
        ("ImagePullBackOff", "name unknown: The repository is not known to the registry", True),
        ("ImagePullBackOff", "no matching manifest for linux/arm64/v8 in the manifest list entries", True),
        ("ImagePullBackOff", "http: server gave HTTP response to HTTPS client", True),
        ("ImagePullBackOff", "429 Too Many Requests: pull access denied", False),
        ("ImagePullBackOff", "unexpected status from HEAD request: 503 Service Unavailable", False),
        ("SignatureValidationFailed", "", True),
        ("RegistryUnavailable", "", False),
    ],
)
def test_cause_is_permanent_if_a_person_has_to_remove_it(
    reason: str,
    message: str,
    permanent: bool,  # noqa: FBT001  # a table
) -> None:
    assert is_permanent(reason, message) is permanent


@pytest.mark.parametrize(
    ("pod", "reason", "detail"),
    [
        (a_pod(code=128, reason="StartError", message="failed to start containerd task"), "Unknown",
         "StartError: failed to start containerd task"),
        (a_pod(code=137, reason="ContainerStatusUnknown", message="could not be located"), "Unknown",
         "ContainerStatusUnknown: could not be located"),
        (a_pod(code=255, reason="Error", message="exec /usr/bin/scorer: exec format error\n"), "Unknown",
         "exit code 255: exec /usr/bin/scorer: exec format error"),
        (a_pod(code=137, reason="Error"), "Unknown", "exit code 137 (SIGKILL) without a message"),
        (a_pod(code=143, reason="Error", message="stopping"), "Unknown", "exit code 143 (SIGTERM): stopping"),
        (a_pod(code=1, message='{"level":"error","message":"no such container"}'), "Unknown",
         "exit code 1: no such container"),
        (a_pod(code=1, message=a_message(2)), "Unknown", "exit code 1 without a message"),
        (a_pod(code=137, reason="OOMKilled"), "OOMKilled", "the container ran out of memory"),
        (a_pod(code=137, reason="OOMKilled", message="MemoryError"), "OOMKilled",
         "the container ran out of memory: MemoryError"),
        (a_pod(code=75, message="no token"), "StorageUnavailable", "exit code 75: no token"),
        (a_pod(pod_reason="NodeShutdown"), "Evicted", "NodeShutdown: the pod was terminated"),
        (a_pod_of(STARTING, init=[a_container("mesh-init", code=1, message="iptables")], phase="Failed"), "Unknown",
         "container 'mesh-init': exit code 1: iptables"),
        (a_pod_of(a_container(waiting="SignatureValidationFailed", message="no signature"), phase="Failed"),
         "ImagePull", "no signature"),
        (PodView(status=PodStatusView(phase="Failed", reason="DeadlineExceeded", message="too long",
            container_statuses=(a_container(waiting="CreateContainerConfigError", message='secret "s" not found'),))),
         "DeadlineExceeded", 'too long; its scorer had not started: CreateContainerConfigError: secret "s" not found'),
        (PodView(status=PodStatusView(phase="Failed", reason="UnexpectedAdmissionError", message="no device")),
         "JobLost", "UnexpectedAdmissionError: no device"),
        (PodView(status=PodStatusView(phase="Failed", message="no state")), "Unknown", "no state"),
    ],
)  # fmt: skip
def test_failure_of_a_pod_keeps_the_message_of_the_kubelet(pod: PodView, reason: str, detail: str) -> None:
    assert pod_failure(pod) == (reason, detail)


def test_long_message_keeps_its_start_and_the_reason_at_its_end() -> None:
    text = f"{PULL}: {'x' * 5000}: 403 Forbidden"
    detail = pod_failure(a_pod_of(a_container(waiting="ImagePullBackOff", message=text), phase="Failed"))[1]
    assert len(detail) == 400
    assert detail.startswith("failed to pull")
    assert detail.endswith("403 Forbidden")


def test_containers_that_run_after_the_scorer_keep_its_pod_from_ending() -> None:
    pod = a_pod_of(a_container(code=0), a_container("mesh-proxy"), a_container("agent", code=0), phase="Running")
    assert running_containers(pod) == ("mesh-proxy",)
