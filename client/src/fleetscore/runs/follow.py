"""Following a run until it ends, and the pace of its devices."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fleetscore.errors import ClusterUnavailable
from fleetscore.runs.state import has_ended

POLL_SECONDS = 2.0
PACE_SECONDS = 120.0
"""Seconds of the past that the pace is measured over."""

MAX_FAILED_READS = 5
"""Reads in succession that may fail while a run is followed: the API server is upgraded, or the network changes."""

MIN_PACE_SECONDS = 3.0
"""Seconds between two samples below which they show no pace."""


@dataclass(slots=True)
class Pace:
    """The pace of a run, from samples of its devices that are done."""

    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at: float, done: int) -> None:
        """Add a sample.

        Args:
            at: The time of the sample in seconds, of a monotonic clock.
            done: The number of devices with an outcome.
        """
        if self._samples and done < self._samples[-1][1]:  # the operator rebuilds lost progress
            self._samples.clear()
        self._samples.append((at, done))
        while len(self._samples) > 2 and at - self._samples[0][0] > PACE_SECONDS:
            self._samples.popleft()

    @property
    def devices_per_second(self) -> float:
        """The devices done per second over the last two minutes; 0 while there is no progress."""
        if not self._samples:
            return 0.0
        (start, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - start) if end - start >= MIN_PACE_SECONDS else 0.0

    def seconds_left(self, total: int) -> float | None:
        """Return the seconds until all devices are done at this pace; None while there is no pace.

        Args:
            total: The number of devices of the run.
        """
        pace = self.devices_per_second
        return (total - self._samples[-1][1]) / pace if pace > 0 else None


def follow(
    get: Callable[[], dict[str, Any]],
    *,
    poll_seconds: float = POLL_SECONDS,
    timeout_seconds: float = 0,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Yield a run again and again until it has ended, or until the timeout. The last one has ended unless it timed out.

    Args:
        get: The function that reads the run.
        poll_seconds: The seconds between two reads.
        timeout_seconds: The seconds after which the run is not read again; 0 for no limit.
        sleep: The function that waits.
        monotonic: The clock of the timeout.

    Raises:
        ClusterUnavailable: The first read failed, or several ones in succession.
    """
    failed = 0
    deadline = monotonic() + timeout_seconds if timeout_seconds else None
    for number in itertools.count():
        if number:
            remaining = poll_seconds if deadline is None else deadline - monotonic()
            if remaining <= 0:
                return
            sleep(min(poll_seconds, remaining))
        try:
            found = get()
        except ClusterUnavailable:
            failed += 1
            if not number or failed == MAX_FAILED_READS:
                raise
            continue
        failed = 0
        yield found
        if has_ended(found):
            return
