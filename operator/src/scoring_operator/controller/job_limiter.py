"""The limit of active Jobs over all runs: the share of each run, and the offers of free slots.

The rules are in planner.queueing.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from scoring_operator.api.names import report_job_name
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import RunDeleted
from scoring_operator.planner import queueing
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import Allocation


@dataclass(slots=True)
class _Entry:
    """One run.

    Attributes:
        demand: The demand of the run.
        jobs: The Jobs of the run.
        shortfall: The shortfall after its last pass; 1 before the first.
        reserved: The names of Jobs that the run is about to create.
        offered_at: The monotonic time at which the run was last woken for free slots.
    """

    demand: Demand
    jobs: JobTracker
    shortfall: int = 1
    reserved: Collection[str] = ()
    offered_at: float = 0.0

    @property
    def lacking(self) -> int:
        """The number of Jobs that the run would create at once if slots were free."""
        return self.shortfall if self.demand.running else 1

    @property
    def active(self) -> int:
        """The number of Jobs of the run that exist and are not complete, or are about to be created."""
        if self.demand.finished:
            return self.jobs.unfinished(report_job_name(self.demand.run))
        return self.jobs.active(self.demand.open_batches, self.reserved)


class JobLimiter:
    """The shares of all runs in the limit of active Jobs. It belongs to one event loop.

    Args:
        max_jobs: The largest number of active Jobs over all runs.
        offer_delay: Seconds for which free slots are gathered before runs are woken.
        wake: Wakes the run with a uid.
    """

    def __init__(self, max_jobs: int, offer_delay: float, wake: Callable[[str], None]) -> None:
        self._max_jobs = max_jobs
        self._offer_delay = offer_delay
        self._wake = wake
        self._entries: dict[str, _Entry] = {}
        self._offer: asyncio.TimerHandle | None = None

    def add(self, demand: Demand, jobs: JobTracker) -> None:
        """Add a run.

        Args:
            demand: The demand of the run.
            jobs: The Jobs of the run.
        """
        self._entries[demand.run.uid] = _Entry(demand, jobs)

    def remove(self, uid: str) -> None:
        """Remove a run.

        Args:
            uid: The uid of the run.
        """
        self._entries.pop(uid, None)

    def update(self, demand: Demand) -> None:
        """Replace the demand of a run, if the run is not removed.

        Args:
            demand: The new demand.
        """
        if entry := self._entries.get(demand.run.uid):
            entry.demand = demand

    def update_run(self, run: ScoringRun) -> None:
        """Replace the object of a run in its demand, if the run is not removed.

        Args:
            run: The run as observed or written.
        """
        if entry := self._entries.get(run.uid):
            entry.demand = replace(entry.demand, run=run)

    def active(self, uid: str) -> int:
        """Return the number of active Jobs of a run.

        Args:
            uid: The uid of the run.
        """
        return self._entries[uid].active

    def allocate(self, uid: str) -> Allocation:
        """Return the share of a run. It holds until the next await: the caller has to reserve what it creates.

        Args:
            uid: The uid of the run.

        Raises:
            RunDeleted: The run was removed during its pass.
        """
        own = self._entries.get(uid)
        if own is None:
            raise RunDeleted("it was deleted")
        run = own.demand.run
        if run.ended:
            later_runs = queueing.count_later_runs(run, (entry.demand.run for entry in self._entries.values()))
            return Allocation(blocked_by="", slots=0, shortfall=0, later_runs=later_runs)
        others = [entry for entry in self._entries.values() if entry is not own and not entry.demand.run.ended]
        blocked_by = queueing.blocking_run(own.demand, (entry.demand for entry in others))
        demands = {entry.demand.run.uid: entry.demand.jobs for entry in others} | {uid: max(own.demand.jobs, 1)}
        share = queueing.fair_shares(demands, self._max_jobs)[uid]
        contended = sum(demands.values()) > self._max_jobs
        others_wait = not own.demand.running or any(entry.lacking for entry in others if entry.demand.running)
        at_once = queueing.slow_start(share) if contended and others_wait and own.lacking else share
        elsewhere = sum(entry.active for entry in self._entries.values() if entry is not own)
        slots = max(0, min(share, own.active + at_once, self._max_jobs - elsewhere))
        return Allocation(blocked_by=blocked_by, slots=slots, shortfall=min(share - slots, at_once), later_runs=0)

    @contextmanager
    def reserve(self, uid: str, names: Collection[str], shortfall: int) -> Iterator[None]:
        """Count Jobs as active while they are created.

        Args:
            uid: The uid of the run.
            names: The names of the Jobs.
            shortfall: The number of Jobs that the run would create in addition if slots were free.
        """
        entry = self._entries[uid]
        entry.reserved, entry.shortfall = names, shortfall
        try:
            yield
        finally:
            entry.reserved = ()

    def offer_free_slots(self) -> None:
        """Wake the runs that wait for slots, after a delay in which more slots may become free."""
        if not self._offer:
            self._offer = asyncio.get_running_loop().call_later(self._offer_delay, self._offer_now)

    def _offer_now(self) -> None:
        """Wake the runs whose last offer is oldest, until all free slots are offered."""
        self._offer = None
        waiting = [entry for entry in self._entries.values() if entry.demand.running and entry.lacking]
        free = self._max_jobs - sum(entry.active for entry in self._entries.values()) if waiting else 0
        for entry in sorted(waiting, key=lambda entry: entry.offered_at):
            if free > 0:
                free -= entry.lacking
                entry.offered_at = time.monotonic()
                self._wake(entry.demand.run.uid)
