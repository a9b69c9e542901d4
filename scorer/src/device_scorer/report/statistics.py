"""Statistics of one device's predictions: counts by tag, the newest reading, the times of anomalies. Pure."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from device_scorer import readings
from device_scorer.errors import DataInvalid
from device_scorer.window import Window

HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
BUCKET_COUNT = 60
"""Number of equal parts of a window by which anomalies are counted."""


class Prediction(NamedTuple):
    """One row of predictions: its texts, and its time in whole seconds since the epoch."""

    ts: str
    tag: str
    value: str
    anomalous: bool
    score: str
    epoch_seconds: int


@dataclass(slots=True)
class TagStatistics:
    """Statistics of one tag.

    Attributes:
        rows: Rows with a prediction.
        anomalies: Rows that are predicted as anomalies.
        first_anomaly: TS of the first anomaly, as the file has it.
        last_anomaly: TS of the last anomaly.
        worst_ts: TS of the anomaly with the lowest score.
        worst_value: Value of that anomaly.
        worst_score: Score of that anomaly.
    """

    rows: int = 0
    anomalies: int = 0
    first_anomaly: str = ""
    last_anomaly: str = ""
    worst_ts: str = ""
    worst_value: str = ""
    worst_score: float = 0.0

    def add(self, row: Prediction) -> None:
        """Count one row."""
        self.rows += 1
        if not row.anomalous:
            return
        self.anomalies += 1
        self.first_anomaly = self.first_anomaly or row.ts
        self.last_anomaly = row.ts
        score = float(row.score) if row.score else 0.0
        if self.anomalies == 1 or score < self.worst_score:
            self.worst_ts, self.worst_value, self.worst_score = row.ts, row.value, score


@dataclass(slots=True)
class DeviceStatistics:
    """Statistics of one device.

    Attributes:
        tags: Statistics by tag.
        newest_epoch_seconds: Time of the newest reading, in seconds since the epoch.
        anomalies_by_bucket: Anomalies by index of the part of the window (0 to BUCKET_COUNT - 1).
    """

    tags: dict[str, TagStatistics] = field(default_factory=dict)
    newest_epoch_seconds: int = 0
    anomalies_by_bucket: dict[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows with a prediction, of all tags."""
        return sum(tag.rows for tag in self.tags.values())

    @property
    def anomalies(self) -> int:
        """Anomalies of all tags."""
        return sum(tag.anomalies for tag in self.tags.values())

    @property
    def worst_tags(self) -> list[tuple[str, TagStatistics]]:
        """The tags with anomalies, the one with the most anomalies first."""
        found = ((tag, statistics) for tag, statistics in self.tags.items() if statistics.anomalies)
        return sorted(found, key=lambda entry: (-entry[1].anomalies, entry[0]))


def compute_statistics(content: bytes, window: Window) -> DeviceStatistics:
    """Return the statistics of a predictions blob.

    Args:
        content: The predictions CSV.
        window: The window that is divided into BUCKET_COUNT parts.

    Raises:
        DataInvalid: The content is not a predictions CSV.
    """
    result = DeviceStatistics()
    start, seconds = int(window.start.timestamp()), (window.end - window.start).total_seconds()
    for row in read_predictions(content):
        tag = result.tags.get(row.tag)
        if tag is None:
            tag = result.tags[row.tag] = TagStatistics()
        tag.add(row)
        result.newest_epoch_seconds = max(result.newest_epoch_seconds, row.epoch_seconds)
        if row.anomalous:
            bucket = min(BUCKET_COUNT - 1, max(0, int((row.epoch_seconds - start) / seconds * BUCKET_COUNT)))
            result.anomalies_by_bucket[bucket] = result.anomalies_by_bucket.get(bucket, 0) + 1
    return result


def read_predictions(content: bytes) -> Iterator[Prediction]:
    """Yield the rows of a predictions CSV in order. Raises DataInvalid if the content is not a predictions CSV."""
    if not content.startswith(HEADER):
        first_line = content[:60].decode("utf-8", "replace")
        raise DataInvalid(f"the predictions are invalid: the first line is {first_line!r}")
    known, at = "", 0
    for number, line in enumerate(io.BytesIO(content)):
        if number == 0:
            continue
        try:
            ts, _, tag, value, label, score = readings.split_line(line)
            if ts != known:
                known, at = ts, readings.parse_timestamp(ts)
            yield Prediction(ts, tag, value, label == "1", score, at)
        except (ValueError, csv.Error) as error:
            raise DataInvalid(f"the predictions are invalid: line {number + 1:,}: {error}") from error
