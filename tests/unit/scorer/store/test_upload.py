"""Tests of uploads that do not silently replace a blob."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from device_scorer.store.base import NO_METADATA, Blob, BlobInfo
from device_scorer.store.folder import FolderStore
from device_scorer.store.upload import UploadResult, upload_all, upload_once


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


class RacingStore(FolderStore):
    """A folder in which another client creates each blob right before this one does."""

    def write(
        self,
        container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        super().write(container, name, b"theirs", overwrite=True)
        return super().write(container, name, content, metadata=metadata, if_match=if_match, overwrite=overwrite)


class StoreWithoutChecksums(FolderStore):
    """A folder without Content-MD5."""

    def head(self, container: str, name: str) -> BlobInfo | None:
        info = super().head(container, name)
        return info and BlobInfo(info.name, info.size, info.etag)


def content_of(store: FolderStore, name: str) -> bytes:
    blob = store.read("data", name)
    assert blob is not None
    return blob.content


def test_new_blob_is_written(store: FolderStore) -> None:
    assert upload_once(store, "data", "a", b"mine") is UploadResult.WRITTEN
    assert content_of(store, "a") == b"mine"


@pytest.mark.parametrize(
    ("existing", "result"),
    [
        (b"mine", UploadResult.UNCHANGED),
        (b"them", UploadResult.CONFLICT),
        (b"longer", UploadResult.CONFLICT),
    ],
)
@pytest.mark.parametrize("kind", [FolderStore, StoreWithoutChecksums])
def test_existing_blob_is_kept_and_compared(
    tmp_path: Path, kind: type[FolderStore], existing: bytes, result: UploadResult
) -> None:
    store = kind(tmp_path)
    store.write("data", "a", existing)
    assert upload_once(store, "data", "a", b"mine") is result
    assert content_of(store, "a") == existing


class StoreWithoutTransfers(FolderStore):
    """A folder that fails every write and read."""

    def write(self, *_: object, **__: object) -> str | None:
        raise AssertionError("an upload")

    def read(self, *_: object, **__: object) -> Blob | None:
        raise AssertionError("a download")

    def head(self, container: str, name: str) -> BlobInfo | None:
        return FolderStore(self._folder).head(container, name)


@pytest.mark.parametrize(("content", "result"), [(b"mine", UploadResult.UNCHANGED), (b"other", UploadResult.CONFLICT)])
def test_comparison_with_an_existing_blob_transfers_no_content(
    tmp_path: Path, content: bytes, result: UploadResult
) -> None:
    FolderStore(tmp_path).write("data", "a", b"mine")
    assert upload_once(StoreWithoutTransfers(tmp_path), "data", "a", content) is result


def test_existing_blob_is_replaced_on_request(store: FolderStore) -> None:
    store.write("data", "a", b"them")
    assert upload_once(store, "data", "a", b"mine", replace=True) is UploadResult.WRITTEN
    assert content_of(store, "a") == b"mine"


@pytest.mark.parametrize(("content", "result"), [(b"mine", UploadResult.CONFLICT), (b"theirs", UploadResult.UNCHANGED)])
def test_blob_of_a_concurrent_client_is_kept(tmp_path: Path, content: bytes, result: UploadResult) -> None:
    store = RacingStore(tmp_path)
    assert upload_once(store, "data", "a", content) is result
    assert content_of(store, "a") == b"theirs"


def test_results_of_several_blobs_are_in_order(store: FolderStore) -> None:
    store.write("data", "b", b"them")
    blobs = [(name, b"mine") for name in "abcd"]
    assert list(upload_all(store, "data", blobs)) == [
        ("a", UploadResult.WRITTEN),
        ("b", UploadResult.CONFLICT),
        ("c", UploadResult.WRITTEN),
        ("d", UploadResult.WRITTEN),
    ]
    assert [result for _, result in upload_all(store, "data", blobs, replace=True)] == [UploadResult.WRITTEN] * 4
