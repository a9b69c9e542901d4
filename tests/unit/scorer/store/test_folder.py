"""Tests of the folder store. tests/integration/scorer/test_stores.py tests the behaviour that all stores share."""

import errno
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from device_scorer.errors import ConfigurationInvalid, StorageUnavailable
from device_scorer.store.base import Blob, BlobInfo
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


@pytest.mark.parametrize(
    "damage", [b"", b"[1]", b"{", b'{"rows": 1}', b"[" * 100_000, b'{"rows": ' + b"1" * 5000 + b"}"]
)
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


def test_listing_has_the_blobs_of_a_linked_folder_in_order(store: FolderStore, tmp_path: Path) -> None:
    for name in ("w1/b.csv", "w2/a.csv", "w3/c.csv"):
        store.write("data", name, b"content")
    (tmp_path / "data" / "w2").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "w2").symlink_to("../elsewhere")
    assert [info.name for info in store.list("data")] == ["w1/b.csv", "w2/a.csv", "w3/c.csv"]
    assert [info.name for info in store.list("data", "w2/")] == ["w2/a.csv"]


def test_listing_of_a_store_in_a_folder_named_meta_is_complete(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / ".meta")
    store.write("data", "w/a.csv", b"content", metadata={"rows": "1"})
    assert [info.name for info in store.list("data")] == ["w/a.csv"]


def test_listing_names_a_folder_that_cannot_be_read(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "w")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(ConfigurationInvalid, match="w: Permission denied; change its permissions"):
        list(store.list("data"))


@pytest.mark.fault("T5")
@pytest.mark.parametrize("name", ["", "..", "../a", "a/../b", "a//b", "/a", "a/", "./a", ".meta/a", "a\0b"])
def test_name_that_leaves_the_container_is_rejected(store: FolderStore, tmp_path: Path, name: str) -> None:
    for call in (lambda: store.read("data", name), lambda: store.write("data", name, b"x")):
        with pytest.raises(ConfigurationInvalid, match="blob name"):
            call()
    assert files(tmp_path) == []


def test_folder_or_special_file_in_the_place_of_a_blob_is_named(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "data" / "a.csv").mkdir(parents=True)
    os.mkfifo(tmp_path / "data" / "pipe.csv")
    (tmp_path / "data" / "zero.csv").symlink_to("/dev/zero")
    for name, kind in (("a.csv", "a folder"), ("pipe.csv", "a special file"), ("zero.csv", "a special file")):
        for call in (lambda: store.read("data", name), lambda: store.write("data", name, b"x")):  # noqa: B023
            with pytest.raises(ConfigurationInvalid, match=f"{name} is {kind} in the place of a blob; delete it"):
                call()


def test_link_to_itself_is_named(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").symlink_to("a.csv")
    for call in (lambda: store.read("data", "a.csv"), lambda: store.write("data", "a.csv", b"x")):
        with pytest.raises(
            ConfigurationInvalid, match=r"a\.csv: .*symbolic links; delete the link that leads to itself"
        ):
            call()


def test_file_in_the_place_of_a_folder_is_missing_and_named_by_a_write(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w").write_bytes(b"")
    assert store.read("data", "w/a.csv") is None
    with pytest.raises(ConfigurationInvalid, match="delete the file that is in the place of a folder"):
        store.write("data", "w/a.csv", b"x")


def test_file_in_the_place_of_a_container_is_named(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(
        ConfigurationInvalid, match=r"data: File exists; delete the file that is in the place of a folder"
    ):
        store.ensure_container("data")


def test_failure_of_the_disk_is_transient(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "a.csv")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StorageUnavailable, match=r"^a\.csv: Input/output error; check the disk$"):
        store.read("data", "a.csv")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_transient_and_named(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(code, "No space left on device")

    monkeypatch.setattr(os, "fdopen", fail)
    message = f"^{tmp_path / 'data'}: No space left on device; free space on the disk$"
    with pytest.raises(StorageUnavailable, match=message):
        store.write("data", "a.csv", b"x")


@pytest.mark.parametrize("content", [b"content", b"other"])
def test_rejected_creation_keeps_the_metadata(store: FolderStore, content: bytes) -> None:
    store.write("data", "a.csv", b"content", metadata={"rows": "1"})
    assert store.write("data", "a.csv", content, metadata={"rows": "2"}) is None
    info = store.head("data", "a.csv")
    assert info is not None
    assert dict(info.metadata) == {"rows": "1"}


def test_leftovers_of_a_killed_process_are_deleted_by_the_next_writer(store: FolderStore, tmp_path: Path) -> None:
    store.write("data", "w/a.csv", b"content", metadata={"rows": "1"})
    leftovers = ["w/.unfinished-1", ".meta/w/.unfinished-2", ".meta/w/a.csv.0123456789ab.json", ".meta/w/b.csv.0.json"]
    for name in leftovers:
        (tmp_path / "data" / name).write_bytes(b"{}")
    FolderStore(tmp_path).write("data", "w/c.csv", b"x")
    assert files(tmp_path) == ["data/.meta/w/a.csv.9a0364b9e99b.json", "data/w/a.csv", "data/w/c.csv"]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.head("data", "a.csv"),
        lambda store: list(store.list("data")),
        lambda store: store.write("data", "a.csv", b"x"),
        lambda store: store.write("data", "a.csv", b"x", overwrite=True),
        lambda store: store.write("data", "new.csv", b"x"),
        lambda store: store.delete("data", "a.csv"),
    ],
    ids=["head", "list", "create", "overwrite", "leftovers", "delete"],
)
def test_large_file_is_not_held_in_memory(
    store: FolderStore, tmp_path: Path, call: Callable[[FolderStore], object]
) -> None:
    (tmp_path / "data" / ".meta").mkdir(parents=True)
    with (tmp_path / "data" / "a.csv").open("wb") as file:
        file.truncate(32 * 2**20)
    for name in ("a.csv.0.json", "a.csv.1.json"):  # leftovers, which are compared with the file
        (tmp_path / "data" / ".meta" / name).write_bytes(b"{}")
    tracemalloc.start()
    try:
        call(store)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_properties_of_a_large_file_have_its_size_and_checksum(store: FolderStore) -> None:
    content = bytes(range(256)) * 4096
    etag = store.write("data", "a.csv", content, metadata={"rows": "1"})
    checksum = "c35cc7d8d91728a0cb052831bc4ef372"
    assert store.head("data", "a.csv") == BlobInfo("a.csv", 2**20, checksum, {"rows": "1"}, checksum)
    assert etag == checksum


def test_view_with_a_deadline_does_not_wait(store: FolderStore) -> None:
    assert store.with_deadline(0.0) is store
    assert not store.in_call
