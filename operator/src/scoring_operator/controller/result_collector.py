"""Collection of Job results: when Jobs are inspected, and what is decided without their results meanwhile.

Failed and missing Jobs are inspected in the pass that detects them. Completed Jobs have already freed their slots, so
their results are collected in batches, every two seconds, concurrently with the passes.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from scoring_operator.api.views import JobView
from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.plan import needs_inspection
from scoring_operator.planner.types import JobSnapshot, RunState


@dataclass(frozen=True, slots=True)
class CollectedResults:
    """The results that were collected in one pass.

    Attributes:
        by_job: The results, by Job name.
        existing: The missing Jobs that exist, although the informer does not show them.
        retry_in: Seconds until the Jobs without a result are inspected; None if there are none.
        pending: Whether these Jobs have completed, and an end of the run waits for their results. It waits for a
            request that is being made, and for one more attempt after storage did not respond.
    """

    by_job: Mapping[str, JobResult] = field(default_factory=dict)
    existing: Mapping[str, JobView] = field(default_factory=dict)
    retry_in: float | None = None
    pending: bool = False


class ResultCollector:
    """Collects the results of one run's Jobs.

    Args:
        inspector: The inspector of the run's Jobs.
        timings: The intervals.
    """

    def __init__(self, inspector: JobInspector, timings: ControllerTimings) -> None:
        self._inspector = inspector
        self._timings = timings
        self._request: asyncio.Task[tuple[dict[str, JobResult], dict[str, JobView]]] | None = None
        self._requested_at = 0.0
        self._pending_until: float | None = None  # None before the run is about to end
        self._last: Mapping[str, JobResult] | None = None  # before the end; empty in the pass that records them

    async def collect(self, state: RunState, jobs: JobSnapshot) -> CollectedResults:
        """Inspect the Jobs that are due, and return the results that are known by now.

        Args:
            state: The state of the run.
            jobs: The Jobs of the run, without overdue ones.

        Raises:
            ApiError: A request failed, in this pass or since the last one.
        """
        last, self._last = self._last, {} if self._last else None  # if this pass fails, a later one reads them again
        if last:
            return CollectedResults(last)
        names = list(needs_inspection(state, jobs))
        if not names or not state.progress:
            return CollectedResults()
        batches = state.progress.open_batches
        wait = None
        if _can_wait(batches, names, jobs):
            wait = self._requested_at + self._timings.collect_interval - time.monotonic()
        if self._request is None and (wait is None or wait <= 0):
            self._requested_at = time.monotonic()
            self._request = asyncio.create_task(self._inspector.fetch_results(batches, names, jobs, state.fleet))
        collected = CollectedResults()
        if self._request and (wait is None or self._request.done()):
            request, self._request = self._request, None
            collected = CollectedResults(*await request)
        if collected.by_job.keys() | set(collected.existing) >= set(names):
            return collected
        if wait is None:
            return replace(collected, retry_in=0.0 if collected.by_job else self._timings.storage_backoff)
        # A pass for another reason takes the results of a pending request first; the status shows them as late anyway.
        retry_in = self._timings.status_interval if self._request else max(wait, 0.0)
        pending = bool(self._request) or self._pending_until is None or time.monotonic() < self._pending_until
        return replace(collected, retry_in=retry_in, pending=pending)

    async def collect_last(self, state: RunState, jobs: JobSnapshot, known: Mapping[str, JobResult]) -> bool:
        """Fetch the results that are lost if the run ends now; return True if the next pass has to record some.

        Args:
            state: The state of the run.
            jobs: The Jobs of the run.
            known: The results of this pass, which the next pass has to record, too.

        Raises:
            ApiError: A request failed.
        """
        if self._last is not None or not state.progress:
            return False
        certain = {name for name, result in known.items() if not result.provisional}
        batches = {name: batch for name, batch in state.progress.open_batches.items() if name not in certain}
        found = await self._inspector.fetch_last_results(batches, jobs, state.fleet)
        self._last = {**known, **found} if found else {}
        return bool(found)

    def collect_now(self) -> None:
        """Inspect completed Jobs in the next pass, without waiting for the interval, because the run is to end."""
        self._requested_at = 0.0
        if self._pending_until is None:
            self._pending_until = time.monotonic() + 2 * self._timings.storage_backoff

    def close(self) -> None:
        """Cancel the pending request."""
        if self._request and not self._request.cancel() and not self._request.cancelled():
            self._request.exception()  # retrieve the error, which has no receiver any more


def _can_wait(open_batches: Collection[str], names: Collection[str], jobs: JobSnapshot) -> bool:
    """Return True if no decision depends on these Jobs: they have completed, and other Jobs are active."""
    completed = all(name in jobs.visible and not jobs.is_active(name) for name in names)
    return completed and any(map(jobs.is_active, open_batches))
