"""Telling of a run: its status, when it has changed and may be written, and the events that go with it."""

import time
from typing import Any

from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, ScoringRun, parse_run
from scoring_operator.controller.job_writer import JobWriter
from scoring_operator.errors import Conflict, NotFound, RunDeleted
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.types import Observation, Plan
from scoring_operator.resources import status
from scoring_operator.resources.events import status_events

STATUS_INTERVAL_SECONDS = 1.0  # seconds between writes of status, but for the end's, which others wait for


class StatusWriter:
    """Writes one run's status."""

    def __init__(self, cluster: KubeClient, run: ScoringRun, hands: JobWriter) -> None:
        self._cluster = cluster
        self._hands = hands
        self._uid = run.uid
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{run.namespace}/{PLURAL}/{run.name}"
        self._told_at = 0.0

    async def report(self, run: ScoringRun, decided: Plan, seen: Observation) -> tuple[ScoringRun, float | None]:
        """Write status if it changed and may be written.

        Returns:
            The run as it is now, and in how many seconds status may be written where it may not yet.

        Raises:
            RunGoneError: the run is not there any more.
        """
        now, old = self._cluster.now(), run.status
        new = status.build_status(run, decided, seen, now)
        if not status.needs_update(old, new):
            return run, None
        wait = self._told_at + STATUS_INTERVAL_SECONDS - time.monotonic()
        if wait > 0 and not decided.end:
            return run, wait
        self._told_at = time.monotonic()
        try:
            body = await self._cluster.patch(
                self._path,
                {"status": status.merge_patch(old, new)},
                resource_version=run.resource_version,
                subresource="status",
            )
        except Conflict:
            return await self.read(), 0.0
        except NotFound as error:
            raise RunDeleted("it was deleted") from error
        run = parse_run(body)
        await self._hands.tell(run, status_events(old, decided, new), now)
        return run, None

    async def read(self) -> ScoringRun:
        """Read the run's object.

        Raises:
            RunGoneError: it is not there, or another of the same name.
        """
        try:
            body: dict[str, Any] = await self._cluster.get(self._path)
        except NotFound as error:
            raise RunDeleted("it was deleted") from error
        run = parse_run(body)
        if run.uid != self._uid or run.deleting:
            raise RunDeleted("it was deleted")
        return run

    async def delete(self) -> None:
        """Delete the run.

        Raises:
            RunGoneError: always, once it is gone.
        """
        try:
            await self._cluster.delete(self._path, uid=self._uid)
        except (NotFound, Conflict) as error:
            raise RunDeleted("it was deleted already") from error
        raise RunDeleted("its time to live has passed")
