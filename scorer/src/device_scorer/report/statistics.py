"""Statistics of one device's predictions: counts by tag, the newest reading, the times of anomalies.

They come from the digest in the metadata of the predictions, or else from the predictions.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import NamedTuple

from device_scorer import readings
from device_scorer.contract.digest import BUCKET_COUNT, DeviceDigest, SensorFlag, TagDigest
from device_scorer.csv_lines import split_line
from device_scorer.errors import DataInvalid
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.window import Window

_LABELS = frozenset({"0", "1"})


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
    """The counts of one tag's predictions, and its first, last and worst anomaly.

    Attributes:
        rows: Rows with a prediction.
        anomalies: Rows that are predicted as anomalies.
        first_anomaly: TS of the earliest anomaly, as the file has it.
        last_anomaly: TS of the latest anomaly.
        worst_ts: TS of the anomaly with the lowest score.
        worst_value: Value of that anomaly.
        worst_score: Score of that anomaly.
        first_time: The time of the earliest anomaly that `add` has counted, in seconds since the epoch.
        last_time: The time of the latest one.
    """

    rows: int = 0
    anomalies: int = 0
    first_anomaly: str = ""
    last_anomaly: str = ""
    worst_ts: str = ""
    worst_value: str = ""
    worst_score: float = 0.0
    first_time: int = field(default=0, compare=False)
    last_time: int = field(default=0, compare=False)

    def add(self, row: Prediction) -> None:
        """Count one row."""
        self.rows += 1
        if not row.anomalous:
            return
        self.anomalies += 1
        if self.anomalies == 1 or row.epoch_seconds < self.first_time:
            self.first_anomaly, self.first_time = row.ts, row.epoch_seconds
        if self.anomalies == 1 or row.epoch_seconds >= self.last_time:
            self.last_anomaly, self.last_time = row.ts, row.epoch_seconds
        score = float(row.score) if row.score else 0.0
        if self.anomalies == 1 or score < self.worst_score:
            self.worst_ts, self.worst_value, self.worst_score = row.ts, row.value, score


@dataclass(frozen=True, slots=True)
class FlaggedSensor:
    """A fault of one sensor.

    Attributes:
        tag: The tag.
        rows: Rows of the tag with a prediction.
        flag: The fault.
        anomalous: True if the tag has anomalies.
    """

    tag: str
    rows: int
    flag: SensorFlag
    anomalous: bool = False


@dataclass(slots=True)
class DeviceStatistics:
    """Statistics of one device.

    Attributes:
        tags: Statistics by tag.
        newest_epoch_seconds: Time of the newest reading, in seconds since the epoch.
        anomalies_by_bucket: Anomalies by index of the part of the window (0 to BUCKET_COUNT - 1).
        flagged: The faults of sensors.
        unmodelled: Rows by tag without a model, if they are known.
        left_out_tags: The number of tags that `tags` does not have, all without anomalies.
        left_out_rows: The rows of these tags.
        left_out_flags: The flags of tags that `flagged` does not have, as in a digest.
    """

    tags: dict[str, TagStatistics] = field(default_factory=dict)
    newest_epoch_seconds: int = 0
    anomalies_by_bucket: dict[int, int] = field(default_factory=dict)
    flagged: tuple[FlaggedSensor, ...] = ()
    unmodelled: tuple[tuple[str, int], ...] = ()
    left_out_tags: int = 0
    left_out_rows: int = 0
    left_out_flags: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Rows with a prediction, of all tags."""
        return self.left_out_rows + sum(tag.rows for tag in self.tags.values())

    @property
    def anomalies(self) -> int:
        """Anomalies of all tags."""
        return sum(tag.anomalies for tag in self.tags.values())

    @property
    def worst_tags(self) -> list[tuple[str, TagStatistics]]:
        """The tags with anomalies, the one with the most anomalies first."""
        return self.to_figures().worst_tags

    def to_figures(self) -> "DeviceFigures":
        """Return the part of the statistics that is kept for each device of the window."""
        anomalous = {tag: one for tag, one in self.tags.items() if one.anomalies}
        return DeviceFigures(
            self.rows,
            self.anomalies,
            self.newest_epoch_seconds,
            anomalous or _NO_TAGS,
            tuple(self.flagged),
            self.left_out_tags + sum([one.rows > 0 for one in self.tags.values()]),
            self.left_out_flags,
        )


@dataclass(frozen=True, slots=True)
class DeviceFigures:
    """The statistics of one device in the memory of a report, which has up to 100,000 devices.

    Attributes:
        rows: Rows with a prediction, of all tags.
        anomalies: Anomalies of all tags.
        newest_epoch_seconds: Time of the newest reading, in seconds since the epoch.
        tags: Statistics by tag, of the tags with anomalies.
        flagged: The faults of sensors.
        tags_with_rows: The number of tags with rows.
        left_out_flags: The flags of tags that `flagged` does not have, a number for each of FLAGS, and then the
            anomalies of these tags; empty without such flags.
    """

    rows: int = 0
    anomalies: int = 0
    newest_epoch_seconds: int = 0
    tags: Mapping[str, TagStatistics] = field(default_factory=lambda: _NO_TAGS)
    flagged: tuple[FlaggedSensor, ...] = ()
    tags_with_rows: int = 0
    left_out_flags: tuple[int, ...] = ()

    @property
    def worst_tags(self) -> list[tuple[str, TagStatistics]]:
        """The tags with anomalies, the one with the most anomalies first."""
        return sorted(self.tags.items(), key=lambda entry: (-entry[1].anomalies, entry[0]))


_NO_TAGS: Mapping[str, TagStatistics] = {}
NO_FIGURES = DeviceFigures()


def statistics_from_digest(digest: DeviceDigest, rows: int, anomalies: int) -> DeviceStatistics | None:
    """Return the statistics of a digest, or None if it lacks something that the report shows.

    Tags without anomalies may be left out: only their number of rows is shown.

    Args:
        digest: The digest.
        rows: The rows with a prediction, by the other metadata of the predictions.
        anomalies: The anomalies, by the other metadata.
    """
    named = sum([tag.rows for tag in digest.tags])
    if sum([tag.anomalies for tag in digest.tags]) != anomalies or sum(digest.anomalies_by_bucket) != anomalies:
        return None
    if named > rows or (named < rows and not digest.left_out_tags):
        return None
    return DeviceStatistics(
        {tag.tag: _to_statistics(tag) for tag in digest.tags},
        digest.newest_time,
        {bucket: count for bucket, count in enumerate(digest.anomalies_by_bucket) if count},
        flagged_sensors(digest),
        digest.unmodelled,
        digest.left_out_tags,
        rows - named,
        digest.left_out_flags,
    )


def flagged_sensors(digest: DeviceDigest) -> tuple[FlaggedSensor, ...]:
    """Return the faults of the sensors in a digest."""
    return tuple(
        FlaggedSensor(tag.tag, tag.rows, flag, tag.anomalies > 0)
        for tag in digest.tags
        if tag.flags
        for flag in tag.flags
    )


def _to_statistics(tag: TagDigest) -> TagStatistics:
    return TagStatistics(
        tag.rows,
        tag.anomalies,
        tag.first_anomaly,
        tag.last_anomaly,
        tag.worst_ts,
        tag.worst_value,
        tag.worst_score,
    )


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
    if not content.startswith(PREDICTIONS_HEADER):
        first_line = content[:60].decode("utf-8", "replace")
        raise DataInvalid(f"the predictions are invalid: the first line is {first_line!r}")
    known, at = "", 0
    for number, line in enumerate(io.BytesIO(content)):
        if number == 0:
            continue
        try:
            ts, _, tag, value, label, score = split_line(line)
            if ts != known:
                known, at = ts, readings.parse_timestamp(ts)
            _check_numbers(value, label, score)
        except (ValueError, OverflowError, csv.Error) as error:
            raise DataInvalid(f"the predictions are invalid: line {number + 1:,}: {str(error)[:200]}") from error
        yield Prediction(ts, tag, value, label == "1", score, at)


def _check_numbers(value: str, label: str, score: str) -> None:
    """Raise ValueError unless the texts are those of a scored row."""
    if label not in _LABELS or isnan(readings.parse_value(value)) or not isfinite(float(score or 0)):
        raise ValueError("Val, Prediction or Score is not a number of its range")
