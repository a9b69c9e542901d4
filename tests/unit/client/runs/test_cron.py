"""The firings of CronJobs; the expected times are those of github.com/robfig/cron v3.0.1 in Go."""

from datetime import datetime

import pytest

from fleetscore.runs.cron import next_firing

FIRINGS = """
5 * * * *             | Etc/UTC          | 2018-08-28T23:05:00Z | 2018-08-29T00:05:00Z
@hourly               | Etc/UTC          | 2018-08-28T23:59:59Z | 2018-08-29T00:00:00Z
@daily                | Europe/Berlin    | 2018-08-28T21:59:00Z | 2018-08-28T22:00:00Z
@midnight             | Asia/Kolkata     | 2018-08-28T23:00:00Z | 2018-08-29T18:30:00Z
@weekly               | Etc/UTC          | 2018-08-28T23:00:00Z | 2018-09-02T00:00:00Z
@monthly              | Etc/UTC          | 2018-12-01T00:00:00Z | 2019-01-01T00:00:00Z
@yearly               | Etc/UTC          | 2018-08-28T23:00:00Z | 2019-01-01T00:00:00Z
@annually             | America/New_York | 2018-08-28T23:00:00Z | 2019-01-01T05:00:00Z
*/15 6-18 ? * MON-fri | Europe/Berlin    | 2018-08-31T16:50:00Z | 2018-09-03T04:00:00Z
20/25 * * * *         | Etc/UTC          | 2018-08-28T23:21:00Z | 2018-08-28T23:45:00Z
0 0 13 * 5            | Etc/UTC          | 2018-08-28T23:00:00Z | 2018-08-31T00:00:00Z
0 0 */2 * 5           | Etc/UTC          | 2018-08-28T23:00:00Z | 2018-08-29T00:00:00Z
0 0 */1 * 5           | Etc/UTC          | 2018-08-28T23:00:00Z | 2018-08-31T00:00:00Z
0 0 29 feb *          | Etc/UTC          | 2018-08-28T23:00:00Z | 2020-02-29T00:00:00Z
0 12 1,15 1-6/2 *     | Etc/UTC          | 2018-08-28T23:00:00Z | 2019-01-01T12:00:00Z
30 2 * * *            | Europe/Berlin    | 2018-03-24T12:00:00Z | 2018-03-26T00:30:00Z
30 2 * * *            | Europe/Berlin    | 2018-10-28T00:30:00Z | 2018-10-28T01:30:00Z
30 1 * * *            | America/New_York | 2018-11-04T05:30:00Z | 2018-11-04T06:30:00Z
59 23 31 12 *         | Pacific/Apia     | 2018-12-31T09:59:00Z | 2019-12-31T09:59:00Z
"""
EVENING = datetime.fromisoformat("2018-08-28T23:00:00Z")
CASES = [[cell.strip() for cell in line.split("|")] for line in FIRINGS.strip().splitlines()]


@pytest.mark.parametrize(("expression", "zone", "after", "expected"), CASES)
def test_next_firing_is_that_of_kubernetes(expression: str, zone: str, after: str, expected: str) -> None:
    found = next_firing(expression, zone, datetime.fromisoformat(after))
    assert found == datetime.fromisoformat(expected)


def test_schedule_of_a_day_that_does_not_exist_has_no_firing() -> None:
    assert next_firing("0 0 30 2 *", "Etc/UTC", EVENING) is None


@pytest.mark.parametrize(
    "expression",
    ["0 7 * * 7", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "5 * * *", "x * * * *", "@every 1h", "", "²" * 5],
)
def test_expression_that_cannot_be_computed_is_rejected(expression: str) -> None:
    with pytest.raises(ValueError, match=r"fields in place of|is not in|is not a number"):
        next_firing(expression, "Etc/UTC", EVENING)


def test_expression_of_any_length_is_rejected_in_bounded_time() -> None:
    with pytest.raises(ValueError, match="more than 1,000 characters"):
        next_firing("0," * 1_000_000 + " * * * *", "Etc/UTC", EVENING)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "", "Europe", "a\0b"])
def test_unknown_time_zone_is_rejected(zone: str) -> None:
    with pytest.raises(ValueError, match="is unknown on this machine"):
        next_firing("5 * * * *", zone, EVENING)


def test_clock_set_back_over_midnight_does_not_end_the_search() -> None:
    before = datetime.fromisoformat("2010-11-07T03:10:00Z")  # the second 23:40 of this day in St. John's
    assert next_firing("0 12 8 11 *", "America/St_Johns", before) == datetime.fromisoformat("2010-11-08T15:30:00Z")
