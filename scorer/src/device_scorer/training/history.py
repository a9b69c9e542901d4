"""Readings of a device from all of its blobs, as arrays of values by tag."""

import fnmatch
import re
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isnan

from device_scorer import readings
from device_scorer.contract import blob_paths
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.window import Window

_TIME_PATTERNS = {"yyyy": r"\d{4}", "MM": r"\d\d", "dd": r"\d\d", "HH": r"\d\d", "mm": r"\d\d"}


def _blobs_by_device(store: Store, settings: Settings, globs: list[str]) -> dict[str, list[str]]:
    """Names of the blobs that hold readings, by device."""
    sources = defaultdict(list)
    for info in store.list("data", settings.data_path.partition("{")[0]):
        device = blob_paths.device_from_name(settings.data_path, info.name)
        if device is not None and any(fnmatch.fnmatchcase(device, glob) for glob in globs):
            sources[device].append(info.name)
    return sources


@dataclass
class _History:
    """What a device's blobs hold: numbers by tag, and how many rows were no use."""

    numbers: defaultdict[str, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    bad_rows: int = 0

    def add(self, content: bytes, device: str, window: Window) -> None:
        """Take the rows of one blob that are the device's and lie in the window."""
        start, end = int(window.start.timestamp()), int(window.end.timestamp())
        for _, owner, tag, _, at, number in readings.read_rows(content, on_bad=self._count_bad):
            if isnan(number):
                self.bad_rows += 1
            elif start <= at < end and owner == device:
                self.numbers[tag].append(number)

    def _count_bad(self, _line: bytes, _reason: str) -> None:
        self.bad_rows += 1


def _partition_overlaps(settings: Settings, device: str, name: str, window: Window) -> bool:
    """Whether the blob's partition meets the window; True where its name does not tell when the partition begins."""
    pattern = re.escape(settings.data_path.replace("{device}", blob_paths.encode_id(device)))
    for placeholder, digits in _TIME_PATTERNS.items():
        pattern = pattern.replace(re.escape(f"{{{placeholder}}}"), f"(?P<{placeholder}>{digits})", 1)
    match = re.fullmatch(pattern, name)
    if match is None or len(match.groupdict()) < len(_TIME_PATTERNS):
        return True
    try:
        start = datetime(*(int(match[placeholder]) for placeholder in _TIME_PATTERNS), tzinfo=UTC)  # type: ignore[misc,arg-type]  # five ints
    except ValueError:
        return True
    return start < window.end and start + settings.data_partition > window.start
