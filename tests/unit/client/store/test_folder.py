"""The folder store of the client reads what the scorer's folder store wrote."""

import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from device_scorer.store.folder import FolderStore as ScorerStore
from fleetscore.errors import DataInvalid, NotFound, StorageUnavailable, UsageInvalid
from fleetscore.store.folder import FolderStore


def test_blob_and_metadata_of_the_scorer_are_read(tmp_path: Path) -> None:
    etag = ScorerStore(tmp_path).write("predictions", "w/d.csv", b"TS\n", metadata={"rows": "1"})
    blob = FolderStore(tmp_path).read("predictions", "w/d.csv")
    assert blob is not None
    assert (blob.content, blob.info.etag, blob.info.size, blob.info.metadata) == (b"TS\n", etag, 3, {"rows": "1"})


def test_list_has_the_names_with_the_prefix_in_order_without_metadata_files(tmp_path: Path) -> None:
    scorer = ScorerStore(tmp_path)
    for name in ("w/b.csv", "w/a.csv", "v/c.csv"):
        scorer.write("predictions", name, b"x", metadata={"rows": "1"})
    store = FolderStore(tmp_path)
    assert [info.name for info in store.list("predictions", "w/")] == ["w/a.csv", "w/b.csv"]
    assert [info.name for info in store.list("predictions")] == ["v/c.csv", "w/a.csv", "w/b.csv"]
    assert list(store.list("models")) == []


def test_names_of_a_linked_folder_are_listed(tmp_path: Path) -> None:
    scorer = ScorerStore(tmp_path)
    for name in ("v/c.csv", "w/a.csv", "x/b.csv"):
        scorer.write("predictions", name, b"x", metadata={"rows": "1"})
    (tmp_path / "predictions" / "w").rename(tmp_path / "elsewhere")
    (tmp_path / "predictions" / "w").symlink_to("../elsewhere")
    store = FolderStore(tmp_path)
    assert list(store.names("predictions")) == ["v/c.csv", "w/a.csv", "x/b.csv"]
    assert [(info.name, info.metadata) for info in store.list("predictions", "w/")] == [("w/a.csv", {"rows": "1"})]


@pytest.mark.parametrize("listing", [FolderStore.names, FolderStore.folders])
def test_folder_that_cannot_be_read_is_named(
    listing: Callable[[FolderStore, str], Iterable[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "w")

    monkeypatch.setattr(os, "scandir", fail)
    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(StorageUnavailable, match="w cannot be read: Permission denied; check its permissions"):
        list(listing(FolderStore(tmp_path), "predictions"))


def test_folders_are_listed_once_and_existence_is_known(tmp_path: Path) -> None:
    scorer = ScorerStore(tmp_path)
    for name in ("w/b.csv", "w/x/a.csv", "v/c.csv", "_mutes.csv"):
        scorer.write("predictions", name, b"x", metadata={"rows": "1"})
    store = FolderStore(tmp_path)
    assert list(store.folders("predictions")) == ["v/", "w/"]
    assert list(store.folders("predictions", "w/")) == ["w/x/"]
    assert list(store.folders("predictions", "w")) == ["w/"]
    assert list(store.folders("models")) == []
    assert store.exists("predictions", "w/b.csv")
    assert not store.exists("predictions", "w")


def test_missing_blob_is_none_and_missing_folder_is_an_error(tmp_path: Path) -> None:
    assert FolderStore(tmp_path).read("models", "d.joblib") is None
    with pytest.raises(NotFound, match="does not exist; create it with `device-scorer simulate`"):
        FolderStore(tmp_path / "missing")


def test_blob_above_the_limit_is_rejected_with_both_sizes(tmp_path: Path) -> None:
    ScorerStore(tmp_path).write("data", "d.csv", b"12345")
    with pytest.raises(DataInvalid, match="it has 5 bytes of at most 4"):
        FolderStore(tmp_path).read("data", "d.csv", max_bytes=4)


@pytest.mark.parametrize("name", ["../x", "a//b", "", ".meta/x", "a/./b", "a\0b"])
def test_name_that_leaves_the_container_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageInvalid, match="blob name"):
        FolderStore(tmp_path).read("models", name)


def test_write_needs_the_etag_of_the_existing_file(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.write("predictions", "_mutes.csv", b"1", if_match=None)
    assert not store.write("predictions", "_mutes.csv", b"2", if_match=None)
    assert not store.write("predictions", "_mutes.csv", b"2", if_match="other")
    blob = store.read("predictions", "_mutes.csv")
    assert blob is not None
    assert store.write("predictions", "_mutes.csv", b"2", if_match=blob.info.etag)
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["_mutes.csv"]


def test_no_other_writer_of_the_container_writes_between_the_check_and_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = threading.Thread(target=lambda: ScorerStore(tmp_path).write("predictions", "_mutes.csv", b"other"))

    waits = []

    def read_while_another_writes(*_: object, **__: object) -> None:
        writer.start()
        writer.join(timeout=0.2)
        waits.append(writer.is_alive())

    monkeypatch.setattr(FolderStore, "read", read_while_another_writes)
    assert FolderStore(tmp_path).write("predictions", "_mutes.csv", b"mine", if_match=None)
    writer.join()
    assert waits == [True]
    assert (tmp_path / "predictions/_mutes.csv").read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b" " * 70_000])
def test_damaged_metadata_is_empty(tmp_path: Path, content: bytes) -> None:
    ScorerStore(tmp_path).write("data", "d.csv", b"x", metadata={"rows": "1"})
    next((tmp_path / "data" / ".meta").iterdir()).write_bytes(content)
    blob = FolderStore(tmp_path).read("data", "d.csv")
    assert blob is not None
    assert blob.info.metadata == {}


def test_properties_of_a_file_are_those_of_its_blob(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.write("models", "press-1.joblib", b"model", if_match=None)
    blob = store.read("models", "press-1.joblib")
    assert blob is not None
    assert store.info("models", "press-1.joblib") == blob.info
    assert store.info("models", "press-2.joblib") is None
    (tmp_path / "models" / "folder").mkdir()
    assert store.info("models", "folder") is None


def test_special_file_in_the_place_of_metadata_is_ignored(tmp_path: Path) -> None:
    ScorerStore(tmp_path).write("data", "d.csv", b"x", metadata={"rows": "1"})
    path = next((tmp_path / "data" / ".meta").iterdir())
    path.unlink()
    os.mkfifo(path)
    blob = FolderStore(tmp_path).read("data", "d.csv")
    assert blob is not None
    assert blob.info.metadata == {}


@pytest.mark.parametrize("kind", ["a folder", "a special file"])
def test_other_kind_of_file_in_the_place_of_a_blob_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "predictions" / "_mutes.csv"
    path.parent.mkdir()
    if kind == "a folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    store = FolderStore(tmp_path)
    with pytest.raises(DataInvalid, match=rf"_mutes\.csv is {kind} in the place of a blob; delete it"):
        store.read("predictions", "_mutes.csv")
    if kind != "a folder":
        with pytest.raises(DataInvalid, match=rf"_mutes\.csv is {kind} in the place of a blob; delete it"):
            store.info("predictions", "_mutes.csv")


def test_link_that_leads_to_itself_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "d.joblib").symlink_to("d.joblib")
    store = FolderStore(tmp_path)
    for read in (store.read, store.info):
        with pytest.raises(StorageUnavailable, match=r"d\.joblib cannot be read: .*; delete the link that leads to it"):
            read("models", "d.joblib")


def test_name_that_is_too_long_for_a_file_does_not_exist(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    name = f"w/{'x' * 300}.csv"
    assert (store.exists("predictions", name), store.read("predictions", name), store.info("predictions", name)) == (
        *(False, None, None),
    )


def test_folder_with_a_name_that_is_too_long_does_not_exist() -> None:
    with pytest.raises(NotFound, match="does not exist; create it"):
        FolderStore(Path("d" * 300))


def test_file_that_cannot_be_written_has_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "predictions").touch()
    with pytest.raises(StorageUnavailable, match=r"cannot be written: .*; check its permissions and the free space"):
        FolderStore(tmp_path).write("predictions", "a/b.csv", b"", if_match=None)
