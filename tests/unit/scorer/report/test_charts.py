"""The SVG charts."""

from device_scorer.report.charts import (
    MAX_COLUMNS,
    Point,
    bar_chart,
    column_chart,
    device_grid,
    downsample,
    legend,
    line_chart,
)


def test_grid_has_one_square_per_device() -> None:
    drawn = device_grid(["good"] * 30 + ["failed"] * 4)
    assert drawn.count("h8v8h-8z") == 34
    assert drawn.count("<path") == 2


def test_downsample_keeps_every_peak_and_few_points() -> None:
    points = [Point(at / 10, 1000.0 if at in (777, 20_001) else at % 10, False) for at in range(36_000)]
    kept = downsample(points, 3600)
    assert len(kept) <= 480
    assert sum(point.value == 1000 for point in kept) == 2
    assert kept == sorted(kept, key=lambda point: point.offset_seconds)


def test_line_chart_draws_an_anomaly_of_each_column() -> None:
    points = [Point(at, at % 97, True) for at in range(3600)]
    drawn = line_chart(points, seconds=3600, first="a", last="b", label="c")
    places = drawn.partition('class="dots" d="')[2].partition('"')[0].split("M")[1:]
    columns = {int((float(place.partition(",")[0]) - 4) / 312 * MAX_COLUMNS) for place in places}
    assert columns >= set(range(1, MAX_COLUMNS - 1))
    assert len(places) <= 2 * MAX_COLUMNS


def test_flat_series_is_plotted() -> None:
    assert "polyline" in line_chart([Point(0, 5, False), Point(9, 5, True)], seconds=10, first="a", last="b", label="c")


def test_line_chart_has_240_columns() -> None:
    assert MAX_COLUMNS == 240


def test_empty_grid_is_empty() -> None:
    assert device_grid([]) == ""


def test_column_chart_has_a_bar_per_count_and_the_largest_as_label() -> None:
    drawn = column_chart([0, 2, 4], first="23:00", last="00:00")
    assert drawn.count("<title>") == 2
    assert "at most 4" in drawn
    assert column_chart([0, 0], first="a", last="b") == '<p class="placeholder">none</p>'


def test_bars_are_relative_to_the_largest_number() -> None:
    drawn = bar_chart([("a", 4, "four"), ("b", 1, "one"), ("<c>", 0, "none")])
    assert [text.split("%")[0] for text in drawn.split("width:")[1:]] == ["100.0", "25.0", "0.0"]
    assert "&lt;c&gt;" in drawn


def test_legend_has_the_kinds_that_occur_in_order() -> None:
    drawn = legend({"b": 2, "a": 1, "c": 0}, {"a": "first", "b": "second", "c": "third"})
    assert drawn.index("first <b>1</b>") < drawn.index("second <b>2</b>")
    assert "third" not in drawn


def test_line_chart_has_a_band_of_the_readings_that_are_not_anomalies() -> None:
    points = [Point(0, 0, False), Point(1, 10, False), Point(2, 100, True)]
    drawn = line_chart(points, seconds=3, first="a", last="b", label="c")
    assert 'class="band" d="M4,59.2h312V64.0h-312z"' in drawn
    assert "band" not in line_chart(points[:2], seconds=3, first="a", last="b", label="c")
    assert "band" not in line_chart(points[2:], seconds=3, first="a", last="b", label="c")
