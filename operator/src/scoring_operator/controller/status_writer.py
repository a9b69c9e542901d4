"""The writes of a run's object: its status, the events for changes of its status, and its deletion."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, RunRef, ScoringRun, parse_run, relevant_fields
from scoring_operator.controller.job_writer import run_all
from scoring_operator.errors import Conflict, Invalid, NotFound, RunDeleted
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.types import Blocker, Observation, Plan
from scoring_operator.resources import status
from scoring_operator.resources.events import Event, event_manifest, status_events

DURATION_INTERVAL_SECONDS = 60.0
_LOGGED_EVENTS = ("Stalled", "Waiting")

_log = logging.getLogger(__name__)


class StatusWriter:
    """Writes the status of one run.

    Args:
        run: The run.
        client: The client of the API server.
        status_interval: Seconds between two writes. Other runs wait for the end of a run, so it is written at once.
        duration_interval: Seconds after which a status is written because of its duration alone.
    """

    def __init__(
        self,
        run: RunRef,
        client: KubeClient,
        status_interval: float,
        duration_interval: float = DURATION_INTERVAL_SECONDS,
    ) -> None:
        self._client = client
        self._status_interval = status_interval
        self._duration_interval = duration_interval
        self._uid = run.uid
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{run.name}"
        self._written_at = 0.0

    async def write(self, run: ScoringRun, plan: Plan, observation: Observation) -> tuple[ScoringRun, float | None]:
        """Write the status if it changed and the interval has passed.

        Args:
            run: The run as last observed.
            plan: The plan of this pass.
            observation: The observation of this pass.

        Returns:
            The run as stored now, and the seconds until the status is due; None if it is up to date.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: The request failed.
        """
        now = self._client.now()
        return await self._write(run, plan, status.build_status(run, plan, observation, now), now)

    async def write_blocker(self, run: ScoringRun, blocker: Blocker) -> ScoringRun:
        """Write why the passes of an active run fail, if it is new, and return the run as stored now.

        Args:
            run: The run as last observed.
            blocker: The cause.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: The request failed.
        """
        now, plan = self._client.now(), Plan(str(run.status.get("phase") or "Pending"), blocker=blocker)
        written, _ = await self._write(run, plan, status.build_blocked_status(run, plan, now), now)
        return written

    async def _write(
        self, run: ScoringRun, plan: Plan, new: dict[str, Any], now: datetime
    ) -> tuple[ScoringRun, float | None]:
        old = run.status
        idle = time.monotonic() - self._written_at
        if not status.needs_update(old, new) and (old == new or idle < self._duration_interval):
            return run, None
        wait = self._written_at + self._status_interval - time.monotonic()
        if wait > 0 and not plan.completion:
            return run, wait
        self._written_at = time.monotonic()
        with _not_found_means_deleted():
            written, stored = await self._patch(run, new)
        if not stored:
            return written, 0.0
        await self._write_events(written, status_events(old, plan, new), now)
        return written, None

    async def _patch(self, run: ScoringRun, new: dict[str, Any]) -> tuple[ScoringRun, bool]:
        """Write the status; return the run as stored now, and whether it has the new status.

        A change of metadata between a read and a write is a conflict of versions. A client that annotates runs again
        and again could thus prevent every write. After such a conflict the write depends on the generation and the
        status instead: the API server checks both and repeats its own write.
        """
        patch = {"status": status.merge_patch(run.status, new)}
        try:
            body = await self._client.patch(
                self._path, patch, resource_version=run.resource_version, subresource="status"
            )
        except Conflict:
            known, run = run, await self.fetch_run()
            if not run.equals(known):
                return run, False
            try:
                body = await self._client.json_patch(self._path, status.json_patch(run, new), subresource="status")
            except (Conflict, Invalid):
                return run, False
        return parse_run(relevant_fields(body)), True

    async def fetch_run(self) -> ScoringRun:
        """Read the run's object.

        Raises:
            RunDeleted: The run does not exist any more.
            ApiError: The request failed.
        """
        with _not_found_means_deleted():
            body: dict[str, Any] = await self._client.get(self._path)
        run = parse_run(relevant_fields(body))
        if run.uid != self._uid:
            raise RunDeleted("it was deleted")
        return run

    async def delete_run(self) -> None:
        """Delete the run's object, if it still has the same uid.

        Raises:
            RunDeleted: The run is deleted, always.
            ApiError: The request failed.
        """
        try:
            await self._client.delete(self._path, uid=self._uid)
        except (NotFound, Conflict) as error:
            raise RunDeleted("it was deleted already") from error
        raise RunDeleted("its time to live has passed")

    async def _write_events(self, run: ScoringRun, events: Iterable[Event], now: datetime) -> None:
        """Write events once, and log why the run does not progress; a failure is ignored."""
        path = f"/api/v1/namespaces/{run.namespace}/events"
        for event in (found := list(events)):
            if event.reason in _LOGGED_EVENTS:
                _log.warning("the run does not progress: %s", event.message)
        await run_all(self._client.create(path, event_manifest(run, event, now)) for event in found)


@contextmanager
def _not_found_means_deleted() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise RunDeleted("it was deleted") from error
