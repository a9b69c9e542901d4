"""Tests of changes of a blob that several processes change at the same time."""

from pathlib import Path

import pytest

from device_scorer.errors import StorageUnavailable
from device_scorer.store.conditional_write import MAX_ATTEMPTS, write_if_unchanged
from device_scorer.store.folder import FolderStore


class Counter:
    """A blob with a number, to which each change adds one, and which other processes change a few times.

    Args:
        folder: The folder of the store.
        others: The number of changes of other processes, one after each reading.
    """

    def __init__(self, folder: Path, others: int = 0) -> None:
        self.store, self.others = FolderStore(folder), others
        self.pauses: list[float] = []

    def change(self) -> tuple[int, bytes | None, str | None]:
        blob = self.store.read("predictions", "counter", max_bytes=100)
        number, etag = (1, None) if blob is None else (1 + int(blob.content), blob.etag)
        if self.others:
            self.others -= 1
            self.store.write("predictions", "counter", str(number).encode(), if_match=etag)
        return number, str(number).encode(), etag

    def increment(self) -> int:
        return write_if_unchanged(self.store, "counter", self.change, sleep=self.pauses.append)

    def content(self) -> bytes:
        blob = self.store.read("predictions", "counter", max_bytes=100)
        assert blob is not None
        return blob.content


def test_blob_that_changes_all_the_time_is_tried_20_times() -> None:
    assert MAX_ATTEMPTS == 20


def test_missing_blob_is_written_and_then_changed(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    assert [counter.increment(), counter.increment()] == [1, 2]
    assert (counter.content(), counter.pauses) == (b"2", [])


def test_change_is_repeated_with_what_another_process_has_written(tmp_path: Path) -> None:
    counter = Counter(tmp_path, others=3)
    assert counter.increment() == 4
    assert counter.content() == b"4"
    assert len(counter.pauses) == 3


def test_content_that_the_blob_has_already_is_not_written(tmp_path: Path) -> None:
    counter = Counter(tmp_path)
    assert write_if_unchanged(counter.store, "counter", lambda: ("value", None, None)) == "value"
    assert counter.store.read("predictions", "counter", max_bytes=100) is None


def test_blob_that_changes_all_the_time_is_a_transient_error_after_growing_pauses(tmp_path: Path) -> None:
    counter = Counter(tmp_path, others=20)
    with pytest.raises(StorageUnavailable, match="counter was changed by other reports 20 times; retry the report"):
        counter.increment()
    assert counter.content() == b"20"
    assert len(counter.pauses) == 20
    for number, pause in enumerate(counter.pauses):
        limit = min(2.0, 0.05 * 2**number)
        assert limit / 2 <= pause <= limit
