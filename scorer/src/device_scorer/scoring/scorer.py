"""Scoring of one device's window in memory: from rows and models to the predictions CSV and its counts. Pure.

Rows are scored in chunks, so that memory holds the text of a large device and nothing else. Equal values of a tag are
scored once. The bytes depend on no clock, host or hash order.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from math import isnan

from device_scorer import readings
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.errors import DataInvalid, DataTooLarge, ModelNotFound, PermanentError
from device_scorer.models.bundle import Bundle, Model
from device_scorer.models.one_class_svm import SCORE_DECIMALS
from device_scorer.readings import RowTuple
from device_scorer.settings import Limits
from device_scorer.window import Window

HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
CHUNK_ROWS = 8192
"""Rows that are scored in one call of the models; the deadline is checked between chunks."""

CACHE_SIZE = 50_000
"""Number of values of a tag above which the cache of their predictions is cleared."""

MAX_NOTES = 3


@dataclass(slots=True)
class RowStatistics:
    """Counts of the rows of one device's window.

    Attributes:
        rows: Rows with a prediction.
        anomalies: Rows that are predicted as anomalies.
        unscored_rows: Rows of tags without a model.
        bad_rows: Lines that are not a reading.
        truncated_rows: Last lines without a line end.
        foreign_rows: Rows of other devices.
        notes: At most MAX_NOTES examples of dropped lines.
    """

    rows: int = 0
    anomalies: int = 0
    unscored_rows: int = 0
    bad_rows: int = 0
    truncated_rows: int = 0
    foreign_rows: int = 0
    notes: list[str] = field(default_factory=list)

    def add_note(self, text: str) -> None:
        """Keep the text if there are fewer than MAX_NOTES notes."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    def to_row_counts(self) -> RowCounts:
        """Return the counts that the outcome and the metadata hold; truncated lines count as bad rows."""
        return RowCounts(self.rows, self.bad_rows + self.truncated_rows, self.unscored_rows, self.anomalies)


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The predictions CSV of a window, and the counts of its rows."""

    content: bytes = field(repr=False)
    row_counts: RowCounts


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """The tags to score: the models by tag, and the errors of requested tags that cannot be scored."""

    models: dict[str, Model]
    failed: dict[str, PermanentError]


def select_tags(bundle: Bundle, requested_tags: frozenset[str] | None) -> SelectedTags:
    """Return the tags of the bundle that are requested.

    Args:
        bundle: The device's models.
        requested_tags: The tags to score; None selects all tags of the bundle.

    Raises:
        PermanentError: None of the tags can be scored; the type is the one of the first tag's error.
    """
    tags = sorted(bundle.models if requested_tags is None else requested_tags)
    missing = ModelNotFound("the device's bundle has no model for this tag")
    found = {tag: bundle.models.get(tag, missing) for tag in tags}
    failed = {tag: model for tag, model in found.items() if isinstance(model, PermanentError)}
    models = {tag: model for tag, model in found.items() if not isinstance(model, PermanentError)}
    if not models:
        tag, error = next(iter(failed.items()), ("", ModelNotFound("the bundle has no models")))
        raise type(error)(f"none of its {len(failed)} tags can be scored; tag {tag!r}: {error}")
    return SelectedTags(models, failed)


class Scorer:
    """A scorer of one device's window that takes one partition after the other.

    Args:
        device: The device's id; rows of other devices are counted and dropped.
        window: The window; rows outside of it are dropped.
        models: The models by tag.
        limits: The limits on rows and on the share of bad lines.
    """

    def __init__(self, device: str, window: Window, models: dict[str, Model], *, limits: Limits) -> None:
        self._device, self._models, self._limits = device, models, limits
        self._start, self._end = int(window.start.timestamp()), int(window.end.timestamp())
        self._statistics = RowStatistics()
        self._content = bytearray(HEADER)
        self._endings: dict[str, dict[float, str]] = {tag: {} for tag in models}

    @property
    def statistics(self) -> RowStatistics:
        """The counts of the rows that were added so far."""
        return self._statistics

    def add_partition(self, content: bytes, *, check_deadline: Callable[[], None]) -> None:
        """Score the rows of one partition.

        Args:
            content: The partition's CSV.
            check_deadline: A function that is called before each chunk and raises to stop.

        Raises:
            DataInvalid: The first line does not name the columns.
            DataTooLarge: The window has more rows than the limit.
        """
        rows = self._usable_rows(readings.read_rows(content, on_bad=self._on_bad))
        while chunk := list(islice(rows, CHUNK_ROWS)):
            check_deadline()
            self._append_rows(chunk)
            if self._statistics.rows + self._statistics.unscored_rows > self._limits.max_rows:
                text = f"the window has more than the {self._limits.max_rows:,} readings that are allowed"
                raise DataTooLarge(f"{text}; raise FLEETSCORE_MAX_ROWS to allow it")

    def finish(self) -> ScoredRows | None:
        """Return the predictions, or None if the window has no readings.

        Raises:
            DataInvalid: The share of bad lines is above the limit.
            ModelNotFound: The window has readings, but only of tags without a model.
        """
        statistics = self._statistics
        lines = statistics.rows + statistics.unscored_rows + statistics.bad_rows
        if statistics.bad_rows > lines * self._limits.max_bad_share:
            raise DataInvalid(
                f"{statistics.bad_rows:,} of {lines:,} lines are not readings: {'; '.join(statistics.notes)}"
            )
        if statistics.unscored_rows and not statistics.rows:
            raise ModelNotFound(f"none of the tags in its {statistics.unscored_rows:,} readings has a model")
        if not statistics.rows:
            return None
        return ScoredRows(bytes(self._content), statistics.to_row_counts())

    def _on_bad(self, line: bytes, reason: str) -> None:
        if line.endswith(b"\n"):
            self._statistics.bad_rows += 1
        else:
            self._statistics.truncated_rows += 1
        self._statistics.add_note(f"{reason}: {line[:60].decode('utf-8', 'replace').strip()!r}")

    def _usable_rows(self, rows: Iterable[RowTuple]) -> Iterator[RowTuple]:
        """Yield the device's rows in the window that have a number and a model, in order; count the others."""
        statistics, own_device, models = self._statistics, self._device, self._models
        start, end = self._start, self._end
        for row in rows:
            _, device, tag, value, at, number = row
            if not start <= at < end:
                continue
            if device != own_device:
                statistics.foreign_rows += 1
                statistics.add_note(f"a row of device {device[:40]!r}")
            elif isnan(number):
                statistics.bad_rows += 1
                statistics.add_note(f"Value is not a number: {value[:40]!r}")
            elif tag not in models:
                statistics.unscored_rows += 1
            else:
                yield row

    def _append_rows(self, rows: list[RowTuple]) -> None:
        """Append the rows with their labels and scores."""
        self._score_new_values(rows)
        endings, lines, anomalies = self._endings, [], 0
        for ts, device, tag, value, _, number in rows:
            ending = endings[tag][number]
            lines.append(f"{ts},{device},{tag},{value}{ending}")
            anomalies += ending[1] == "1"
        text = "".join(lines)
        if '"' in text or text.count(",") != 5 * len(rows):
            text = "".join(quote_fields(*row[:4]) + endings[row[2]][row[5]] for row in rows)
        self._content += text.encode()
        self._statistics.rows += len(rows)
        self._statistics.anomalies += anomalies

    def _score_new_values(self, rows: list[RowTuple]) -> None:
        """Predict each value of a tag that the cache does not hold."""
        for cache in self._endings.values():
            if len(cache) > CACHE_SIZE:
                cache.clear()
        new_values: dict[str, dict[float, None]] = {}
        for _, _, tag, _, _, number in rows:
            if number not in self._endings[tag]:
                new_values.setdefault(tag, {})[number] = None
        for tag, values in new_values.items():
            labels, scores = self._models[tag].predict(list(values))
            self._endings[tag].update(zip(values, map(format_ending, labels, scores or repeat(None)), strict=True))


_ENDING_FORMAT = f",%d,%.{SCORE_DECIMALS}f\n"
_NEGATIVE_ZERO = "-0." + "0" * SCORE_DECIMALS + "\n"


def format_ending(label: int, score: float | None) -> str:
    """Return the end of a line: the label, and the score with SCORE_DECIMALS decimals.

    Both engines agree on that number of decimals. A score that rounds to zero has no minus sign.
    """
    if score is None:
        return f",{label},\n"
    ending = _ENDING_FORMAT % (label, score)
    return ending.replace("-", "") if score <= 0 and ending.endswith(_NEGATIVE_ZERO) else ending


def quote_fields(*texts: str) -> str:
    """Return the texts as fields of a CSV line, quoted if one of them holds a comma or a quote (RFC 4180)."""
    line = ",".join(texts)
    if line.count(",") < len(texts) and '"' not in line:
        return line
    target = io.StringIO()
    csv.writer(target, lineterminator="").writerow(texts)
    return target.getvalue()
