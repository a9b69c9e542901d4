"""What a ScoringRun says of its devices: the operator's device list and progress, as their ConfigMaps hold them. Pure.

Both are read here as files: a list is ids, one a line; progress is JSON that says with intervals ("0-3,7") which
positions of the list have which outcome and reason. Either may be compressed with zlib, as in the ConfigMaps. Progress
has samples of messages only; the Jobs' outcome records in storage have all of them.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_scorer.errors import UsageInvalid

_MAX_UNPACKED_BYTES = 64 * 2**20
_MAX_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """What became of one device in a run."""

    kind: str
    reason: str = ""
    message: str = ""


def read_device_list(parts: Sequence[bytes]) -> list[str]:
    """The ids of a frozen device list, from its parts in order."""
    return [line for part in parts for line in _decompress(part).decode("utf-8", "replace").splitlines() if line]


def read_outcomes(progress: bytes, devices: Sequence[str]) -> dict[str, DeviceOutcome]:
    """What became of each device that has an outcome. Raises UsageInvalid where the file is no progress."""
    try:
        document: dict[str, Any] = json.loads(_decompress(progress))
        reasons = _key_by_device(document["reasons"], devices)
        messages = {devices[position]: str(message) for position, _, message in document["samples"]}
        outcomes = _key_by_device(document["outcomes"], devices)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageInvalid(f"--progress holds no progress of a run over these devices: {error!r}") from error
    return {
        device: DeviceOutcome(outcome, reasons.get(device, ""), messages.get(device, ""))
        for device, outcome in outcomes.items()
    }


def with_messages(outcomes: Mapping[str, DeviceOutcome], records: Iterable[bytes]) -> dict[str, DeviceOutcome]:
    """The fates with the messages that outcome records have for them: same outcome and reason. Rubbish says nothing."""
    merged = dict(outcomes)
    for record in records:
        for device, fate in _failure_messages(record):
            known = merged.get(device)
            if known is not None and not known.message and (known.kind, known.reason) == (fate.kind, fate.reason):
                merged[device] = fate
    return merged


def _failure_messages(record: bytes) -> Iterator[tuple[str, DeviceOutcome]]:
    try:
        messages = list(json.loads(record)["messages"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for message in messages:
        match message:
            case [("failed" | "partial") as outcome, str(reason), str(text), str(device)]:
                yield device, DeviceOutcome(outcome, reason if outcome == "failed" else "", text[:_MAX_MESSAGE_CHARS])
            case _:
                continue


def _key_by_device(intervals_by_key: dict[str, str], devices: Sequence[str]) -> dict[str, str]:
    return {
        devices[position]: key for key, notation in intervals_by_key.items() for position in _parse_intervals(notation)
    }


def _parse_intervals(intervals: str) -> Iterator[int]:
    for span in filter(None, intervals.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _decompress(content: bytes) -> bytes:
    if not content.startswith(b"\x78"):
        return content
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(content, _MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise UsageInvalid(f"a device list or progress file is damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise UsageInvalid(f"a device list or progress file unpacks to more than {_MAX_UNPACKED_BYTES:,} bytes")
    return plain
