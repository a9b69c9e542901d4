"""Detection of stalled runs: a run without progress gets the blocker that prevents it.

Jobs that have had no ready pod for some time are inspected. Their pods may not start, or may not end because of another
container or a lost node.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.formatting import printable
from scoring_operator.controller.job_inspector import MAX_BLOCKER_LENGTH, Inspection, JobInspector
from scoring_operator.controller.job_writer import Creation
from scoring_operator.controller.pod_reader import JOBS_PER_LIST
from scoring_operator.controller.timings import ControllerTimings
from scoring_operator.planner.job_changes import deletion_blocker
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch
from scoring_operator.planner.types import Blocker, JobSnapshot

ENDLESS_SECONDS = 120.0  # since a container or a node was last seen that keeps pods from ending
_NO_RESULTS: Mapping[str, JobResult] = {}


@dataclass(frozen=True, slots=True)
class StallCheck:
    """The result of a check.

    Attributes:
        blocker: The blocker of the run.
        results: The results of Jobs that the check inspected.
    """

    blocker: Blocker | None
    results: Mapping[str, JobResult]


class StallDetector:
    """The owner of one run's blocker.

    A run has one blocker at a time. In one pass they take precedence in this order:

    1. The API server rejects all Jobs. The blocker is kept until a pass in which it does not.
    2. Pods do not start. The blocker is kept until a pod runs, a result arrives, or the run pauses.
    3. Storage cannot be listed. The blocker is kept until the devices are discovered.
    4. The API server rejects single Jobs, such as a policy for one device. Each rejection is kept until its Job exists
       or the run pauses. It limits the other Jobs only if none of the last ones was created.
    5. Pods do not end. The blocker is kept for two minutes, and limits nothing: the results are collected.

    A blocker of storage or of the API server allows one probe per pass, and the end of that pass clears it.

    Args:
        inspector: The inspector of the run's Jobs.
        timings: The intervals.
    """

    def __init__(self, inspector: JobInspector, timings: ControllerTimings) -> None:
        self._inspector = inspector
        self._timings = timings
        self._blocker: Blocker | None = None
        self._rejected: dict[str, Blocker] = {}  # by Job; the last one was tried last
        self._others_created = False
        self._endless: tuple[Blocker, float] | None = None
        self._progressed_at = time.monotonic()
        self._inspected_at = 0.0
        self._waiting: frozenset[str] = frozenset()
        self._last_inspected: frozenset[str] = frozenset()

    @property
    def blocker(self) -> Blocker | None:
        """The current blocker."""
        if self._blocker:
            return self._blocker
        if self._rejected:
            first = self._rejected[min(self._rejected)]  # always the same one, so that the message does not change
            return replace(first, limits_jobs=not self._others_created)
        if not self._endless:
            return None
        blocker, seen_at = self._endless
        return blocker if time.monotonic() - seen_at < ENDLESS_SECONDS else None

    @property
    def rejected(self) -> tuple[str, ...]:
        """The names of the Jobs that the API server has rejected one by one, those first that were tried first."""
        return tuple(self._rejected)

    @property
    def next_check_in(self) -> float:
        """The seconds until a pass has to inspect pending pods. No event announces a pod that does not start."""
        due = self._inspected_at + self._timings.inspection_interval
        if not self._waiting:
            due = max(due, self._progressed_at + self._timings.stall_timeout)
        return max(due - time.monotonic(), 0.0) + 0.1

    async def check(
        self, open_batches: Mapping[str, Batch], jobs: JobSnapshot, fleet: Fleet | None, *, progressing: bool
    ) -> StallCheck:
        """Return the blocker and new results; inspect Jobs that have had no ready pod since the last inspection.

        Args:
            open_batches: The run's open batches, by Job name.
            jobs: The Jobs of the run.
            fleet: The fleet of the run.
            progressing: Whether results arrived in this pass, or the run is paused.

        Raises:
            ApiError: A request failed.
        """
        now, results = time.monotonic(), _NO_RESULTS
        if self._rejected:
            self._rejected = {
                name: rejection
                for name, rejection in self._rejected.items()
                if name in open_batches and not jobs.exists(name)
            }
        if progressing or _has_ready_pod(open_batches, jobs):
            self._record_progress(now)
        if now - self._inspected_at > self._timings.inspection_interval and fleet:
            self._inspected_at = now
            waiting = _jobs_without_ready_pod(open_batches, jobs)
            stalled = now - self._progressed_at > self._timings.stall_timeout
            suspects = waiting if stalled else waiting & self._waiting
            self._waiting = waiting
            if suspects:
                names = sorted(suspects, key=lambda name: (name in self._last_inspected, name))
                self._last_inspected = frozenset(names[:JOBS_PER_LIST])
                inspection = await self._inspector.inspect_waiting(names, open_batches, fleet)
                if not (inspection.blocker and inspection.blocker.permanent):
                    kept = deletion_blocker(job for name in names if (job := jobs.visible.get(name)))
                    inspection = replace(inspection, blocker=kept or inspection.blocker)
                self._record(inspection, now, stalled=stalled)
                results = inspection.results
        return StallCheck(self.blocker, results)

    def record_discovery(self, blocker: Blocker | None) -> None:
        """Record the result of the discovery of devices.

        Args:
            blocker: The failure; None after a success.
        """
        self._blocker = blocker

    def record_creation(self, creation: Creation, *, running: bool = True) -> None:
        """Record the result of the creation of Jobs in a pass.

        Args:
            creation: The result.
            running: Whether the run may create Jobs of devices now.
        """
        if creation.rejection or (self._blocker and self._blocker.allows_probe):
            self._blocker = creation.rejection
        for name in (*creation.created, *creation.rejected):
            self._rejected.pop(name, None)
        self._rejected.update(creation.rejected)
        if creation.created or creation.rejected:
            self._others_created = bool(creation.created)
        if not running:
            self._rejected.clear()

    def _record(self, inspection: Inspection, now: float, *, stalled: bool) -> None:
        if inspection.endless:
            self._endless = _endless_blocker(inspection.endless), now
        elif inspection.terminating:
            text = printable(inspection.terminating, MAX_BLOCKER_LENGTH)
            self._endless = Blocker("PodTerminating", text, limits_jobs=False), now
        if inspection.results:
            self._record_progress(now)
        elif stalled:
            self._blocker = inspection.blocker or self._blocker

    def _record_progress(self, now: float) -> None:
        self._progressed_at = now
        if self._blocker and not self._blocker.allows_probe:
            self._blocker = None


def _has_ready_pod(open_batches: Collection[str], jobs: JobSnapshot) -> bool:
    visible = (jobs.visible.get(name) for name in open_batches)
    return any(job is not None and job.status.ready for job in visible)


def _jobs_without_ready_pod(open_batches: Collection[str], jobs: JobSnapshot) -> frozenset[str]:
    """Return the unfinished Jobs without a ready pod, except suspended ones."""
    visible = ((name, jobs.visible.get(name)) for name in open_batches)
    return frozenset(
        name for name, job in visible if job and not (job.status.ready or job.spec.suspend or job.finished)
    )


def _endless_blocker(containers: Collection[str]) -> Blocker:
    """Return the blocker of containers that keep pods from ending. It limits nothing: the results are collected."""
    names = ", ".join(repr(name) for name in sorted(containers)[:3])
    verb = "keeps" if len(containers) == 1 else "keep"
    return Blocker(
        "PodsDoNotEnd",
        f"container {names} {verb} pods from ending after the scorer has ended; switch its injection off by "
        "scorer.podAnnotations or scorer.podLabels of the fleet, or inject it as a native sidecar (an init container "
        "with restartPolicy Always)",
        limits_jobs=False,
    )
