"""A value that is read again when it is old, by one thread at a time."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """A value with a time to live. Requests that arrive while it is read get the result of that read, also its error.

    Args:
        read: The function that reads the value.
        seconds: The seconds after which the value is read again.
        monotonic: The clock.
    """

    def __init__(self, read: Callable[[], T], seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read, self._seconds, self._monotonic = read, seconds, monotonic
        self._lock = threading.Lock()
        self._found: tuple[float, T] | None = None
        self._failed: tuple[float, Exception] | None = None

    def get(self) -> T:
        """Return the value. Raises the error of the read; the next request reads again."""
        arrived = self._monotonic()
        with self._lock:
            now = self._monotonic()
            if self._found is None or now - self._found[0] >= self._seconds:
                self._found = None
                if self._failed is not None and self._failed[0] > arrived:
                    raise self._failed[1]
                try:
                    self._found = (now, self._read())
                except Exception as error:
                    self._failed = (self._monotonic(), error)
                    raise
            return self._found[1]
