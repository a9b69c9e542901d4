"""An event loop that wakes up less often: what happens within a few milliseconds is handled together.

A wake-up costs more than the work that it does, because other processes use the caches of the CPU meanwhile. Network
drivers gather packets for the same reason (Linux: NAPI).
"""

import asyncio
import selectors
import time
from collections.abc import Callable


class GatheringSelector(selectors.DefaultSelector):
    """A selector that, after each wake-up, gathers further events for some time.

    Args:
        gathering_time: The time in seconds; 0 to return at once.
        sleep: The function that waits.
    """

    def __init__(self, gathering_time: float, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._gathering_time = gathering_time
        self._sleep = sleep

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready, as `selectors.BaseSelector.select` does.

        Args:
            timeout: The longest time to wait in seconds. Without a wait (0 or less) nothing is gathered, because the
                caller has other work.
        """
        ready = super().select(timeout)
        if self._gathering_time <= 0 or (timeout is not None and timeout <= 0):
            return ready
        self._sleep(self._gathering_time)
        return super().select(0)


def new_event_loop(gathering_time: float) -> asyncio.AbstractEventLoop:
    """Return an event loop that handles together what happens within some time.

    Args:
        gathering_time: The time in seconds by which each response, event and timer may be late.
    """
    return asyncio.SelectorEventLoop(GatheringSelector(gathering_time))
