"""Parser of the outcome message that a scorer writes at its end. The message is untrusted input."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, Intervals, parse_or_none

OUTCOMES = ("scored", "partial", "empty", "alreadyScored", "failed")
REASONS = (
    "ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge",
    "DeadlineExceeded", "OOMKilled", "Evicted", "ImagePull", "StorageUnavailable", "IdentityUnavailable",
    "ConfigurationInvalid", "JobLost", "Unknown",
)  # fmt: skip

_MAX_COUNT = 10**15  # a sum above this is no count of rows
_MAX_TEXT_LENGTH = 200


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
class OutcomeMessage:
    """A termination message or outcome record that holds together; all numbers are indexes into the Job's devices."""

    outcomes: Mapping[str, Intervals]
    reasons: Mapping[str, Intervals] = field(default_factory=dict)
    transient: Mapping[str, Intervals] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[int, int, int], ...] = ()
    failure_samples: tuple[tuple[int, str, str], ...] = ()

    def is_complete_for(self, devices: int) -> bool:
        """Whether every device of the Job is spoken of."""
        return sum(map(len, self.outcomes.values())) + sum(map(len, self.transient.values())) == devices


def parse_outcome_message(raw: str | bytes | None, devices: int) -> OutcomeMessage | None:
    """Read a termination message or outcome record of a Job with `devices` devices; None where it is rubbish."""
    try:
        document = msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("v") != 1 or document.get("devices") != devices:
        return None
    outcomes = _parse_sets(document.get("outcomes", {}), devices, OUTCOMES)
    transient = _parse_sets(document.get("transient", {}), devices, REASONS)
    reasons = _parse_sets(document.get("reasons", {}), devices, None)
    results = _parse_results(document)
    if outcomes is None or transient is None or reasons is None or results is None:
        return None
    every = [*outcomes.values(), *transient.values()]
    if sum(map(len, every)) != len(_union(every)):
        return None
    done = len(outcomes.get("scored", EMPTY)) + len(outcomes.get("partial", EMPTY))
    return OutcomeMessage(
        outcomes=outcomes,
        reasons=_normalize_reasons(outcomes.get("failed", EMPTY), reasons),
        transient=transient,
        results=Results(
            results.rows,
            results.bad_rows,
            results.unscored_rows,
            results.anomalies,
            min(results.anomalous_devices, done),
        ),
        top_anomalies=_parse_top_anomalies(document.get("top"), devices),
        failure_samples=_parse_failure_samples(document.get("samples"), devices),
    )


def sanitize(text: str) -> str:
    """Text from outside, printable and short enough for a status."""
    return "".join(c if c.isprintable() else " " for c in text[:_MAX_TEXT_LENGTH]).strip()


def _parse_sets(value: Any, devices: int, allowed_keys: Sequence[str] | None) -> dict[str, Intervals] | None:
    """Index sets by key, or None where a key or set is not what it may be."""
    if not isinstance(value, dict):
        return None
    sets: dict[str, Intervals] = {}
    for key, text in value.items():
        found = parse_or_none(text)
        if found is None or (found and found.last >= devices) or (allowed_keys is not None and key not in allowed_keys):
            return None
        if found:
            sets[key] = found
    return sets


def _union(sets: Iterable[Intervals]) -> Intervals:
    union = EMPTY
    for one in sets:
        union = union | one
    return union


def _normalize_reasons(failed: Intervals, reasons: Mapping[str, Intervals]) -> dict[str, Intervals]:
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


def _parse_count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    return value if good else None


def _parse_results(document: Mapping[str, Any]) -> Results | None:
    keys = ("rows", "badRows", "unscoredRows", "anomalies", "anomalousDevices")
    counts = [count for key in keys if (count := _parse_count(document.get(key, 0))) is not None]
    return Results(*counts) if len(counts) == len(keys) else None


def _parse_top_anomalies(value: Any, devices: int) -> tuple[tuple[int, int, int], ...]:
    kept: list[tuple[int, int, int]] = []
    for entry in value[:5] if isinstance(value, list) else ():
        numbers = [_parse_count(part) for part in entry] if isinstance(entry, list) else []
        match numbers:
            case [int(index), int(rows), int(anomalies)] if index < devices and anomalies > 0:
                kept.append((index, rows, anomalies))
            case _:
                continue
    return tuple(kept)


def _parse_failure_samples(value: Any, devices: int) -> tuple[tuple[int, str, str], ...]:
    kept: list[tuple[int, str, str]] = []
    for entry in value[:20] if isinstance(value, list) else ():
        match entry:
            case [int(index), str(reason), str(message)] if 0 <= index < devices:
                kept.append((index, reason if reason in REASONS else "Unknown", sanitize(message)))
            case _:
                continue
    return tuple(kept)
