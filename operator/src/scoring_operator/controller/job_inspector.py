"""Looking at Jobs: the pods of finished ones, whether missing ones are gone, outcome records. Decides nothing.

Pods are not watched: each Job is looked at once, when it has finished, many in one list.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.names import RUN_UID_LABEL, report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.api.views import PodView
from scoring_operator.contract.outcome_message import parse_outcome_message, sanitize
from scoring_operator.errors import NotFound, StorageError
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.job_results import JobResult, last_pod_failure, pending_reason, result_from_pods
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, Observation
from scoring_operator.storage.protocol import FleetStorage

JOBS_PER_LIST = 100  # names in one selector: 6 KB of URL
MAX_LOOKUPS = 50  # missing Jobs asked for in one pass
STORAGE_BACKOFF_SECONDS = 5.0  # after storage could not be read
TERMINAL_SELECTOR = "status.phase!=Pending,status.phase!=Running"

_log = logging.getLogger(__name__)


class JobInspector:
    """Looks at the Jobs of one run."""

    def __init__(self, cluster: KubeClient, storage: FleetStorage, run: ScoringRun) -> None:
        self._cluster = cluster
        self._storage = storage
        self._run = run
        self._deaf_until = 0.0

    async def words(
        self, seen: Observation, names: Sequence[str], fleet: Fleet
    ) -> tuple[dict[str, JobResult], list[str]]:
        """What Jobs say, by name; and those missing ones that are there after all, though the mirror lags.

        A Job of which nothing certain can be said now (storage does not answer) is in neither.
        """
        batches = seen.progress.open_batches if seen.progress else {}
        finished = [name for name in names if name in seen.jobs]
        missing = [name for name in names if name not in seen.jobs][:MAX_LOOKUPS]
        words: dict[str, JobResult] = {}
        for at in range(0, len(finished), JOBS_PER_LIST):
            words |= await self._listen(finished[at : at + JOBS_PER_LIST], batches)
        there = await self.there(missing)
        words |= {name: JobResult(missing=True) for name in missing if name not in there}
        mute = [
            name
            for name, word in words.items()
            if not (word.message and word.message.is_complete_for(_size(batches[name])))
        ]
        for name, record in zip(mute, await self._records(mute, fleet), strict=True):
            if record is None:
                del words[name]
            elif said := parse_outcome_message(record, _size(batches[name])):
                words[name] = replace(words[name], message=said)
        return words, there

    async def report(self, seen: Observation) -> JobResult | None:
        """How the report's Job failed, or that it is gone; None where it is there though the mirror lags."""
        name = report_job_name(self._run)
        if name in seen.jobs:
            return last_pod_failure(await self._terminal_pods([name]))
        return None if await self.there([name]) else JobResult(missing=True)

    async def there(self, names: Iterable[str]) -> list[str]:
        """Those Jobs that the API server has, whatever the mirror shows."""

        async def there(name: str) -> str | None:
            try:
                await self._cluster.get(f"/apis/batch/v1/namespaces/{self._run.namespace}/jobs/{name}")
            except NotFound:
                return None
            return name

        return [name for name in await asyncio.gather(*map(there, names)) if name]

    async def why_waiting(self, seen: Observation) -> Blocker | None:
        """Why none of the run's pods starts: what the pods or their Jobs' events complain of."""
        base = f"/api/v1/namespaces/{self._run.namespace}"
        selector = f"{RUN_UID_LABEL}={self._run.uid}"
        pods, _ = await self._cluster.list(
            f"{base}/pods", label_selector=selector, field_selector="status.phase=Pending", type=PodView
        )
        if found := pending_reason(pods):
            return Blocker(found[0], f"pods do not start: {found[1] or found[0]}", allows_probe=False)
        if pods or not seen.progress:
            return None
        events, _ = await self._cluster.list(
            f"{base}/events", field_selector="involvedObject.kind=Job,reason=FailedCreate", type=dict[str, Any]
        )
        for event in reversed(events):
            if event.get("involvedObject", {}).get("name") in seen.progress.open_batches:
                return Blocker(
                    "PodsRejected", f"pods are refused: {sanitize(event.get('message', ''))}", allows_probe=False
                )
        return None

    async def _listen(self, names: list[str], batches: Mapping[str, Batch]) -> dict[str, JobResult]:
        by_job: dict[str, list[PodView]] = {name: [] for name in names}
        for pod in await self._terminal_pods(names):
            by_job[pod.metadata.labels.job_name].append(pod)
        return {name: result_from_pods(mine, _size(batches[name])) for name, mine in by_job.items()}

    async def _terminal_pods(self, jobs: list[str]) -> list[PodView]:
        pods, _ = await self._cluster.list(
            f"/api/v1/namespaces/{self._run.namespace}/pods",
            label_selector=f"batch.kubernetes.io/job-name in ({','.join(jobs)})",
            field_selector=TERMINAL_SELECTOR,
            type=PodView,
        )
        return pods

    async def _records(self, names: list[str], fleet: Fleet) -> list[bytes | None]:
        """The outcome records of Jobs: b'' where there is none, None where storage does not answer now."""
        if time.monotonic() < self._deaf_until:
            return [None] * len(names)

        async def read(name: str) -> bytes | None:
            try:
                return await self._storage.read_outcome(fleet, self._run.uid, name) or b""
            except StorageError as error:
                if time.monotonic() >= self._deaf_until:
                    _log.warning("outcome records cannot be read: %s", error)
                self._deaf_until = time.monotonic() + STORAGE_BACKOFF_SECONDS
                return None

        return await asyncio.gather(*map(read, names))


def _size(batch: Batch) -> int:
    return len(batch.positions)
