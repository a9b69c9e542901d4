"""The outcome message of a scoring Job, and its parser.

A scorer writes the message as its termination message, and with more detail as its outcome record. The message is
untrusted input. The parser rejects an inconsistent message, and limits or cleans what the operator copies into the
status.

The scorer implements its side in device_scorer.contract.outcome_message; tests/contract compares the two.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scoring_operator.api.intervals import EMPTY, ArgIndex, ArgIndexes, parse_or_none

OUTCOMES = ("scored", "partial", "empty", "alreadyScored", "failed")
REASONS = (
    "ModelNotFound", "ModelInvalid", "ModelRejected", "ModelIncompatible", "DataInvalid", "DataTooLarge",
    "DeadlineExceeded", "OOMKilled", "Evicted", "ImagePull", "StorageUnavailable", "IdentityUnavailable",
    "ConfigurationInvalid", "JobLost", "Unknown",
)  # fmt: skip

MAX_TEXT_LENGTH = 200  # characters of a message that the operator copies into the status
MAX_TOP_ANOMALIES = 5  # of one Job
MAX_FAILURE_SAMPLES = 20  # of one Job
_VERSION = 1
_MAX_COUNT = 10**15  # a larger number cannot be a count of rows
MAX_SUM = 2**53  # of the counts of all Jobs: readers of JSON round larger integers


@dataclass(frozen=True, slots=True)
class Results:
    """Sums over the devices with the outcome scored or partial."""

    rows: int = 0
    bad_rows: int = 0
    unscored_rows: int = 0
    anomalies: int = 0
    anomalous_devices: int = 0

    def __add__(self, other: "Results") -> "Results":
        sums = (
            self.rows + other.rows,
            self.bad_rows + other.bad_rows,
            self.unscored_rows + other.unscored_rows,
            self.anomalies + other.anomalies,
            self.anomalous_devices + other.anomalous_devices,
        )
        return Results(*(min(total, MAX_SUM) for total in sums))


@dataclass(frozen=True, slots=True)
class OutcomeMessage:
    """A consistent outcome message of one Job.

    Attributes:
        outcomes: The devices by outcome.
        reasons: The failed devices by reason.
        transient: The devices without an outcome, by transient reason.
        results: The sums.
        top_anomalies: The most anomalous devices: argument index, rows, anomalies.
        failure_samples: Some failed devices: argument index, reason, message.
    """

    outcomes: Mapping[str, ArgIndexes]
    reasons: Mapping[str, ArgIndexes] = field(default_factory=dict)
    transient: Mapping[str, ArgIndexes] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    top_anomalies: tuple[tuple[ArgIndex, int, int], ...] = ()
    failure_samples: tuple[tuple[ArgIndex, str, str], ...] = ()

    def is_complete_for(self, device_count: int) -> bool:
        """Return True if the message reports every device of a Job with this number of devices."""
        return sum(map(len, self.outcomes.values())) + sum(map(len, self.transient.values())) == device_count


def parse_outcome_message(raw: str | bytes | None, device_count: int) -> OutcomeMessage | None:
    """Parse a termination message or an outcome record.

    Args:
        raw: The JSON text.
        device_count: The number of devices of the Job.

    Returns:
        The message; None if it is malformed, inconsistent, or not of this Job.
    """
    try:
        document = msgspec.json.decode(raw or b"")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("v") != _VERSION or document.get("devices") != device_count:
        return None
    outcomes = _parse_sets(document.get("outcomes", {}), device_count, OUTCOMES)
    transient = _parse_sets(document.get("transient", {}), device_count, REASONS)
    reasons = _parse_sets(document.get("reasons", {}), device_count, None)
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
        top_anomalies=_parse_top_anomalies(document.get("top"), device_count),
        failure_samples=_parse_failure_samples(document.get("samples"), device_count),
    )


def sanitize(text: str) -> str:
    """Return an untrusted text without control characters, cut at 200 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT_LENGTH]).strip()


def _parse_sets(value: Any, device_count: int, allowed_keys: Sequence[str] | None) -> dict[str, ArgIndexes] | None:
    """Return the sets of argument indexes by key; None if a key or a set is invalid."""
    if not isinstance(value, dict):
        return None
    sets: dict[str, ArgIndexes] = {}
    for key, text in value.items():
        found = parse_or_none(text)
        if (
            found is None
            or (found and found.last >= device_count)
            or (allowed_keys is not None and key not in allowed_keys)
        ):
            return None
        if found:
            sets[key] = found
    return sets


def _union(sets: Iterable[ArgIndexes]) -> ArgIndexes:
    union: ArgIndexes = EMPTY
    for one in sets:
        union = union | one
    return union


def _normalize_reasons(failed: ArgIndexes, reasons: Mapping[str, ArgIndexes]) -> dict[str, ArgIndexes]:
    """Return each failed index under exactly one reason of the closed list."""
    typed: dict[str, ArgIndexes] = {}
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
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    return value if is_count else None


def _parse_results(document: Mapping[str, Any]) -> Results | None:
    keys = ("rows", "badRows", "unscoredRows", "anomalies", "anomalousDevices")
    counts = [count for key in keys if (count := _parse_count(document.get(key, 0))) is not None]
    return Results(*counts) if len(counts) == len(keys) else None


def _parse_top_anomalies(value: Any, device_count: int) -> tuple[tuple[ArgIndex, int, int], ...]:
    kept: list[tuple[ArgIndex, int, int]] = []
    for entry in value[:MAX_TOP_ANOMALIES] if isinstance(value, list) else ():
        numbers = [_parse_count(part) for part in entry] if isinstance(entry, list) else []
        match numbers:
            case [int(index), int(rows), int(anomalies)] if index < device_count and anomalies > 0:
                kept.append((ArgIndex(index), rows, anomalies))
            case _:
                continue
    return tuple(kept)


def _parse_failure_samples(value: Any, device_count: int) -> tuple[tuple[ArgIndex, str, str], ...]:
    kept: list[tuple[ArgIndex, str, str]] = []
    for entry in value[:MAX_FAILURE_SAMPLES] if isinstance(value, list) else ():
        match entry:
            case [int(index), str(reason), str(message)] if 0 <= index < device_count:
                kept.append((ArgIndex(index), reason if reason in REASONS else "Unknown", sanitize(message)))
            case _:
                continue
    return tuple(kept)
