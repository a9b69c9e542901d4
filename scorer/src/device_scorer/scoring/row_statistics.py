"""Counts of the rows of one device's window, and the sentences about rows that have no prediction."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.quality import MAX_ABSOLUTE_VALUE

MAX_NOTES = 3
MAX_SAMPLE_CHARS = 40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RowStatistics:
    """Counts of the rows of one device's window.

    Attributes:
        rows: Rows with a prediction.
        anomalies: Rows that are predicted as anomalies.
        unscored_rows: Rows of tags without a model.
        bad_rows: Lines that are not a reading.
        excluded_rows: Rows that the fleet's quality rules exclude.
        truncated_rows: Last lines without a line end.
        foreign_rows: Rows of other devices.
        outside_rows: Rows before or after the window.
        notes: At most MAX_NOTES examples of dropped lines.
        unusable_values: The number of rows by tag whose Value cannot be used; each tag has a model.
        unusable_samples: The problem of the first such row by tag.
    """

    def __init__(self) -> None:
        self.rows = self.anomalies = self.unscored_rows = 0
        self.bad_rows = self.excluded_rows = self.truncated_rows = self.foreign_rows = self.outside_rows = 0
        self.notes: list[str] = []
        self.unusable_values: Counter[str] = Counter()
        self.unusable_samples: dict[str, str] = {}
        self._first_outside, self._last_outside = 0, 0

    def add_note(self, text: str) -> None:
        """Keep the text if it is new and there are fewer than MAX_NOTES notes."""
        if len(self.notes) < MAX_NOTES and text not in self.notes:
            self.notes.append(text)

    def add_outside(self, rows: int, first: int, last: int) -> None:
        """Count rows outside of the window.

        Args:
            rows: The number of rows.
            first: The earliest time of the rows, in seconds since the epoch.
            last: The latest time.
        """
        self._first_outside = min(first, self._first_outside) if self.outside_rows else first
        self._last_outside = max(last, self._last_outside) if self.outside_rows else last
        self.outside_rows += rows

    def add_unusable(self, tag: str, value: str) -> None:
        """Count a row of a tag with a model whose Value cannot be used as a bad row."""
        self.bad_rows += 1
        self.unusable_values[tag] += 1
        if tag not in self.unusable_samples or len(self.notes) < MAX_NOTES:
            problem = describe_value(value)
            self.unusable_samples.setdefault(tag, problem)
            self.add_note(problem)

    def to_row_counts(self) -> RowCounts:
        """Return the counts that the outcome and the metadata hold; truncated and excluded rows count as bad rows."""
        bad_rows = self.bad_rows + self.truncated_rows + self.excluded_rows
        return RowCounts(self.rows, bad_rows, self.unscored_rows, self.anomalies)

    def describe_outside(self) -> str:
        """Return a text about the rows outside of the window, or '' if there are none.

        A wrong time zone, clock or format of TS puts all rows of a file there.
        """
        if not self.outside_rows:
            return ""
        first, last = (_to_text(at) for at in (self._first_outside, self._last_outside))
        return f"rows outside of the window: {self.outside_rows:,}, from {first} to {last}"


def describe_value(value: str) -> str:
    """Return why the text of a Value is not a usable number.

    Args:
        value: The text.
    """
    sample = repr(value[:MAX_SAMPLE_CHARS])
    if abs(_to_number(value)) >= MAX_ABSOLUTE_VALUE:
        return f"Value is infinite or at least {MAX_ABSOLUTE_VALUE:g}: {sample}"
    if value.count(",") == 1 and abs(_to_number(value.replace(",", "."))) < MAX_ABSOLUTE_VALUE:
        return f"Value has a decimal comma, it must be a point: {sample}"
    return f"Value is not a number: {sample}"


def _to_number(text: str) -> float:
    """Return a text as a number; NaN for other texts."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _to_text(seconds: int) -> str:
    try:
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"the second {seconds:,} after 1970"
