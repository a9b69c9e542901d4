"""Concurrent calls in threads with results in order: the next items are in work while the caller uses one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

MAX_IN_PROGRESS = 16
"""Number of items that are in work: a request to storage takes much longer than the use of its result."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_order(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield the results of a function in the order of the items, at most MAX_IN_PROGRESS of which are in work.

    Args:
        function: The function; it runs in several threads.
        items: The items, which are taken lazily.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(MAX_IN_PROGRESS)
    try:
        waiting: deque[Future[_Result]] = deque(pool.submit(function, item) for item in islice(source, MAX_IN_PROGRESS))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
