"""Names of readings that no window reads."""

from datetime import UTC, datetime, timedelta

import pytest

from device_scorer.contract import blob_paths
from device_scorer.importing.partition_names import is_partition_name
from device_scorer.window import Window

DEFAULT = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
DAILY = "by/{device}/{yyyy}-{MM}-{dd}.csv"
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@pytest.mark.parametrize(
    ("template", "partition", "name"),
    [
        (DEFAULT, HOUR, "20240101T2200Z/p.csv"),
        (DEFAULT, timedelta(minutes=30), "20240101T2230Z/p.csv"),
        (DEFAULT, timedelta(seconds=90), "20240101T2231Z/p.csv"),
        (DEFAULT, HOUR, "19691231T2300Z/p.csv"),
        (DAILY, DAY, "by/p/2024-01-01.csv"),
        (DAILY, HOUR, "by/p/2024-01-01.csv"),
        (DAILY, WEEK, "by/p/2024-01-04.csv"),
        ("{yyyy}/{yyyy}{MM}/{device}.csv", DAY, "2024/202402/p.csv"),
        ("{yyyy}/{device}.csv", WEEK, "2024/p.csv"),
        ("{HH}/{device}.csv", HOUR, "77/p.csv"),
        ("{device}.csv", HOUR, "p.csv"),
    ],
)
def test_name_with_the_start_of_a_partition_or_without_a_date_is_read(
    template: str, partition: timedelta, name: str
) -> None:
    assert is_partition_name(template, partition, name, "p")


@pytest.mark.parametrize(
    ("template", "partition", "name"),
    [
        (DEFAULT, HOUR, "20240101T2230Z/p.csv"),
        (DEFAULT, HOUR, "20241301T2200Z/p.csv"),
        (DEFAULT, HOUR, "2024101T2200Z/p.csv"),
        (DEFAULT, WEEK, "99991231T2359Z/p.csv"),
        (DAILY, WEEK, "by/p/2024-01-01.csv"),
        ("{yyyy}/{yyyy}{MM}/{device}.csv", DAY, "2023/202402/p.csv"),
    ],
)
def test_name_with_a_time_at_which_no_partition_starts_is_not_read(
    template: str, partition: timedelta, name: str
) -> None:
    assert not is_partition_name(template, partition, name, "p")


@pytest.mark.parametrize(
    "partition", [timedelta(minutes=7), timedelta(minutes=30), HOUR, timedelta(hours=5), DAY, WEEK]
)
@pytest.mark.parametrize("template", [DEFAULT, DAILY, "{dd}.{MM}.{yyyy}/{HH}/{device}.csv", "{yyyy}/{device}_{MM}.csv"])
def test_names_that_a_window_reads_are_names_of_partitions(template: str, partition: timedelta) -> None:
    window = Window(datetime(2023, 12, 28, 23, tzinfo=UTC), datetime(2024, 1, 12, tzinfo=UTC))
    names = blob_paths.data_names(template, partition, window, "a b#1")
    assert names
    assert all(is_partition_name(template, partition, name, "a b#1") for name in names)
