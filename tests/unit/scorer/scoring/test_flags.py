"""The faults of a sensor in a window."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ioos_qc import qartod  # type: ignore[import-untyped]  # it has no types

from device_scorer.contract.digest import SensorFlag
from device_scorer.models.expectations import Expectation
from device_scorer.quality import parse_quality
from device_scorer.scoring.digest_builder import NO_LIMITS, SensorLimits, TagFigures
from device_scorer.scoring.flags import FlagFinder, describe_seconds
from tests.testkit.scorer_fleet import WINDOW

START = int(WINDOW.start.timestamp())
USUAL = Expectation(interval=15, low=10, high=20, longest_flat=30)
STEADY = [(second, 10 + second % 7) for second in range(0, 3600, 15)]


def flags_of(
    rows: Sequence[tuple[int, float]], rules: dict[str, Any] | None = None, expected: Expectation | None = None
) -> dict[str, SensorFlag]:
    finder = FlagFinder(WINDOW, parse_quality(json.dumps(rules or {})), {"t": expected} if expected else {})
    figures = TagFigures(finder.limits(["t"]).get("t", NO_LIMITS))
    if rows:
        times, numbers = zip(*rows, strict=True)
        figures.add(tuple(START + second for second in times), numbers)
    return {flag.name: flag for flag in finder.find("t", figures)}


@pytest.mark.parametrize("expected", [None, USUAL])
def test_steady_sensor_has_no_flag(expected: Expectation | None) -> None:
    assert flags_of(STEADY, expected=expected) == {}


def test_tag_without_a_usable_row_is_silent() -> None:
    assert flags_of([]) == {"silent": SensorFlag("silent", START, "no usable reading in the window")}


@pytest.mark.parametrize(
    ("rules", "trained", "silent"),
    [
        ({}, 4 * 3600, False),
        ({}, 3601, True),
        ({"interval": "4h"}, None, False),
        ({"interval": "4h"}, 15, False),
        ({"interval": "15s"}, 4 * 3600, True),
        ({"tags": {"t": {"interval": "61m"}}}, None, True),
        ({"tags": {"t": {"interval": "67m"}}}, None, False),
    ],
)
def test_tag_that_is_slower_than_the_window_is_not_silent(
    rules: dict[str, Any], trained: float | None, *, silent: bool
) -> None:
    expected = None if trained is None else Expectation(trained, 0, 1, 0)
    assert ("silent" in flags_of([], rules, expected)) == silent


def test_slow_tag_with_bad_rows_only_is_silent() -> None:
    figures = TagFigures()
    figures.bad_rows = 1
    (flag,) = FlagFinder(WINDOW, parse_quality('{"interval": "4h"}')).find("t", figures)
    assert flag.name == "silent"


def test_bad_rows_of_a_silent_tag_are_named() -> None:
    figures = TagFigures()
    figures.bad_rows = 240
    (flag,) = FlagFinder(WINDOW).find("t", figures)
    assert flag.detail == "no usable reading in the window; 240 bad rows"


def test_sensor_that_stops_is_stale_since_its_newest_reading() -> None:
    flag = flags_of([row for row in STEADY if row[0] < 1800])["stale"]
    assert flag.since == START + 1785
    assert flag.detail == "the newest reading is 30.2 min older than the window's end; 15 min are allowed"


@pytest.mark.parametrize(
    ("rows", "rules", "expected", "stale"),
    [
        ([(0, 1), (1200, 2), (2400, 3)], {}, None, False),
        ([(0, 1)], {}, Expectation(3600, 0, 1, 0), False),
        ([(0, 1)], {}, None, True),
        ([(0, 1), (1200, 2), (2400, 3)], {"staleAfter": "10m"}, None, True),
        ([(0, 1), (1200, 2), (2400, 3)], {"staleAfter": "20m"}, None, False),
        ([(0, 1), (60, 2)], {"interval": "40m"}, None, False),
    ],
    ids=["own pace", "trained pace", "one reading", "the fleet's age", "at the age", "the fleet's interval"],
)
def test_age_that_is_stale_follows_the_interval(
    rows: Sequence[tuple[int, float]], rules: dict[str, Any], expected: Expectation | None, *, stale: bool
) -> None:
    assert ("stale" in flags_of(rows, rules, expected)) == stale


def test_half_of_the_promised_readings_is_enough_and_fewer_are_sparse() -> None:
    assert "sparse" not in flags_of(STEADY[::2], expected=USUAL)
    flag = flags_of(STEADY[::3], expected=USUAL)["sparse"]
    assert flag.detail == "80 readings, 33% of the expected 240 (one in 15 s); 50% are needed"
    assert "sparse" in flags_of(STEADY[::2], {"minShare": 0.6}, USUAL)
    assert "sparse" not in flags_of(STEADY[::3], {"interval": "45s"}, USUAL)
    assert "sparse" not in flags_of(STEADY[::30])


def frozen(first: int, last: int) -> list[tuple[int, float]]:
    return [(second, 15.0 if first <= second <= last else value) for second, value in STEADY]


def test_same_value_for_far_longer_than_in_training_is_stuck() -> None:
    flag = flags_of(frozen(600, 1200), expected=USUAL)["stuck"]
    assert (flag.since, flag.detail) == (START + 600, "the same value for 10 min, at most 30 s in training")
    assert "stuck" not in flags_of(frozen(600, 720), expected=USUAL)
    assert "stuck" not in flags_of(frozen(600, 1200))
    assert "stuck" not in flags_of(frozen(600, 1200), expected=Expectation(15, 10, 20, 36_000))


def test_flat_line_of_the_fleet_precedes_training_unless_training_was_as_flat() -> None:
    assert "stuck" in flags_of(frozen(600, 1200), {"flatLine": {"for": "10m"}})
    assert "stuck" not in flags_of(frozen(600, 1200), {"flatLine": {"for": "11m"}}, USUAL)
    assert "stuck" not in flags_of(frozen(600, 1200), {"flatLine": {"for": "10m"}}, Expectation(15, 10, 20, 900))


def test_outage_between_two_equal_values_is_not_a_flat_line() -> None:
    flat = {"flatLine": {"for": "30m"}}
    rows = [(second, value) for second, value in STEADY if not 600 < second < 2700]
    outage = [(second, 15.0 if second in (600, 2700) else value) for second, value in rows]
    assert "stuck" not in flags_of(outage, flat, USUAL)
    assert "stuck" not in flags_of(outage, {**flat, "interval": "15s"})
    rare = [(second, 15.0) for second in range(0, 3600, 1200)]
    assert "stuck" in flags_of(rare, flat)
    assert "stuck" in flags_of(rare, {**flat, "interval": "20m"})


def test_values_within_the_tolerance_are_the_same_value() -> None:
    rows = [(second, 15 + second % 2 * 0.01) for second in range(0, 3600, 15)]
    assert "stuck" in flags_of(rows, {"flatLine": {"for": "30m", "tolerance": 0.02}})
    assert "stuck" not in flags_of(rows, {"flatLine": {"for": "30m"}})


def test_value_outside_of_the_fleets_range_is_implausible() -> None:
    flag = flags_of([*STEADY, (3590, 99.0)], {"range": [0, 50]})["implausible"]
    assert flag == SensorFlag("implausible", START + 3590, "1 reading is outside 0 to 50; the readings are 10 to 99")


def test_anomaly_of_the_machine_is_not_implausible() -> None:
    assert "implausible" not in flags_of([*STEADY, (3590, 35.0)], expected=USUAL)
    assert "implausible" in flags_of([*STEADY, (3590, -9999.0)], expected=USUAL)
    assert "implausible" not in flags_of([*STEADY, (3590, -9999.0)], {"range": [-10_000, 50]}, USUAL)


def test_steps_above_the_rate_of_the_fleet_are_jumpy() -> None:
    flag = flags_of([(0, 0.0), (10, 100.0), (20, 0.0), (3599, 0.0)], {"rateOfChange": 5})["jumpy"]
    assert flag == SensorFlag("jumpy", START + 10, "2 steps are larger than 5 per second")


def test_limits_are_only_those_that_need_each_row() -> None:
    finder = FlagFinder(WINDOW, parse_quality('{"tags": {"a": {"rateOfChange": 5}}}'), {"b": USUAL})
    assert finder.limits(["a", "b", "c"]) == {
        "a": SensorLimits(max_rate=5),
        "b": SensorLimits(low=-90, high=120, max_gap=900),
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (90, "90 s"), (750, "12.5 min"), (7200, "2 h"), (172_800, "2 d")]
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert describe_seconds(seconds) == text


STEP_SECONDS = 15
COUNT = 240
RUNS = st.lists(
    st.tuples(st.integers(-20, 20), st.sampled_from([1, 1, 2, 5, 60, 120])), min_size=COUNT // 4, max_size=COUNT
)


@pytest.mark.slow
@hypothesis_settings(max_examples=100, deadline=None)
@given(
    runs=RUNS,
    flat_readings=st.integers(2, COUNT - 1),
    tolerance=st.sampled_from([0.5, 1.5]),
    span=st.tuples(st.integers(-25, 25), st.integers(-25, 25)),
    rate=st.sampled_from([0.05, 0.33, 0.77]),
    chunk=st.sampled_from([37, 100, COUNT]),
)
def test_flags_are_those_of_the_qartod_tests_of_ioos(
    runs: list[tuple[int, int]],
    flat_readings: int,
    tolerance: float,
    span: tuple[int, int],
    rate: float,
    chunk: int,
) -> None:
    numbers = [float(value) for value, length in runs for _ in range(length)][:COUNT]
    times = [START + number * STEP_SECONDS for number in range(len(numbers))]
    flat_seconds, (low, high) = flat_readings * STEP_SECONDS, sorted(span)
    rules = {"flatLine": {"for": f"{flat_seconds}s", "tolerance": tolerance}, "range": [low, high]}
    finder = FlagFinder(WINDOW, parse_quality(json.dumps({**rules, "rateOfChange": rate})))
    figures = TagFigures(finder.limits(["t"])["t"])
    for first in range(0, len(numbers), chunk):
        figures.add(tuple(times[first : first + chunk]), tuple(numbers[first : first + chunk]))
    found = {flag.name for flag in finder.find("t", figures)}
    instants = np.array(times, dtype="datetime64[s]")
    flat = qartod.flat_line_test(numbers, instants, flat_seconds, flat_seconds, tolerance)
    outside = qartod.gross_range_test(numbers, (low, high)) == qartod.QartodFlags.FAIL
    fast = qartod.rate_of_change_test(numbers, instants, rate) == qartod.QartodFlags.SUSPECT
    assert ("stuck" in found) == bool((flat == qartod.QartodFlags.FAIL).any())
    assert (figures.outside, "implausible" in found) == (int(outside.sum()), bool(outside.any()))
    assert (figures.fast_steps, "jumpy" in found) == (int(fast.sum()), bool(fast.any()))


@given(st.sets(st.integers(0, 239), min_size=1, max_size=60), st.integers(1, 5))
def test_stale_is_the_gap_test_of_ioos_with_the_end_of_the_window(at: set[int], quarters: int) -> None:
    times = [STEP_SECONDS * number for number in sorted(at)]
    found = flags_of([(second, second % 7) for second in times], {"staleAfter": f"{15 * quarters}m"})
    end = int((WINDOW.end - WINDOW.start).total_seconds())
    instants = np.array([START + times[-1], START + end], dtype="datetime64[s]")
    gap = qartod.time_gap_test(instants, fail_span=quarters / 4)
    assert ("stale" in found) == (gap[1] == qartod.QartodFlags.FAIL)
