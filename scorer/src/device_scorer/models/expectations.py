"""The behaviour of each sensor in the readings that its model was trained on, from `_meta` of a bundle.

`device-scorer train` writes `{"format": 1, "sensors": {"version": 1, "tags": {tag: [interval, low, high, flat]}}}`.
A bundle without sensors, and one with another version of them, has no expectations.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from device_scorer.quality import MAX_ABSOLUTE_VALUE

META_SENSORS_KEY = "sensors"
VERSION = 1
MAX_TAGS = 100_000


class Expectation(NamedTuple):
    """The behaviour of one sensor in its training readings.

    Attributes:
        interval: The usual seconds between two readings; 0 if it is unknown.
        low: The lowest value.
        high: The highest value.
        longest_flat: The longest time in seconds during which the value did not change.
    """

    interval: float
    low: float
    high: float
    longest_flat: float


def encode_expectations(expectations: Mapping[str, Expectation]) -> dict[str, Any]:
    """Return the value of META_SENSORS_KEY, which has only dicts, lists, texts and numbers."""
    tags = {
        tag: [float(one.interval), float(one.low), float(one.high), float(one.longest_flat)]
        for tag, one in sorted(expectations.items())
    }
    return {"version": VERSION, "tags": tags}


def decode_expectations(document: Any) -> dict[str, Expectation]:
    """Return the expectations by tag. Entries that `encode_expectations` does not write are skipped.

    Args:
        document: The value of META_SENSORS_KEY, which the writer of the bundle controls.
    """
    if not isinstance(document, dict):
        return {}
    version = document.get("version")
    if type(version) is not int or version != VERSION:  # arrays compare element by element
        return {}
    tags = document.get("tags")
    if not isinstance(tags, dict) or len(tags) > MAX_TAGS:
        return {}
    return {tag: Expectation(*numbers) for tag, numbers in tags.items() if isinstance(tag, str) and _is_valid(numbers)}


def _is_valid(numbers: Any) -> bool:
    if not isinstance(numbers, list | tuple) or len(numbers) != 4:
        return False
    if not all(type(number) is float and isfinite(number) for number in numbers):
        return False
    interval, low, high, flat = numbers
    return bool(interval >= 0 and flat >= 0 and low <= high and max(map(abs, numbers)) <= MAX_ABSOLUTE_VALUE)
