"""The behaviour of a sensor in its training readings."""

import numpy as np
import pytest

from device_scorer.models.expectations import Expectation
from device_scorer.quality import SensorRule
from device_scorer.training.behaviour import observe_sensor, range_coverage, usual_interval

HOURS = np.arange(0, 86_400, 15)


def test_sensor_has_its_interval_range_and_longest_flat_stretch() -> None:
    numbers = np.sin(np.arange(len(HOURS)))
    numbers[100:105] = 0.5
    low, high = float(numbers.min()), float(numbers.max())
    assert observe_sensor(HOURS, numbers) == Expectation(15.0, low, high, 60.0)


def test_flat_stretch_uses_the_tolerance_of_the_fleet() -> None:
    numbers = np.array([0.0, 0.1, 0.0, 0.1, 5.0])
    assert observe_sensor(np.arange(5) * 10, numbers).longest_flat == 0
    assert observe_sensor(np.arange(5) * 10, numbers, SensorRule(tolerance=0.2)).longest_flat == 30


def test_constant_sensor_is_flat_for_its_whole_history() -> None:
    assert observe_sensor(HOURS, np.full(len(HOURS), 7.0)).longest_flat == 86_385


@pytest.mark.parametrize("tolerance", [0.0, 0.2])
def test_flat_stretch_of_training_ends_at_a_gap(tolerance: float) -> None:
    day = np.sin(np.arange(2880)) * 10
    day[0] = day[-1] = 20.0
    times = np.concatenate([HOURS[:2880] + number * 86_400 for number in range(5)])
    rule = SensorRule(tolerance=tolerance)
    assert observe_sensor(times, np.tile(day, 5), rule).longest_flat < 60
    assert observe_sensor(times, np.full(len(times), 7.0), rule).longest_flat == 2879 * 15


def test_gap_of_training_follows_the_interval_of_the_fleet() -> None:
    times = np.concatenate([HOURS, 86_400 + np.arange(0, 10 * 3600, 3600)])
    numbers = np.concatenate([np.arange(len(HOURS)), np.full(10, -1.0)])
    assert observe_sensor(times, numbers).longest_flat == 0
    assert observe_sensor(times, numbers, SensorRule(interval=3600)).longest_flat == 9 * 3600


def test_slow_sensor_is_flat_over_its_usual_gaps() -> None:
    assert observe_sensor(np.arange(0, 86_400 * 7, 7200), np.full(84, 7.0)).longest_flat == 83 * 7200


@pytest.mark.parametrize(
    ("times", "interval"),
    [
        (HOURS, 15),
        (HOURS[:40], 15),
        (np.arange(0, 86_400 * 7, 7200), 7200),
        (np.concatenate([HOURS + day * 86_400 for day in range(5)])[: len(HOURS) * 3 // 2], 15),
        (np.concatenate([hour * 3600 + np.arange(6) for hour in range(48)]), 600),
        (np.array([5]), 0),
        (np.array([5, 5, 5]), 0),
    ],
    ids=["every 15 s", "ten minutes", "every two hours", "with a gap", "bursts", "one reading", "one instant"],
)
def test_usual_interval_is_the_pace_of_a_usual_hour(times: np.ndarray, interval: float) -> None:
    assert usual_interval(times) == interval


def test_night_without_readings_does_not_change_the_interval() -> None:
    day = HOURS[: len(HOURS) // 2]
    assert usual_interval(np.concatenate([day + number * 86_400 for number in range(5)])) == 15


def test_coverage_is_the_share_of_new_readings_in_the_range_of_earlier_ones() -> None:
    assert range_coverage(np.tile([1.0, 2.0], 50)) == 1.0
    assert range_coverage(np.arange(100.0)) == 0.0
    assert range_coverage(np.concatenate([np.tile([1.0, 2.0], 40), [1.5] * 10, [3.0] * 10])) == 0.5
    assert range_coverage(np.arange(49.0)) is None
