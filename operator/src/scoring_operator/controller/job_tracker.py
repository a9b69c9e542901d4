"""The existing Jobs of each run: what the informer shows, and what this process has created since.

A Job that was created is assumed to exist until the informer shows it, as kube-scheduler assumes a bound pod. Without
that, a pass that is faster than the informer would count too few Jobs and create too many.

The informer does not show a Job whose labels another party has changed. Such a Job is read one by one, again and again.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType

from scoring_operator.api.names import has_job_name, report_job_name
from scoring_operator.api.scoringrun import RunRef
from scoring_operator.api.views import JobView
from scoring_operator.planner.types import JobSnapshot

MAX_RECOUNTED_JOBS = 200  # of an ended run; with more, its Jobs are counted once per second
RECOUNT_SECONDS = 1.0
MAX_DELETED_JOBS = 1000  # that are remembered as seen; other users may create and delete any number of Jobs


class JobTracker:
    """The only owner of the knowledge which Jobs of one run exist.

    Args:
        assumed_timeout: Seconds after which a Job is overdue that is assumed or was read: the API server has to be
            asked for it.
    """

    def __init__(self, assumed_timeout: float) -> None:
        self._listener: Callable[[], None] = _ignore
        self._assumed_timeout = assumed_timeout
        self._visible: dict[str, JobView] = {}
        self._assumed: dict[str, float] = {}  # with the monotonic time of the creation
        self._read: dict[str, float] = {}  # visible Jobs that the informer does not show, with the monotonic time
        self._seen: set[str] = set()
        self._deleted: dict[str, None] = {}  # the deleted ones of `_seen`, the oldest first
        self._counted_at, self._count = 0.0, 0  # of unfinished Jobs
        self._view = JobSnapshot(MappingProxyType(self._visible), self._assumed.keys(), self._seen)

    def __bool__(self) -> bool:
        """Return True if the informer shows a Job."""
        return bool(self._visible)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call a function after each change that the counts of Jobs may depend on, in place of an earlier function.

        Args:
            listener: The function.
        """
        self._listener = listener

    def on_event(self, old: JobView | None, new: JobView | None, *, await_first_pod: bool = False) -> bool:
        """Record a change of a Job in the informer.

        Args:
            old: The Job before the change; None if it was added.
            new: The Job after the change; None if it was deleted.
            await_first_pod: Whether the start of a pod requires a pass.

        Returns:
            True if the change requires a pass: the Job has finished or was deleted, its pod started, or a client
            has suspended it, resumed it or begun to delete it.
        """
        job = new or old
        if job is None:
            return False
        self._listener()
        self._read.pop(job.name, None)
        if new is None:
            self._visible.pop(job.name, None)
            self._remember_deleted(job.name)
            return True
        self._visible[job.name] = new
        self._assumed.pop(job.name, None)
        self._deleted.pop(job.name, None)
        if old is None:  # it may be deleted again before the next pass, and the response to its creation lost
            self._seen.add(job.name)
        return (
            (new.finished and not (old and old.finished))
            or (await_first_pod and new.pod_started)
            or (old is not None and not new.finished and _is_changed_by_a_client(old, new))
        )

    def expect(self, name: str) -> None:
        """Record that this process has created a Job.

        Args:
            name: The name of the Job.
        """
        self._seen.add(name)
        self._assume(name)

    def forget(self, name: str) -> None:
        """Record the response of the API server that a Job does not exist, which the informer does not show yet.

        Args:
            name: The name of the Job.
        """
        if job := self._visible.get(name):
            self.on_event(job, None)

    def overdue(self) -> set[str]:
        """Return the Jobs that were assumed or read some time ago: the API server has to be asked for them."""
        limit = time.monotonic() - self._assumed_timeout
        return {name for known in (self._assumed, self._read) for name, since in known.items() if since < limit}

    def confirm(self, inspected: Iterable[str], existing: Mapping[str, JobView]) -> JobSnapshot:
        """Record the response of the API server for Jobs that the informer does not show.

        Args:
            inspected: The names of Jobs that were inspected, so that they are not assumed any more.
            existing: The Jobs that exist, by name.

        Returns:
            The existing Jobs.
        """
        self._listener()
        for name in inspected:
            self._assumed.pop(name, None)
            if self._read.pop(name, None) is not None:
                del self._visible[name]
        for name, job in existing.items():
            if name not in self._visible or name in self._read:
                self._visible[name], self._read[name] = job, time.monotonic()
                self._assumed.pop(name, None)
        return self.snapshot()

    def acknowledge(self, names: Iterable[str]) -> None:
        """Remove Jobs from the seen ones: saved progress records them as created.

        Args:
            names: The names of the Jobs.
        """
        for name in names:
            self._seen.discard(name)
            self._deleted.pop(name, None)

    def snapshot(self, without: Collection[str] = ()) -> JobSnapshot:
        """Return the existing Jobs.

        Args:
            without: Names of assumed and read Jobs that are left out, because they are overdue.
        """
        visible = self._view.visible
        if not self._read.keys().isdisjoint(without):
            visible = {name: job for name, job in visible.items() if name not in without}
        return JobSnapshot(visible, frozenset(self._assumed).difference(without), frozenset(self._seen))

    def active(self, open_batches: Collection[str], reserved: Collection[str] = ()) -> int:
        """Return the number of active Jobs of a run.

        Args:
            open_batches: The names of the run's open batches.
            reserved: The names of Jobs that are about to be created.
        """
        active = sum(1 for name in open_batches if name in reserved or self._view.is_active(name))
        return active + sum(1 for name in reserved if name not in open_batches)

    def unfinished(self, run: RunRef, created: Collection[str]) -> int:
        """Return the number of unfinished Jobs of a run that has ended or is deleted, without its report Job.

        Other users may create Jobs with the run as their owner, which do not count. The name of a Job of the run
        follows from its positions.

        Args:
            run: The run.
            created: The names of Jobs that this process knows to be the run's, or an empty collection.
        """
        now = time.monotonic()
        if len(self._visible) > MAX_RECOUNTED_JOBS and now - self._counted_at < RECOUNT_SECONDS:
            return self._count  # other users may create and change any number of Jobs
        names = {
            name
            for name, job in self._visible.items()
            if not job.finished and (name in created or has_job_name(job, run))
        }
        self._counted_at, self._count = now, len((names | self._assumed.keys()) - {report_job_name(run)})
        return self._count

    def _remember_deleted(self, name: str) -> None:
        if name in self._seen:
            self._deleted[name] = None
        if len(self._deleted) > MAX_DELETED_JOBS:
            oldest = next(iter(self._deleted))
            self.acknowledge([oldest])

    def _assume(self, name: str) -> None:
        if name not in self._visible:
            self._assumed[name] = time.monotonic()
            self._listener()


def _is_changed_by_a_client(old: JobView, new: JobView) -> bool:
    """Return True if a Job has another spec or begins to be deleted, which the Job controller does not do."""
    return old.spec != new.spec or old.metadata.deletion_timestamp != new.metadata.deletion_timestamp


def _ignore() -> None:
    """Do nothing: no limiter counts the Jobs of a run that is not observed."""


class JobTrackers:
    """The trackers of all runs, by namespace and uid.

    The informer may show the Jobs of a run before the run itself is observed. A Job of another namespace that names the
    run as its owner is not the run's.

    Args:
        assumed_timeout: Seconds after which an assumed Job is overdue.
    """

    def __init__(self, assumed_timeout: float) -> None:
        self._assumed_timeout = assumed_timeout
        self._trackers: dict[tuple[str, str], JobTracker] = {}

    def get(self, namespace: str, uid: str) -> JobTracker:
        """Return the tracker of a run; create it if there is none.

        Args:
            namespace: The namespace of the run.
            uid: The uid of the run.
        """
        if (namespace, uid) not in self._trackers:
            self._trackers[namespace, uid] = JobTracker(self._assumed_timeout)
        return self._trackers[namespace, uid]

    def remove_if_empty(self, namespace: str, uid: str) -> None:
        """Remove the tracker of a run that is not observed, unless the informer shows a Job of it.

        Args:
            namespace: The namespace of the run.
            uid: The uid of the run.
        """
        if not self._trackers.get((namespace, uid)):
            self._trackers.pop((namespace, uid), None)
