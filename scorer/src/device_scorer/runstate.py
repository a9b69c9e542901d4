"""What a ScoringRun says of its devices: the operator's device list and progress, as their ConfigMaps hold them. Pure.

Both are read here as files: a list is ids, one a line; progress is JSON that says with intervals ("0-3,7") which
positions of the list have which outcome and reason. Either may be compressed with zlib, as in the ConfigMaps.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from device_scorer.errors import UsageInvalid

_MOST_BYTES = 64 * 2**20


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
