"""The behaviour of a sensor in its training readings: interval, range, longest flat stretch, and coverage."""

import numpy as np

from device_scorer.models.expectations import Expectation
from device_scorer.quality import SensorRule
from device_scorer.scoring.digest_builder import SensorLimits, TagFigures, longest_gap

BUCKET_SECONDS = 3600
MIN_GAPS_PER_BUCKET = 20
MIN_BUCKETS = 3
MIN_COVERAGE_ROWS = 50
COVERAGE_PARTS = 5
NO_RULE = SensorRule()


def observe_sensor(times: np.ndarray, numbers: np.ndarray, rule: SensorRule = NO_RULE) -> Expectation:
    """Return the behaviour of a sensor.

    A flat stretch ends with a gap, as it does in a window: the readings of a machine that is off at night do not show
    that the value is the same all night.

    Args:
        times: The times in seconds since the epoch, in ascending order; at least one.
        numbers: The value at each time.
        rule: The fleet's expectations of the sensor.
    """
    interval = usual_interval(times)
    max_gap = longest_gap(rule.interval or interval)
    if rule.tolerance:
        figures = TagFigures(SensorLimits(tolerance=rule.tolerance, max_gap=max_gap))
        figures.add(tuple(times.tolist()), tuple(numbers.tolist()))
        flat = figures.flat_seconds
    else:
        starts_anew = (np.diff(numbers) != 0) | (np.diff(times) > max_gap)
        changes = np.flatnonzero(starts_anew) + 1
        starts, ends = times[np.concatenate(([0], changes))], times[np.concatenate((changes - 1, [len(times) - 1]))]
        flat = int((ends - starts).max())
    return Expectation(interval, float(numbers.min()), float(numbers.max()), float(flat))


def usual_interval(times: np.ndarray) -> float:
    """Return the usual seconds between two readings; 0 if there are fewer than two instants.

    The result is the median gap. The lower bound is the time per reading in a usual hour with readings, because a
    sensor that sends bursts has small gaps and few readings.

    Args:
        times: The times in seconds since the epoch, in ascending order.
    """
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return 0.0
    median = float(np.median(gaps))
    bucket = max(BUCKET_SECONDS, int(MIN_GAPS_PER_BUCKET * median))
    _, counts = np.unique(times // bucket, return_counts=True)
    if len(counts) < MIN_BUCKETS:
        return max(median, float(times[-1] - times[0]) / len(gaps))
    return max(median, bucket / float(np.median(counts)))


def range_coverage(numbers: np.ndarray) -> float | None:
    """Return the share of the newest readings that lie in the range of the earlier ones, or None for few readings.

    The newest readings are the last of COVERAGE_PARTS parts. A model that was trained on the earlier ones would call
    the others anomalies. So a low share shows that the history does not cover the usual range.

    Args:
        numbers: The values in the order of their times.
    """
    if len(numbers) < MIN_COVERAGE_ROWS:
        return None
    split = len(numbers) - len(numbers) // COVERAGE_PARTS
    earlier, newest = numbers[:split], numbers[split:]
    return float(np.mean((newest >= earlier.min()) & (newest <= earlier.max())))
