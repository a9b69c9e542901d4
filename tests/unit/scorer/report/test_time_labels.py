"""Texts of windows and times."""

from datetime import timedelta

from device_scorer.report.time_labels import axis_ends, window_label
from device_scorer.window import Window
from tests.testkit.scorer_report import WINDOW

DAY = Window(WINDOW.start, WINDOW.start + timedelta(days=1))


def test_axis_of_a_day_has_dates() -> None:
    assert axis_ends(WINDOW) == {"first": "23:00", "last": "00:00"}
    assert axis_ends(DAY) == {"first": "08-28 23:00", "last": "08-29 23:00"}


def test_window_has_the_date_of_its_end_if_it_is_another_day() -> None:
    half = Window(WINDOW.start - timedelta(hours=1), WINDOW.start)
    assert window_label(half) == "2018-08-28 22:00 to 23:00 UTC"
    assert window_label(DAY) == "2018-08-28 23:00 to 2018-08-29 23:00 UTC"
