"""The number of concurrent discoveries of a namespace. All discoveries share the threads that list storage."""

import asyncio
from collections import defaultdict

MAX_DISCOVERIES = 2  # of a namespace at once


class DiscoveryGate:
    """Lets two discoveries of each namespace run at once, so that those of another namespace do not wait for all."""

    def __init__(self) -> None:
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(MAX_DISCOVERIES))

    def slot(self, namespace: str) -> asyncio.Semaphore:
        """Return the lock of a discovery, for `async with`.

        Args:
            namespace: The namespace of the run.
        """
        return self._slots[namespace]
