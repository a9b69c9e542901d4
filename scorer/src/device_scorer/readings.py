"""Parser of readings: CSV lines in, rows out. Malformed lines go to a callback with the reason.

One line is one row: a reading does not contain a quoted line break. A row keeps its four texts unchanged, next to the
parsed instant and number. The parser does not de-duplicate, sort or strip. A row with a NUL character is malformed,
because many readers of CSV (pandas among them) end a text there. The fleet's quality rules exclude rows.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from device_scorer import file_kinds
from device_scorer.csv_lines import MAX_FIELDS, split_line
from device_scorer.errors import DataInvalid
from device_scorer.plurals import counted
from device_scorer.quality import MAX_ABSOLUTE_VALUE, NO_QUALITY, Quality

COLUMNS = ("TS", "Device", "Tag", "Value")
NAN = float("nan")
EXCLUDED = float("-inf")
EXCLUDED_ROW = "the fleet's quality rules exclude the row"
"""The number of a row that the fleet's quality rules exclude."""

_ISO_PATTERN = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?",
    re.ASCII,
)
_EPOCH_MILLISECONDS_PATTERN = re.compile(r"-?\d{1,15}", re.ASCII)
_LIKELY_EPOCH_SECONDS = range(10**9, 10**10)  # as seconds: 2001 to 2286; as milliseconds: early 1970
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)

BLOCK_LINES = 1024
"""Number of lines that `read_rows` parses at once."""

RowTuple = tuple[str, str, str, str, int, float]
"""The fields of a Row as a plain tuple."""


class Row(NamedTuple):
    """One reading.

    Attributes:
        ts: The text of TS.
        device: The device id.
        tag: The tag.
        value: The text of Value.
        epoch_seconds: The instant in whole seconds since the Unix epoch, rounded down.
        number: The value as a float; NaN if the text is not a usable number; EXCLUDED if a quality rule excludes it.
    """

    ts: str
    device: str
    tag: str
    value: str
    epoch_seconds: int
    number: float


@lru_cache(maxsize=4096)  # the tags of a device and the devices of a fleet share instants
def parse_timestamp(text: str) -> int:
    """Parse a TS and return the whole seconds since the Unix epoch, rounded down.

    Window bounds are whole seconds, so the rounded value decides exactly to which window a row belongs.

    Args:
        text: An ISO 8601 date and time with 0 to 9 fraction digits, in UTC unless it has an offset; or the milliseconds
            since the epoch. A number that looks like epoch seconds is rejected: as milliseconds it would be in 1970.

    Raises:
        ValueError: The text has another form.
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
    if 15 < len(text) < 20 and text.isdecimal():
        raise ValueError("TS looks like epoch micro- or nanoseconds: it must be ISO 8601 or epoch milliseconds")
    raise ValueError("TS is neither ISO 8601 nor epoch milliseconds")


def parse_value(text: str) -> float:
    """Parse a Value and return it as a float, or NaN if it is not a finite number below MAX_ABSOLUTE_VALUE."""
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
    quality: Quality = NO_QUALITY,
    on_layout: Callable[["ColumnLayout"], None] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a CSV. A row whose Value is not a number has NaN. A CSV without lines has no rows.

    Args:
        lines: The lines with their line ends: a file that was opened with "rb", or `io.BytesIO(content)`.
        on_bad: A function that receives each line whose fields or TS are malformed, and the reason.
        reject_unterminated: True to pass a last line without a line end to `on_bad`. In a truncated file such a line
            may end within a number.
        quality: The rules that exclude rows.
        on_layout: A function that receives the columns of the CSV.

    Raises:
        DataInvalid: A column is missing in the header.
    """
    source = iter(lines)
    header = next(source, None)
    if header is None:
        return
    layout = find_columns(header, quality)
    if on_layout is not None:
        on_layout(layout)
    yield from _parse_rows(source, layout, on_bad=on_bad, reject_unterminated=reject_unterminated)


def _parse_rows(
    lines: Iterable[bytes],
    layout: "ColumnLayout",
    *,
    on_bad: Callable[[bytes, str], None],
    reject_unterminated: bool = True,
) -> Iterator[Row]:
    """Yield the rows of the lines after the header."""
    for line in lines:
        if line.isspace():
            continue
        if reject_unterminated and not line.endswith(b"\n"):
            on_bad(line, "the last line has no line end: it may be truncated")
            continue
        try:
            fields = layout.split(line)
            ts, device, tag, value = layout.select(fields)
            at = parse_timestamp(ts)
        except (ValueError, OverflowError, csv.Error) as error:
            on_bad(line, str(error))
            continue
        excluded = layout.quality.excludes_rows and layout.excludes(tag, parse_value(value), fields)
        yield Row(ts, device, tag, value, at, EXCLUDED if excluded else parse_value(value))


def read_rows(
    content: bytes,
    *,
    on_bad: Callable[[bytes, str], None],
    block_lines: int = BLOCK_LINES,
    quality: Quality = NO_QUALITY,
    on_layout: Callable[["ColumnLayout"], None] | None = None,
) -> Iterator[RowTuple]:
    """Yield the rows of `parse_lines` for a whole blob as plain tuples, in a third of its time.

    The function parses blocks of lines column by column. A block with an unusual line goes through `parse_lines`.

    Args:
        content: The CSV.
        on_bad: A function that receives each malformed line and the reason.
        block_lines: The number of lines in a block.
        quality: The rules that exclude rows.
        on_layout: A function that receives the columns of the CSV.

    Raises:
        DataInvalid: A column is missing in the header.
    """
    source = io.BytesIO(content)
    header = source.readline()
    layout = find_columns(header, quality) if header else None
    if layout is not None and on_layout is not None:
        on_layout(layout)
    while layout and (block := list(islice(source, block_lines))):
        parsed = _parse_block(block, layout)
        yield from _parse_rows(block, layout, on_bad=on_bad) if parsed is None else parsed


def _parse_block(block: list[bytes], layout: "ColumnLayout") -> Iterator[RowTuple] | None:
    """Return the rows of the lines, or None unless every line is a row without quotes and with a usable number."""
    try:
        text = b"".join(block).decode().replace("\r\n", "\n")
        if not text.endswith("\n") or '"' in text or "\r" in text or "\0" in text:
            return None
        if text.count(",") != (layout.width - 1) * len(block):
            return None
        fields = [line.split(",") for line in text[:-1].split("\n")]
        if set(map(len, fields)) != {layout.width}:
            return None
        columns = list(zip(*fields, strict=True))
        ts, devices, tags, values = layout.select(columns)
        at, numbers = list(map(parse_timestamp, ts)), list(map(float, values))
    except (ValueError, OverflowError):
        return None
    usable = isfinite(sum(numbers)) and max(map(abs, numbers)) < MAX_ABSOLUTE_VALUE
    digits = "".join(values)
    if not (usable and digits.isascii() and "_" not in digits and all(devices) and all(tags)):
        return None
    if layout.quality.excludes_rows and layout.quality.may_exclude(
        numbers, [columns[position] for position in layout.extra.values()]
    ):
        numbers = [
            EXCLUDED if layout.excludes(tag, number, row) else number
            for tag, number, row in zip(tags, numbers, fields, strict=True)
        ]
    return zip(ts, devices, tags, values, at, numbers, strict=True)


class ColumnLayout(NamedTuple):
    """The position of the four columns, and of the columns of the quality rules, in a line.

    Attributes:
        select: A function that returns the four columns of a sequence of fields or of columns.
        width: The number of fields in a line.
        extra: The position by column of the quality rules; columns that the CSV lacks are missing.
        quality: The quality rules.
    """

    select: Callable[[Sequence[Any]], Any]
    width: int
    extra: Mapping[str, int]
    quality: Quality

    @property
    def missing_columns(self) -> list[str]:
        """The columns of the quality rules that the CSV lacks."""
        return [column for column in self.quality.bad_columns if column not in self.extra]

    def split(self, line: bytes) -> list[str]:
        """Return the fields of a line.

        Raises:
            ValueError: The line is not UTF-8, has another number of fields, has a NUL character, or has an empty Device
                or Tag.
            csv.Error: The quotes do not match.
        """
        if b"\0" in line:
            raise ValueError("the line has a NUL character")
        fields = split_line(line)
        if len(fields) != self.width:
            raise ValueError(f"{counted(len(fields), 'field', 'fields')} in place of {self.width}")
        _, device, tag, _ = self.select(fields)
        if not (device and tag):
            raise ValueError("Device or Tag is empty")
        return fields

    def excludes(self, tag: str, number: float, fields: Sequence[str]) -> bool:
        """Return True if the quality rules exclude a row.

        Args:
            tag: The tag.
            number: The value.
            fields: All fields of the row.
        """
        return self.quality.excludes(tag, number, {name: fields[position] for name, position in self.extra.items()})


def find_columns(header: bytes, quality: Quality = NO_QUALITY) -> ColumnLayout:
    """Return the position of the four columns, and of the columns of the quality rules.

    Args:
        header: The first line of a CSV, with or without a byte order mark.
        quality: The rules that exclude rows.

    Raises:
        DataInvalid: A column is missing or exists twice; the text quotes the line. Or there are too many columns.
    """
    if header.count(b",") >= MAX_FIELDS:
        columns = header.count(b",") + 1
        raise DataInvalid(f"the first line has {columns:,} columns, more than {MAX_FIELDS:,}; remove the others")
    try:
        names = [name.strip() for name in split_line(header.removeprefix(b"\xef\xbb\xbf"))]
    except (ValueError, csv.Error):
        names = []
    for column in quality.bad_columns:
        if names.count(column) > 1:
            raise DataInvalid(f"the first line has the column {column[:40]!r} of the quality rules twice; remove one")
    if any(names.count(name) != 1 for name in COLUMNS):
        found = file_kinds.describe_header(header, names, COLUMNS)
        raise DataInvalid(f"the first line must name the columns TS,Device,Tag,Value once each, but {found}")
    extra = {column: names.index(column) for column in quality.bad_columns if column in names}
    return ColumnLayout(itemgetter(*map(names.index, COLUMNS)), len(names), extra, quality)
