"""Parser of the outcome message that a scorer writes at its end. The message is untrusted input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Intervals, parse_or_none

OUTCOMES = ("scored", "partial", "empty", "alreadyScored", "failed")
REASONS = (
    "ModelNotFound", "ModelInvalid", "ModelRefused", "ModelIncompatible", "DataInvalid", "DataTooLarge",
    "DeadlineExceeded", "OOMKilled", "Evicted", "ImagePull", "StorageUnavailable", "IdentityUnavailable",
    "ConfigurationInvalid", "JobLost", "Unknown",
)  # fmt: skip

_MOST = 10**15  # a sum above this is no count of rows
_SAMPLE_LENGTH = 200


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


def clean(text: str) -> str:
    """Text from outside, printable and short enough for a status."""
    return "".join(c if c.isprintable() else " " for c in text[:_SAMPLE_LENGTH]).strip()


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
