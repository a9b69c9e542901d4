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
from device_scorer.errors import DataInvalid, DataTooLarge, FinalError, ModelNotFound
from device_scorer.models.bundle import Bundle, Model
from device_scorer.models.one_class_svm import DECIMALS
from device_scorer.readings import Plain
from device_scorer.settings import Limits
from device_scorer.window import Window

HEADER = b"TS,Device,Tag,Val,Prediction,Score\n"
CHUNK = 8192
_MEMO = 50_000
_SAMPLES = 3


@dataclass(slots=True)
class Tally:
    """Figures of one device's window; `bad` counts lines that are no reading, `cut` last lines without an end."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    bad: int = 0
    cut: int = 0
    of_others: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a few examples for the person who looks."""
        if len(self.notes) < _SAMPLES:
            self.notes.append(text)


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags to score: usable models, and those asked for that cannot be scored, with why."""

    models: dict[str, Model]
    failed: dict[str, FinalError]


def choose(bundle: Bundle, asked: frozenset[str] | None) -> Tags:
    """The bundle's tags that were asked for (None: all). Raises where none of them can be scored."""
    wanted = sorted(bundle.models if asked is None else asked)
    missing = ModelNotFound("the device's bundle has no model for this tag")
    found = {tag: bundle.models.get(tag, missing) for tag in wanted}
    failed = {tag: model for tag, model in found.items() if isinstance(model, FinalError)}
    models = {tag: model for tag, model in found.items() if not isinstance(model, FinalError)}
    if not models:
        tag, error = next(iter(failed.items()), ("", ModelNotFound("the bundle has no models")))
        raise type(error)(f"none of its {len(failed)} tags can be scored; tag {tag!r}: {error}")
    return Tags(models, failed)


class Scorer:
    """Scores one device's window, one partition after the other, into `body`."""

    def __init__(self, device: str, window: Window, models: dict[str, Model], *, limits: Limits) -> None:
        self.tally = Tally()
        self.body = bytearray(HEADER)
        self._device, self._models, self._limits = device, models, limits
        self._start, self._end = int(window.start.timestamp()), int(window.end.timestamp())
        self._known: dict[str, dict[float, str]] = {tag: {} for tag in models}

    def add(self, content: bytes, *, check: Callable[[], None]) -> None:
        """Judge the rows of one partition's CSV; `check` is called between chunks and may raise to stop.

        Raises DataInvalid (no such CSV) or DataTooLarge (more rows than allowed).
        """
        rows = self._ours(readings.rows(content, on_bad=self._on_bad))
        while chunk := list(islice(rows, CHUNK)):
            check()
            self._judge(chunk)
            if self.tally.rows + self.tally.unscored > self._limits.rows:
                text = f"more than the {self._limits.rows:,} readings that are allowed in one window"
                raise DataTooLarge(f"{text}: raise FLEETSCORE_MAX_ROWS if that is meant")

    def finish(self) -> bool:
        """Whether there is anything to write. Raises DataInvalid, ModelNotFound (of all tags)."""
        tally = self.tally
        lines = tally.rows + tally.unscored + tally.bad
        if tally.bad > lines * self._limits.bad_share:
            raise DataInvalid(f"{tally.bad:,} of {lines:,} lines are no readings: {'; '.join(tally.notes)}")
        if tally.unscored and not tally.rows:
            raise ModelNotFound(f"none of the tags in its {tally.unscored:,} readings has a model")
        return tally.rows > 0

    def _on_bad(self, line: bytes, reason: str) -> None:
        if line.endswith(b"\n"):
            self.tally.bad += 1
        else:
            self.tally.cut += 1
        self.tally.note(f"{reason}: {line[:60].decode('utf-8', 'replace').strip()!r}")

    def _ours(self, rows: Iterable[Plain]) -> Iterator[Plain]:
        """The rows of this device in the window with a number and a model, in order; the others are counted."""
        tally, own, start, end, models = self.tally, self._device, self._start, self._end, self._models
        for row in rows:
            _, device, tag, value, at, number = row
            if not start <= at < end:
                continue
            if device != own:
                tally.of_others += 1
                tally.note(f"a row of device {device[:40]!r}")
            elif isnan(number):
                tally.bad += 1
                tally.note(f"Value is no number: {value[:40]!r}")
            elif tag not in models:
                tally.unscored += 1
            else:
                yield row

    def _judge(self, rows: list[Plain]) -> None:
        """Append the rows with their labels and scores."""
        self._learn(rows)
        known, lines, anomalies = self._known, [], 0
        for ts, device, tag, value, _, number in rows:
            ending = known[tag][number]
            lines.append(f"{ts},{device},{tag},{value}{ending}")
            anomalies += ending[1] == "1"
        text = "".join(lines)
        if '"' in text or text.count(",") != 5 * len(rows):
            text = "".join(quoted(*row[:4]) + known[row[2]][row[5]] for row in rows)
        self.body += text.encode()
        self.tally.rows += len(rows)
        self.tally.anomalies += anomalies

    def _learn(self, rows: list[Plain]) -> None:
        """Judge each number of a tag that is not known yet."""
        for known in self._known.values():
            if len(known) > _MEMO:
                known.clear()
        fresh: dict[str, dict[float, None]] = {}
        for _, _, tag, _, _, number in rows:
            if number not in self._known[tag]:
                fresh.setdefault(tag, {})[number] = None
        for tag, values in fresh.items():
            labels, scores = self._models[tag].judge(list(values))
            self._known[tag].update(zip(values, map(ending_of, labels, scores or repeat(None)), strict=True))


_ENDING = f",%d,%.{DECIMALS}f\n"
_MINUS_ZERO = "-0." + "0" * DECIMALS + "\n"


def ending_of(label: int, score: float | None) -> str:
    """The end of a line: so many decimals of the score that both engines print the same, and never a negative zero."""
    if score is None:
        return f",{label},\n"
    ending = _ENDING % (label, score)
    return ending.replace("-", "") if score <= 0 and ending.endswith(_MINUS_ZERO) else ending


def quoted(*texts: str) -> str:
    """The texts as the beginning of a line of CSV, with quotes where one of them has a comma or quote."""
    line = ",".join(texts)
    if line.count(",") < len(texts) and '"' not in line:
        return line
    target = io.StringIO()
    csv.writer(target, lineterminator="").writerow(texts)
    return target.getvalue()
