"""The regular lists of ScoringRuns, one per watched namespace, which find changes without an event.

The list of a namespace that fails is retried for ever. It does not delay the lists of the others.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, relevant_fields
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.kube.client import KubeClient

RunListener = Callable[[str, Sequence[dict[str, Any]]], None]
"""A function that gets a namespace (empty: all namespaces) and its runs after each complete list."""

_log = logging.getLogger(__name__)


class RunLister:
    """Lists the ScoringRuns of each namespace every minute.

    Args:
        client: The client of the API server.
        namespaces: The watched namespaces; empty: all.
        timings: The intervals.
        on_listed: The function that gets the runs of each list.
    """

    def __init__(
        self, client: KubeClient, namespaces: Sequence[str], timings: ControllerTimings, on_listed: RunListener
    ) -> None:
        self._client = client
        self._timings = timings
        self._on_listed = on_listed
        self._first_tries = {name: asyncio.Event() for name in namespaces or ("",)}

    async def run(self) -> None:
        """List until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            for namespace, tried in self._first_tries.items():
                group.create_task(self._list_repeatedly(namespace, tried))

    async def wait_for_first_lists(self) -> None:
        """Wait until each namespace was listed, has failed or had 15 s: the order of runs depends on all runs."""
        try:
            async with asyncio.timeout(self._timings.first_list_timeout):
                for tried in self._first_tries.values():
                    await tried.wait()
        except TimeoutError:
            return

    async def _list_repeatedly(self, namespace: str, tried: asyncio.Event) -> None:
        base = f"/apis/{GROUP}/{VERSION}"
        path = f"{base}/namespaces/{namespace}/{PLURAL}" if namespace else f"{base}/{PLURAL}"
        last_error = ""
        while True:
            pause = self._timings.resync_interval
            try:
                bodies: list[dict[str, Any]] = []
                async with aclosing(self._client.pages(path)) as pages:
                    async for page, _ in pages:
                        bodies += [relevant_fields(msgspec.json.decode(item)) for item in page]
                self._on_listed(namespace, bodies)
                last_error = ""
            except Exception as error:  # noqa: BLE001  # a namespace must not stop the others, whatever its response is
                if str(error) != last_error:
                    _log.warning("ScoringRuns of %s cannot be listed: %s", namespace or "all namespaces", error)
                last_error = str(error)
                pause = self._timings.list_retry_interval
            tried.set()
            await asyncio.sleep(pause)
