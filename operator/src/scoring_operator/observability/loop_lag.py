"""The lag of an event loop: the time for which a ready task has to wait for its turn."""

import asyncio
import logging
from collections.abc import Callable

LAG_INTERVAL_SECONDS = 0.5  # a block of a second always delays one measurement by half a second or more
MAX_LAG_SECONDS = 1.0  # a longer lag is logged

_log = logging.getLogger(__name__)


async def measure_lag(record: Callable[[float], None]) -> None:
    """Measure the lag of the running event loop twice a second until cancelled.

    Args:
        record: The function that gets each lag, in seconds.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        lag = loop.time() - due
        record(max(lag, 0.0))
        if lag > MAX_LAG_SECONDS:
            _log.warning("the event loop was blocked for %.1f s; other runs and the renewal of the Lease waited", lag)
