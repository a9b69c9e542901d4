"""One device's predictions as a report needs them: figures per tag, newest reading, times of anomalies. Pure."""

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
"""Into so many equal parts a window is divided to show when anomalies were."""


class Prediction(NamedTuple):
    """One row of predictions: its texts, and its instant in whole seconds since the epoch."""

    ts: str
    tag: str
    value: str
    anomalous: bool
    score: str
    epoch_seconds: int


@dataclass(slots=True)
class TagStatistics:
    """Figures of one tag: the first and last anomaly as their TS stands there, and the one with the lowest score."""

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
    """Figures of one device: `newest` is its newest reading (epoch seconds), `times` its anomalies by bucket."""

    tags: dict[str, TagStatistics] = field(default_factory=dict)
    newest_epoch_seconds: int = 0
    anomalies_by_bucket: dict[int, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Labelled rows of all tags."""
        return sum(tag.rows for tag in self.tags.values())

    @property
    def anomalies(self) -> int:
        """Anomalous rows of all tags."""
        return sum(tag.anomalies for tag in self.tags.values())


def compute_statistics(content: bytes, window: Window) -> DeviceStatistics:
    """The figures of a predictions blob. Raises DataInvalid where it is none."""
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
    """The rows of a predictions blob, in order. Raises DataInvalid where it is none."""
    if not content.startswith(HEADER):
        raise DataInvalid(f"these are no predictions: the first line is {content[:60].decode('utf-8', 'replace')!r}")
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
            raise DataInvalid(f"line {number + 1:,} is no prediction: {error}") from error
