"""Grouping of a dump's rows by blob, in bounded memory and in the order of the dump.

This is an external merge sort (Knuth, The Art of Computer Programming, volume 3, section 5.4). Rows are held by group
until they have `memory_bytes`. All groups are then written, ordered by name, to one temporary file (a run). At the end
the runs and the held rows are merged by name. The sort is stable, because earlier runs come first.
"""

import contextlib
import heapq
import itertools
import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import IO, Self

from device_scorer.errors import StorageUnavailable

DEFAULT_MEMORY_BYTES = 64 * 2**20
_GROUP_OVERHEAD_BYTES = 400
"""Memory that Python needs for a group without rows."""

_ENTRY_HEADER = struct.Struct("<HQ")
"""Length of the name and length of the content, before both in a run."""

_Entry = tuple[str, bytes | bytearray]


@dataclass(frozen=True, slots=True)
class Group:
    """All rows of one blob.

    Attributes:
        name: The group's name.
        size_bytes: The size of its rows.
        content: The rows; None if they have more than the allowed bytes.
    """

    name: str
    size_bytes: int
    content: bytes | None


class ExternalSorter:
    """A sorter that takes rows in any order and returns them by group; a context manager for its temporary files.

    Args:
        max_group_bytes: The size above which the rows of a group are dropped.
        memory_bytes: The size of held rows above which they are written to disk.
    """

    def __init__(self, *, max_group_bytes: int, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._max_group_bytes = max_group_bytes
        self._memory_bytes = memory_bytes
        self._groups: dict[str, bytearray] = {}
        self._held_bytes = 0
        self._runs: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for run in self._runs:
            with contextlib.suppress(OSError):  # a full disk, which _spill has reported
                run.close()

    def add(self, name: str, row: bytes) -> None:
        """Append one row, with its line end, to a group. Raises StorageUnavailable if it cannot be written."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = bytearray()
            self._held_bytes += _GROUP_OVERHEAD_BYTES
        group += row
        self._held_bytes += len(row)
        if self._held_bytes >= self._memory_bytes:
            self._spill()

    def groups(self) -> Iterator[Group]:
        """Yield all groups, ordered by name, each once."""
        sources: list[Iterable[_Entry]] = [_read_run(run) for run in self._runs]
        sources.append(sorted(self._groups.items()))
        merged = heapq.merge(*sources, key=itemgetter(0))
        for name, entries in itertools.groupby(merged, key=itemgetter(0)):
            size = 0
            parts: list[bytes | bytearray] = []
            for _, content in entries:
                size += len(content)
                if size <= self._max_group_bytes:
                    parts.append(content)
                else:
                    parts.clear()
            yield Group(name, size, b"".join(parts) if size <= self._max_group_bytes else None)

    def _spill(self) -> None:
        try:
            run = tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
            self._runs.append(run)
            for name, content in sorted(self._groups.items()):
                encoded = name.encode()
                run.write(_ENTRY_HEADER.pack(len(encoded), len(content)) + encoded)
                run.write(content)
            run.flush()
        except OSError as error:
            folder = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
            text = f"temporary files cannot be written{folder}: {error.strerror}"
            raise StorageUnavailable(f"{text}; free space on the disk, or set TMPDIR to another folder") from error
        self._groups.clear()
        self._held_bytes = 0


def _read_run(run: IO[bytes]) -> Iterator[_Entry]:
    run.seek(0)
    while head := run.read(_ENTRY_HEADER.size):
        name, content = _ENTRY_HEADER.unpack(head)
        yield run.read(name).decode(), run.read(content)
