"""Live figures of runs, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool

from fleetscore.errors import FleetscoreError
from fleetscore.runs import state
from fleetscore.texts import printable

POLL_SECONDS = 2.0
MAX_STREAM_SECONDS = 600.0
MAX_STREAMS = 16
MAX_RUNS = 100
MAX_ACTIVE_RUNS = 50
MAX_MESSAGE_CHARS = 500
RETRY = "retry: 10000\n"
"""The milliseconds after which a browser opens a stream again that was one too many."""

FULL = "too many open pages have live figures; close one"


def figures(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a run that change while it is active.

    Args:
        run: The ScoringRun as JSON.

    Returns:
        name, phase, done and total (devices), counts by outcome, active, anomalies, delay and message (texts), and
        ended.
    """
    status = run.get("status") or {}
    devices = status.get("devices") or {}
    return {
        "name": run["metadata"]["name"],
        "phase": printable(status.get("phase", state.NOT_SEEN)),
        "done": state.devices_done(run),
        "total": state.devices_total(run),
        "counts": {outcome: devices.get(outcome, 0) for outcome in state.OUTCOMES},
        "active": devices.get("active", 0),
        "anomalies": (status.get("results") or {}).get("anomalies", 0),
        "delay": state.delay(run),
        "message": printable(status.get("message"), max_chars=MAX_MESSAGE_CHARS),
        "ended": state.has_ended(run),
    }


def listed_runs(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the runs that the page Fleet lists: at most MAX_ACTIVE_RUNS that have not ended, then the others.

    A run that ends between two events is still among them, so that its row shows the end.
    """
    active = [run for run in runs if not state.has_ended(run)][:MAX_ACTIVE_RUNS]
    return [*active, *(run for run in runs if state.has_ended(run))][:MAX_RUNS]


class LiveStreams:
    """The open streams of events, at most MAX_STREAMS.

    Args:
        read: The function that returns the figures to send.
        poll_seconds: The seconds between two reads.
        max_seconds: The seconds after which a stream ends; the browser then opens another one.
    """

    def __init__(
        self,
        read: Callable[[str], list[dict[str, Any]]],
        *,
        poll_seconds: float = POLL_SECONDS,
        max_seconds: float = MAX_STREAM_SECONDS,
    ) -> None:
        self._read, self._poll_seconds, self._max_seconds = read, poll_seconds, max_seconds
        self._open = 0

    @property
    def is_full(self) -> bool:
        """True if another stream must wait."""
        return self._open >= MAX_STREAMS

    async def events(self, name: str) -> AsyncGenerator[str, None]:
        """Yield the figures as events, a comment while they do not change, and an event if they cannot be read.

        Args:
            name: The run; empty for all active runs.
        """
        if self.is_full:  # requests that arrive at the same time have all passed the check of the route
            yield f"{RETRY}event: problem\ndata: {json.dumps(FULL)}\n\n"
            return
        self._open += 1
        try:
            last = ""
            for _ in range(int(self._max_seconds / self._poll_seconds) or 1):
                try:
                    found = await run_in_threadpool(self._read, name)
                    text = f"event: runs\ndata: {json.dumps(found)}\n\n"
                except FleetscoreError as error:
                    text = f"event: problem\ndata: {json.dumps(str(error))}\n\n"
                yield ": unchanged\n\n" if text == last else text
                last = text
                await asyncio.sleep(self._poll_seconds)
        finally:
            self._open -= 1
