"""The fleet's expectations of its sensors, from one JSON text: `fleets[].quality` of the chart's values.

    {"interval": "15s", "minShare": 0.5, "staleAfter": "15m", "flatLine": {"for": "30m", "tolerance": 0},
     "range": [0, 120], "rateOfChange": 5, "badValues": [-9999],
     "badWhen": {"column": "Quality", "values": ["Bad"]}, "tags": {"temp-*": {...the same keys}}}

The tests are those of the IOOS "QARTOD Manual for Real-Time Quality Control" (gap, flat line, gross range, rate of
change). If several patterns match a tag, the one with more characters that are not wildcards wins, key by key.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

from device_scorer.errors import UsageInvalid

MAX_TEXT_CHARS = 65_536
MAX_PATTERNS = 200
MAX_VALUES = 100
MAX_NAME_CHARS = 256
MAX_DURATION_SECONDS = 366 * 86_400
MAX_ABSOLUTE_VALUE = 1e150
"""Bound of the absolute value of a reading. A larger value can overflow when a model squares it."""

_DURATION_PATTERNS = (
    re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?"),
    re.compile(r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?"),
)
_TRUE_AND_FALSE = {True: frozenset({"true", "True", "TRUE"}), False: frozenset({"false", "False", "FALSE"})}


class SensorRule(NamedTuple):
    """The fleet's expectations of one sensor. None is the absence of an expectation.

    Attributes:
        interval: The seconds between two readings.
        min_share: The smallest share of the expected readings, from 0 to 1.
        stale_after: The age in seconds at the window's end above which the newest reading is stale.
        flat_for: The seconds of equal values from which the sensor is stuck.
        tolerance: The largest difference between values that count as equal.
        low: The lowest plausible value.
        high: The highest plausible value.
        max_rate: The largest plausible step per second.
        bad_values: The values that are not readings.
        bad_column: The column that makes a row bad; empty for none.
        bad_texts: The texts of this column that make a row bad.
    """

    interval: float | None = None
    min_share: float | None = None
    stale_after: float | None = None
    flat_for: float | None = None
    tolerance: float | None = None
    low: float | None = None
    high: float | None = None
    max_rate: float | None = None
    bad_values: frozenset[float] = frozenset()
    bad_column: str = ""
    bad_texts: frozenset[str] = frozenset()


class Quality:
    """The rules of a fleet by tag.

    Args:
        fleet: The keys of the whole fleet.
        patterns: The keys by pattern of tags.
    """

    def __init__(
        self, fleet: Mapping[str, Any] | None = None, patterns: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self._fleet = dict(fleet or {})
        self._patterns = sorted((patterns or {}).items(), key=lambda entry: (_specificity(entry[0]), entry[0]))
        self._fleet_rule = SensorRule(**self._fleet)
        self.rule = lru_cache(maxsize=10_000)(self._rule)
        rules = [self._fleet, *(keys for _, keys in self._patterns)]
        self.bad_columns = tuple(sorted({rule["bad_column"] for rule in rules if rule.get("bad_column")}))
        self._bad_values = frozenset().union(*(rule.get("bad_values", frozenset()) for rule in rules))
        self._bad_texts = frozenset().union(*(rule.get("bad_texts", frozenset()) for rule in rules))

    @property
    def excludes_rows(self) -> bool:
        """True if some values are not readings."""
        return bool(self._bad_values or self.bad_columns)

    def may_exclude(self, numbers: Iterable[float], columns: Iterable[Sequence[str]]) -> bool:
        """Return False if none of the rows can be excluded; a fast test for a block of rows.

        Args:
            numbers: The values.
            columns: The columns of `bad_columns`.
        """
        if not self._bad_values.isdisjoint(numbers):
            return True
        return any(not self._bad_texts.isdisjoint(map(str.strip, column)) for column in columns)

    def excludes(self, tag: str, number: float, columns: Mapping[str, str]) -> bool:
        """Return True if a row is not a reading.

        Args:
            tag: The tag.
            number: The value.
            columns: The texts of the row by column of `bad_columns`; a column that the file lacks is missing.
        """
        rule = self.rule(tag)
        if number in rule.bad_values:
            return True
        text = columns.get(rule.bad_column)
        return text is not None and text.strip() in rule.bad_texts

    def _rule(self, tag: str) -> SensorRule:
        if not self._patterns:
            return self._fleet_rule
        keys = dict(self._fleet)
        for pattern, changes in self._patterns:
            if fnmatchcase(tag, pattern):
                keys |= changes
        return SensorRule(**keys)


NO_QUALITY = Quality()


def parse_quality(text: str) -> Quality:
    """Parse the rules of a fleet.

    Args:
        text: The JSON text; empty for no rules.

    Raises:
        UsageInvalid: The text is invalid; the message names the key.
    """
    if not text:
        return NO_QUALITY
    if len(text) > MAX_TEXT_CHARS:
        raise UsageInvalid(f"quality is invalid: it has more than {MAX_TEXT_CHARS:,} characters; shorten it")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageInvalid(f"quality is invalid: it must be a JSON object ({str(error)[:100]})") from error
    fleet = _object("quality", document)
    tags = _object("quality.tags", fleet.pop("tags", {}))
    if len(tags) > MAX_PATTERNS:
        raise _invalid("quality.tags", f"it must have at most {MAX_PATTERNS} patterns")
    patterns = {}
    for pattern, keys in tags.items():
        path = f"quality.tags[{pattern[:40]!r}]"
        if not 0 < len(pattern) <= MAX_NAME_CHARS:
            raise _invalid(path, f"a pattern has 1 to {MAX_NAME_CHARS} characters")
        patterns[pattern] = _keys(path, _object(path, keys))
    return Quality(_keys("quality", fleet), patterns)


def _specificity(pattern: str) -> int:
    return sum(character not in "*?[]" for character in pattern)


def _keys(path: str, document: Mapping[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, value in document.items():
        read = _READERS.get(name)
        if read is None:
            raise _invalid(f"{path}.{name[:40]}", f"the keys are {', '.join(_READERS)}")
        keys |= read(f"{path}.{name}", value)
    return keys


def _invalid(path: str, rule: str) -> UsageInvalid:
    return UsageInvalid(f"{path} is invalid: {rule}")


def _object(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(path, "it must be an object")
    return dict(value)


def _number(path: str, value: Any, *, least: float = -MAX_ABSOLUTE_VALUE, most: float = MAX_ABSOLUTE_VALUE) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not least <= value <= most:
        raise _invalid(path, f"it must be a number from {least:g} to {most:g}")
    return float(value)


def _seconds(path: str, value: Any) -> float:
    """Return the seconds of a duration such as 15s, 1h30m or PT15M."""
    text = value if isinstance(value, str) else ""
    for pattern in _DURATION_PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
            if 0 < total <= MAX_DURATION_SECONDS:
                return float(total)
    raise _invalid(path, "it must be a duration of at most 366 days, such as 15s, 30m or 1h30m")


def _range(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise _invalid(path, "it must be [lowest, highest]")
    low, high = _number(f"{path}[0]", value[0]), _number(f"{path}[1]", value[1])
    if low > high:
        raise _invalid(path, "its first number must not be above its second number")
    return {"low": low, "high": high}


def _flat_line(path: str, value: Any) -> dict[str, Any]:
    keys = _object(path, value)
    if keys.keys() - {"for", "tolerance"}:
        raise _invalid(path, "its keys are for and tolerance")
    found: dict[str, Any] = {}
    if "for" in keys:
        found["flat_for"] = _seconds(f"{path}.for", keys["for"])
    if "tolerance" in keys:
        found["tolerance"] = _number(f"{path}.tolerance", keys["tolerance"], least=0)
    return found


def _bad_values(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) > MAX_VALUES:
        raise _invalid(path, f"it must be a list of at most {MAX_VALUES} numbers")
    return {"bad_values": frozenset(_number(path, number) for number in value)}


def _bad_when(path: str, value: Any) -> dict[str, Any]:
    keys = _object(path, value)
    column, values = keys.get("column"), keys.get("values")
    if keys.keys() != {"column", "values"} or not isinstance(column, str) or not isinstance(values, list):
        raise _invalid(path, "it must have a column and a list of values")
    if not 0 < len(column) <= MAX_NAME_CHARS or not 0 < len(values) <= MAX_VALUES:
        raise _invalid(path, f"it must have the name of a column and 1 to {MAX_VALUES} values")
    return {"bad_column": column.strip(), "bad_texts": frozenset().union(*(_cells(path, value) for value in values))}


def _cells(path: str, value: Any) -> Collection[str]:
    """Return the texts of CSV cells that have a value. Programs write 192 as 192.0, and true as True, too."""
    if isinstance(value, bool):
        return _TRUE_AND_FALSE[value]
    if isinstance(value, str) and len(value) <= MAX_NAME_CHARS:
        return {value.strip()}
    if isinstance(value, int | float):
        number = _number(path, value)
        return {str(value), str(number), *([str(int(number))] if number == int(number) else [])}
    raise _invalid(path, f"a value is a text or a number of at most {MAX_NAME_CHARS} characters")


_READERS: Mapping[str, Callable[[str, Any], dict[str, Any]]] = {
    "interval": lambda path, value: {"interval": _seconds(path, value)},
    "minShare": lambda path, value: {"min_share": _number(path, value, least=0, most=1)},
    "staleAfter": lambda path, value: {"stale_after": _seconds(path, value)},
    "flatLine": _flat_line,
    "range": _range,
    "rateOfChange": lambda path, value: {"max_rate": _number(path, value, least=0)},
    "badValues": _bad_values,
    "badWhen": _bad_when,
}
