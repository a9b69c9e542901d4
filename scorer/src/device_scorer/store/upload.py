"""Writes blobs that must not silently replace others: what is there already and equal is fine, what differs is said."""

from collections.abc import Iterable, Iterator
from enum import Enum

from device_scorer.store.base import Store, md5_hex
from device_scorer.store.parallel import map_in_order


class UploadResult(Enum):
    """What became of one blob."""

    WRITTEN = "written"
    UNCHANGED = "already there"
    CONFLICT = "differs from what is there"


def upload_once(store: Store, container: str, name: str, content: bytes, *, replace: bool = False) -> UploadResult:
    """Write one blob; without `replace`, one that exists stays, and the answer says whether it is the same."""
    if replace:
        store.write(container, name, content, overwrite=True)
        return UploadResult.WRITTEN
    # A look first: to import again then costs no uploads, and a store that cannot tell whether a lost answer's blob
    # was its own has nothing to guess.
    existing = store.head(container, name)
    if existing is None and store.write(container, name, content) is not None:
        return UploadResult.WRITTEN
    return UploadResult.UNCHANGED if _has_content(store, container, name, content) else UploadResult.CONFLICT


def upload_all(
    store: Store, container: str, blobs: Iterable[tuple[str, bytes]], *, replace: bool = False
) -> Iterator[tuple[str, UploadResult]]:
    """Write (name, content) pairs several at a time, in order, holding few of them; yields what became of each."""
    placed = map_in_order(
        blobs,
        lambda blob: upload_once(store, container, *blob, replace=replace),
        size_of=lambda blob: len(blob[1]),
    )
    for (name, _), outcome in placed:
        yield name, outcome


def _has_content(store: Store, container: str, name: str, content: bytes) -> bool:
    existing = store.head(container, name)
    if existing is None or existing.size != len(content):
        return False
    if existing.md5:
        return existing.md5 == md5_hex(content)
    blob = store.read(container, name)
    return blob is not None and blob.content == content
