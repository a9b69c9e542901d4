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

_MOST_BYTES = 64 * 2**20
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one device in a run."""

    outcome: str
    reason: str = ""
    message: str = ""


def device_list(parts: Sequence[bytes]) -> list[str]:
    """The ids of a frozen device list, from its parts in order."""
    return [line for part in parts for line in _plain(part).decode("utf-8", "replace").splitlines() if line]


def fates(progress: bytes, devices: Sequence[str]) -> dict[str, Fate]:
    """What became of each device that has an outcome. Raises UsageInvalid where the file is no progress."""
    try:
        document: dict[str, Any] = json.loads(_plain(progress))
        reasons = _by_device(document["reasons"], devices)
        messages = {devices[position]: str(message) for position, _, message in document["samples"]}
        outcomes = _by_device(document["outcomes"], devices)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageInvalid(f"--progress holds no progress of a run over these devices: {error!r}") from error
    return {
        device: Fate(outcome, reasons.get(device, ""), messages.get(device, "")) for device, outcome in outcomes.items()
    }


def explained(told: Mapping[str, Fate], records: Iterable[bytes]) -> dict[str, Fate]:
    """The fates with the messages that outcome records have for them: same outcome and reason. Rubbish says nothing."""
    fates = dict(told)
    for record in records:
        for device, fate in _complaints(record):
            known = fates.get(device)
            if known is not None and not known.message and (known.outcome, known.reason) == (fate.outcome, fate.reason):
                fates[device] = fate
    return fates


def _complaints(record: bytes) -> Iterator[tuple[str, Fate]]:
    try:
        messages = list(json.loads(record)["messages"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return
    for message in messages:
        match message:
            case [("failed" | "partial") as outcome, str(reason), str(text), str(device)]:
                yield device, Fate(outcome, reason if outcome == "failed" else "", text[:_LONGEST_MESSAGE])
            case _:
                continue


def _by_device(sets: dict[str, str], devices: Sequence[str]) -> dict[str, str]:
    return {devices[position]: key for key, notation in sets.items() for position in _positions(notation)}


def _positions(notation: str) -> Iterator[int]:
    for span in filter(None, notation.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _plain(content: bytes) -> bytes:
    if not content.startswith(b"\x78"):
        return content
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(content, _MOST_BYTES)
    except zlib.error as error:
        raise UsageInvalid(f"a device list or progress file is damaged: {error}") from error
    if unpacker.unconsumed_tail:
        raise UsageInvalid(f"a device list or progress file unpacks to more than {_MOST_BYTES:,} bytes")
    return plain
