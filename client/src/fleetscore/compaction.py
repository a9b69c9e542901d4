"""One file of predictions per window, from the files of its devices."""

import csv
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fleetscore.contract.windows import Window
from fleetscore.errors import DataInvalid, StorageUnavailable, UsageInvalid
from fleetscore.frames import PREDICTION_COLUMNS, concat, prediction_frames
from fleetscore.interrupts import temporary_path
from fleetscore.store.base import Blob

FORMATS = ("parquet", "csv")
MIN_GROUP_ROWS = 100_000
"""Rows of a row group of Parquet: the files of devices are much smaller."""

MAX_GROUP_BYTES = 64 * 2**20
"""Bytes of CSV above which a row group ends, however few lines they have."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """The file of a window.

    Attributes:
        window: The window.
        path: The file.
        devices: The number of devices; 0 for a kept file.
        size: The size in bytes.
        written: False for a file that existed and was kept.
    """

    window: Window
    path: Path
    devices: int
    size: int
    written: bool


class _Writer(Protocol):
    def add(self, blob: Blob) -> None: ...

    def close(self) -> None: ...


def compact_window(
    blobs: Iterable[Blob],
    window: Window,
    folder: Path,
    format_: str,
    *,
    replace: bool,
    max_group_bytes: int = MAX_GROUP_BYTES,
) -> Compacted | None:
    """Write the predictions of a window into one file, which appears when it is complete.

    Args:
        blobs: The predictions of the devices, which are read one after the other.
        window: The window.
        folder: The folder of the file.
        format_: One of FORMATS.
        replace: True to write a file again.
        max_group_bytes: The bytes of CSV after which a row group of Parquet ends, however few lines they have.

    Returns:
        The file; None if the window has no predictions.

    Raises:
        UsageInvalid: The format is unknown, or its library is not installed.
        DataInvalid: Predictions are not a CSV of the expected columns.
    """
    check_format(format_)
    path = folder / f"{window.slug}.{format_}"
    if not replace and os.path.exists(path):  # noqa: PTH110  Path.exists raises for a name that is too long
        return Compacted(window, path, 0, path.stat().st_size, written=False)
    devices = 0
    with _new_file(path) as temporary:
        writer: _Writer = _CsvWriter(temporary) if format_ == "csv" else _ParquetWriter(temporary, max_group_bytes)
        try:
            for blob in blobs:
                writer.add(blob)
                devices += 1
        finally:
            writer.close()
        if devices:
            temporary.replace(path)
    return Compacted(window, path, devices, path.stat().st_size, written=True) if devices else None


def check_format(format_: str) -> None:
    """Raise UsageInvalid for an unknown format, or one whose library is not installed."""
    if format_ not in FORMATS:
        raise UsageInvalid(f"format {format_!r} is invalid: use {' or '.join(FORMATS)}")
    if format_ == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401, PLC0415  an extra
        except ImportError as error:
            text = "format parquet needs pyarrow; install it with `pip install 'fleetscore[parquet]'`, or use csv"
            raise UsageInvalid(text) from error


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Return a temporary file next to a path, and delete it at the end if it still exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(path.parent, ".unfinished-") as temporary:
            yield temporary
    except OSError as error:
        raise StorageUnavailable(
            f"{path} cannot be written: {error.strerror or error}; choose another folder"
        ) from error


class _CsvWriter:
    """The lines of the devices' files, unchanged, below one header."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(",".join(PREDICTION_COLUMNS).encode() + b"\n")

    def add(self, blob: Blob) -> None:
        header, _, lines = blob.content.partition(b"\n")
        try:
            found = next(csv.reader([header.decode().rstrip("\r")]), [])
        except (UnicodeDecodeError, csv.Error):
            found = []
        if tuple(found) != PREDICTION_COLUMNS:
            raise DataInvalid(f"{blob.info.name} is invalid: its first line is another one; score its window again")
        self._file.write(lines)
        if lines and not lines.endswith(b"\n"):
            self._file.write(b"\n")

    def close(self) -> None:
        self._file.close()


class _ParquetWriter:
    """Row groups of at least MIN_GROUP_ROWS rows, except for the last one."""

    def __init__(self, path: Path, max_group_bytes: int) -> None:
        import pyarrow as pa  # noqa: PLC0415  an extra
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._arrow = pa
        time = pa.timestamp("ns", tz="UTC")
        types = (time, pa.string(), pa.string(), pa.float64(), pa.int8(), pa.float64())
        self._schema = pa.schema(list(zip(PREDICTION_COLUMNS, types, strict=True)))
        self._writer: Any = pq.ParquetWriter(str(path), self._schema)
        self._waiting: list[tuple[bytes, str]] = []
        self._rows = self._bytes = 0
        self._max_bytes = max_group_bytes

    def add(self, blob: Blob) -> None:
        self._waiting.append((blob.content, blob.info.name))
        self._rows += blob.content.count(b"\n") - 1
        self._bytes += len(blob.content)
        if self._rows >= MIN_GROUP_ROWS or self._bytes >= self._max_bytes:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        files, self._waiting, self._rows, self._bytes = self._waiting, [], 0, 0
        if files:
            group = concat(prediction_frames(files))
            self._writer.write_table(self._arrow.Table.from_pandas(group, self._schema, preserve_index=False))
