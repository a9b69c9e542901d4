"""Writes blobs that must not silently replace others: what is there already and equal is fine, what differs is said."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum

from device_scorer.blobs import Store, md5_of

WORKERS = 8
PENDING_BYTES = 32 * 2**20  # how much may wait for its upload: one larger blob waits alone


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
    with ThreadPoolExecutor(WORKERS) as pool:
        pending: deque[tuple[str, int, Future[Placed]]] = deque()
        held = 0
        for name, content in blobs:
            while pending and (held + len(content) > PENDING_BYTES or len(pending) >= 2 * WORKERS):
                done, size, future = pending.popleft()
                held -= size
                yield done, future.result()
            pending.append((name, len(content), pool.submit(place, store, container, name, content, replace=replace)))
            held += len(content)
        for name, _, future in pending:
            yield name, future.result()


def _holds(store: Store, container: str, name: str, content: bytes) -> bool:
    there = store.stat(container, name)
    if there is None or there.size != len(content):
        return False
    if there.md5:
        return there.md5 == md5_of(content)
    blob = store.read(container, name)
    return blob is not None and blob.content == content
