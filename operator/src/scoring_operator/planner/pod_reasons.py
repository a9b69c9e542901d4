"""The cause of a pod that has failed or does not start, in the words of the kubelet, the scheduler and the registry.

Every container of the pod is inspected, because other parties inject containers. The texts are untrusted: they are
cleaned, and a long one loses its middle, because a registry's reason is at the end.
"""

import signal
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from scoring_operator.api.formatting import printable
from scoring_operator.api.views import ContainerView, EventView, PodView, Terminated
from scoring_operator.contract.command import CONTAINER_NAME, EXIT_CONFIGURATION, EXIT_TRANSIENT

MAX_FAILURE_LENGTH = 400  # characters of a failure: a run's status has up to 20
MAX_NAMED_GATES = 3
IMAGE_PULL_REASONS = frozenset({
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
    "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
})  # fmt: skip
_STARTING_REASONS = frozenset({"", "ContainerCreating", "PodInitializing"})
_EVICTION_REASONS = frozenset({"Evicted", "NodeShutdown", "Terminated", "Shutdown", "Preempting", "NodeLost"})
_REASON_BY_EXIT_CODE = {EXIT_CONFIGURATION: "ConfigurationInvalid", EXIT_TRANSIENT: "StorageUnavailable"}
_UNINFORMATIVE_EVENTS = frozenset({"FailedScheduling", "BackOff"})
_PLAIN_REASONS = frozenset({"", "Error", "Completed"})  # of a terminated container: they add nothing to its exit code
_MISSING_PULL_SECRET = "FailedToRetrieveImagePullSecret"  # noqa: S105  # the reason of an event
_CREDENTIAL_TEXTS = ("unauthorized", "denied", "no basic auth credentials", "authentication required", "forbidden")
_PERMANENT_REASONS = frozenset({
    "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "SignatureValidationFailed",
})  # fmt: skip
_PERMANENT_TEXTS = (
    "not found", "manifest unknown", "name unknown", "unauthorized", "no basic auth credentials", "denied", "forbidden",
    "non-existent", "does not exist", "no match for platform", "no matching manifest", "invalid reference",
    "couldn't find key", "is invalid", "violates podsecurity", "unknown authority",
    "gave http response to https client",
)  # fmt: skip
_TRANSIENT_TEXTS = (
    "exceeded quota", "status unknown for quota", "registered csi drivers", "timed out", "timeout", "try again",
    "deadline exceeded", "toomanyrequests", "too many requests",
)  # fmt: skip


def is_permanent(reason: str, message: str) -> bool:
    """Return True if a person has to remove the cause: it names what does not exist, is invalid or is not allowed.

    Args:
        reason: The reason of the kubelet or of an event.
        message: Its message.
    """
    text = message.lower()
    if any(part in text for part in _TRANSIENT_TEXTS):
        return False
    return reason in _PERMANENT_REASONS or any(part in text for part in _PERMANENT_TEXTS)


def waiting_reason(pod: PodView) -> tuple[str, str] | None:
    """Return the reason and the message of a pod that cannot start; None if the pod itself does not say it.

    Args:
        pod: A pod whose scorer has not started.
    """
    if pod.terminating:
        return "PodTerminating", terminating_text(pod)
    for container in pod.containers:
        waiting = container.state.waiting
        if waiting and waiting.reason not in _STARTING_REASONS:
            reason = "ImagePullBackOff" if waiting.reason == "ErrImagePull" else waiting.reason  # they alternate
            return reason, _of_container(container, waiting.message or waiting.reason)
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates[:MAX_NAMED_GATES])
            text = f"{condition.message}; another controller has to remove: {gates}" if gates else condition.message
            return condition.reason or "Unschedulable", text
    if dead := _dead_container(pod):
        return "ContainerFailed", dead
    return None


def is_explained(problem: tuple[str, str] | None) -> bool:
    """Return True if the state of a pod says why it does not start, so that no event is needed.

    Until version 1.31 of Kubernetes, the state of a container whose image is not pulled lacks the registry's reason.
    If a registry rejects the credentials, an event names the Secret that is missing.

    Args:
        problem: The result of waiting_reason.
    """
    if problem is None or problem[0] != "ImagePullBackOff":
        return problem is not None
    text = problem[1].lower()
    return "ailed to" in text and not any(part in text for part in _CREDENTIAL_TEXTS)


def unexplained_reason(pod: PodView) -> tuple[str, str]:
    """Return the reason and the message of a pod that does not start, if neither it nor an event says why.

    Args:
        pod: A pod whose scorer has not started.
    """
    sidecars = {one.name for one in pod.spec.init_containers if one.restart_policy == "Always"}
    for container in pod.status.init_container_statuses:
        if not container.state.running or (container.name in sidecars and container.started):
            continue
        cause = "has no successful startup probe" if container.name in sidecars else "has not ended"
        return "PodInitializing", f"init container {container.name!r} of pod {pod.metadata.name} {cause}"
    waiting = pod.scorer.waiting
    if waiting and (others := running_containers(pod)):  # the kubelet starts containers in order
        text = f"container {others[0]!r} of pod {pod.metadata.name} runs, and its postStart hook has not let the scorer"
        return "PodInitializing", f"{text} start"
    reason = (waiting.reason if waiting else "") or "ContainerCreating"
    return reason, f"pod {pod.metadata.name} waits in {reason}, and no event says why"


def event_reason(events: Iterable[EventView]) -> tuple[str, str] | None:
    """Return the reason and the message of the latest warning; the scheduler's are in the conditions of a pod.

    Args:
        events: The events of one object.
    """
    warnings = [one for one in events if one.type == "Warning" and one.reason not in _UNINFORMATIVE_EVENTS]
    secrets = [one for one in warnings if one.reason == _MISSING_PULL_SECRET]
    others = [one for one in warnings if one.reason != _MISSING_PULL_SECRET]
    latest = max(others or secrets, key=attrgetter("time"), default=None)
    if latest is None:
        return None
    text = latest.message or ""
    if others and secrets:  # the kubelet repeats both events, and the registry's error does not name the Secret
        text = f"{max(secrets, key=attrgetter('time')).message or ''} {text}"
    return latest.reason or "Unknown", text


def running_containers(pod: PodView) -> tuple[str, ...]:
    """Return the names of the containers that keep a pod from ending, although its scorer has ended."""
    return tuple(one.name for one in pod.status.container_statuses if one.state.running and one.name != CONTAINER_NAME)


def terminating_text(pod: PodView) -> str:
    """Return a sentence about a pod that is to be deleted and remains, as on a node that does not respond.

    The Job creates no other pod until this one has ended (KEP-3939).

    Args:
        pod: The pod.
    """
    node = f"node {pod.spec.node_name}" if pod.spec.node_name else "its node"
    return (
        f"pod {pod.metadata.name} is being deleted, and {node} does not report its end; if the node is lost, delete "
        "the node, or add the taint node.kubernetes.io/out-of-service to it"
    )


def pod_failure(pod: PodView) -> tuple[str, str]:
    """Return the reason and a detail of the failure of a pod without a complete outcome message."""
    state, status = pod.scorer, pod.status
    if state.waiting and state.waiting.reason in IMAGE_PULL_REASONS:
        return "ImagePull", printable(state.waiting.message or state.waiting.reason, MAX_FAILURE_LENGTH)
    if status.reason in _EVICTION_REASONS:
        return "Evicted", _detail(status.reason, status.message or "the pod was terminated")
    if status.reason == "DeadlineExceeded":
        text, cause = status.message or "the pod was terminated", waiting_reason(pod)
        text = f"{text}; its scorer had not started: {': '.join(filter(None, cause))}" if cause else text
        return "DeadlineExceeded", printable(text, MAX_FAILURE_LENGTH)
    if state.terminated is None:
        dead = _dead_container(pod)
        # A node rejects a pod after it was scheduled, such as OutOfcpu: the pod says nothing about its devices.
        reason = "JobLost" if status.reason and not dead else "Unknown"
        return reason, _detail(status.reason, dead or status.message or "the pod ended without a container state")
    if state.terminated.reason == "OOMKilled":
        text = termination_text(state.terminated.message)
        return "OOMKilled", _detail("", f"the container ran out of memory{': ' * bool(text)}{text}")
    code = state.terminated.exit_code
    return _REASON_BY_EXIT_CODE.get(code, "Unknown"), _detail("", _termination(state.terminated))


def termination_text(message: str) -> str:
    """Return what a termination message says: its last line, or the message in that line of a scorer's log.

    A pod with `terminationMessagePolicy: FallbackToLogsOnError` has the end of its log as its termination message. An
    outcome message says nothing here.

    Args:
        message: The termination message.
    """
    lines = message.strip().splitlines()
    if not lines:
        return ""
    try:
        document = msgspec.json.decode(lines[-1], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return lines[-1]
    found = document.get("message")
    if isinstance(found, str):
        return found
    return "" if "v" in document else lines[-1]


def _termination(ended: Terminated) -> str:
    """Return a sentence about the end of a container: the kubelet's reason, the exit code, and the last message."""
    code, text = ended.exit_code, termination_text(ended.message)
    if ended.reason not in _PLAIN_REASONS:
        return f"{ended.reason}: {text or f'exit code {code}'}"
    name = _signal_name(code)
    killed = f" ({name})" if name else ""
    return f"exit code {code}{killed}: {text}" if text else f"exit code {code}{killed} without a message"


def _signal_name(code: int) -> str:
    """Return the signal of an exit code above 128, such as SIGKILL for 137; '' for others."""
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return ""


def _dead_container(pod: PodView) -> str:
    """Return a sentence about a container that failed before the scorer started; '' for none."""
    for container in pod.containers:
        ended = container.state.terminated
        if ended and ended.exit_code and container.name != CONTAINER_NAME:
            return _of_container(container, _termination(ended))
    return ""


def _of_container(container: ContainerView, text: str) -> str:
    return text if container.name == CONTAINER_NAME else f"container {container.name!r}: {text}"


def _detail(reason: str, text: str) -> str:
    return printable(f"{reason}: {text}" if reason and reason not in text else text, MAX_FAILURE_LENGTH)
