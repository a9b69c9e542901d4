"""The shares of all runs in the limit of active Jobs, computed together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scoring_operator.planner.queueing import Demand, run_shares
from scoring_operator.planner.types import JobLimits


@dataclass(frozen=True, slots=True)
class JobShares:
    """The shares of all runs at one time.

    Attributes:
        by_uid: The share of each run that could use Jobs.
        wanted: The number of Jobs that the runs of each namespace could use.
        limits: The limits of active Jobs.
        lacking: The number of running runs that would create Jobs if slots were free.
        computed_at: The monotonic time of the computation.
    """

    by_uid: Mapping[str, int]
    wanted: Counter[str]
    limits: JobLimits
    lacking: int = 0
    computed_at: float = 0.0

    @classmethod
    def compute(
        cls, demands: Iterable[tuple[Demand, int]], limits: JobLimits, *, lacking: int = 0, now: float = 0.0
    ) -> "JobShares":
        """Compute the shares.

        Args:
            demands: The runs, with the number of Jobs that each could use.
            limits: The limits of active Jobs.
            lacking: The number of running runs that would create Jobs if slots were free.
            now: The monotonic time.
        """
        demands = [(demand, jobs) for demand, jobs in demands if jobs]
        wanted: Counter[str] = Counter()
        for demand, jobs in demands:
            wanted[demand.run.namespace] += jobs
        return cls(run_shares(demands, limits.total, limits.namespace), wanted, limits, lacking, now)

    def exceed_limits(self, namespace: str, further: int) -> bool:
        """Return True if the runs could use more slots than there are.

        Args:
            namespace: The namespace whose limit is checked, in addition to the total.
            further: The number of Jobs that a run of the namespace could use in addition.
        """
        if self.wanted.total() + further > self.limits.total:
            return True
        return self.limits.namespace is not None and self.limits.namespace < self.wanted[namespace] + further
