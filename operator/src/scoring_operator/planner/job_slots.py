"""The slots of the operator's limit of active Jobs: which are used, and how many are free for a run."""

from collections import Counter
from collections.abc import Iterable

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.types import JobLimits


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
        used = self._used() - self._occupied(in_namespace) + self._occupied(others)
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
        free, by_namespace = self._limits.total - self._used(), self._by_namespace.copy()
        limit = self._limits.total if self._limits.namespace is None else self._limits.namespace
        served = []
        for run, wanted in lacking:
            offered = min(wanted, limit - by_namespace[run.namespace])
            if free > 0 and offered > 0:
                free -= offered
                by_namespace[run.namespace] += offered
                served.append(run)
        return served

    def _used(self) -> int:
        return sum(map(self._occupied, self._by_namespace.values()))

    def _occupied(self, jobs: int) -> int:
        return jobs if self._limits.namespace is None else min(jobs, self._limits.namespace)
