"""The writes of Jobs: they are created, suspended, resumed and deleted as a plan says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from scoring_operator import errors
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import SUSPENDED_ANNOTATION
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import ApiError
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, JobSnapshot
from scoring_operator.resources import config_maps
from scoring_operator.resources.jobs import ScorerImage, build_job, build_report_job, template_digest

WEBHOOK_TEXT = "failed calling webhook"  # of status 500 of the API server
MAX_CREATES_PER_PASS = 200  # so that status is written every second while thousands of Jobs are created

_log = logging.getLogger(__name__)
_BLOCKER_REASONS: dict[type[ApiError], str] = {
    errors.NameConflict: "NameConflict",
    errors.QuotaExceeded: "QuotaExceeded",
    errors.Forbidden: "Forbidden",
    errors.Invalid: "JobRejected",
    errors.Throttled: "Throttled",
    errors.NotFound: "NamespaceNotFound",
    ApiError: "ApiError",
}


@dataclass(frozen=True, slots=True)
class Creation:
    """The result of the creation of Jobs.

    Attributes:
        rejection: The reason why Jobs were rejected, if other Jobs would be rejected too.
        rejected: The reasons that may concern one Job only, such as a policy, by the name of the Job.
        created: The names of the Jobs that exist now.
    """

    rejection: Blocker | None = None
    rejected: Mapping[str, Blocker] = field(default_factory=dict)
    created: Collection[str] = ()


class JobWriter:
    """Writes the Jobs of one run.

    Args:
        client: The client of the API server.
        image: The image of the scorer.
        jobs: The tracker of the run's Jobs, which records each created Job.
    """

    def __init__(self, client: KubeClient, image: ScorerImage, jobs: JobTracker) -> None:
        self._client = client
        self._image = image
        self._jobs = jobs
        self._template: tuple[Fleet, str] | None = None

    async def create(
        self, run: ScoringRun, fleet: Fleet, devices: Sequence[str], batches: Mapping[str, Batch]
    ) -> Creation:
        """Create the Jobs of batches, at most 200 at once.

        Args:
            run: The run.
            fleet: The fleet of the run.
            devices: The device list.
            batches: The batches, by the name of their Job.

        Raises:
            LeaseLost: This process may not be the leader any more.
        """
        template = self.template(run, fleet)
        rejected: dict[str, Blocker] = {}
        created: list[str] = []

        async def create(name: str, batch: Batch) -> None:
            ids = [devices[position] for position in batch.positions]
            job = build_job(run, fleet, self._image, name=name, batch=batch, devices=ids, template=template)
            try:
                await self._create(run, job)
            except ApiError as error:
                if (blocker := blocker_for(error)) and blocker.permanent:
                    rejected[name] = blocker
                raise
            created.append(name)

        failures = await run_all(create(name, batch) for name, batch in islice(batches.items(), MAX_CREATES_PER_PASS))
        blockers = (blocker for blocker in map(blocker_for, failures) if blocker and not blocker.permanent)
        return Creation(next(blockers, None), rejected, created)

    async def create_report(self, run: ScoringRun, fleet: Fleet, device_list_names: Sequence[str]) -> Blocker | None:
        """Create the report Job.

        Args:
            run: The run.
            fleet: The fleet of the run.
            device_list_names: The names of the ConfigMaps of the device list.

        Returns:
            The reason why the Job was rejected; None if it was not, or if the next pass resolves it.

        Raises:
            LeaseLost: This process may not be the leader any more.
        """
        job = build_report_job(run, fleet, self._image, device_list_names=device_list_names)
        failures = await run_all([self._create(run, job)])
        return next(filter(None, map(blocker_for, failures)), None)

    async def suspend(self, run: ScoringRun, changes: Mapping[str, bool]) -> None:
        """Suspend or resume Jobs, and mark the suspended ones as the operator's.

        The next pass retries a failed change, and detects a missing Job.

        Args:
            run: The run.
            changes: Whether a Job is to be suspended (True) or resumed (False), by its name.

        Raises:
            LeaseLost: This process may not be the leader any more.
        """
        await run_all(
            self._change(
                name,
                partial(
                    self._client.patch,
                    f"{_collection(run)}/{name}",
                    {
                        "metadata": {"annotations": {SUSPENDED_ANNOTATION: "true" if suspended else None}},
                        "spec": {"suspend": suspended},
                    },
                ),
            )
            for name, suspended in changes.items()
        )

    async def delete(
        self, run: ScoringRun, names: Collection[str], jobs: JobSnapshot, *, unchanged: bool = False
    ) -> None:
        """Delete Jobs, with their uid as a precondition: a new Job of the same name is kept.

        Args:
            run: The run.
            names: The names of the Jobs.
            jobs: The Jobs of the run.
            unchanged: True to keep Jobs that have changed since they were observed: a pod may have started meanwhile.

        Raises:
            LeaseLost: This process may not be the leader any more.
        """
        found = ((name, job.metadata) for name in names if (job := jobs.visible.get(name)))
        await run_all(
            self._change(
                name,
                partial(
                    self._client.delete,
                    f"{_collection(run)}/{name}",
                    uid=known.uid,
                    resource_version=known.resource_version if unchanged else None,
                ),
            )
            for name, known in found
        )

    def template(self, run: ScoringRun, fleet: Fleet | None) -> str:
        """Return the digest of the current settings of the run's pods; empty without a fleet.

        Args:
            run: The run.
            fleet: The fleet of the run.
        """
        if fleet is None:
            return ""
        if self._template is None or self._template[0] is not fleet:
            self._template = fleet, template_digest(run, fleet, self._image)
        return self._template[1]

    async def _create(self, run: ScoringRun, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        try:
            await self._client.create(_collection(run), msgspec.json.encode(job))
        except errors.AlreadyExists:
            existing = await self._client.get(f"{_collection(run)}/{name}")
            if not config_maps.is_owned_by(run, existing):
                owner = config_maps.describe_owner(existing)
                message = f"a Job {name} exists and belongs to {owner}; delete it, or give the run another name"
                raise errors.NameConflict(message) from None
        self._jobs.expect(name)

    async def _change(self, name: str, request: Callable[[], Awaitable[object]]) -> None:
        """Make a request for an existing Job. If there is none, the informer may not show that for minutes."""
        try:
            await request()
        except errors.NotFound:
            self._jobs.forget(name)
            raise


def request_blocker(error: ApiError) -> Blocker | None:
    """Return the blocker for a rejected request that is not about a Job, as `blocker_for` does.

    Args:
        error: The error of the request.
    """
    blocker = blocker_for(error)
    return replace(blocker, reason="RequestRejected") if blocker and isinstance(error, errors.Invalid) else blocker


def blocker_for(error: ApiError) -> Blocker | None:
    """Return the blocker for a rejected Job; None if the error is transient or the next pass resolves it.

    Args:
        error: The error of the request.
    """
    if isinstance(error, errors.LeaseLost):
        return None
    if isinstance(error, errors.Unavailable) and WEBHOOK_TEXT in error.message:
        return Blocker("WebhookFailed", f"an admission webhook of the cluster does not respond: {error.message}")
    if isinstance(error, errors.Conflict | errors.AlreadyExists | errors.Unavailable):
        return None
    reason = next(_BLOCKER_REASONS[kind] for kind in type(error).mro() if kind in _BLOCKER_REASONS)
    permanent = isinstance(error, errors.NameConflict | errors.Invalid | errors.Forbidden)
    permanent = permanent and not isinstance(error, errors.QuotaExceeded)
    if isinstance(error, errors.NameConflict):
        return Blocker(reason, error.message, permanent=permanent)
    return Blocker(reason, f"the API server rejects the request: {error.message}", permanent=permanent)


async def run_all(calls: Iterable[Awaitable[object]]) -> list[ApiError]:
    """Make requests concurrently and to completion; a failed one does not stop the others.

    Args:
        calls: The requests.

    Returns:
        The errors of the requests that failed.

    Raises:
        LeaseLost: This process may not be the leader any more.
    """
    failures = []
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, ApiError) and not isinstance(result, errors.LeaseLost):
            _log.debug("%s", result)
            failures.append(result)
        elif isinstance(result, BaseException):
            raise result
    return failures


def _collection(run: ScoringRun) -> str:
    return f"/apis/batch/v1/namespaces/{run.namespace}/jobs"
