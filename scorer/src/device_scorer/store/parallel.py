"""Concurrent calls in threads with results in order, for uploads and downloads. The bytes in memory are bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 8
MAX_HELD_BYTES = 32 * 2**20
"""The bytes that the items in progress have together. A larger item is processed alone."""


def map_in_order(
    items: Iterable[T], function: Callable[[T], R], *, size_of: Callable[[T], int], max_held_bytes: int = MAX_HELD_BYTES
) -> Iterator[tuple[T, R]]:
    """Yield each item with the result of the function, in the order of the items.

    Args:
        items: The items. At most 2 * MAX_WORKERS of them are in progress.
        function: The function, which is called in threads.
        size_of: A function that returns the bytes that an item in progress holds.
        max_held_bytes: The largest number of bytes of all items in progress.
    """
    with ThreadPoolExecutor(MAX_WORKERS) as pool:
        in_progress: deque[tuple[T, Future[R]]] = deque()
        held = 0
        for item in items:
            while in_progress and (held + size_of(item) > max_held_bytes or len(in_progress) >= 2 * MAX_WORKERS):
                done, future = in_progress.popleft()
                held -= size_of(done)
                yield done, future.result()
            in_progress.append((item, pool.submit(function, item)))
            held += size_of(item)
        for item, future in in_progress:
            yield item, future.result()
