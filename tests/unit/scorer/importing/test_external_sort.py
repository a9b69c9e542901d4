"""Grouping of rows by blob."""

import random
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.importing.external_sort import DEFAULT_MEMORY_BYTES, ExternalSorter, Group


def split(rows: list[tuple[str, bytes]], *, memory: int, max_group: int = 10**9) -> list[Group]:
    with ExternalSorter(max_group_bytes=max_group, memory_bytes=memory) as sorter:
        for name, row in rows:
            sorter.add(name, row)
        return list(sorter.groups())


@pytest.mark.parametrize("memory", [1, 2_000, 10**9], ids=["a file per row", "some files", "no file"])
def test_groups_are_complete_and_ordered_with_any_memory(memory: int) -> None:
    dice = random.Random(5)  # noqa: S311 (rows, not secrets)
    rows = [(f"hour-{dice.randrange(3)}/ü-{dice.randrange(4)}", f"{number}\n".encode()) for number in range(500)]
    expected: defaultdict[str, bytes] = defaultdict(bytes)
    for name, row in rows:
        expected[name] += row
    groups = split(rows, memory=memory)
    assert [group.name for group in groups] == sorted(expected)
    assert {group.name: group.content for group in groups} == expected


@pytest.mark.parametrize("memory", [1, 10**9])
def test_group_above_the_limit_has_a_size_but_no_content(memory: int) -> None:
    rows = [("a", b"1234\n"), ("b", b"1\n"), ("a", b"5678\n"), ("a", b"9\n")]
    assert split(rows, memory=memory, max_group=11) == [Group("a", 12, None), Group("b", 2, b"1\n")]


def test_no_rows_give_no_groups() -> None:
    assert split([], memory=10) == []


@pytest.mark.parametrize("folder", [None, "/a"], ids=["none", "a folder"])
def test_full_disk_of_the_temporary_files_is_transient(folder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: Path("/dev/full").open("wb"))  # noqa: SIM115  the sorter closes it
    monkeypatch.setattr(tempfile, "tempdir", folder)
    place = f" in {folder}" if folder else ""
    text = f"temporary files cannot be written{place}: No space left on device; free space on the disk, or set TMPDIR"
    with pytest.raises(StorageUnavailable, match=text):
        split([("a", b"1\n")], memory=1)


def test_rows_of_64_mib_are_held_in_memory() -> None:
    assert DEFAULT_MEMORY_BYTES == 67_108_864
