"""Names of readings that no window reads, as no partition starts at their time."""

import re
from datetime import UTC, datetime, timedelta

from device_scorer.contract import blob_paths

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACEHOLDERS = ("yyyy", "MM", "dd", "HH", "mm")
_FIRST = (1, 1, 1, 0, 0)
"""The first value of each placeholder that a template lacks."""


def is_partition_name(template: str, partition: timedelta, name: str, device: str) -> bool:
    """Return True if a window reads this blob: its name is that of a partition, or has no date to compare.

    Args:
        template: The fleet's data path.
        partition: The length of a partition. Partitions are aligned to the Unix epoch.
        name: The blob's name, which matches the template.
        device: The device of the name.
    """
    digits = _digits(template, name, device)
    found = _PLACEHOLDERS[: len(digits)]
    if digits.keys() != set(found):
        return True  # such as {HH} without {dd}, which has the same name every day
    try:
        numbers = [int(digits[placeholder]) for placeholder in found]
        year, month, day, hour, minute = [*numbers, *_FIRST[len(numbers) :]]
        earliest = datetime(year, month, day, hour, minute, tzinfo=UTC)
        start = _EPOCH - (_EPOCH - earliest) // partition * partition
        return blob_paths.data_name(template, start, device) == name
    except (ValueError, OverflowError):  # such as month 13, or a start after the year 9999
        return False


def _digits(template: str, name: str, device: str) -> dict[str, str]:
    """Return the digits of each placeholder of a time, which has as many letters as digits."""
    digits: dict[str, str] = {}
    position = 0
    for index, part in enumerate(re.split(r"\{(\w+)\}", template)):
        is_device = index % 2 and part == "device"
        end = position + len(blob_paths.encode_id(device) if is_device else part)
        if index % 2 and not is_device:
            digits.setdefault(part, name[position:end])
        position = end
    return digits
