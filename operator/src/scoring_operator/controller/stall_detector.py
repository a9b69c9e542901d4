"""Detection of stalled runs: a run without progress gets the blocker that prevents it."""

import time
from collections.abc import Collection

from scoring_operator.controller.job_inspector import JobInspector
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.planner.types import Blocker, JobSnapshot


class StallDetector:
    """The owner of one run's blocker.

    A run has one blocker at a time. In one pass they take precedence in this order:

    1. The API server rejects Jobs. The blocker is kept until a pass in which no Job is rejected.
    2. Pods do not start. The blocker is kept until a pod runs, a result arrives, or the run pauses.
    3. Storage cannot be listed. The blocker is kept until the devices are discovered.

    A blocker of storage or of the API server allows one probe per pass, and the end of that pass clears it.

    Args:
        inspector: The inspector of the run's Jobs.
        timings: The intervals.
    """

    def __init__(self, inspector: JobInspector, timings: ControllerTimings) -> None:
        self._inspector = inspector
        self._timings = timings
        self._blocker: Blocker | None = None
        self._progressed_at = time.monotonic()
        self._inspected_at = 0.0

    @property
    def blocker(self) -> Blocker | None:
        """The current blocker."""
        return self._blocker

    @property
    def next_check_in(self) -> float:
        """The seconds until a pass has to inspect pending pods. No event announces a pod that does not start."""
        stalled_at = self._progressed_at + self._timings.stall_timeout
        due = max(stalled_at, self._inspected_at + self._timings.inspection_interval)
        return max(due - time.monotonic(), 0.0) + 0.1

    async def check(self, open_batches: Collection[str], jobs: JobSnapshot, *, progressing: bool) -> Blocker | None:
        """Return the blocker; inspect pending pods if nothing has progressed for too long.

        Args:
            open_batches: The names of the run's open batches.
            jobs: The Jobs of the run.
            progressing: Whether results arrived in this pass, or the run is paused.

        Raises:
            ApiError: A request failed.
        """
        now = time.monotonic()
        if progressing or _has_running_pod(open_batches, jobs):
            self._progressed_at = now
            if self._blocker and not self._blocker.allows_probe:
                self._blocker = None
        stalled = now - self._progressed_at > self._timings.stall_timeout
        if stalled and now - self._inspected_at > self._timings.inspection_interval:
            self._inspected_at = now
            self._blocker = await self._inspector.pending_reason(open_batches) or self._blocker
        return self._blocker

    def record_discovery(self, blocker: Blocker | None) -> None:
        """Record the result of the discovery of devices.

        Args:
            blocker: The failure; None after a success.
        """
        self._blocker = blocker

    def record_creation(self, rejection: Blocker | None) -> None:
        """Record the result of the creation of Jobs in a pass.

        Args:
            rejection: The rejection of a Job; None if no Job was rejected.
        """
        if rejection or (self._blocker and self._blocker.allows_probe):
            self._blocker = rejection


def _has_running_pod(open_batches: Collection[str], jobs: JobSnapshot) -> bool:
    visible = (jobs.visible.get(name) for name in open_batches)
    return any(job is not None and job.status.ready for job in visible)
