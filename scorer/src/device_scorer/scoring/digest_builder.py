"""Figures of a device's sensors in a window, added up in the pass over the rows that scores them.

The costs of a row are one append; everything else is a built-in function over the rows of one tag in a chunk. Rows of a
chunk count in the order of their times. A chunk that begins before the newest row of the tag starts a new stretch of
equal values.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress, pairwise
from operator import itemgetter, ne, or_, sub
from typing import NamedTuple

from device_scorer.contract.digest import BUCKET_COUNT, MAX_UNMODELLED_TAGS, DeviceDigest, SensorFlag, TagDigest
from device_scorer.window import Window

MAX_COUNTED_TAGS = 10_000
"""Number of tags without a model that are counted one by one."""

MEAN_FORMAT = ".9g"
"""Digits of a mean. They hide the order in which the values were added."""


FLAT_GAP_INTERVALS = 5
"""Number of intervals without a reading that end a flat stretch: the values in a longer gap are unknown."""

MIN_FLAT_GAP_SECONDS = 900.0
"""Time without a reading that ends no flat stretch, however short the interval is."""


def longest_gap(interval: float) -> float:
    """Return the longest time without a reading within a flat stretch, in seconds.

    Args:
        interval: The seconds between two readings; 0 if it is unknown, which allows any gap.
    """
    return max(MIN_FLAT_GAP_SECONDS, FLAT_GAP_INTERVALS * interval) if interval else float("inf")


class SensorLimits(NamedTuple):
    """The limits of one sensor that need each row.

    Attributes:
        low: The lowest plausible value.
        high: The highest plausible value.
        max_rate: The largest plausible step, per second.
        tolerance: The largest difference between values that count as the same value.
        max_gap: The longest time between two readings of a flat stretch, in seconds.
    """

    low: float = float("-inf")
    high: float = float("inf")
    max_rate: float = float("inf")
    tolerance: float = 0.0
    max_gap: float = float("inf")


NO_LIMITS = SensorLimits()


class TagFigures:
    """The figures of one tag so far. Times are in seconds since the epoch.

    Args:
        limits: The limits of the sensor.
    """

    __slots__ = (
        *("anomalies", "bad_rows", "fast_steps", "first_anomaly", "first_fast_step", "first_outside", "first_time"),
        *("flat_seconds", "flat_since", "last_anomaly", "last_time", "maximum", "minimum", "outside", "rows", "total"),
        *("worst_score", "worst_ts", "worst_value", "_anomaly_times", "_limits", "_stretch", "_value", "_value_since"),
        "_value_time",
    )

    def __init__(self, limits: SensorLimits = NO_LIMITS) -> None:
        self.rows = self.bad_rows = self.anomalies = 0
        self.first_time = self.last_time = 0
        self.minimum = self.maximum = self.total = 0.0
        self.flat_seconds = self.flat_since = 0
        self.outside = self.first_outside = self.fast_steps = self.first_fast_step = 0
        self.first_anomaly = self.last_anomaly = self.worst_ts = self.worst_value = ""
        self.worst_score = 0.0
        self._limits = limits
        self._anomaly_times = (0, 0)
        self._value, self._value_since, self._value_time = 0.0, 0, 0
        self._stretch = _TolerantStretch(limits) if limits.tolerance > 0 else None

    def add(self, times: Sequence[int], numbers: Sequence[float]) -> None:
        """Add rows of one chunk.

        Args:
            times: The times; at least one.
            numbers: The value at each time.
        """
        if (*sorted(times),) != times:
            times, numbers = zip(*sorted(zip(times, numbers, strict=True), key=itemgetter(0)), strict=True)
        low, high = min(numbers), max(numbers)
        # The newest row so far is the last one of the previous chunk, so the stretch of this chunk may continue.
        continues = self.rows > 0 and times[0] >= self.last_time == self._value_time
        if continues:
            known_times, known_numbers = (self._value_since, *times), (self._value, *numbers)
        else:
            known_times, known_numbers = tuple(times), tuple(numbers)
        if self._limits is not NO_LIMITS:
            self._check_limits(times, numbers, low, high, continues=continues)
        if self._stretch is None:
            changed = list(map(ne, known_numbers[1:], known_numbers))
            if False in changed:
                before = (self._value_time, *times) if continues else known_times
                starts, lengths = _stretches(known_times, changed, before, self._limits.max_gap)
                self._compare_stretch(longest := max(lengths), starts[lengths.index(longest)])
                self._value_since = starts[-1]
            else:
                self._value_since = times[-1]
        else:
            self._compare_stretch(*self._stretch.add(times, numbers, continues=continues))
            self._value_since = times[-1]
        self._value, self._value_time = numbers[-1], times[-1]
        if self.rows:
            self.first_time, self.last_time = min(self.first_time, times[0]), max(self.last_time, times[-1])
            self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        else:
            self.first_time, self.last_time, self.minimum, self.maximum = times[0], times[-1], low, high
        self.rows += len(times)
        self.total += sum(numbers)

    def add_anomaly(self, ts: str, value: str, score: str, at: int) -> None:
        """Add an anomaly; its row is added by `add`.

        Args:
            ts: TS as the predictions have it.
            value: The value as the predictions have it.
            score: The score as the predictions have it; may be empty.
            at: The time.
        """
        self.anomalies += 1
        first, last = self._anomaly_times
        if self.anomalies == 1 or at < first:
            self.first_anomaly, first = ts, at
        if self.anomalies == 1 or at >= last:
            self.last_anomaly, last = ts, at
        self._anomaly_times = (first, last)
        number = float(score) if score else 0.0
        if self.anomalies == 1 or number < self.worst_score:
            self.worst_ts, self.worst_value, self.worst_score = ts, value, number

    def digest(self, tag: str, flags: tuple[SensorFlag, ...] = ()) -> TagDigest:
        """Return the digest of the tag with these flags."""
        return TagDigest(
            tag=tag,
            rows=self.rows,
            bad_rows=self.bad_rows,
            first_time=self.first_time,
            last_time=self.last_time,
            minimum=self.minimum,
            maximum=self.maximum,
            mean=float(format(self.total / self.rows, MEAN_FORMAT)) if self.rows else 0.0,
            longest_flat_seconds=self.flat_seconds,
            anomalies=self.anomalies,
            first_anomaly=self.first_anomaly,
            last_anomaly=self.last_anomaly,
            worst_ts=self.worst_ts,
            worst_value=self.worst_value,
            worst_score=self.worst_score,
            flags=flags,
        )

    def _compare_stretch(self, seconds: int, since: int) -> None:
        if seconds > self.flat_seconds:
            self.flat_seconds, self.flat_since = seconds, since

    def _check_limits(
        self, times: Sequence[int], numbers: Sequence[float], low: float, high: float, *, continues: bool
    ) -> None:
        limits = self._limits
        if low < limits.low or high > limits.high:
            outside = [at for at, number in zip(times, numbers, strict=True) if not limits.low <= number <= limits.high]
            self.first_outside = self.first_outside or outside[0]
            self.outside += len(outside)
        if limits.max_rate < float("inf"):
            before = [(self.last_time, self._value)] if continues else []
            rows = [*before, *zip(times, numbers, strict=True)]
            fast = [
                at
                for (earlier, value), (at, number) in pairwise(rows)
                if abs(number - value) > limits.max_rate * max(1, at - earlier)
            ]
            self.first_fast_step = self.first_fast_step or (fast[0] if fast else 0)
            self.fast_steps += len(fast)


def _stretches(
    since: Sequence[int], changed: Sequence[bool], times: Sequence[int], max_gap: float
) -> tuple[list[int], list[int]]:
    """Return the starts and lengths of the stretches of equal values.

    Args:
        since: The times, of which the first one is that of the first stretch.
        changed: True for each later row whose value is another one.
        times: The times.
        max_gap: The longest time between two readings of a stretch.
    """
    starts = [since[0], *compress(since[1:], changed)]
    lengths = list(map(sub, [*compress(since, changed), since[-1]], starts))
    if max(lengths) > max_gap:
        steps = list(map(sub, times[1:], times))
        if max(steps) > max_gap:
            return _stretches(since, list(map(or_, changed, map(max_gap.__lt__, steps))), times, float("inf"))
    return starts, lengths


class _TolerantStretch:
    """The longest stretch whose values differ by at most a tolerance: a sliding window with monotonic queues."""

    def __init__(self, limits: SensorLimits) -> None:
        self._tolerance, self._max_gap = limits.tolerance, limits.max_gap
        self._rows: deque[tuple[int, float]] = deque()
        self._lowest: deque[float] = deque()
        self._highest: deque[float] = deque()

    def add(self, times: Sequence[int], numbers: Sequence[float], *, continues: bool) -> tuple[int, int]:
        """Add rows and return the longest stretch that ends in them: its length in seconds, and its first time."""
        rows, lowest, highest = self._rows, self._lowest, self._highest
        longest, since = 0, times[0]
        for at, number in zip(times, numbers, strict=True):
            if rows and (not continues or at - rows[-1][0] > self._max_gap):
                for queue in (rows, lowest, highest):
                    queue.clear()
            continues = True
            self._append(at, number)
            while highest[0] - lowest[0] > self._tolerance:
                self._drop_oldest()
            if at - rows[0][0] > longest:
                longest, since = at - rows[0][0], rows[0][0]
        return longest, since

    def _append(self, at: int, number: float) -> None:
        self._rows.append((at, number))
        while self._lowest and self._lowest[-1] > number:
            self._lowest.pop()
        while self._highest and self._highest[-1] < number:
            self._highest.pop()
        self._lowest.append(number)
        self._highest.append(number)

    def _drop_oldest(self) -> None:
        _, oldest = self._rows.popleft()
        for queue in (self._lowest, self._highest):
            if queue[0] == oldest:
                queue.popleft()


FindFlags = Callable[[str, TagFigures], tuple[SensorFlag, ...]]
_NO_FIGURES = TagFigures()


class DigestBuilder:
    """The figures of one device in a window.

    Args:
        window: The window, which is divided into BUCKET_COUNT parts.
        tags: The tags that have a model.
        limits: The limits by tag; a tag that is not listed has none.
    """

    def __init__(
        self, window: Window, tags: Collection[str] = (), limits: Mapping[str, SensorLimits] | None = None
    ) -> None:
        self._start = int(window.start.timestamp())
        self._seconds = (window.end - window.start).total_seconds()
        self._limits = limits or {}
        self._modelled = tags
        self._buckets: Counter[int] = Counter()
        self.figures: dict[str, TagFigures] = {}
        self.unmodelled: Counter[str] = Counter()

    def tag(self, tag: str) -> TagFigures:
        """Return the figures of a tag."""
        figures = self.figures.get(tag)
        if figures is None:
            figures = self.figures[tag] = TagFigures(self._limits.get(tag, NO_LIMITS))
        return figures

    def add_anomalies(self, rows: Iterable[tuple[str, str, str, str, int]]) -> None:
        """Add anomalies, as (tag, ts, value, score, seconds since the epoch), in the order of the predictions."""
        for tag, ts, value, score, at in rows:
            self.tag(tag).add_anomaly(ts, value, score, at)
            self._buckets[min(BUCKET_COUNT - 1, max(0, int((at - self._start) / self._seconds * BUCKET_COUNT)))] += 1

    def add_unmodelled(self, tag: str, rows: int = 1) -> None:
        """Count rows of a tag without a model; the tags above MAX_COUNTED_TAGS are not counted."""
        if tag in self.unmodelled or len(self.unmodelled) < MAX_COUNTED_TAGS:
            self.unmodelled[tag] += rows

    def remove_unscored(self, tag: str, rows: int) -> None:
        """Count rows of a tag whose model fails as those of a tag without a model."""
        if tag in self.figures and not self.figures[tag].rows:
            del self.figures[tag]
        self.add_unmodelled(tag, rows)

    def finish(self, find_flags: FindFlags | None = None) -> DeviceDigest:
        """Return the digest: the tags with rows, bad rows or flags, in the order of their names.

        Args:
            find_flags: A function that returns the flags of a tag; None for no flags.
        """
        tags = []
        for tag in sorted({*self._modelled, *self.figures}):
            figures = self.figures.get(tag) or _NO_FIGURES
            flags = find_flags(tag, figures) if find_flags else ()
            if figures.rows or figures.bad_rows or flags:
                tags.append(figures.digest(tag, flags))
        return DeviceDigest(
            tags=tuple(tags),
            newest_time=max((figures.last_time for figures in self.figures.values() if figures.rows), default=0),
            anomalies_by_bucket=tuple(map(self._buckets.__getitem__, range(BUCKET_COUNT))) if self._buckets else (),
            unmodelled=tuple(self.unmodelled.most_common(MAX_UNMODELLED_TAGS)),
        )
