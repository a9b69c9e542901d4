"""Inspection of Jobs: the pods of finished Jobs, the existence of missing Jobs, and outcome records.

Pods are not watched. Each Job is inspected once, when it has finished, and one list request covers many Jobs.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import RUN_UID_LABEL, report_job_name
from scoring_operator.api.scoringrun import RunRef
from scoring_operator.api.views import PodView
from scoring_operator.contract.outcome_message import parse_outcome_message, sanitize
from scoring_operator.errors import NotFound, StorageError
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.job_results import JobResult, last_pod_failure, pending_reason, result_from_pods
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, JobSnapshot
from scoring_operator.storage.protocol import FleetStorage

JOBS_PER_LIST = 100  # names in one label selector: 6 KB of URL
MAX_LOOKUPS = 50  # missing Jobs that one pass asks for
TERMINAL_SELECTOR = "status.phase!=Pending,status.phase!=Running"

_log = logging.getLogger(__name__)


class JobInspector:
    """Reads the results of one run's Jobs.

    Args:
        run: The run.
        client: The client of the API server.
        storage: The Blob Storage of the fleets.
        storage_backoff: Seconds before outcome records are read again after a failure.
    """

    def __init__(self, run: RunRef, client: KubeClient, storage: FleetStorage, storage_backoff: float) -> None:
        self._run = run
        self._client = client
        self._storage = storage
        self._storage_backoff = storage_backoff
        self._retry_storage_at = 0.0

    async def fetch_results(
        self, batches: Mapping[str, Batch], names: Sequence[str], jobs: JobSnapshot, fleet: Fleet
    ) -> tuple[dict[str, JobResult], list[str]]:
        """Fetch the results of finished and missing Jobs.

        Args:
            batches: The open batches, by Job name.
            names: The names of the Jobs to inspect.
            jobs: The Jobs of the run.
            fleet: The fleet of the run.

        Returns:
            The results by Job name, and the missing Jobs that exist, although the informer does not show them. A Job
            without a certain result, because storage does not respond, is in neither.

        Raises:
            ApiError: A request to the API server failed.
        """
        finished = [name for name in names if name in jobs.visible]
        missing = [name for name in names if name not in jobs.visible][:MAX_LOOKUPS]
        results: dict[str, JobResult] = {}
        for start in range(0, len(finished), JOBS_PER_LIST):
            results |= await self._results_of_pods(finished[start : start + JOBS_PER_LIST], batches)
        existing = await self.existing(missing)
        results |= {name: JobResult(missing=True) for name in missing if name not in existing}
        without_message = [
            name
            for name, result in results.items()
            if not (result.message and result.message.is_complete_for(_size(batches[name])))
        ]
        for name, record in zip(without_message, await self._outcome_records(without_message, fleet), strict=True):
            if record is None:
                del results[name]
            elif message := parse_outcome_message(record, _size(batches[name])):
                results[name] = replace(results[name], message=message)
        return results, existing

    async def fetch_report_result(self, jobs: JobSnapshot) -> JobResult | None:
        """Return why the report Job failed, or that it is missing; None if it exists but is not visible.

        Args:
            jobs: The Jobs of the run.

        Raises:
            ApiError: A request failed.
        """
        name = report_job_name(self._run)
        if name in jobs.visible:
            return last_pod_failure(await self._terminal_pods([name]))
        return None if await self.existing([name]) else JobResult(missing=True)

    async def existing(self, names: Iterable[str]) -> list[str]:
        """Return the Jobs that the API server has.

        Args:
            names: The names of the Jobs to ask for.

        Raises:
            ApiError: A request failed.
        """

        async def find(name: str) -> str | None:
            try:
                await self._client.get(f"/apis/batch/v1/namespaces/{self._run.namespace}/jobs/{name}")
            except NotFound:
                return None
            return name

        return [name for name in await asyncio.gather(*map(find, names)) if name]

    async def pending_reason(self, open_batches: Collection[str]) -> Blocker | None:
        """Return why the run's pods do not start, from the pods or from the events of their Jobs.

        Args:
            open_batches: The names of the open batches.

        Raises:
            ApiError: A request failed.
        """
        base = f"/api/v1/namespaces/{self._run.namespace}"
        selector = f"{RUN_UID_LABEL}={self._run.uid}"
        pods, _ = await self._client.list(
            f"{base}/pods", label_selector=selector, field_selector="status.phase=Pending", type=PodView
        )
        if found := pending_reason(pods):
            return Blocker(found[0], f"pods do not start: {found[1] or found[0]}", allows_probe=False)
        if pods or not open_batches:
            return None
        events, _ = await self._client.list(
            f"{base}/events", field_selector="involvedObject.kind=Job,reason=FailedCreate", type=dict[str, Any]
        )
        for event in reversed(events):
            if event.get("involvedObject", {}).get("name") in open_batches:
                message = f"pods are rejected: {sanitize(event.get('message', ''))}"
                return Blocker("PodsRejected", message, allows_probe=False)
        return None

    async def _results_of_pods(self, names: list[str], batches: Mapping[str, Batch]) -> dict[str, JobResult]:
        by_job: dict[str, list[PodView]] = {name: [] for name in names}
        for pod in await self._terminal_pods(names):
            by_job[pod.metadata.labels.job_name].append(pod)
        return {name: result_from_pods(pods, _size(batches[name])) for name, pods in by_job.items()}

    async def _terminal_pods(self, jobs: list[str]) -> list[PodView]:
        pods, _ = await self._client.list(
            f"/api/v1/namespaces/{self._run.namespace}/pods",
            label_selector=f"batch.kubernetes.io/job-name in ({','.join(jobs)})",
            field_selector=TERMINAL_SELECTOR,
            type=PodView,
        )
        return pods

    async def _outcome_records(self, names: list[str], fleet: Fleet) -> list[bytes | None]:
        """Return the outcome records of Jobs: b'' if a Job has none, None if storage does not respond."""
        if time.monotonic() < self._retry_storage_at:
            return [None] * len(names)

        async def read(name: str) -> bytes | None:
            try:
                return await self._storage.read_outcome(fleet, self._run.uid, name) or b""
            except StorageError as error:
                if time.monotonic() >= self._retry_storage_at:
                    _log.warning("outcome records cannot be read: %s", error)
                self._retry_storage_at = time.monotonic() + self._storage_backoff
                return None

        return await asyncio.gather(*map(read, names))


def _size(batch: Batch) -> int:
    return len(batch.positions)
