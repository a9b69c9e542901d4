"""Statistics of one device's predictions."""

import pytest

from device_scorer.contract.digest import BUCKET_COUNT
from device_scorer.errors import DataInvalid
from device_scorer.report.statistics import compute_statistics, read_predictions
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from tests.testkit.scorer_report import WINDOW


def predictions(*rows: str) -> bytes:
    return PREDICTIONS_HEADER + "".join(f"{row}\n" for row in rows).encode()


def test_tag_has_its_counts_and_its_first_last_and_worst_anomaly() -> None:
    content = predictions(
        "2018-08-28T23:00:00Z,d,1,1.0,0,0.5",
        "2018-08-28T23:01:00Z,d,1,7.0,1,-0.25",
        "2018-08-28T23:59:59Z,d,1,9.0,1,-0.5",
        "2018-08-28T23:30:00Z,d,1,8.0,1,",
    )
    found = compute_statistics(content, WINDOW)
    tag = found.tags["1"]
    assert (tag.rows, tag.anomalies, tag.first_anomaly, tag.last_anomaly) == (
        *(4, 3),
        *("2018-08-28T23:01:00Z", "2018-08-28T23:59:59Z"),
    )
    assert (tag.worst_ts, tag.worst_value, tag.worst_score) == ("2018-08-28T23:59:59Z", "9.0", -0.5)
    assert found.newest_epoch_seconds == int(WINDOW.end.timestamp()) - 1
    assert found.anomalies_by_bucket == {1: 1, 59: 1, 30: 1}
    assert (found.rows, found.anomalies) == (4, 3)


def test_window_has_60_buckets_and_times_outside_count_in_the_first_or_last() -> None:
    assert BUCKET_COUNT == 60
    content = predictions("2018-08-28T22:00:00Z,d,1,1,1,-1", "2018-08-29T05:00:00Z,d,1,1,1,-1")
    assert compute_statistics(content, WINDOW).anomalies_by_bucket == {0: 1, 59: 1}


def test_worst_tags_are_sorted_by_anomalies_and_name() -> None:
    rows = [("a", 1), ("b", 2), ("c", 2), ("d", 0)]
    lines = [f"2018-08-28T23:00:00Z,d,{tag},1,1,-1" for tag, count in rows for _ in range(count)]
    found = compute_statistics(predictions(*lines, "2018-08-28T23:00:00Z,d,d,1,0,1"), WINDOW)
    assert [tag for tag, _ in found.worst_tags] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the first line is ''"),
        (b"<html>", "the first line is '<html>'"),
        (predictions("2018-08-28T23:00:00Z,d,1,1,0,1", "soon,d,1,1,0,1"), "line 3: TS"),
        (predictions("2018-08-28T23:00:00Z,d,1,1"), "line 2:"),
    ],
)
def test_content_that_is_not_predictions_is_rejected_with_the_line(content: bytes, text: str) -> None:
    with pytest.raises(DataInvalid, match=f"the predictions are invalid: {text}"):
        list(read_predictions(content))
