"""Sums over all devices."""

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.report.statistics import DeviceStatistics, TagStatistics
from device_scorer.report.totals import MAX_TAGS, OTHER_TAGS, WindowTotals


def test_figures_of_devices_are_added() -> None:
    totals = WindowTotals()
    tags = {"a": TagStatistics(10, 2), "b": TagStatistics(5, 0), "c": TagStatistics(0, 0)}
    one = DeviceStatistics(tags, 0, {3: 2}, unmodelled=(("x", 7), ("y", 9)), left_out_rows=4)
    totals.add(one, RowCounts(19, 1, 16, 2))
    totals.add(DeviceStatistics({"b": TagStatistics(1, 1)}, 0, {3: 1}, unmodelled=(("x", 1),)), RowCounts(1, 2, 1, 1))
    assert totals.tag_totals == [("a", 10, 2), ("b", 6, 1)]
    assert totals.worst_unmodelled == [("y", 9, 1), ("x", 8, 2)]
    assert (totals.bad_rows, totals.unscored_rows, totals.left_out_rows) == (3, 17, 4)
    assert (sum(totals.anomalies_by_bucket), totals.anomalies_by_bucket[3]) == (3, 3)


def test_tags_above_the_limit_count_together() -> None:
    assert MAX_TAGS == 20_000
    totals = WindowTotals()
    tags = {f"t{number}": TagStatistics(1, 0) for number in range(20_005)}
    totals.add(DeviceStatistics(tags, unmodelled=tuple((tag, 1) for tag in tags)), RowCounts())
    assert len(totals.tag_totals) == len(totals.worst_unmodelled) == 20_001
    assert (OTHER_TAGS, 5, 0) in totals.tag_totals
