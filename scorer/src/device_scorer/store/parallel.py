"""Works on several items at a time, in order, while few bytes are held: for uploads and downloads one after another."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 8
MAX_HELD_BYTES = 32 * 2**20  # that items under way may have together; a larger one is under way alone


def map_in_order(
    items: Iterable[T], function: Callable[[T], R], *, size_of: Callable[[T], int]
) -> Iterator[tuple[T, R]]:
    """Yield each item with what `work` made of it, in order; `size` says how many bytes an item under way holds."""
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        under_way: deque[tuple[T, Future[R]]] = deque()
        held = 0
        for item in items:
            while under_way and (held + size_of(item) > MAX_HELD_BYTES or len(under_way) >= 2 * MAX_WORKERS):
                done, future = under_way.popleft()
                held -= size_of(done)
                yield done, future.result()
            under_way.append((item, pool.submit(function, item)))
            held += size_of(item)
        for item, future in under_way:
            yield item, future.result()
