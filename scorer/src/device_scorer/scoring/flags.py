"""The faults of a sensor in a window: from its figures, the fleet's rule and its behaviour in training.

The tests are those of the IOOS "QARTOD Manual for Real-Time Quality Control": gap (silent, sparse, stale), flat line
(stuck), gross range (implausible) and rate of change (jumpy). A rule of the fleet precedes the behaviour in training.
A flag changes no label and no outcome.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from device_scorer.contract.digest import MAX_DETAIL_CHARS, SensorFlag
from device_scorer.models.expectations import Expectation
from device_scorer.plurals import counted
from device_scorer.quality import NO_QUALITY, Quality, SensorRule
from device_scorer.scoring.digest_builder import NO_LIMITS, SensorLimits, TagFigures, longest_gap
from device_scorer.window import Window

DEFAULT_MIN_SHARE = 0.5
DEFAULT_STALE_AFTER_SECONDS = 900.0
STALE_INTERVALS = 2
"""Multiple of the interval up to which a reading is not stale, if the fleet sets no age."""

FLAT_MULTIPLE = 3
"""Multiple of the longest flat stretch in training from which a sensor is stuck, if the fleet sets no time."""

MIN_FLAT_INTERVALS = 5
RANGE_MULTIPLE = 10
"""Multiple of the width of the training range by which a value may leave it, if the fleet sets no range.

A value outside of the training range is an anomaly of the machine. A value this far outside is a fault of the sensor.
"""

MIN_ROWS_FOR_INTERVAL = 3
SLOW_WINDOWS = 1.1
"""Windows per reading above which a tag is slow: some windows have no reading of it, so that it is not silent.

Intervals vary by some seconds. A tag with a reading an hour has one in each window of an hour.
"""

_MISSING: Mapping[str, Expectation] = {}


class FlagFinder(NamedTuple):
    """The expectations of one device's sensors in a window.

    Attributes:
        window: The window.
        quality: The fleet's rules.
        expectations: The behaviour in training by tag.
    """

    window: Window
    quality: Quality = NO_QUALITY
    expectations: Mapping[str, Expectation] = _MISSING

    def limits(self, tags: Iterable[str]) -> dict[str, SensorLimits]:
        """Return the limits that need each row, for the tags that have some."""
        found = {tag: self._limits(self.quality.rule(tag), self.expectations.get(tag)) for tag in tags}
        return {tag: limits for tag, limits in found.items() if limits != NO_LIMITS}

    def find(self, tag: str, figures: TagFigures) -> tuple[SensorFlag, ...]:
        """Return the flags of a tag of a device that has readings.

        Args:
            tag: The tag.
            figures: The figures of the tag, with the limits of `limits`.
        """
        start, end = int(self.window.start.timestamp()), int(self.window.end.timestamp())
        rule, expected = self.quality.rule(tag), self.expectations.get(tag)
        interval = _interval(rule, expected)
        if not figures.rows:
            if not figures.bad_rows and interval > SLOW_WINDOWS * (end - start):
                return ()
            bad = f"; {figures.bad_rows:,} bad rows" if figures.bad_rows else ""
            return (SensorFlag("silent", start, f"no usable reading in the window{bad}"),)
        found = (
            _sparse(figures, rule, interval, start, end),
            _stale(figures, rule, interval, end),
            _stuck(figures, rule, expected, interval),
            _implausible(figures, self._limits(rule, expected)),
            _jumpy(figures, rule),
        )
        return tuple(flag for flag in found if flag)

    @staticmethod
    def _limits(rule: SensorRule, expected: Expectation | None) -> SensorLimits:
        low, high = rule.low, rule.high
        if low is None and expected is not None and expected.high > expected.low:
            margin = RANGE_MULTIPLE * (expected.high - expected.low)
            low, high = expected.low - margin, expected.high + margin
        return SensorLimits(
            low=NO_LIMITS.low if low is None else low,
            high=NO_LIMITS.high if high is None else high,
            max_rate=NO_LIMITS.max_rate if rule.max_rate is None else rule.max_rate,
            tolerance=rule.tolerance or 0.0,
            max_gap=longest_gap(_interval(rule, expected)),
        )


def describe_seconds(seconds: float) -> str:
    """Return a duration for people, such as 45 s, 12.5 min or 3 h."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _interval(rule: SensorRule, expected: Expectation | None) -> float:
    """Return the seconds between two readings by the rule or training; 0 if they are unknown."""
    return rule.interval or (expected.interval if expected else 0.0)


def _flag(name: str, since: int, detail: str) -> SensorFlag:
    return SensorFlag(name, since, detail[:MAX_DETAIL_CHARS])


def _sparse(figures: TagFigures, rule: SensorRule, interval: float, start: int, end: int) -> SensorFlag | None:
    min_share = DEFAULT_MIN_SHARE if rule.min_share is None else rule.min_share
    expected = (end - start) / interval if interval else 0.0
    if figures.rows >= min_share * expected:
        return None
    share = f"{figures.rows / expected:.0%} of the expected {expected:,.0f}"
    found = counted(figures.rows, "reading", "readings")
    detail = f"{found}, {share} (one in {describe_seconds(interval)}); {min_share:.0%} are needed"
    return _flag("sparse", start, detail)


def _stale(figures: TagFigures, rule: SensorRule, interval: float, end: int) -> SensorFlag | None:
    if not interval and figures.rows >= MIN_ROWS_FOR_INTERVAL:
        interval = (figures.last_time - figures.first_time) / (figures.rows - 1)
    limit = rule.stale_after or max(DEFAULT_STALE_AFTER_SECONDS, STALE_INTERVALS * interval)
    age = end - figures.last_time
    if age <= limit:
        return None
    detail = f"the newest reading is {describe_seconds(age)} older than the window's end; {describe_seconds(limit)}"
    return _flag("stale", figures.last_time, f"{detail} are allowed")


def _stuck(figures: TagFigures, rule: SensorRule, expected: Expectation | None, interval: float) -> SensorFlag | None:
    known_flat = expected.longest_flat if expected else 0.0
    if rule.flat_for is not None:
        limit = rule.flat_for
    elif expected is not None and interval:
        limit = max(FLAT_MULTIPLE * (known_flat + interval), MIN_FLAT_INTERVALS * interval)
    else:
        return None
    if figures.flat_seconds < limit or figures.flat_seconds <= known_flat:
        return None
    usual = f", at most {describe_seconds(known_flat)} in training" if expected else ""
    return _flag("stuck", figures.flat_since, f"the same value for {describe_seconds(figures.flat_seconds)}{usual}")


def _implausible(figures: TagFigures, limits: SensorLimits) -> SensorFlag | None:
    if not figures.outside:
        return None
    bounds = f"{limits.low:g} to {limits.high:g}"
    outside = counted(figures.outside, "reading is", "readings are")
    seen = f"the readings are {figures.minimum:g} to {figures.maximum:g}"
    return _flag("implausible", figures.first_outside, f"{outside} outside {bounds}; {seen}")


def _jumpy(figures: TagFigures, rule: SensorRule) -> SensorFlag | None:
    if not figures.fast_steps or rule.max_rate is None:
        return None
    steps = f"{counted(figures.fast_steps, 'step is', 'steps are')} larger than {rule.max_rate:g} per second"
    return _flag("jumpy", figures.first_fast_step, steps)
