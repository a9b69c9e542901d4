"""Splits a shared CSV dump into one blob per partition and device: streaming, and no row lost without a word.

A row that cannot be placed goes to the rejects as it came, behind its line number and the reason; a mended rejects file
is a dump itself.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from device_scorer import readings
from device_scorer.contract import blob_paths
from device_scorer.errors import UsageInvalid
from device_scorer.importing.external_sort import DEFAULT_MEMORY_BYTES, ExternalSorter
from device_scorer.progress_line import ProgressLine
from device_scorer.readings import COLUMNS, Row
from device_scorer.settings import Settings

HEADER = f"{','.join(COLUMNS)}\n".encode()
INVALID_DEVICE = "Device is no id: 1 to 128 of A-Za-z0-9-.%_#*?!(),:=@$'"
TIME_OUT_OF_RANGE = "TS lies outside of the years 1 to 9999"
_MAX_LINE_BYTES = 2**20  # bytes; a longer one is read, and rejected, in pieces
_CACHE_SIZE = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RejectedRows:
    """The rows that could not be placed: counted by reason, the first line number kept, copied to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self.first_line_numbers: dict[str, int] = {}
        self._header = b""
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def set_header(self, header: bytes) -> None:
        """Take the dump's first line, which names the columns of what follows."""
        self._header = header.removeprefix(b"\xef\xbb\xbf")

    def add(self, number: int, line: bytes, reason: str) -> None:
        """Copy one line; the file is made with the first of them."""
        self.reasons[reason] += 1
        self.first_line_numbers.setdefault(reason, number)
        if self._file is None:
            try:
                self._file = self.path.open("wb")
            except OSError as error:
                raise UsageInvalid(
                    f"{self.path} cannot be written: {error.strerror}; name another --rejects"
                ) from error
            self._file.write(b"Line,Reason," + self._header)
        self._file.write(f"{_format_fields([str(number), reason])},".encode() + line.rstrip(b"\r\n") + b"\n")


@dataclass
class CsvDump:
    """One dump on its way into the store: `blobs` reads it and yields what is to be written."""

    source: IO[bytes]
    size_bytes: int
    settings: Settings
    rejects: RejectedRows
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    rows: int = 0
    devices: set[str] = field(default_factory=set)
    too_large: dict[str, int] = field(default_factory=dict)
    _current_line: bytes = b""
    _line_number: int = 0
    _bytes_read: int = 0
    _blob_names: dict[tuple[int, str], str] = field(default_factory=dict)

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every blob. Raises DataInvalid where the first line does not name the columns."""
        progress = ProgressLine()
        with ExternalSorter(
            max_group_bytes=self.settings.limits.max_data_bytes - len(HEADER), memory_bytes=self.memory_bytes
        ) as splitter:
            for row in readings.parse_lines(self._lines(), on_bad=self._reject):
                name = self._blob_name(row)
                if name:
                    splitter.add(name, _format_row(row))
                    self.rows += 1
                if progress.is_due():
                    progress.show(f"read {self._bytes_read / self.size_bytes:.0%} of the readings: {self.rows:,} rows")
            for done, group in enumerate(splitter.groups()):
                progress.show(f"writing: {done:,} blobs")
                if group.content is None:
                    self.too_large[group.name] = group.size_bytes
                else:
                    yield group.name, HEADER + group.content
        progress.clear()

    def _lines(self) -> Iterator[bytes]:
        while line := self.source.readline(_MAX_LINE_BYTES):
            if not self._line_number:
                self.rejects.set_header(line)
            self._current_line = line
            self._line_number += 1
            self._bytes_read += len(line)
            yield line

    def _blob_name(self, row: Row) -> str:
        """The name of the blob that the row belongs to; empty where it was rejected."""
        length = int(self.settings.data_partition.total_seconds())
        key = (row.epoch_seconds // length, row.device)
        name = self._blob_names.get(key)
        if name is not None:
            return name
        if not blob_paths.DEVICE_ID_PATTERN.fullmatch(row.device):
            self._reject(self._current_line, INVALID_DEVICE)
            return ""
        try:
            start = _EPOCH + timedelta(seconds=key[0] * length)
        except OverflowError:
            self._reject(self._current_line, TIME_OUT_OF_RANGE)
            return ""
        if len(self._blob_names) >= _CACHE_SIZE:
            self._blob_names.clear()
        self.devices.add(row.device)
        name = self._blob_names[key] = blob_paths.data_name(self.settings.data_path, start, row.device)
        return name

    def _reject(self, line: bytes, reason: str) -> None:
        self.rejects.add(self._line_number, line, "the line is no UTF-8" if "codec can't" in reason else reason)


def _format_row(row: Row) -> bytes:
    line = f"{row.ts},{row.device},{row.tag},{row.value}"
    if '"' in line or line.count(",") != 3:
        line = _format_fields(row[:4])
    return f"{line}\n".encode()


def _format_fields(texts: Sequence[str]) -> str:
    """Fields of a CSV, quoted where they must be."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(texts)
    return file.getvalue()
