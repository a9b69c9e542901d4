"""One device's window: rows and models in, the predictions CSV and its figures out. Pure.

Rows are judged in chunks, so that a large device needs memory only for its text; equal readings of a tag are judged
once. Nothing from a clock, host or hash order goes into the bytes.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from math import isnan

from device_scorer import readings
from device_scorer.errors import DataInvalid, DataTooLarge, ModelNotFound, PermanentError
from device_scorer.models.bundle import Bundle, Model
from device_scorer.models.one_class_svm import SCORE_DECIMALS
from device_scorer.readings import RowTuple
from device_scorer.settings import Limits
from device_scorer.window import Window

HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
CHUNK_ROWS = 8192
_CACHE_SIZE = 50_000
_MAX_NOTES = 3


@dataclass(slots=True)
class RowStatistics:
    """Figures of one device's window; `bad` counts lines that are no reading, `cut` last lines without an end."""

    rows: int = 0
    anomalies: int = 0
    unscored_rows: int = 0
    bad_rows: int = 0
    truncated_rows: int = 0
    foreign_rows: int = 0
    notes: list[str] = field(default_factory=list)

    def add_note(self, text: str) -> None:
        """Keep a few examples for the person who looks."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class SelectedTags:
    """The tags to score: usable models, and those asked for that cannot be scored, with why."""

    models: dict[str, Model]
    failed: dict[str, PermanentError]


def select_tags(bundle: Bundle, requested_tags: frozenset[str] | None) -> SelectedTags:
    """The bundle's tags that were asked for (None: all). Raises where none of them can be scored."""
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
    """Scores one device's window, one partition after the other, into `body`."""

    def __init__(self, device: str, window: Window, models: dict[str, Model], *, limits: Limits) -> None:
        self.statistics = RowStatistics()
        self.body = bytearray(HEADER)
        self._device, self._models, self._limits = device, models, limits
        self._start, self._end = int(window.start.timestamp()), int(window.end.timestamp())
        self._endings: dict[str, dict[float, str]] = {tag: {} for tag in models}

    def add_partition(self, content: bytes, *, check_deadline: Callable[[], None]) -> None:
        """Judge the rows of one partition's CSV; `check` is called between chunks and may raise to stop.

        Raises DataInvalid (no such CSV) or DataTooLarge (more rows than allowed).
        """
        rows = self._usable_rows(readings.read_rows(content, on_bad=self._on_bad))
        while chunk := list(islice(rows, CHUNK_ROWS)):
            check_deadline()
            self._append_rows(chunk)
            if self.statistics.rows + self.statistics.unscored_rows > self._limits.max_rows:
                text = f"more than the {self._limits.max_rows:,} readings that are allowed in one window"
                raise DataTooLarge(f"{text}: raise FLEETSCORE_MAX_ROWS if that is meant")

    def finish(self) -> bool:
        """Whether there is anything to write. Raises DataInvalid, ModelNotFound (of all tags)."""
        statistics = self.statistics
        lines = statistics.rows + statistics.unscored_rows + statistics.bad_rows
        if statistics.bad_rows > lines * self._limits.max_bad_share:
            raise DataInvalid(
                f"{statistics.bad_rows:,} of {lines:,} lines are no readings: {'; '.join(statistics.notes)}"
            )
        if statistics.unscored_rows and not statistics.rows:
            raise ModelNotFound(f"none of the tags in its {statistics.unscored_rows:,} readings has a model")
        return statistics.rows > 0

    def _on_bad(self, line: bytes, reason: str) -> None:
        if line.endswith(b"\n"):
            self.statistics.bad_rows += 1
        else:
            self.statistics.truncated_rows += 1
        self.statistics.add_note(f"{reason}: {line[:60].decode('utf-8', 'replace').strip()!r}")

    def _usable_rows(self, rows: Iterable[RowTuple]) -> Iterator[RowTuple]:
        """The rows of this device in the window with a number and a model, in order; the others are counted."""
        statistics, own_device, start, end, models = self.statistics, self._device, self._start, self._end, self._models
        for row in rows:
            _, device, tag, value, at, number = row
            if not start <= at < end:
                continue
            if device != own_device:
                statistics.foreign_rows += 1
                statistics.add_note(f"a row of device {device[:40]!r}")
            elif isnan(number):
                statistics.bad_rows += 1
                statistics.add_note(f"Value is no number: {value[:40]!r}")
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
        self.body += text.encode()
        self.statistics.rows += len(rows)
        self.statistics.anomalies += anomalies

    def _score_new_values(self, rows: list[RowTuple]) -> None:
        """Judge each number of a tag that is not known yet."""
        for cache in self._endings.values():
            if len(cache) > _CACHE_SIZE:
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
    """The end of a line: so many decimals of the score that both engines print the same, and never a negative zero."""
    if score is None:
        return f",{label},\n"
    ending = _ENDING_FORMAT % (label, score)
    return ending.replace("-", "") if score <= 0 and ending.endswith(_NEGATIVE_ZERO) else ending


def quote_fields(*texts: str) -> str:
    """The texts as the beginning of a line of CSV, with quotes where one of them has a comma or quote."""
    line = ",".join(texts)
    if line.count(",") < len(texts) and '"' not in line:
        return line
    target = io.StringIO()
    csv.writer(target, lineterminator="").writerow(texts)
    return target.getvalue()
