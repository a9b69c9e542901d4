"""The slots of the limits of active Jobs and of report Jobs, and the quotas of Jobs that are full."""

from collections import Counter
from collections.abc import Iterable

from scoring_operator.api.scoringrun import RunRef, ScoringRun
from scoring_operator.planner.finished_runs import report_pending
from scoring_operator.planner.types import JobLimits

MAX_REPORT_JOBS = 20  # of a namespace at once; a run whose devices are all scored already has a report and no other Job


class JobSlots:
    """The active Jobs of all runs, counted by namespace and by fleet.

    A namespace occupies at most its limit: its Jobs beyond the limit take no slots from other namespaces.

    Args:
        limits: The limits of active Jobs.
    """

    def __init__(self, limits: JobLimits) -> None:
        self._limits = limits
        self._by_namespace: Counter[str] = Counter()
        self._by_fleet: Counter[str] = Counter()

    @property
    def used(self) -> int:
        """The number of slots that active Jobs occupy."""
        return sum(map(self._occupied, self._by_namespace.values()))

    def add(self, run: ScoringRun, jobs: int) -> None:
        """Count Jobs of a run as active.

        Args:
            run: The run.
            jobs: The number of Jobs; negative for Jobs that are no longer active.
        """
        self._by_namespace[run.namespace] += jobs
        self._by_fleet[run.spec.fleet] += jobs

    def free_for(self, run: ScoringRun, active: int, fleet_limit: int | None) -> int:
        """Return the number of slots that the other runs leave to a run, within each of the limits.

        Args:
            run: The run.
            active: The number of its active Jobs; they are counted already.
            fleet_limit: The largest number of active Jobs of its fleet; None for no limit.
        """
        in_namespace = self._by_namespace[run.namespace]
        others = in_namespace - active
        used = self.used - self._occupied(in_namespace) + self._occupied(others)
        free = [self._limits.total - used]
        if self._limits.namespace is not None:
            free.append(self._limits.namespace - others)
        if fleet_limit is not None:
            free.append(fleet_limit - self._by_fleet[run.spec.fleet] + active)
        return min(free)

    def offers(self, lacking: Iterable[tuple[ScoringRun, int]]) -> list[ScoringRun]:
        """Return the runs to which the free slots are offered.

        Args:
            lacking: The runs with the number of slots that each lacks, in the order in which they are served.
        """
        free, by_namespace = self._limits.total - self.used, self._by_namespace.copy()
        limit = self._limits.total if self._limits.namespace is None else self._limits.namespace
        served = []
        for run, wanted in lacking:
            offered = min(wanted, limit - by_namespace[run.namespace])
            if free > 0 and offered > 0:
                free -= offered
                by_namespace[run.namespace] += offered
                served.append(run)
        return served

    def _occupied(self, jobs: int) -> int:
        return jobs if self._limits.namespace is None else min(jobs, self._limits.namespace)


class ReportSlots:
    """The runs of each namespace whose report Job may exist now.

    Args:
        limits: The limits of active Jobs.
    """

    def __init__(self, limits: JobLimits) -> None:
        self._limit = min(MAX_REPORT_JOBS, limits.total, limits.namespace or limits.total)
        self._uids: dict[str, set[str]] = {}

    def slots_for(self, run: ScoringRun) -> int:
        """Return 1 if a run that has ended may have its report Job now, else 0; free its slot after its report.

        Args:
            run: The run.
        """
        if not report_pending(run):
            self.release(run)
            return 0
        uids = self._uids.setdefault(run.namespace, set())
        if len(uids) < self._limit:
            uids.add(run.uid)
        return int(run.uid in uids)

    def release(self, run: RunRef) -> None:
        """Free the slot of a run, if it has one.

        Args:
            run: A run that is deleted.
        """
        uids = self._uids.get(run.namespace, set())
        uids.discard(run.uid)
        if not uids:
            self._uids.pop(run.namespace, None)


class FullQuotas:
    """The runs of each namespace that wait for its quota of Jobs and have no finished Job to delete."""

    def __init__(self) -> None:
        self._uids: dict[str, set[str]] = {}

    def record(self, run: RunRef, *, waiting: bool) -> None:
        """Record whether a run waits for other Jobs of its namespace to be deleted.

        Args:
            run: The run.
            waiting: Whether it waits.
        """
        uids = self._uids.get(run.namespace, set())
        if waiting:
            self._uids[run.namespace] = uids | {run.uid}
        elif run.uid in uids:
            uids.discard(run.uid)
            if not uids:
                del self._uids[run.namespace]

    def is_full(self, run: RunRef) -> bool:
        """Return True if a run of the namespace waits.

        Args:
            run: A run of the namespace.
        """
        return run.namespace in self._uids
