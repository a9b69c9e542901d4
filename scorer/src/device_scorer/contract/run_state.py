"""Parser of a run's state: the device list and the progress that the operator stores in ConfigMaps.

A device list has one id per line. Progress is JSON that maps outcomes and reasons to positions of the list, as
intervals ("0-3,7"). Progress that is too large as intervals has one character per device instead, which is the index of
a pair of outcome and reason. The outcome `-` is a device that waits, and an empty one is a device in a Job. Both files
may be compressed with zlib, as in the ConfigMaps. Progress has only samples of the messages; the outcome records of the
Jobs have all messages.
"""

import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from device_scorer.errors import UsageInvalid

MAX_DEVICES = 1_000_000
"""The maximum of `maxDevices` in the schema of ScoringRun."""

_FIRST_PLACE, _MAX_LABELS = ord("0"), 32  # the character of the first label; a device of the canary has 32 more
_MAX_UNPACKED_BYTES = 64 * 2**20
_MAX_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """The outcome of one device in a run.

    Attributes:
        kind: The outcome, such as scored or failed.
        reason: The reason of a failure.
        message: A sentence for people, if it is known.
    """

    kind: str
    reason: str = ""
    message: str = ""


def read_device_list(parts: Sequence[bytes]) -> list[str]:
    """Return the device ids of a run.

    Args:
        parts: The parts of the device list, in order.

    Raises:
        UsageInvalid: A part cannot be decompressed, or the list has more than MAX_DEVICES ids.
    """
    devices: list[str] = []
    for line in chain.from_iterable(io.BytesIO(_decompress(part)) for part in parts):
        if device := line.decode("utf-8", "replace").rstrip("\r\n"):
            devices.append(sys.intern(device))
        if len(devices) > MAX_DEVICES:
            raise UsageInvalid(f"the device list is invalid: it has more than {MAX_DEVICES:,} devices")
    return devices


def read_outcomes(progress: bytes, devices: Sequence[str]) -> dict[str, DeviceOutcome]:
    """Return the outcome of each device that has one.

    Args:
        progress: The content of the progress ConfigMap.
        devices: The device ids of the run, in order.

    Raises:
        UsageInvalid: The content is malformed, or does not belong to these devices.
    """
    try:
        document: dict[str, Any] = json.loads(_decompress(progress))
        reasons = _key_by_device(_entries(document, "reasons", 1), devices)
        messages = {devices[position]: str(message) for position, _, message in document["samples"]}
        outcomes = _key_by_device(_entries(document, "outcomes", 0), devices)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UsageInvalid(f"--progress is invalid: it does not belong to these devices ({reason})") from error
    without_message = lru_cache(maxsize=1000)(DeviceOutcome)  # most devices share a few objects
    return {
        device: DeviceOutcome(outcome, reasons.get(device, ""), messages[device])
        if device in messages
        else without_message(outcome, reasons.get(device, ""))
        for device, outcome in outcomes.items()
    }


def with_messages(
    outcomes: Mapping[str, DeviceOutcome], failures: Iterable[tuple[str, DeviceOutcome]]
) -> dict[str, DeviceOutcome]:
    """Return the outcomes, completed with the messages of failures.

    A message is used for a device without a message if its outcome and reason are equal.

    Args:
        outcomes: The outcomes by device id.
        failures: The devices of outcome records with their outcomes.
    """
    merged = dict(outcomes)
    for device, outcome in failures:
        known = merged.get(device)
        if known is not None and not known.message and (known.kind, known.reason) == (outcome.kind, outcome.reason):
            merged[device] = outcome
    return merged


def read_outcome_record(record: bytes) -> list[tuple[str, DeviceOutcome]] | None:
    """Return the devices of an outcome record that failed or were scored in part; None if it has another form.

    Args:
        record: The content of the record.
    """
    try:
        messages = list(json.loads(record)["messages"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return list(_failures(messages))


def _failures(messages: Iterable[Any]) -> Iterator[tuple[str, DeviceOutcome]]:
    for message in messages:
        match message:
            case [("failed" | "partial") as outcome, str(reason), str(text), str(device)]:
                yield device, DeviceOutcome(outcome, reason if outcome == "failed" else "", text[:_MAX_MESSAGE_CHARS])
            case _:
                continue


def _entries(document: dict[str, Any], key: str, column: int) -> Iterator[tuple[str, int]]:
    """Return the outcomes or the reasons, each with a position."""
    if places := document.get("places"):
        names = [str(label[column]) for label in document["labels"]]
        labelled = ((names[(ord(place) - _FIRST_PLACE) % _MAX_LABELS], at) for at, place in enumerate(places))
        return ((name, at) for name, at in labelled if name not in ("", "-"))
    return ((name, at) for name, intervals in document[key].items() for at in _parse_intervals(intervals))


def _key_by_device(entries: Iterable[tuple[str, int]], devices: Sequence[str]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for count, (key, position) in enumerate(entries):
        if count >= len(devices):
            raise ValueError("positions are repeated")
        keys[devices[position]] = key
    return keys


def _parse_intervals(intervals: str) -> Iterator[int]:
    for span in filter(None, intervals.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _decompress(content: bytes) -> bytes:
    if not content.startswith(b"\x78"):
        return content
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(content, _MAX_UNPACKED_BYTES + 1)
    except zlib.error as error:
        raise UsageInvalid(f"a device list or progress file is invalid: it cannot be decompressed ({error})") from error
    if len(plain) > _MAX_UNPACKED_BYTES:
        raise UsageInvalid(
            f"a device list or progress file is invalid: it decompresses to more than {_MAX_UNPACKED_BYTES:,} bytes"
        )
    if not unpacker.eof or unpacker.unused_data:
        raise UsageInvalid("a device list or progress file is invalid: it is cut, or has other bytes at its end")
    return plain
