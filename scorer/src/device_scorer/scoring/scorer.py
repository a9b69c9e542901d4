"""Scoring of one device's window in memory: from rows and models to the predictions CSV and its counts.

Rows are scored in chunks, so that memory holds the text of a large device and nothing else. Equal values of a tag are
scored once. The bytes depend on no clock, host or hash order.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from itertools import islice
from math import isfinite, isnan
from types import MappingProxyType
from typing import NamedTuple

from device_scorer import readings
from device_scorer.contract.digest import DeviceDigest
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.csv_lines import join_line
from device_scorer.errors import (
    DataInvalid,
    DataTooLarge,
    ModelIncompatible,
    ModelInvalid,
    ModelNotFound,
    ModelRejected,
    PermanentError,
)
from device_scorer.models.bundle import Model
from device_scorer.models.expectations import Expectation
from device_scorer.plurals import counted, plural
from device_scorer.quality import NO_QUALITY, Quality
from device_scorer.readings import EXCLUDED, ColumnLayout, RowTuple
from device_scorer.scoring.digest_builder import DigestBuilder
from device_scorer.scoring.flags import FlagFinder
from device_scorer.scoring.line_endings import format_endings
from device_scorer.scoring.predictions import PREDICTIONS_HEADER
from device_scorer.scoring.row_statistics import MAX_NOTES, RowStatistics
from device_scorer.scoring.tag_selection import error_of_all, name_some
from device_scorer.settings import Limits
from device_scorer.window import Window

CHUNK_ROWS = 8192
"""Rows that are scored in one call of the models; the deadline is checked between chunks."""

CACHE_SIZE = 50_000
"""Number of values of a device, over all tags, above which the cache of their predictions is cleared."""

_MISSING = "the model of tag {tag!r} cannot evaluate {value:g}: it is an anomaly without a score"


class ScoredRows(NamedTuple):
    """The predictions of a window.

    Attributes:
        content: The predictions CSV.
        row_counts: The counts of its rows.
        digest: The figures of its tags.
        failed: The error by tag whose rows have no number, or whose model fails on its rows.
    """

    content: bytes
    row_counts: RowCounts
    digest: DeviceDigest
    failed: Mapping[str, PermanentError]


class Scorer:
    """A scorer of one device's window that takes one partition after the other.

    Args:
        device: The device's id; rows of other devices are counted and dropped.
        window: The window; rows outside of it are dropped.
        models: The models by tag.
        limits: The limits on rows and on the share of bad lines.
        quality: The fleet's rules, which exclude rows.
        expectations: The behaviour of the sensors in training, by tag.
        whole_partitions: True if no partition reaches beyond the window, so that no window scores the rows outside.
    """

    def __init__(
        self,
        device: str,
        window: Window,
        models: dict[str, Model],
        *,
        limits: Limits,
        quality: Quality = NO_QUALITY,
        expectations: Mapping[str, Expectation] = MappingProxyType({}),
        whole_partitions: bool = False,
    ) -> None:
        self._device, self._models, self._limits = device, dict(models), limits
        self._start, self._end = int(window.start.timestamp()), int(window.end.timestamp())
        self._statistics = RowStatistics()
        self._content = BytesIO()
        self._content.write(PREDICTIONS_HEADER)
        self._flags = FlagFinder(window, quality, expectations)
        self._digest = DigestBuilder(window, self._models, self._flags.limits(models))
        self._quality, self._whole_partitions = quality, whole_partitions
        self._missing_columns: set[str] = set()
        self._failed: dict[str, PermanentError] = {}
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
        rows = readings.read_rows(content, on_bad=self._on_bad, quality=self._quality, on_layout=self._on_layout)
        while chunk := list(islice(rows, CHUNK_ROWS)):
            check_deadline()
            if usable := self._usable_rows(chunk):
                self._append_rows(usable)
            statistics = self._statistics
            if statistics.rows + statistics.unscored_rows + statistics.excluded_rows > self._limits.max_rows:
                text = f"the window has more than the {self._limits.max_rows:,} readings that are allowed"
                raise DataTooLarge(f"{text}; raise FLEETSCORE_MAX_ROWS to allow it")

    def finish(self) -> ScoredRows | None:
        """Return the predictions, or None if the window has no readings.

        Raises:
            DataInvalid: The share of bad lines is above the limit. If some tags are scored, the rows of a tag without a
                usable value do not count: the tag makes the device partial.
            ModelNotFound: The window has readings, but only of tags without a model.
            PermanentError: The models of all tags that have readings fail; the type is the one of the first error.
        """
        statistics = self._statistics
        unusable = self._unusable_tags() if statistics.rows else {}
        bad_rows = statistics.bad_rows - sum(statistics.unusable_values[tag] for tag in unusable)
        lines = statistics.rows + statistics.unscored_rows + bad_rows
        if bad_rows and bad_rows / lines > self._limits.max_bad_share:
            verb = plural(bad_rows, "is not a reading", "are not readings")
            text = f"{bad_rows:,} of {counted(lines, 'line', 'lines')} {verb}"
            raise DataInvalid(f"{text}: {'; '.join(statistics.notes)}")
        if self._failed and not statistics.rows:
            raise error_of_all(self._failed)
        if statistics.unscored_rows and not statistics.rows:
            text = f"none of the tags in its {counted(statistics.unscored_rows, 'reading', 'readings')} has a model"
            sent, known = name_some(self._digest.unmodelled), name_some(self._models)
            raise ModelNotFound(f"{text}: the readings have {sent}, and the models {known}")
        if not statistics.rows:
            return None
        digest = self._digest.finish(self._flags.find)
        return ScoredRows(self._content.getvalue(), statistics.to_row_counts(), digest, self._failed | unusable)

    def _unusable_tags(self) -> dict[str, PermanentError]:
        """Return the error of each tag that has rows and no usable value."""
        statistics = self._statistics
        return {
            tag: DataInvalid(
                f"none of its {counted(statistics.unusable_values[tag], 'row', 'rows')} is usable: {problem}"
            )
            for tag, problem in sorted(statistics.unusable_samples.items())
            if tag in self._models and not self._digest.tag(tag).rows
        }

    @property
    def remarks(self) -> list[str]:
        """The sentences for people about dropped rows."""
        remarks = list(self._statistics.notes)
        outside = self._statistics.describe_outside()
        if outside and not self._statistics.rows:
            remarks.append(outside)
        elif outside and self._whole_partitions:
            remarks.append(f"{outside}; no window scores them, so store them in the files of their times")
        if self._statistics.excluded_rows:
            remarks.append(f"the quality rules exclude {counted(self._statistics.excluded_rows, 'row', 'rows')}")
        if self._missing_columns:
            columns = ", ".join(repr(column[:40]) for column in sorted(self._missing_columns)[:MAX_NOTES])
            remarks.append(f"the readings lack the column {columns} of the quality rules, so no row is bad by it")
        return remarks

    def _on_layout(self, layout: ColumnLayout) -> None:
        if self._quality.bad_columns:
            self._missing_columns.update(layout.missing_columns)

    def _on_bad(self, line: bytes, reason: str) -> None:
        if line.endswith(b"\n"):
            self._statistics.bad_rows += 1
        else:
            self._statistics.truncated_rows += 1
        self._statistics.add_note(f"{reason}: {line[:60].decode('utf-8', 'replace').rstrip()!r}")

    def _usable_rows(self, rows: list[RowTuple]) -> list[RowTuple]:
        """Return the device's rows in the window that have a number and a model, in order; count the others."""
        _, devices, tags, _, times, numbers = zip(*rows, strict=True)
        first, last = min(times), max(times)
        if (
            self._start <= first <= last < self._end
            and devices.count(self._device) == len(rows)
            and self._models.keys() >= set(tags)
            and isfinite(sum(numbers))
        ):
            return rows
        inside = [row for row in rows if self._start <= row[4] < self._end]
        if outside := [at for at in times if not self._start <= at < self._end]:
            self._statistics.add_outside(len(outside), min(outside), max(outside))
        return [row for row in inside if self._is_usable(row)]

    def _is_usable(self, row: RowTuple) -> bool:
        """Return True if the row of the window can be scored; count it otherwise."""
        statistics = self._statistics
        _, device, tag, value, _, number = row
        if device != self._device:
            statistics.foreign_rows += 1
            statistics.add_note(f"a row of device {device[:40]!r}")
        elif number == EXCLUDED:
            statistics.excluded_rows += 1
            if tag in self._models:
                self._digest.tag(tag).bad_rows += 1
        elif tag not in self._models:
            statistics.unscored_rows += 1
            self._digest.add_unmodelled(tag)
        elif not isfinite(number):
            statistics.add_unusable(tag, value)
            self._digest.tag(tag).bad_rows += 1
        else:
            return True
        return False

    def _append_rows(self, rows: list[RowTuple]) -> None:
        """Append the rows with their labels and scores."""
        self._add_by_tag(rows)
        if self._failed:
            rows = [row for row in rows if row[2] in self._models]
        endings, lines = self._endings, []
        anomalies: list[tuple[str, str, str, str, int]] = []
        for ts, device, tag, value, at, number in rows:
            ending = endings[tag][number]
            lines.append(f"{ts},{device},{tag},{value}{ending}")
            if ending[1] == "1":
                anomalies.append((tag, ts, value, ending[3:-1], at))
        text = "".join(lines)
        if '"' in text or "\r" in text or text.count(",") != 5 * len(rows):
            text = "".join(join_line(row[:4]) + endings[row[2]][row[5]] for row in rows)
        self._content.write(text.encode())
        self._digest.add_anomalies(anomalies)
        self._statistics.rows += len(rows)
        self._statistics.anomalies += len(anomalies)

    def _add_by_tag(self, rows: list[RowTuple]) -> None:
        """Predict the values of the rows, and add the rows to the figures of their tags."""
        if sum(map(len, self._endings.values())) > CACHE_SIZE:
            for cache in self._endings.values():
                cache.clear()
        by_tag: defaultdict[str, list[RowTuple]] = defaultdict(list)
        for row in rows:
            by_tag[row[2]].append(row)
        for tag, rows_of_tag in by_tag.items():
            _, _, _, _, times, numbers = zip(*rows_of_tag, strict=True)
            try:
                self._predict(tag, numbers)
            except (ModelInvalid, ModelIncompatible, ModelRejected) as error:
                self._leave_out(tag, error, len(rows_of_tag))
            else:
                self._digest.tag(tag).add(times, numbers)

    def _predict(self, tag: str, numbers: Sequence[float]) -> None:
        """Predict each value of a tag that the cache does not hold."""
        cache = self._endings[tag]
        values = [number for number in dict.fromkeys(numbers) if number not in cache]
        if values:
            labels, scores = self._models[tag].predict(values)
            if scores is not None and not isfinite(sum(scores)):
                self._note_missing_score(tag, values, scores)
            cache.update(zip(values, format_endings(labels, scores), strict=True))

    def _leave_out(self, tag: str, error: PermanentError, rows: int) -> None:
        """Leave the rows of a tag whose model fails unscored. Rows of earlier chunks keep their labels."""
        self._failed[tag] = error
        del self._models[tag]
        self._statistics.unscored_rows += rows
        self._digest.remove_unscored(tag, rows)

    def _note_missing_score(self, tag: str, values: list[float], scores: list[float]) -> None:
        missing = [value for value, score in zip(values, scores, strict=True) if isnan(score)]
        if missing:
            self._statistics.add_note(_MISSING.format(tag=tag[:40], value=missing[0]))
