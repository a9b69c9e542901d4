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
from scoring_operator.contract.command import EXIT_CONFIGURATION, EXIT_PASSING
from scoring_operator.contract.outcome_message import Said, clean, read_message

PASSING = frozenset({"StorageUnavailable", "IdentityUnavailable", "ImagePull"})
IMAGE_WAITS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
_EXITS = {EXIT_CONFIGURATION: "ConfigurationInvalid", EXIT_PASSING: "StorageUnavailable"}


@dataclass(frozen=True, slots=True)
class Word:
    """What was heard on looking at a Job: its message, or how its last pod died, or that the Job is not there.

    `started` is when its first pod did; `seconds` is how long its pods ran, added up.
    """

    said: Said | None = None
    death: str = ""
    detail: str = ""
    absent: bool = False
    started: datetime | None = None
    seconds: int = 0


def hear(pods: Iterable[PodView], devices: int) -> Word:
    """What the terminal pods of one Job say.

    The newest pod with a message that holds together speaks for the Job: a retried pod repeats what earlier ones did.
    For devices it does not speak of, `death` says how the very last pod ended.
    """
    ordered = sorted(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name))
    if not ordered:
        return Word(death="JobLost", detail="the Job's pods are gone")
    starts = [start for pod in ordered if (start := _time(pod.status.start_time))]
    found = Word(started=min(starts, default=None), seconds=sum(map(_ran, ordered)))
    for pod in reversed(ordered):
        ended = pod.scorer.terminated
        said = read_message(ended.message, devices) if ended and ended.message else None
        if said is not None:
            death, detail = ("", "") if said.covers(devices) else _death(ordered[-1])
            return replace(found, said=said, death=death, detail=detail)
    death, detail = _death(ordered[-1])
    return replace(found, death=death, detail=detail)


def _ran(pod: PodView) -> int:
    """Seconds from a pod's start, when its place on the node was taken, to the end of its container."""
    ended = pod.scorer.terminated
    start, end = _time(pod.status.start_time), _time(ended.finished_at if ended else None)
    return max(int((end - start).total_seconds()), 0) if start and end else 0


def last_words(pods: Iterable[PodView]) -> Word:
    """How the last pod of a Job ended that owes no message: what stands in its place is the end of its log."""
    last = max(pods, key=lambda pod: (pod.metadata.creation_timestamp, pod.metadata.name), default=None)
    if last is None:
        return Word(death="JobLost", detail="the Job's pods are gone")
    death, detail = _death(last)
    ended = last.scorer.terminated
    lines = ended.message.strip().splitlines() if ended else []
    return Word(death=death, detail=_line(lines[-1]) if lines else detail)


def _line(text: str) -> str:
    """A line of the scorer's log: its message, or the line as it is."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any]).get("message")
    except (msgspec.MsgspecError, UnicodeError):
        found = None
    return clean(found if isinstance(found, str) else text)


def why_waiting(pods: Sequence[PodView]) -> tuple[str, str] | None:
    """The reason and message that keep pods from starting: the first container's or scheduler's complaint."""
    for pod in pods:
        waiting = pod.scorer.waiting
        if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
            return waiting.reason, clean(waiting.message)
        for condition in pod.status.conditions:
            if condition.type == "PodScheduled" and condition.status == "False":
                return condition.reason or "Unschedulable", clean(condition.message)
    return None


def _death(pod: PodView) -> tuple[str, str]:
    """The typed reason and a detail of how a pod ended that left no message."""
    state, status = pod.scorer, pod.status
    if state.waiting and state.waiting.reason in IMAGE_WAITS:
        return "ImagePull", clean(state.waiting.message or state.waiting.reason)
    if status.reason in ("DeadlineExceeded", "Evicted"):
        return status.reason, clean(status.message or f"the pod was ended: {status.reason}")
    if state.terminated is None:
        return "Unknown", clean(status.message or "the pod ended without its container's state")
    if state.terminated.reason == "OOMKilled":
        return "OOMKilled", "the container ran out of memory"
    code = state.terminated.exit_code
    return _EXITS.get(code, "Unknown"), f"exit code {code} without a message"


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
