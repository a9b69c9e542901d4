"""Writes blobs that must not silently replace others: what is there already and equal is fine, what differs is said."""

from collections.abc import Iterable, Iterator
from enum import Enum

from device_scorer.store.base import Store, md5_of
from device_scorer.store.parallel import ahead


class Placed(Enum):
    """What became of one blob."""

    WRITTEN = "written"
    SAME = "already there"
    DIFFERENT = "differs from what is there"


def place(store: Store, container: str, name: str, content: bytes, *, replace: bool = False) -> Placed:
    """Write one blob; without `replace`, one that exists stays, and the answer says whether it is the same."""
    if replace:
        store.write(container, name, content, overwrite=True)
        return Placed.WRITTEN
    # A look first: to import again then costs no uploads, and a store that cannot tell whether a lost answer's blob
    # was its own has nothing to guess.
    there = store.stat(container, name)
    if there is None and store.write(container, name, content) is not None:
        return Placed.WRITTEN
    return Placed.SAME if _holds(store, container, name, content) else Placed.DIFFERENT


def place_all(
    store: Store, container: str, blobs: Iterable[tuple[str, bytes]], *, replace: bool = False
) -> Iterator[tuple[str, Placed]]:
    """Write (name, content) pairs several at a time, in order, holding few of them; yields what became of each."""
    placed = ahead(
        blobs,
        lambda blob: place(store, container, *blob, replace=replace),
        size=lambda blob: len(blob[1]),
    )
    for (name, _), outcome in placed:
        yield name, outcome


def _holds(store: Store, container: str, name: str, content: bytes) -> bool:
    there = store.stat(container, name)
    if there is None or there.size != len(content):
        return False
    if there.md5:
        return there.md5 == md5_of(content)
    blob = store.read(container, name)
    return blob is not None and blob.content == content
