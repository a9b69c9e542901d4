"""Inspection of Jobs: the pods of finished and of waiting Jobs, the existence of missing Jobs, and outcome records.

Pods are not watched. Each Job is inspected when it has finished, and one list request covers many Jobs. A Job without a
ready pod is inspected from time to time. Its pod may not start, or may not end although its scorer has ended.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import printable
from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import RunRef
from scoring_operator.api.views import JobView, PodView
from scoring_operator.contract.outcome_message import parse_outcome_message
from scoring_operator.controller.pod_reader import JOBS_PER_LIST, TERMINAL_SELECTOR, PodReader
from scoring_operator.errors import NotFound, StorageError
from scoring_operator.kube.client import KubeClient
from scoring_operator.planner.job_changes import HELD_REPORT
from scoring_operator.planner.job_results import (
    TOO_MANY_PODS,
    JobResult,
    report_result,
    result_from_pods,
    unfinished_report_result,
    unfinished_result,
    with_job_failure,
)
from scoring_operator.planner.pod_reasons import (
    event_reason,
    is_explained,
    is_permanent,
    running_containers,
    terminating_text,
    unexplained_reason,
    waiting_reason,
)
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, JobSnapshot
from scoring_operator.storage.protocol import FleetStorage

MAX_LOOKUPS = 50  # missing Jobs that one pass asks for
MAX_LAST_RECORDS = 500  # outcome records that are read before a run ends
MAX_EXPLAINED_PODS = 3  # waiting pods of one inspection whose events are read
MAX_BLOCKER_LENGTH = 800  # characters of the text of a blocker: a condition has at most 1,024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of an inspection of Jobs without a ready pod.

    Attributes:
        blocker: Why pods do not start; None if no reason is known.
        results: The results of the Jobs whose scorer has started or ended.
        endless: The containers that keep pods from ending, although their scorer has ended.
        terminating: A sentence about a pod that is being deleted and remains, although its scorer started.
    """

    blocker: Blocker | None = None
    results: Mapping[str, JobResult] = field(default_factory=dict)
    endless: Collection[str] = ()
    terminating: str = ""


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
        self._pods = PodReader(client, run.namespace)
        self._storage = storage
        self._storage_backoff = storage_backoff
        self._retry_storage_at = 0.0

    async def fetch_results(
        self, batches: Mapping[str, Batch], names: Sequence[str], jobs: JobSnapshot, fleet: Fleet | None
    ) -> tuple[dict[str, JobResult], dict[str, JobView]]:
        """Fetch the results of finished and missing Jobs.

        Args:
            batches: The open batches, by Job name.
            names: The names of the Jobs to inspect.
            jobs: The Jobs of the run.
            fleet: The fleet of the run; None to read no outcome records.

        Returns:
            The results by Job name, and the missing Jobs that exist, although the informer does not show them. A Job
            without a certain result, because storage does not respond, is in neither.

        Raises:
            ApiError: A request to the API server failed.
        """
        finished = [name for name in names if (job := jobs.visible.get(name)) and job.finished]
        missing = [name for name in names if name not in jobs.visible][:MAX_LOOKUPS]
        results: dict[str, JobResult] = {}
        for start in range(0, len(finished), JOBS_PER_LIST):
            found = await self._results_of_pods(finished[start : start + JOBS_PER_LIST], batches)
            visible = {name: jobs.visible.get(name, JobView()) for name in found}  # it may be deleted meanwhile
            results |= {name: with_job_failure(result, visible[name]) for name, result in found.items()}
        existing = await self.existing(missing)
        results |= {name: JobResult(missing=True) for name in missing if name not in existing}
        return await self._with_records(results, batches, fleet), existing

    async def inspect_waiting(self, names: Sequence[str], batches: Mapping[str, Batch], fleet: Fleet) -> Inspection:
        """Inspect Jobs that have no ready pod, at most 100: every container of their pods, and events.

        Args:
            names: The names of the Jobs.
            batches: The open batches, by Job name.
            fleet: The fleet of the run.

        Raises:
            ApiError: A request to the API server failed.
        """
        by_job = (await self._pods.pods(names[:JOBS_PER_LIST])).by_job
        found = {name: unfinished_result(pods, _size(batches[name])) for name, pods in by_job.items()}
        ended = {name: result for name, result in found.items() if result and result.ended}
        ended = await self._with_records(ended, batches, fleet)
        started = {name: result for name, result in found.items() if result and not result.ended}
        waiting = {name: pods for name, pods in by_job.items() if found[name] is None}
        endless = {one for name in ended for pod in by_job[name] for one in running_containers(pod)}
        lost = (terminating_text(pod) for name in started for pod in by_job[name] if pod.terminating)
        return Inspection(await self._start_blocker(waiting), started | ended, sorted(endless), next(lost, ""))

    async def fetch_last_results(
        self, batches: Mapping[str, Batch], jobs: JobSnapshot, fleet: Fleet | None
    ) -> dict[str, JobResult]:
        """Fetch the results of open Jobs whose scorer has ended, before the run ends without them.

        An outcome record is read only if a Job's pod does not exist, or ended without a complete message.

        Args:
            batches: The open batches, by Job name.
            jobs: The Jobs of the run.
            fleet: The fleet of the run; None to read no outcome records.

        Raises:
            ApiError: A request to the API server failed.
        """
        names = [name for name in batches if name in jobs.visible]
        results: dict[str, JobResult] = {}
        for start in range(0, len(names), JOBS_PER_LIST):
            listed = names[start : start + JOBS_PER_LIST]
            finished = {name for name in listed if jobs.visible.get(name, JobView()).finished}  # they may end meanwhile
            found = await self._pods.pods(listed)
            for name, pods in found.by_job.items():
                if name in finished:
                    results[name] = result_from_pods(pods, _size(batches[name]))
                elif (result := unfinished_result(pods, _size(batches[name]))) and result.ended:
                    results[name] = result
                elif all(pod.ended or pod.scorer.terminated for pod in pods) and len(results) < MAX_LAST_RECORDS:
                    results[name] = JobResult(ended=True)
        known = await self._with_records(results, batches, fleet)
        return {name: result for name, result in known.items() if result.message or result.failure_reason}

    async def inspect_report(self, jobs: JobSnapshot) -> tuple[JobResult | None, Blocker | None]:
        """Inspect the report Job.

        Args:
            jobs: The Jobs of the run.

        Returns:
            The result, which may be that the Job is missing (None if there is none yet), and the blocker of its pod's
            start. A Job that another controller suspends has no pods.

        Raises:
            ApiError: A request failed.
        """
        name = report_job_name(self._run)
        job = jobs.visible.get(name)
        if job is None:
            return (None if await self.existing([name]) else JobResult(missing=True)), None
        if job.finished:
            return report_result((await self._pods.pods([name], TERMINAL_SELECTOR)).by_job[name]), None
        pods = (await self._pods.pods([name])).by_job[name]
        result = unfinished_report_result(pods)
        if not result and (job.spec.suspend or job.spec.parallelism == 0):
            return None, HELD_REPORT
        started = result or any(pod.scorer.running for pod in pods if not pod.ended)
        return result, None if started else await self._start_blocker({name: pods})

    async def existing(self, names: Iterable[str]) -> dict[str, JobView]:
        """Return the run's Jobs that the API server has, by name.

        The names come from progress, which other users may edit, so a Job of another owner does not exist for the run.
        As in the informer, the label has the uid of an orphaned Job.

        Args:
            names: The names of the Jobs to ask for.

        Raises:
            ApiError: A request failed.
        """

        async def find(name: str) -> JobView | None:
            try:
                found = await self._client.get(f"/apis/batch/v1/namespaces/{self._run.namespace}/jobs/{name}")
            except NotFound:
                return None
            job = msgspec.convert(found, JobView)
            return job if job.owner_uid == self._run.uid else None

        return {job.name: job for job in await asyncio.gather(*map(find, names)) if job}

    async def _start_blocker(self, waiting: Mapping[str, Sequence[PodView]]) -> Blocker | None:
        """Return why the pods of Jobs do not start: a permanent reason before others.

        Args:
            waiting: The pods by Job name, without a started scorer.
        """
        pods = [pod for found in waiting.values() for pod in found if not pod.ended]
        states = [(pod, waiting_reason(pod)) for pod in pods]
        explained = [found for _, found in states if found and is_explained(found)]
        for pod, known in [(pod, known) for pod, known in states if not is_explained(known)][:MAX_EXPLAINED_PODS]:
            found = event_reason(await self._pods.events(f"involvedObject.uid={pod.metadata.uid}"))
            reason = known[0] if known else None
            explained.append((reason or found[0], found[1]) if found else known or unexplained_reason(pod))
        blockers = [_start_blocker(*found) for found in explained]
        if without_pods := [name for name, found in waiting.items() if not any(not pod.ended for pod in found)]:
            blockers += await self._rejections(without_pods)
        return next((one for one in blockers if one.permanent), blockers[0] if blockers else None)

    async def _rejections(self, names: Collection[str]) -> list[Blocker]:
        """Return why the pods of Jobs were rejected, from the latest event of these Jobs."""
        events = await self._pods.events("involvedObject.kind=Job,reason=FailedCreate")
        found = event_reason(one for one in events if one.involved_object.name in names)
        if found is None:
            return []
        text = printable(found[1], MAX_BLOCKER_LENGTH)
        permanent = is_permanent("PodsRejected", text)
        return [Blocker("PodsRejected", f"pods are rejected: {text}", allows_probe=False, permanent=permanent)]

    async def _with_records(
        self, results: Mapping[str, JobResult], batches: Mapping[str, Batch], fleet: Fleet | None
    ) -> dict[str, JobResult]:
        """Return results with the outcome record instead of an incomplete message; without those that need one now."""
        complete = dict(results)
        if fleet is None:  # no record can be read
            return complete
        without_message = [
            name
            for name, result in results.items()
            if not (result.message and result.message.is_complete_for(_size(batches[name])))
        ]
        for name, record in zip(without_message, await self._outcome_records(without_message, fleet), strict=True):
            if record is None:
                del complete[name]
            elif message := parse_outcome_message(record, _size(batches[name])):
                complete[name] = replace(complete[name], message=message)
        return complete

    async def _results_of_pods(self, names: list[str], batches: Mapping[str, Batch]) -> dict[str, JobResult]:
        found = await self._pods.pods(names, TERMINAL_SELECTOR)
        results = {name: result_from_pods(pods, _size(batches[name])) for name, pods in found.by_job.items()}
        hidden = {name for name in found.unread if not found.by_job[name]}
        return results | {name: replace(results[name], failure_detail=TOO_MANY_PODS) for name in hidden}

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


def _start_blocker(reason: str, message: str) -> Blocker:
    text = printable(message or reason, MAX_BLOCKER_LENGTH)
    return Blocker(reason, f"pods do not start: {text}", allows_probe=False, permanent=is_permanent(reason, text))


def _size(batch: Batch) -> int:
    return len(batch.positions)
