"""The past readings of a device, which are read from a store as arrays of values by tag."""

import fnmatch
import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite

import numpy as np

from device_scorer import readings
from device_scorer.contract import blob_paths
from device_scorer.errors import BlobUnreadable, DataInvalid
from device_scorer.quality import NO_QUALITY, Quality
from device_scorer.scoring.row_statistics import describe_value
from device_scorer.settings import Settings
from device_scorer.store.base import Store
from device_scorer.window import Window

_TIME_PATTERNS = {"yyyy": r"\d{4}", "MM": r"\d\d", "dd": r"\d\d", "HH": r"\d\d", "mm": r"\d\d"}


@dataclass(frozen=True)
class PastReadings:
    """The usable readings of a device.

    Attributes:
        values: The values by tag, as one-dimensional arrays in the order of their times; empty for a tag that has only
            unusable rows.
        times: The time of each value by tag, in seconds since the epoch.
        bad_rows: The number of unusable rows, and of rows that the fleet's quality rules exclude.
        unreadable: The error by name of a blob that cannot be read.
        bad_sample: The reason of the first row of `bad_rows`.
    """

    values: Mapping[str, np.ndarray]
    times: Mapping[str, np.ndarray]
    bad_rows: int
    unreadable: Mapping[str, str]
    bad_sample: str = ""


def list_readings(store: Store, settings: Settings, globs: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the blobs with readings, by device.

    Args:
        store: The store.
        settings: The fleet's settings.
        globs: Shell patterns; a device must match one of them.
    """
    sources = defaultdict(list)
    for info in store.list("data", settings.data_path.partition("{")[0]):
        device = blob_paths.device_from_name(settings.data_path, info.name)
        if device is not None and any(fnmatch.fnmatchcase(device, glob) for glob in globs):
            sources[device].append(info.name)
    return dict(sources)


def read_past_readings(
    store: Store, settings: Settings, device: str, names: Sequence[str], window: Window
) -> PastReadings:
    """Read the device's readings of the window.

    Args:
        store: The store.
        settings: The fleet's settings.
        device: The device's id; rows of other devices are ignored.
        names: The names of the device's blobs, in any order.
        window: The window; blobs of partitions outside of it are not read.
    """
    reader = _PastReadingsReader(device, window, settings.quality)
    unreadable = {}
    for name in sorted(names):
        if not partition_overlaps(settings, device, name, window):
            continue
        try:
            blob = store.read("data", name, max_bytes=settings.limits.max_data_bytes)
            reader.add(blob.content if blob else b"")
        except (DataInvalid, BlobUnreadable) as error:
            unreadable[name] = str(error)
    values, times = {}, {}
    for tag, numbers in reader.numbers.items():
        values[tag], times[tag] = np.frombuffer(numbers), np.frombuffer(reader.times[tag], dtype=np.int64)
        if np.any(np.diff(times[tag]) < 0):
            order = np.argsort(times[tag], kind="stable")
            values[tag], times[tag] = values[tag][order], times[tag][order]
    return PastReadings(values, times, reader.bad_rows, unreadable, reader.bad_sample)


def partition_overlaps(settings: Settings, device: str, name: str, window: Window) -> bool:
    """Return True if the blob's partition overlaps the window, or if its name does not contain the partition's start.

    Args:
        settings: The fleet's settings.
        device: The device's id.
        name: The blob's name.
        window: The window.
    """
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


@dataclass
class _PastReadingsReader:
    """A reader of one blob after the other; 16 bytes a value."""

    device: str
    window: Window
    quality: Quality = NO_QUALITY
    numbers: defaultdict[str, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    times: defaultdict[str, "array[int]"] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    bad_rows: int = 0
    bad_sample: str = ""

    def add(self, content: bytes) -> None:
        """Add the rows of one blob that are the device's and lie in the window."""
        start, end = int(self.window.start.timestamp()), int(self.window.end.timestamp())
        for _, owner, tag, value, at, number in readings.read_rows(
            content, on_bad=self._count_bad, quality=self.quality
        ):
            if owner != self.device or not start <= at < end:
                continue
            if isfinite(number):
                self.numbers[tag].append(number)
                self.times[tag].append(at)
            else:
                self._count_unusable(tag, value, number)
                self.times[tag], self.numbers[tag]  # a tag without a usable value has empty arrays

    def _count_unusable(self, tag: str, value: str, number: float) -> None:
        self.bad_rows += 1
        if not self.bad_sample:
            reason = readings.EXCLUDED_ROW if number == readings.EXCLUDED else describe_value(value)
            self.bad_sample = f"tag {tag[:60]!r}: {reason}"

    def _count_bad(self, _line: bytes, reason: str) -> None:
        self.bad_rows += 1
        self.bad_sample = self.bad_sample or reason
