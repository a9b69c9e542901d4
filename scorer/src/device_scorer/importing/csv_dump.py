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
from device_scorer.importing.external_sort import MEMORY, Splitter
from device_scorer.progress_line import Progress
from device_scorer.readings import COLUMNS, Row
from device_scorer.settings import Settings

HEADER = f"{','.join(COLUMNS)}\n".encode()
NO_DEVICE = "Device is no id: 1 to 128 of A-Za-z0-9-.%_#*?!(),:=@$'"
NO_TIME = "TS lies outside of the years 1 to 9999"
_LONGEST_LINE = 2**20  # bytes; a longer one is read, and rejected, in pieces
_MEMO_SIZE = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rejects:
    """The rows that could not be placed: counted by reason, the first line number kept, copied to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self.first: dict[str, int] = {}
        self._header = b""
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def start(self, header: bytes) -> None:
        """Take the dump's first line, which names the columns of what follows."""
        self._header = header.removeprefix(b"\xef\xbb\xbf")

    def add(self, number: int, line: bytes, reason: str) -> None:
        """Copy one line; the file is made with the first of them."""
        self.reasons[reason] += 1
        self.first.setdefault(reason, number)
        if self._file is None:
            try:
                self._file = self.path.open("wb")
            except OSError as error:
                raise UsageInvalid(
                    f"{self.path} cannot be written: {error.strerror}; name another --rejects"
                ) from error
            self._file.write(b"Line,Reason," + self._header)
        self._file.write(f"{_fields([str(number), reason])},".encode() + line.rstrip(b"\r\n") + b"\n")


@dataclass
class Dump:
    """One dump on its way into the store: `blobs` reads it and yields what is to be written."""

    source: IO[bytes]
    size: int
    config: Settings
    rejects: Rejects
    memory: int = MEMORY
    rows: int = 0
    devices: set[str] = field(default_factory=set)
    too_large: dict[str, int] = field(default_factory=dict)
    _line: bytes = b""
    _number: int = 0
    _read: int = 0
    _names: dict[tuple[int, str], str] = field(default_factory=dict)

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of every blob. Raises DataInvalid where the first line does not name the columns."""
        progress = Progress()
        with Splitter(max_group=self.config.limits.data_bytes - len(HEADER), memory=self.memory) as splitter:
            for row in readings.parse(self._lines(), on_bad=self._reject):
                name = self._name(row)
                if name:
                    splitter.add(name, _line_of(row))
                    self.rows += 1
                if progress.due():
                    progress.show(f"read {self._read / self.size:.0%} of the readings: {self.rows:,} rows")
            for done, group in enumerate(splitter.groups()):
                progress.show(f"writing: {done:,} blobs")
                if group.content is None:
                    self.too_large[group.name] = group.size
                else:
                    yield group.name, HEADER + group.content
        progress.clear()

    def _lines(self) -> Iterator[bytes]:
        while line := self.source.readline(_LONGEST_LINE):
            if not self._number:
                self.rejects.start(line)
            self._line = line
            self._number += 1
            self._read += len(line)
            yield line

    def _name(self, row: Row) -> str:
        """The name of the blob that the row belongs to; empty where it was rejected."""
        length = int(self.config.data_partition.total_seconds())
        key = (row.at // length, row.device)
        name = self._names.get(key)
        if name is not None:
            return name
        if not blob_paths.DEVICE_ID.fullmatch(row.device):
            self._reject(self._line, NO_DEVICE)
            return ""
        try:
            start = _EPOCH + timedelta(seconds=key[0] * length)
        except OverflowError:
            self._reject(self._line, NO_TIME)
            return ""
        if len(self._names) >= _MEMO_SIZE:
            self._names.clear()
        self.devices.add(row.device)
        name = self._names[key] = blob_paths.data_name(self.config.data_path, start, row.device)
        return name

    def _reject(self, line: bytes, reason: str) -> None:
        self.rejects.add(self._number, line, "the line is no UTF-8" if "codec can't" in reason else reason)


def _line_of(row: Row) -> bytes:
    line = f"{row.ts},{row.device},{row.tag},{row.value}"
    if '"' in line or line.count(",") != 3:
        line = _fields(row[:4])
    return f"{line}\n".encode()


def _fields(texts: Sequence[str]) -> str:
    """Fields of a CSV, quoted where they must be."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(texts)
    return file.getvalue()
