"""Tests of the folder store. tests/integration/scorer/test_stores.py tests the behaviour that all stores share."""

from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.store.base import Blob
from device_scorer.store.folder import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_blob_is_a_file_with_its_metadata_next_to_it(store: FolderStore, tmp_path: Path) -> None:
    etag = store.write("data", "w/a.csv", b"content", metadata={"rows": "1"})
    assert (tmp_path / "data" / "w" / "a.csv").read_bytes() == b"content"
    assert etag == "9a0364b9e99bb480dd25e1f0284c8555"
    assert files(tmp_path) == ["data/.meta/w/a.csv.9a0364b9e99b.json", "data/w/a.csv"]


def test_file_that_a_user_has_copied_is_a_blob_without_metadata(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.joblib").write_bytes(b"content")
    assert store.read("models", "a.joblib") == Blob(b"content", "9a0364b9e99bb480dd25e1f0284c8555")


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{"])
def test_damaged_metadata_counts_as_none(store: FolderStore, tmp_path: Path, damage: bytes) -> None:
    store.write("data", "a.csv", b"content", metadata={"rows": "1"})
    (tmp_path / "data" / ".meta" / "a.csv.9a0364b9e99b.json").write_bytes(damage)
    info = store.head("data", "a.csv")
    assert info is not None
    assert dict(info.metadata) == {}


def test_replacement_removes_the_old_metadata(store: FolderStore, tmp_path: Path) -> None:
    store.write("data", "a.csv", b"old", metadata={"rows": "1"})
    store.write("data", "a.csv", b"content", overwrite=True)
    assert files(tmp_path) == ["data/a.csv"]


def test_unfinished_files_and_metadata_are_not_listed(store: FolderStore, tmp_path: Path) -> None:
    store.write("data", "a.csv", b"content", metadata={"rows": "1"})
    (tmp_path / "data" / ".unfinished-123").write_bytes(b"half")
    assert [info.name for info in store.list("data")] == ["a.csv"]


@pytest.mark.fault("T5")
@pytest.mark.parametrize("name", ["", "..", "../a", "a/../b", "a//b", "/a", "a/", "./a", ".meta/a", "a\0b"])
def test_name_that_leaves_the_container_is_rejected(store: FolderStore, tmp_path: Path, name: str) -> None:
    for call in (lambda: store.read("data", name), lambda: store.write("data", name, b"x")):
        with pytest.raises(ConfigurationInvalid, match="blob name"):
            call()
    assert files(tmp_path) == []


def test_unreadable_file_is_a_storage_error(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "data" / "a.csv").mkdir(parents=True)
    with pytest.raises(StorageUnavailable, match="Is a directory"):
        store.read("data", "a.csv")


def test_view_with_a_deadline_does_not_wait(store: FolderStore) -> None:
    assert store.with_deadline(0.0) is store
    assert not store.in_call
