"""The firings of a CronJob, as Kubernetes computes them from its expression and time zone.

Kubernetes parses the expression with `ParseStandard` of github.com/robfig/cron v3.0.1, whose rules this module has. A
time fires if the clock of the time zone matches it. So a time that a change of the clock skips does not fire, and a
time that it repeats fires twice. Kubernetes can skip further firings on the day of a change at midnight or of half an
hour; this module has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MAX_STEPS = 5 * 366 + 5 * 400
"""Steps after which no firing is expected: Kubernetes searches five years, and 30 February does not exist."""

MAX_EXPRESSION_CHARS = 1000
MAX_ZONE_CHARS = 64
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = dict(jan=1, feb=2, mar=3, apr=4, may=5, jun=6, jul=7, aug=8, sep=9, oct=10, nov=11, dec=12)  # noqa: C408
_WEEKDAYS = dict(sun=0, mon=1, tue=2, wed=3, thu=4, fri=5, sat=6)  # noqa: C408  shorter than two literals
_NO_NAMES: Mapping[str, int] = {}
_BOUNDS: Sequence[tuple[int, int, Mapping[str, int]]] = (
    (0, 59, _NO_NAMES),
    (0, 23, _NO_NAMES),
    (1, 31, _NO_NAMES),
    (1, 12, _MONTHS),
    (0, 6, _WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class _Field:
    """The values of a field, and whether it has `*` or `?` without a step."""

    values: frozenset[int]
    is_any: bool


def next_firing(expression: str, zone: str, after: datetime) -> datetime | None:
    """Return the first firing after a time, in UTC; None if it has none within five years.

    Args:
        expression: Five fields, or a descriptor such as `@hourly`.
        zone: The IANA name of the time zone.
        after: The time.

    Raises:
        ValueError: The expression or the time zone is invalid; the text says why.
    """
    minutes, hours, days, months, weekdays = _parse(expression)
    clock = _zone(zone)
    at = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for _ in range(MAX_STEPS):
        local = at.astimezone(clock)
        in_month, in_week = local.day in days.values, local.isoweekday() % 7 in weekdays.values
        is_day = in_month and in_week if days.is_any or weekdays.is_any else in_month or in_week
        if local.month not in months.values or not is_day:
            midnight = datetime.combine(local.date() + timedelta(days=1), time(), clock)
            at = max(midnight.astimezone(UTC), at + timedelta(minutes=1))  # a clock set back may pass midnight twice
        elif local.hour not in hours.values:
            at += timedelta(minutes=60 - local.minute)
        elif local.minute not in minutes.values:
            at += timedelta(minutes=1)
        else:
            return at
    return None


def _zone(name: str) -> ZoneInfo:
    if len(name) > MAX_ZONE_CHARS:  # the library imports a package for each part of the name
        raise ValueError(f"time zone {name[:100]!r} has more than {MAX_ZONE_CHARS} characters")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time zone {name[:100]!r} is unknown on this machine") from error


def _parse(expression: str) -> list[_Field]:
    if len(expression) > MAX_EXPRESSION_CHARS:
        raise ValueError(f"the expression has more than {MAX_EXPRESSION_CHARS:,} characters")
    fields = _DESCRIPTORS.get(expression.strip(), expression).split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"{expression[:100]!r} has {len(fields)} fields in place of {len(_BOUNDS)}")
    return [_field(text, *bounds) for text, bounds in zip(fields, _BOUNDS, strict=True)]


def _field(text: str, lowest: int, highest: int, names: Mapping[str, int]) -> _Field:
    values: set[int] = set()
    is_any = False
    for part in filter(None, text.split(",")):
        span, slash, step_text = part.partition("/")
        first, dash, last = span.partition("-")
        step = _number(step_text, _NO_NAMES) if slash else 1
        if first in ("*", "?"):
            start, end = lowest, highest
            is_any = is_any or step == 1
        else:
            start = _number(first, names)
            end = _number(last, names) if dash else highest if slash else start
        if not lowest <= start <= end <= highest or not step:
            raise ValueError(f"{part[:100]!r} is not in {lowest} to {highest}")
        values.update(range(start, end + 1, step))
    return _Field(frozenset(values), is_any)


def _number(text: str, names: Mapping[str, int]) -> int:
    found = names.get(text.lower())
    if found is not None:
        return found
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{text[:100]!r} is not a number")
    return int(text)
