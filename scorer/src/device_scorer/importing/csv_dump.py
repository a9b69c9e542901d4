"""Import of a shared CSV dump: one blob per partition and device, streamed, and no row is dropped silently.

A rejected row is copied to the file of rejected rows, after its line number and the reason. Such rows are corrected in
the dump, and the whole dump is imported again: blobs are replaced, not merged.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from device_scorer import file_kinds, readings
from device_scorer.contract import blob_paths
from device_scorer.csv_lines import join_line
from device_scorer.errors import BlobUnreadable, DataInvalid, PermanentError, UsageInvalid, unwritable
from device_scorer.importing.external_sort import DEFAULT_MEMORY_BYTES, ExternalSorter
from device_scorer.plurals import counted
from device_scorer.progress_line import ProgressLine
from device_scorer.readings import COLUMNS, EXCLUDED, EXCLUDED_ROW, ColumnLayout, Row
from device_scorer.settings import Settings
from device_scorer.store.base import Store, md5_hex
from device_scorer.store.parallel import map_in_order
from device_scorer.store.upload import UploadResult, upload_once

INVALID_DEVICE = f"Device is not an id: {blob_paths.DEVICE_ID_RULE}"
TIME_OUT_OF_RANGE = "TS is not in the years 1 to 9999"
MAX_LINE_BYTES = 2**20
"""Length of a line above which it is rejected. The file of rejected rows has as much of it."""
LINE_TOO_LONG = f"the line has more than {MAX_LINE_BYTES:,} bytes"

_CACHE_SIZE = 100_000
_OTHER_REJECTS = "name another --rejects"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImportedDump:
    """The result of importing a dump.

    Attributes:
        rows: The number of imported rows.
        devices: The number of devices of these rows.
        blobs: The number of blobs by result.
        conflicting: The names of blobs that exist with other content and were not replaced.
        too_large: The sizes in bytes by name of a blob above the scorer's limit, which is not written.
        rejected: The number of rejected rows by reason.
        first_line_numbers: The number of the first rejected line, by reason.
        missing_columns: The columns of the fleet's quality rules that the dump lacks.
        shortened: The names of replaced blobs that had more readings before.
    """

    rows: int
    devices: int
    blobs: Counter[UploadResult]
    conflicting: Sequence[str]
    too_large: Mapping[str, int]
    rejected: Counter[str]
    first_line_numbers: Mapping[str, int]
    missing_columns: Sequence[str] = ()
    shortened: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """True if every blob is in the store, and not all rows were rejected."""
        return not self.conflicting and not self.too_large and (self.rows > 0 or not self.rejected)


def import_dump(
    store: Store, settings: Settings, path: Path, rejects_path: Path, *, replace: bool = False
) -> ImportedDump:
    """Write the readings of a dump to the store, one blob per device and partition, and the others to a file.

    Args:
        store: The store.
        settings: The fleet's settings.
        path: The dump.
        rejects_path: The file for rejected rows, which is created for the first of them.
        replace: True to replace blobs that exist with other content.

    Raises:
        UsageInvalid: A file cannot be read or written, or both are the same file.
        StorageUnavailable: The disk of the rejected rows or of the temporary files is full.
        DataInvalid: The first line does not name the columns.
    """
    _check_other_file(path, rejects_path)
    store.ensure_container("data")
    blobs: Counter[UploadResult] = Counter()
    conflicting, shortened = [], []

    def upload(blob: tuple[str, bytes]) -> tuple[UploadResult, bool]:
        shortens = replace and _has_more_readings(store, settings, *blob)
        return upload_once(store, "data", *blob, replace=replace), shortens

    try:
        with path.open("rb") as source, RejectedRows(rejects_path) as rejects:
            _check_not_compressed(source.peek(64))
            dump = CsvDump(source, max(1, path.stat().st_size), settings, rejects)
            uploaded = map_in_order(dump.blobs(), upload, size_of=lambda blob: len(blob[1]))
            for (name, _), (result, shortens) in uploaded:
                blobs[result] += 1
                if shortens:
                    shortened.append(name)
                if result is UploadResult.CONFLICT:
                    conflicting.append(name)
    except OSError as error:
        raise UsageInvalid(f"{error.filename or path} cannot be read: {error.strerror}") from error
    except DataInvalid as error:
        raise DataInvalid(f"{path}: {error}") from error
    return ImportedDump(
        rows=dump.rows,
        devices=len(dump.devices),
        blobs=blobs,
        conflicting=conflicting,
        too_large=dump.too_large,
        rejected=rejects.reasons,
        first_line_numbers=rejects.first_line_numbers,
        missing_columns=dump.missing_columns,
        shortened=shortened,
    )


def _check_other_file(path: Path, rejects_path: Path) -> None:
    """Check that the file of rejected rows is not the dump, also through a link: opening it would empty the dump."""
    try:
        same = path.samefile(rejects_path)
    except OSError:  # a file that does not exist yet is another one; the one that cannot be read is reported on opening
        return
    if same:
        raise UsageInvalid(f"--data {path} and --rejects {rejects_path} are the same file; name another --rejects")


def _check_not_compressed(beginning: bytes) -> None:
    """Check the first bytes of the dump: it has no Content-Encoding, which the message for a blob names."""
    if file_kinds.describe(beginning) == file_kinds.GZIP:
        raise DataInvalid(f"the file is {file_kinds.GZIP}; decompress it")


def _has_more_readings(store: Store, settings: Settings, name: str, content: bytes) -> bool:
    """Return True if the existing blob of this name has more readings than its new content."""
    existing = store.head("data", name)
    if existing is None or existing.md5 == md5_hex(content):
        return False
    try:
        blob = store.read("data", name, max_bytes=settings.limits.max_data_bytes)
    except (PermanentError, BlobUnreadable):  # no window can score the readings of such a blob
        return False
    return blob is not None and blob.content.rstrip().count(b"\n") > content.rstrip().count(b"\n")


class RejectedRows:
    """The rejected rows of a dump: counted by reason, with the first line number, and copied to a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reasons: Counter[str] = Counter()
        self.first_line_numbers: dict[str, int] = {}
        self._header = b""
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if self._file is not None:
                self._file.close()
        except OSError as failure:
            if error is None:  # the earlier error is the cause
                raise unwritable(self.path, failure, _OTHER_REJECTS) from failure

    def set_header(self, header: bytes) -> None:
        """Store the dump's first line, which names the columns of the rejected rows."""
        self._header = header.removeprefix(b"\xef\xbb\xbf")

    def add(self, number: int, line: bytes, reason: str) -> None:
        """Copy one line to the file, which is created with the first line.

        Args:
            number: The line's number in the dump, from 1.
            line: The line.
            reason: The reason of the rejection.

        Raises:
            UsageInvalid: The file cannot be written.
            StorageUnavailable: The disk is full.
        """
        self.reasons[reason] += 1
        self.first_line_numbers.setdefault(reason, number)
        try:
            if self._file is None:
                self._file = self.path.open("wb")
                self._file.write(b"Line,Reason," + self._header)
            self._file.write(f"{join_line([str(number), reason])},".encode() + line.rstrip(b"\r\n") + b"\n")
        except OSError as error:
            raise unwritable(self.path, error, _OTHER_REJECTS) from error


@dataclass
class CsvDump:
    """A reader of one dump that yields the blobs to write.

    Attributes:
        source: The open dump.
        size_bytes: The dump's size, for the progress line.
        settings: The fleet's settings.
        rejects: The receiver of rejected rows.
        memory_bytes: The memory for rows before they are written to temporary files.
        rows: The number of accepted rows so far.
        devices: The devices of accepted rows so far.
        too_large: The sizes in bytes by name of a blob above the scorer's limit.
        missing_columns: The columns of the fleet's quality rules that the dump lacks.
    """

    source: IO[bytes]
    size_bytes: int
    settings: Settings
    rejects: RejectedRows
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    rows: int = 0
    devices: set[str] = field(default_factory=set)
    too_large: dict[str, int] = field(default_factory=dict)
    missing_columns: Sequence[str] = ()
    _layout: ColumnLayout | None = None
    _current_line: bytes = b""
    _line_number: int = 0
    _bytes_read: int = 0
    _blob_names: dict[tuple[int, str], str] = field(default_factory=dict)

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of every blob. Raises DataInvalid if the first line does not name the columns."""
        progress = ProgressLine()
        quality = self.settings.quality
        longest_header = _header(quality.bad_columns)
        with ExternalSorter(
            max_group_bytes=self.settings.limits.max_data_bytes - len(longest_header), memory_bytes=self.memory_bytes
        ) as sorter:
            rows = readings.parse_lines(self._lines(), on_bad=self._reject, quality=quality, on_layout=self._on_layout)
            for row in rows:
                if row.number == EXCLUDED:
                    self._reject(self._current_line, EXCLUDED_ROW)
                elif name := self._blob_name(row):
                    sorter.add(name, f"{join_line([*row[:4], *self._extra_fields()])}\n".encode())
                    self.rows += 1
                if progress.is_due():
                    read = counted(self.rows, "row", "rows")
                    progress.show(f"read {self._bytes_read / self.size_bytes:.0%} of the readings: {read}")
            header = _header(self._layout.extra if self._layout else ())
            for done, group in enumerate(sorter.groups()):
                progress.show(f"writing: {counted(done, 'blob', 'blobs')}")
                if group.content is None:
                    self.too_large[group.name] = group.size_bytes
                else:
                    yield group.name, header + group.content
        progress.clear()

    def _on_layout(self, layout: ColumnLayout) -> None:
        self._layout, self.missing_columns = layout, layout.missing_columns

    def _extra_fields(self) -> list[str]:
        """Return the current row's texts of the columns of the quality rules, which `score` reads again."""
        layout = self._layout
        if layout is None or not layout.extra:
            return []
        fields = layout.split(self._current_line)
        return [fields[position] for column, position in layout.extra.items() if column not in COLUMNS]

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines, and reject those that are too long. A first line that is too long names no columns."""
        while line := self.source.readline(MAX_LINE_BYTES):
            self._line_number += 1
            self._bytes_read += len(line)
            is_too_long, rest = False, line
            while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = self.source.readline(MAX_LINE_BYTES)
                self._bytes_read += len(rest)
                is_too_long = is_too_long or bool(rest)
            if self._line_number == 1:
                self.rejects.set_header(line)
            elif is_too_long:
                self._reject(line, LINE_TOO_LONG)
                continue
            self._current_line = line
            yield line

    def _blob_name(self, row: Row) -> str:
        """Return the name of the row's blob, or an empty text if the row was rejected."""
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
        self.rejects.add(self._line_number, line, "the line is not UTF-8" if "codec can't" in reason else reason)


def _header(extra_columns: Iterable[str]) -> bytes:
    return f"{join_line(list(dict.fromkeys([*COLUMNS, *extra_columns])))}\n".encode()
