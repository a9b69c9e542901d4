"""What a Job's pods and its outcome record say about devices. Pure, and everything read here is untrusted.

A scorer pod has no Kubernetes token: its words are its exit code, its termination message and, where that was lost,
the outcome record it wrote to storage before it ended. A word that does not hold together is no word at all: the Job
is then judged by how its last pod died.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from scoring_operator.intervals import EMPTY, Intervals, parse_or_none
from scoring_operator.views import PodView

OUTCOMES = ("scored", "partial", "empty", "alreadyScored", "failed")
REASONS = (
    "ModelNotFound", "ModelInvalid", "ModelRefused", "ModelIncompatible", "DataInvalid", "DataTooLarge",
    "DeadlineExceeded", "OOMKilled", "Evicted", "ImagePull", "StorageUnavailable", "IdentityUnavailable",
    "ConfigurationInvalid", "JobLost", "Unknown",
)  # fmt: skip
PASSING = frozenset({"StorageUnavailable", "IdentityUnavailable", "ImagePull"})
IMAGE_WAITS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
EXIT_CONFIGURATION, EXIT_PASSING = 64, 75

_MOST = 10**15  # a sum above this is no count of rows
_SAMPLE_LENGTH = 200
_EXITS = {EXIT_CONFIGURATION: "ConfigurationInvalid", EXIT_PASSING: "StorageUnavailable"}


@dataclass(frozen=True, slots=True)
class Results:
    """Sums over the scored and partial devices."""

    rows: int = 0
    bad_rows: int = 0
    unscored_rows: int = 0
    anomalies: int = 0
    anomalous_devices: int = 0

    def __add__(self, other: "Results") -> "Results":
        return Results(
            self.rows + other.rows,
            self.bad_rows + other.bad_rows,
            self.unscored_rows + other.unscored_rows,
            self.anomalies + other.anomalies,
            self.anomalous_devices + other.anomalous_devices,
        )


@dataclass(frozen=True, slots=True)
class Said:
    """A termination message or outcome record that holds together; all numbers are indexes into the Job's devices."""

    outcomes: Mapping[str, Intervals]
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    passing: Mapping[str, Intervals] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top: tuple[tuple[int, int, int], ...] = ()
    samples: tuple[tuple[int, str, str], ...] = ()

    def covers(self, devices: int) -> bool:
        """Whether every device of the Job is spoken of."""
        return sum(map(len, self.outcomes.values())) + sum(map(len, self.passing.values())) == devices


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


def read_message(raw: str | bytes | None, devices: int) -> Said | None:
    """Read a termination message or outcome record of a Job with `devices` devices; None where it is rubbish."""
    try:
        document = msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("v") != 1 or document.get("devices") != devices:
        return None
    outcomes = _sets(document.get("outcomes", {}), devices, OUTCOMES)
    passing = _sets(document.get("passing", {}), devices, REASONS)
    reasons = _sets(document.get("reasons", {}), devices, None)
    results = _results(document)
    if outcomes is None or passing is None or reasons is None or results is None:
        return None
    every = [*outcomes.values(), *passing.values()]
    if sum(map(len, every)) != len(_union(every)):
        return None
    done = len(outcomes.get("scored", EMPTY)) + len(outcomes.get("partial", EMPTY))
    return Said(
        outcomes=outcomes,
        reasons=_typed(outcomes.get("failed", EMPTY), reasons),
        passing=passing,
        results=Results(
            results.rows,
            results.bad_rows,
            results.unscored_rows,
            results.anomalies,
            min(results.anomalous_devices, done),
        ),
        top=_top(document.get("top"), devices),
        samples=_samples(document.get("samples"), devices),
    )


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


def clean(text: str) -> str:
    """Text from outside, printable and short enough for a status."""
    return "".join(c if c.isprintable() else " " for c in text[:_SAMPLE_LENGTH]).strip()


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


def _sets(value: Any, devices: int, keys: Sequence[str] | None) -> dict[str, Intervals] | None:
    """Index sets by key, or None where a key or set is not what it may be."""
    if not isinstance(value, dict):
        return None
    sets: dict[str, Intervals] = {}
    for key, text in value.items():
        found = parse_or_none(text)
        if found is None or (found and found.last >= devices) or (keys is not None and key not in keys):
            return None
        if found:
            sets[key] = found
    return sets


def _union(sets: Iterable[Intervals]) -> Intervals:
    union = EMPTY
    for one in sets:
        union = union | one
    return union


def _typed(failed: Intervals, reasons: Mapping[str, Intervals]) -> dict[str, Intervals]:
    """Each failed index under exactly one reason of the closed list."""
    typed: dict[str, Intervals] = {}
    left = failed
    for reason, indexes in reasons.items():
        name = reason if reason in REASONS else "Unknown"
        if mine := left & indexes:
            typed[name] = typed.get(name, EMPTY) | mine
            left = left - mine
    if left:
        typed["Unknown"] = typed.get("Unknown", EMPTY) | left
    return typed


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if good else None


def _results(document: Mapping[str, Any]) -> Results | None:
    keys = ("rows", "badRows", "unscoredRows", "anomalies", "anomalousDevices")
    counts = [count for key in keys if (count := _count(document.get(key, 0))) is not None]
    return Results(*counts) if len(counts) == len(keys) else None


def _top(value: Any, devices: int) -> tuple[tuple[int, int, int], ...]:
    kept: list[tuple[int, int, int]] = []
    for entry in value[:5] if isinstance(value, list) else ():
        numbers = [_count(part) for part in entry] if isinstance(entry, list) else []
        match numbers:
            case [int(index), int(rows), int(anomalies)] if index < devices and anomalies > 0:
                kept.append((index, rows, anomalies))
            case _:
                continue
    return tuple(kept)


def _samples(value: Any, devices: int) -> tuple[tuple[int, str, str], ...]:
    kept: list[tuple[int, str, str]] = []
    for entry in value[:20] if isinstance(value, list) else ():
        match entry:
            case [int(index), str(reason), str(message)] if 0 <= index < devices:
                kept.append((index, reason if reason in REASONS else "Unknown", clean(message)))
            case _:
                continue
    return tuple(kept)


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
