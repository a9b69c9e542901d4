"""Changes of a blob that several processes change at the same time: none of them undoes another one."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from device_scorer.errors import StorageUnavailable
from device_scorer.store.base import Store

MAX_ATTEMPTS = 20
"""Number of attempts to write a blob while other processes write it."""

_MAX_BACKOFF_SECONDS = 2.0

_Value = TypeVar("_Value")


def write_if_unchanged(
    store: Store,
    name: str,
    change: Callable[[], tuple[_Value, bytes | None, str | None]],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> _Value:
    """Write a blob of the container of predictions if it is unchanged since it was read, and return the new value.

    Args:
        store: The store.
        name: The blob's name.
        change: A function that reads the blob and returns the new value, its content, and the ETag that was read. The
            content is None if the blob has it already. The ETag is None if there is no blob. The function is called
            again with what another process has written.
        sleep: A function that waits between attempts, for a number of seconds.

    Raises:
        StorageUnavailable: Other processes changed the blob MAX_ATTEMPTS times.
    """
    for attempt in range(MAX_ATTEMPTS):
        value, content, etag = change()
        if content is None or store.write("predictions", name, content, if_match=etag) is not None:
            return value
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  the jitter spreads load and is not a secret
        sleep(min(_MAX_BACKOFF_SECONDS, 0.05 * 2**attempt) * jitter)
    raise StorageUnavailable(f"{name} was changed by other reports {MAX_ATTEMPTS} times; retry the report")
