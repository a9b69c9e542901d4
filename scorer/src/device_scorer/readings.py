"""Readings as they come: CSV text in, rows out; what cannot be a row is handed back with its reason. Pure.

One line is one row: a quoted line break is not a reading. Texts are kept as they came and compared as texts; the
instant and the number are read beside them. Nothing is de-duplicated, sorted or stripped.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from device_scorer.errors import DataInvalid

COLUMNS = ("TS", "Device", "Tag", "Value")
NAN = float("nan")
MAX_ABSOLUTE_VALUE = 1e150
"""A value beyond this overflows when it is squared, in every engine: it is no reading."""

_ISO_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_EPOCH_MILLISECONDS_PATTERN = re.compile(r"-?\d{1,15}", re.ASCII)
_LIKELY_EPOCH_SECONDS = range(10**9, 10**10)  # as seconds 2001 to 2286, as milliseconds the first months of 1970
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_BLOCK_LINES = 1024  # lines


RowTuple = tuple[str, str, str, str, int, float]
"""A Row as a bare tuple."""


class Row(NamedTuple):
    """One reading: four texts as they came, its instant in whole seconds since the epoch (floor), its number or NaN."""

    ts: str
    device: str
    tag: str
    value: str
    epoch_seconds: int
    number: float


@lru_cache(maxsize=4096)  # the tags of a device, and devices of a fleet, have instants in common
def parse_timestamp(text: str) -> int:
    """Seconds since the epoch, rounded down, of a TS in any accepted form; ValueError for every other text.

    Accepted are ISO 8601 date and time with 0 to 9 fraction digits, with or without zone (none: UTC), and epoch
    milliseconds; not what must be epoch seconds, which would be in 1970 unnoticed. Window bounds are whole seconds, so
    the floor decides exactly which window a row is in.
    """
    if _ISO_PATTERN.fullmatch(text):
        parsed = datetime.fromisoformat(text)
        since = parsed - (_NAIVE_EPOCH if parsed.tzinfo is None else _EPOCH)
        return since.days * 86_400 + since.seconds
    if _EPOCH_MILLISECONDS_PATTERN.fullmatch(text):
        milliseconds = int(text)
        if milliseconds in _LIKELY_EPOCH_SECONDS:
            raise ValueError("TS looks like epoch seconds: it must be ISO 8601 or epoch milliseconds")
        return milliseconds // 1000
    raise ValueError("TS is neither ISO 8601 nor epoch milliseconds")


def parse_value(text: str) -> float:
    """The value as a float; NaN for what is no finite, plausible number."""
    try:
        value = float(text)
    except ValueError:
        return NAN
    usable = -MAX_ABSOLUTE_VALUE < value < MAX_ABSOLUTE_VALUE and "_" not in text and text.isascii()
    return value if usable else NAN


def parse_lines(
    lines: Iterable[bytes],
    *,
    on_bad: Callable[[bytes, str], None],
    reject_unterminated: bool = True,
) -> Iterator[Row]:
    """Yield the rows of a CSV given as lines with their line ends (a file opened "rb", or `io.BytesIO(content)`).

    A row whose Value is no number is yielded with NaN; a line whose TS or fields cannot be read goes to `on_bad` with
    the reason. `may_be_cut` sends a last line without line end there too: a file cut inside a line would otherwise
    give a wrong number. Raises DataInvalid where the header lacks a column. No lines at all are no rows.
    """
    source = iter(lines)
    header = next(source, None)
    if header is None:
        return
    parse_line = find_columns(header).parse_line
    for line in source:
        if line.isspace():
            continue
        if reject_unterminated and not line.endswith(b"\n"):
            on_bad(line, "the last line has no line end: it may have been cut short")
            continue
        try:
            ts, device, tag, value = parse_line(line)
            at = parse_timestamp(ts)
        except (ValueError, OverflowError, csv.Error) as error:
            on_bad(line, str(error))
            continue
        yield Row(ts, device, tag, value, at, parse_value(value))


def read_rows(content: bytes, *, on_bad: Callable[[bytes, str], None]) -> Iterator[RowTuple]:
    """What `parse` yields for a whole blob, as plain tuples, in a third of its time.

    Lines are taken many at a time, column by column; where one of them is not plain, all of these go through `parse`.
    """
    source = io.BytesIO(content)
    header = source.readline()
    layout = find_columns(header) if header else None
    while layout and (block := list(islice(source, _BLOCK_LINES))):
        parsed = _parse_block(block, layout)
        yield from parse_lines([header, *block], on_bad=on_bad) if parsed is None else parsed


def _parse_block(block: list[bytes], layout: "ColumnLayout") -> Iterator[RowTuple] | None:
    """The rows of lines of which each is a row, without quotes and with a number; None where one is not."""
    try:
        text = b"".join(block).decode().replace("\r\n", "\n")
        if not text.endswith("\n") or '"' in text or "\r" in text:
            return None
        fields = [line.split(",") for line in text[:-1].split("\n")]
        if set(map(len, fields)) != {layout.width}:
            return None
        ts, devices, tags, values = layout.select(list(zip(*fields, strict=True)))
        at, numbers = list(map(parse_timestamp, ts)), list(map(float, values))
    except (ValueError, OverflowError):
        return None
    usable = isfinite(sum(numbers)) and max(map(abs, numbers)) < MAX_ABSOLUTE_VALUE
    digits = "".join(values)
    if not (usable and digits.isascii() and "_" not in digits and all(devices) and all(tags)):
        return None
    return zip(ts, devices, tags, values, at, numbers, strict=True)


class ColumnLayout(NamedTuple):
    """Where the four columns stand in a line."""

    select: Callable[[Sequence[Any]], Any]  # the four of a line's fields, or of any other list of columns
    width: int

    def parse_line(self, line: bytes) -> tuple[str, str, str, str]:
        """The four texts of a line; ValueError or csv.Error where it has none."""
        fields = split_line(line)
        if len(fields) != self.width:
            raise ValueError(f"{len(fields)} fields in place of {self.width}")
        ts, device, tag, value = self.select(fields)
        if not (device and tag):
            raise ValueError("Device or Tag is empty")
        return ts, device, tag, value


def find_columns(header: bytes) -> ColumnLayout:
    """Find the four columns in the first line; DataInvalid quoting it where one is missing or doubled."""
    try:
        names = [name.strip() for name in split_line(header.removeprefix(b"\xef\xbb\xbf"))]
    except (ValueError, csv.Error):
        names = []
    if any(names.count(name) != 1 for name in COLUMNS):
        quoted = header[:80].decode("utf-8", "replace").strip()
        hint = ": UTF-16, it must be UTF-8" if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
        message = f"the first line must name the columns TS,Device,Tag,Value once each, but is {quoted!r}{hint}"
        raise DataInvalid(message)
    return ColumnLayout(itemgetter(*map(names.index, COLUMNS)), len(names))


def split_line(line: bytes) -> list[str]:
    """The fields of one line; ValueError where it is no UTF-8, csv.Error where its quotes do not match."""
    text = line.decode().rstrip("\r\n")
    if '"' not in text:
        return text.split(",")
    return next(csv.reader([text], strict=True))
