"""Uploads that do not silently replace a blob: an equal blob is accepted, a different one is reported."""

from collections.abc import Iterable, Iterator
from enum import Enum

from device_scorer.store.base import Store, md5_hex
from device_scorer.store.parallel import map_in_order


class UploadResult(Enum):
    """The result of one upload."""

    WRITTEN = "written"
    UNCHANGED = "the blob already exists with this content"
    CONFLICT = "differs from the existing blob"


def upload_once(store: Store, container: str, name: str, content: bytes, *, replace: bool = False) -> UploadResult:
    """Upload one blob.

    Args:
        store: The store.
        container: The role of the container.
        name: The blob's name.
        content: The bytes.
        replace: True to replace an existing blob. Otherwise an existing blob is kept.
    """
    if replace:
        store.write(container, name, content, overwrite=True)
        return UploadResult.WRITTEN
    # The check avoids uploads if the same files are imported again. It also avoids a guess after a lost response: then
    # the store may not know which client has written the blob.
    existing = store.head(container, name)
    if existing is None and store.write(container, name, content) is not None:
        return UploadResult.WRITTEN
    return UploadResult.UNCHANGED if _has_content(store, container, name, content) else UploadResult.CONFLICT


def upload_all(
    store: Store, container: str, blobs: Iterable[tuple[str, bytes]], *, replace: bool = False
) -> Iterator[tuple[str, UploadResult]]:
    """Upload blobs concurrently and yield each name with its result, in order.

    Args:
        store: The store.
        container: The role of the container.
        blobs: Names and contents. Few of them are in memory at a time.
        replace: True to replace existing blobs.
    """
    uploaded = map_in_order(
        blobs,
        lambda blob: upload_once(store, container, *blob, replace=replace),
        size_of=lambda blob: len(blob[1]),
    )
    for (name, _), result in uploaded:
        yield name, result


def _has_content(store: Store, container: str, name: str, content: bytes) -> bool:
    existing = store.head(container, name)
    if existing is None or existing.size != len(content):
        return False
    if existing.md5:
        return existing.md5 == md5_hex(content)
    blob = store.read(container, name)
    return blob is not None and blob.content == content
