"""Work on the next items in threads while the caller uses the current one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

MAX_AHEAD = 16
"""Number of items that are in work: a request to storage takes much longer than the use of its result."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_ahead(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Yield the results of a function in the order of the items, at most MAX_AHEAD of them ahead.

    Args:
        function: The function; it runs in several threads.
        items: The items, which are taken lazily.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(MAX_AHEAD)
    try:
        waiting: deque[Future[_Result]] = deque(pool.submit(function, item) for item in islice(source, MAX_AHEAD))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
