"""Works on several items at a time, in order, while few bytes are held: for uploads and downloads one after another."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 8
HELD_BYTES = 32 * 2**20  # that items under way may have together; a larger one is under way alone


def ahead(items: Iterable[T], work: Callable[[T], R], *, size: Callable[[T], int]) -> Iterator[tuple[T, R]]:
    """Yield each item with what `work` made of it, in order; `size` says how many bytes an item under way holds."""
    with ThreadPoolExecutor(WORKERS) as pool:
        under_way: deque[tuple[T, Future[R]]] = deque()
        held = 0
        for item in items:
            while under_way and (held + size(item) > HELD_BYTES or len(under_way) >= 2 * WORKERS):
                done, future = under_way.popleft()
                held -= size(done)
                yield done, future.result()
            under_way.append((item, pool.submit(work, item)))
            held += size(item)
        for item, future in under_way:
            yield item, future.result()
