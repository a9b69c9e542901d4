"""Carrying out a plan's writes: Jobs created, suspended, deleted; events. Decides nothing but what an answer means."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import JobView
from scoring_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    LeaseLost,
    NotFound,
    QuotaExceeded,
    Throttled,
    Unavailable,
)
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker
from scoring_operator.resources import config_maps
from scoring_operator.resources.events import Event, event_manifest
from scoring_operator.resources.jobs import ScorerImage, build_job, build_report_job

MAX_CREATES_PER_PASS = 200  # Jobs created in one pass, so that status keeps its pace while thousands start

_log = logging.getLogger(__name__)
_BLOCKER_REASONS: dict[type[ApiError], str] = {
    QuotaExceeded: "QuotaExceeded",
    Forbidden: "Forbidden",
    Invalid: "JobRejected",
    Throttled: "Throttled",
    NotFound: "NamespaceNotFound",
    ApiError: "ApiError",
}


class JobWriter:
    """Writes for one run.

    Attributes:
        assumed: Jobs that were created here and that the mirror may not show yet, with the time of that (monotonic).
        known: Jobs that were created or seen here and whose batches progress does not yet call created.
    """

    def __init__(self, cluster: KubeClient, image: ScorerImage) -> None:
        self._cluster = cluster
        self._image = image
        self.assumed: dict[str, float] = {}
        self.known: set[str] = set()

    async def create(
        self,
        run: ScoringRun,
        fleet: Fleet,
        devices: Sequence[str],
        batches: Mapping[str, Batch],
        seen: Collection[str],
    ) -> Blocker | None:
        """Create Jobs; answers why some were refused, where that is not this request's fault alone.

        Args:
            run: whose Jobs.
            fleet: as frozen with the run.
            devices: the frozen device list.
            batches: what to create, by name.
            seen: Jobs that the mirror shows, in a view that changes meanwhile.

        Raises:
            LeaseLost: another operator is the active one.
        """

        async def one(name: str, batch: Batch) -> None:
            ids = [devices[position] for position in batch.positions]
            await self._create(run, build_job(run, fleet, self._image, name=name, batch=batch, devices=ids))
            self.known.add(name)
            if name not in seen:
                self.assumed[name] = time.monotonic()

        errors = await _all(one(name, batch) for name, batch in islice(batches.items(), MAX_CREATES_PER_PASS))
        return next(filter(None, map(blocker_for, errors)), None)

    async def create_report(
        self, run: ScoringRun, fleet: Fleet, lists: Sequence[str], seen: Collection[str]
    ) -> Blocker | None:
        """Create the report's Job; answers as `create` does."""
        job = build_report_job(run, fleet, self._image, device_list_names=lists)
        errors = await _all([self._create(run, job)])
        name = job["metadata"]["name"]
        if not errors and name not in seen:
            self.assumed[name] = time.monotonic()
        return next(filter(None, map(blocker_for, errors)), None)

    async def _create(self, run: ScoringRun, job: dict[str, Any]) -> None:
        path, name = f"/apis/batch/v1/namespaces/{run.namespace}/jobs", job["metadata"]["name"]
        try:
            await self._cluster.create(path, msgspec.json.encode(job))
        except AlreadyExists:
            there = await self._cluster.get(f"{path}/{name}")
            if not config_maps.is_owned_by(run, there):
                whose = config_maps.describe_owner(there)
                message = f"a Job {name} exists and belongs to {whose}; delete it, or give the run another name"
                raise AlreadyExists(message, reason="NameConflict") from None

    async def suspend(self, run: ScoringRun, wanted: Mapping[str, bool]) -> None:
        """Suspend or resume Jobs; one that is gone is the next pass's business."""
        path = f"/apis/batch/v1/namespaces/{run.namespace}/jobs"
        await _all(
            self._cluster.patch(f"{path}/{name}", {"spec": {"suspend": suspended}})
            for name, suspended in wanted.items()
        )

    async def delete(self, run: ScoringRun, names: Iterable[str], jobs: Mapping[str, JobView]) -> None:
        """Delete Jobs, each only if it is the very one that was seen."""
        path = f"/apis/batch/v1/namespaces/{run.namespace}/jobs"
        await _all(
            self._cluster.delete(f"{path}/{name}", uid=jobs[name].metadata.uid) for name in names if name in jobs
        )

    async def tell(self, run: ScoringRun, events: Iterable[Event], now: datetime) -> None:
        """Write events; one that cannot be written is not worth a second try."""
        path = f"/api/v1/namespaces/{run.namespace}/events"
        await _all(self._cluster.create(path, event_manifest(run, event, now)) for event in events)


def blocker_for(error: ApiError) -> Blocker | None:
    """What a refusal means for the run; None for one that passes by itself or that the next pass sorts out."""
    if error.reason == "NameConflict":
        return Blocker("NameConflict", error.message)
    reason = next((_BLOCKER_REASONS[kind] for kind in type(error).mro() if kind in _BLOCKER_REASONS), "ApiError")
    transient = isinstance(error, Conflict | AlreadyExists | Unavailable)
    return None if transient else Blocker(reason, f"the API server refuses: {error.message}")


async def _all(calls: Iterable[Awaitable[object]]) -> list[ApiError]:
    """Make all calls; one that fails stops no other. Answers what failed."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    errors = []
    for answer in answers:
        if isinstance(answer, ApiError) and not isinstance(answer, LeaseLost):
            _log.debug("%s", answer)
            errors.append(answer)
        elif isinstance(answer, BaseException):
            raise answer
    return errors
