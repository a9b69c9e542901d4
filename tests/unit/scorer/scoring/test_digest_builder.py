"""The figures of a device, which the pass over its rows adds up."""

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from device_scorer.contract.digest import DeviceDigest, SensorFlag
from device_scorer.report.statistics import compute_statistics, read_predictions
from device_scorer.scoring.digest_builder import (
    MAX_COUNTED_TAGS,
    DigestBuilder,
    SensorLimits,
    TagFigures,
    longest_gap,
)
from device_scorer.scoring.scorer import Scorer
from device_scorer.settings import Limits
from tests.testkit.scorer_fleet import WINDOW, csv_of

START = int(WINDOW.start.timestamp())


class Negative:
    """A model that labels negative values as anomalies; their score is the value."""

    sklearn_version = "1"

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        return [int(value < 0) for value in values], [value or 0.0 for value in values]


def text_of(second: int) -> str:
    return f"{datetime.fromtimestamp(START + second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def scored(rows: Sequence[tuple[int, str, str]], *, parts: int = 1) -> tuple[bytes, DeviceDigest]:
    """Score rows of (second, tag, value) that come in a number of partitions."""
    scorer = Scorer("d", WINDOW, {tag: Negative() for tag in ("a", "b", 'c,"')}, limits=Limits(max_bad_share=1))
    quoted = {'c,"': '"c,"""'}
    texts = [(text_of(second), "d", quoted.get(tag, tag), value) for second, tag, value in rows]
    size = -(-len(texts) // parts)
    for start in range(0, len(texts), size):
        scorer.add_partition(csv_of(*texts[start : start + size]), check_deadline=lambda: None)
    result = scorer.finish()
    assert result is not None
    return result.content, result.digest


def flat_seconds(rows: Sequence[tuple[int, float]]) -> int:
    """Return the longest time without a change, by comparing all pairs of rows in the order of their times."""
    ordered = sorted(rows, key=lambda row: row[0])
    spans = [
        ordered[last][0] - ordered[first][0]
        for first in range(len(ordered))
        for last in range(first, len(ordered))
        if len({value for _, value in ordered[first : last + 1]}) == 1
    ]
    return max(spans)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 3599),
        st.sampled_from(["a", "b", 'c,"', "unmodelled"]),
        st.sampled_from(["1", "1.0", "2.5", "-1", "-0.5", "0", "1e3", "oops"]),
    ),
    min_size=1,
    max_size=40,
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(ROWS)
def test_digest_of_the_pass_equals_the_statistics_of_the_written_predictions(rows: list[tuple[int, str, str]]) -> None:
    rows = [(0, "a", "1"), *rows]
    content, digest = scored(rows)
    expected = compute_statistics(content, WINDOW)
    written = list(read_predictions(content))
    assert digest.newest_time == expected.newest_epoch_seconds
    assert {index: count for index, count in enumerate(digest.anomalies_by_bucket) if count} == (
        expected.anomalies_by_bucket
    )
    with_rows = {tag.tag: tag for tag in digest.tags if tag.rows}
    assert with_rows.keys() == expected.tags.keys()
    for name, tag in with_rows.items():
        found = expected.tags[name]
        assert (tag.rows, tag.anomalies, tag.first_anomaly, tag.last_anomaly) == (
            *(found.rows, found.anomalies, found.first_anomaly, found.last_anomaly),
        )
        assert (tag.worst_ts, tag.worst_value, tag.worst_score) == (
            *(found.worst_ts, found.worst_value, found.worst_score),
        )
        times = [row.epoch_seconds for row in written if row.tag == name]
        values = [float(row.value) for row in written if row.tag == name]
        assert (tag.first_time, tag.last_time) == (min(times), max(times))
        assert (tag.minimum, tag.maximum) == (min(values), max(values))
        assert tag.mean == pytest.approx(statistics.fmean(values), rel=1e-8, abs=1e-9)
        assert tag.longest_flat_seconds == flat_seconds(list(zip(times, values, strict=True)))
        assert tag.bad_rows == sum(row[1] == name and row[2] == "oops" for row in rows)
    assert sum(count for _, count in digest.unmodelled) == sum(tag == "unmodelled" for _, tag, _ in rows)


@hypothesis_settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(2, 5))
def test_partitions_in_the_order_of_time_do_not_change_the_digest(rows: list[tuple[int, str, str]], parts: int) -> None:
    ordered = sorted([(0, "a", "1"), *rows], key=lambda row: row[0])
    whole, pieces = scored(ordered)[1], scored(ordered, parts=parts)[1]
    assert pieces == whole


@hypothesis_settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(2, 5))
def test_partitions_with_the_newest_first_have_no_longer_stretch(rows: list[tuple[int, str, str]], parts: int) -> None:
    # The order of readings of one instant is that of the file, so that a reversed file has other stretches.
    ordered = sorted({row[:2]: row for row in [(0, "a", "1"), *rows]}.values(), key=lambda row: row[0])
    expected = {tag.tag: tag for tag in scored(ordered)[1].tags}
    for found in scored(list(reversed(ordered)), parts=parts)[1].tags:
        same = expected[found.tag]
        assert found.longest_flat_seconds <= same.longest_flat_seconds
        assert (found.first_anomaly, found.last_anomaly) == (same.first_anomaly, same.last_anomaly)


def test_stretch_does_not_continue_from_an_older_chunk() -> None:
    found = TagFigures(SensorLimits(max_rate=1.0))
    found.add((30, 40), (5.0, 7.0))
    found.add((10, 20), (1.0, 1.0))
    found.add((50, 60), (1.0, 2.0))
    assert (found.flat_seconds, found.fast_steps) == (10, 0)


def figures(rows: Sequence[tuple[int, float]], **limits: float) -> TagFigures:
    result = TagFigures(SensorLimits(**limits))
    times, numbers = zip(*rows, strict=True)
    result.add(times, numbers)
    return result


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0])), min_size=1, max_size=20),
    st.sampled_from([0.1, 0.3, 0.5]),
)
def test_stretch_with_a_tolerance_is_the_longest_of_all_pairs(rows: list[tuple[int, float]], tolerance: float) -> None:
    ordered = sorted(rows, key=lambda row: row[0])
    spans = [
        ordered[last][0] - ordered[first][0]
        for first in range(len(ordered))
        for last in range(first, len(ordered))
        if max(value for _, value in ordered[first : last + 1]) - min(value for _, value in ordered[first : last + 1])
        <= tolerance
    ]
    assert figures(ordered, tolerance=tolerance).flat_seconds == max(spans)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.0, 0.1, 1.0])), min_size=1, max_size=30),
    st.sampled_from([0.0, 0.3]),
    st.integers(1, 20),
    st.integers(1, 30),
)
def test_stretch_has_no_gap_above_the_limit(
    rows: list[tuple[int, float]], tolerance: float, max_gap: int, chunk: int
) -> None:
    ordered = sorted(rows, key=lambda row: row[0])
    stretches = [
        part
        for first in range(len(ordered))
        for last in range(first, len(ordered))
        if (part := ordered[first : last + 1])
        and all(later[0] - earlier[0] <= max_gap for earlier, later in pairwise(part))
        and max(value for _, value in part) - min(value for _, value in part) <= tolerance
    ]
    found = TagFigures(SensorLimits(tolerance=tolerance, max_gap=max_gap))
    for start in range(0, len(ordered), chunk):
        times, numbers = zip(*ordered[start : start + chunk], strict=True)
        found.add(times, numbers)
    assert found.flat_seconds == max(part[-1][0] - part[0][0] for part in stretches)


def test_longest_gap_is_15_minutes_and_5_intervals() -> None:
    assert [longest_gap(interval) for interval in (0, 15, 180, 3600)] == [float("inf"), 900, 900, 18_000]


def test_values_outside_of_the_range_are_counted_with_the_first_time() -> None:
    found = figures([(0, 5.0), (10, 11.0), (20, -1.0), (30, 10.0)], low=0, high=10)
    assert (found.outside, found.first_outside) == (2, 10)


def test_steps_above_the_rate_are_counted_with_the_first_time() -> None:
    rows = [(0, 0.0), (10, 10.0), (20, 31.0), (30, 20.0)]
    found = figures(rows, max_rate=1.0)
    assert (found.fast_steps, found.first_fast_step) == (2, 20)
    assert found.fast_steps == sum(abs(b - a) > (t - s) for (s, a), (t, b) in pairwise(rows))


def test_stretch_continues_over_chunks_and_keeps_its_beginning() -> None:
    found = TagFigures()
    found.add((0, 10, 20), (1.0, 7.0, 7.0))
    found.add((30, 40), (7.0, 8.0))
    assert (found.flat_seconds, found.flat_since) == (20, 10)


def test_chunk_before_the_newest_row_starts_a_new_stretch() -> None:
    found = TagFigures()
    found.add((100, 200), (7.0, 7.0))
    found.add((150,), (7.0,))
    assert (found.flat_seconds, found.first_time, found.last_time) == (100, 100, 200)


def test_rows_out_of_order_count_in_the_order_of_their_times() -> None:
    found = figures([(50, 7.0), (0, 7.0), (20, 8.0)])
    assert (found.flat_seconds, found.first_time, found.last_time) == (0, 0, 50)


def test_flags_are_asked_for_each_modelled_tag_and_kept_in_the_digest() -> None:
    builder = DigestBuilder(WINDOW, ["a", "b", "c"])
    builder.tag("a").add((START,), (1.0,))

    def find_flags(tag: str, found: TagFigures) -> tuple[SensorFlag, ...]:
        return (SensorFlag("silent"),) if tag == "b" and not found.rows else ()

    digest = builder.finish(find_flags)
    assert [(tag.tag, tag.rows, [flag.name for flag in tag.flags]) for tag in digest.tags] == [
        *(("a", 1, []), ("b", 0, ["silent"])),
    ]


def test_tags_without_a_model_are_counted_up_to_a_limit() -> None:
    builder = DigestBuilder(WINDOW)
    for number in range(MAX_COUNTED_TAGS + 5):
        builder.add_unmodelled(f"x{number}")
    builder.add_unmodelled("x7")
    assert len(builder.unmodelled) == MAX_COUNTED_TAGS == 10_000
    assert builder.finish().unmodelled[0] == ("x7", 2)


def test_score_that_is_missing_counts_as_zero() -> None:
    builder = DigestBuilder(WINDOW)
    builder.add_anomalies([("a", "t1", "5", "", START), ("a", "t2", "6", "-0.5", START + 3599)])
    (tag,) = [builder.tag("a")]
    assert (tag.worst_ts, tag.worst_score, tag.first_anomaly, tag.last_anomaly) == ("t2", -0.5, "t1", "t2")


def test_limits_default_to_none() -> None:
    assert SensorLimits()._asdict() == {
        "low": float("-inf"),
        "high": float("inf"),
        "max_rate": float("inf"),
        "tolerance": 0.0,
        "max_gap": float("inf"),
    }
