"""The limit of active Jobs over all runs: the share of each run, and the offers of free slots.

The rules are in planner.queueing. A namespace and a fleet may have limits of their own. The Jobs of a namespace take no
more slots from other namespaces than its limit, whatever other clients do to them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import RunDeleted
from scoring_operator.planner import queueing
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.types import Allocation, JobLimits

_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Entry:
    """One run.

    Attributes:
        demand: The demand of the run.
        jobs: The Jobs of the run.
        count: The number of Jobs that the run could use now.
        created: The names of the Jobs that were open when the run ended.
        shortfall: The shortfall after its last pass; 1 before the first.
        reserved: The names of Jobs that the run is about to create.
        offered_at: The monotonic time at which the run was last woken for free slots.
        blocked_since: The monotonic time since which another run blocks the run.
        starved_since: The monotonic time since which the run has no slot.
        removed: Whether the run is deleted. The entry is kept while a Job of the run exists.
    """

    demand: Demand
    jobs: JobTracker
    count: int = 0
    created: frozenset[str] = _NONE
    shortfall: int = 1
    reserved: Collection[str] = ()
    offered_at: float = 0.0
    blocked_since: float | None = None
    starved_since: float | None = None
    removed: bool = False

    def __post_init__(self) -> None:
        self.count = self.demand.jobs

    def update(self, demand: Demand) -> None:
        if demand.finished and not self.demand.finished:
            self.created |= frozenset(self.demand.open_batches)
        self.demand = demand
        self.count = demand.jobs

    @property
    def namespace(self) -> str:
        return self.demand.run.namespace

    @property
    def lacking(self) -> int:
        """The number of Jobs that the run would create at once if slots were free."""
        return self.shortfall if self.demand.running else 1

    @property
    def active(self) -> int:
        """The number of Jobs of the run that exist and are not complete, or are about to be created."""
        if not self.demand.finished:
            return self.jobs.active(self.demand.open_batches, self.reserved)
        if self.created or self.demand.run.status.get("devices"):
            return self.jobs.unfinished(self.demand.run, self.created)
        return 0  # a run without devices never had a Job


class JobLimiter:
    """The shares of all runs in the limit of active Jobs. It belongs to one event loop.

    Args:
        limits: The limits of active Jobs.
        offer_delay: Seconds for which free slots are gathered before runs are woken.
        wake: Wakes the run with a uid.
    """

    def __init__(self, limits: JobLimits, offer_delay: float, wake: Callable[[str], None]) -> None:
        self._max_jobs = limits.total
        self._namespace_limit = limits.namespace
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
        """Remove a deleted run. Its Jobs count while they exist.

        Args:
            uid: The uid of the run.
        """
        if entry := self._entries.get(uid):
            entry.update(replace(entry.demand, run=msgspec.structs.replace(entry.demand.run, deleting=True)))
            entry.removed = True
            self._forget_removed()

    def update(self, demand: Demand) -> None:
        """Replace the demand of a run, if the run is not removed.

        Args:
            demand: The new demand.
        """
        if entry := self._get(demand.run.uid):
            entry.update(demand)

    def update_run(self, run: ScoringRun) -> None:
        """Replace the object of a run in its demand, if the run is not removed.

        Args:
            run: The run as observed or written.
        """
        if entry := self._get(run.uid):
            entry.update(replace(entry.demand, run=run))

    def _get(self, uid: str) -> _Entry | None:
        entry = self._entries.get(uid)
        return None if entry is None or entry.removed else entry

    def _forget_removed(self) -> None:
        for uid in [uid for uid, entry in self._entries.items() if entry.removed and not entry.active]:
            del self._entries[uid]

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
        own = self._get(uid)
        if own is None:
            raise RunDeleted("it was deleted")
        run = own.demand.run
        if run.ended:
            later_runs = queueing.count_later_runs(run, (entry.demand.run for entry in self._entries.values()))
            return Allocation(blocked_by="", slots=0, shortfall=0, later_runs=later_runs)
        others = [entry for entry in self._entries.values() if entry is not own and not entry.demand.run.ended]
        blocked_by = queueing.blocking_run(own.demand, (entry.demand for entry in others))
        wanted = [(own.demand, max(own.count, 1)), *((entry.demand, entry.count) for entry in others if entry.count)]
        share = queueing.run_shares(wanted, self._max_jobs, self._namespace_limit)[uid]
        others_wait = not own.demand.running or any(entry.lacking for entry in others if entry.demand.running)
        at_once = queueing.slow_start(share) if self._contended(own, wanted) and others_wait and own.lacking else share
        slots = max(0, min(share, own.active + at_once, self._free_for(own)))
        now = time.monotonic()
        own.blocked_since = (own.blocked_since or now) if blocked_by else None
        own.starved_since = (own.starved_since or now) if own.demand.running and own.count and not slots else None
        return Allocation(
            blocked_by=blocked_by,
            slots=slots,
            shortfall=min(share - slots, at_once),
            later_runs=0,
            blocked_seconds=now - (own.blocked_since or now),
            starved_seconds=now - (own.starved_since or now),
        )

    def _contended(self, own: _Entry, wanted: Collection[tuple[Demand, int]]) -> bool:
        """Return True if the runs could use more slots than there are."""
        if sum(count for _, count in wanted) > self._max_jobs:
            return True
        limit, namespace = self._namespace_limit, own.namespace
        return limit is not None and limit < sum(count for one, count in wanted if one.run.namespace == namespace)

    def _free_for(self, own: _Entry) -> int:
        """Return the number of slots that the other runs leave to one, within each of the limits."""
        by_namespace: Counter[str] = Counter()
        of_fleet = 0
        for entry in self._entries.values():
            if entry is not own and (active := entry.active):
                by_namespace[entry.namespace] += active
                of_fleet += active if entry.demand.run.spec.fleet == own.demand.run.spec.fleet else 0
        limits = [self._max_jobs - self._used(by_namespace)]
        if self._namespace_limit is not None:
            limits.append(self._namespace_limit - by_namespace[own.namespace])
        if own.demand.job_limit is not None:
            limits.append(own.demand.job_limit - of_fleet)
        return min(limits)

    def _used(self, by_namespace: Counter[str]) -> int:
        """Return the number of used slots. Jobs beyond the limit of a namespace do not count for the others."""
        limit = self._namespace_limit
        return sum(count if limit is None else min(count, limit) for count in by_namespace.values())

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
        self._forget_removed()
        if not self._offer:
            self._offer = asyncio.get_running_loop().call_later(self._offer_delay, self._offer_now)

    def offer_new_shares(self) -> None:
        """Offer the free slots to all running runs that could use more: the share of a run may have grown."""
        for entry in self._entries.values():
            if entry.demand.running and entry.count > entry.active:
                entry.shortfall = max(entry.shortfall, 1)
        self.offer_free_slots()

    def next_runs(self, uid: str) -> list[str]:
        """Return the uids of the runs that a change of this run may start or stop.

        Args:
            uid: The uid of the run.
        """
        own = self._entries.get(uid)
        return queueing.next_runs(own.demand, (entry.demand for entry in self._entries.values())) if own else []

    def _offer_now(self) -> None:
        """Wake the runs whose last offer is oldest, until all free slots are offered."""
        self._offer = None
        waiting = [entry for entry in self._entries.values() if entry.demand.running and entry.lacking]
        if not waiting:
            return
        by_namespace: Counter[str] = Counter()
        for entry in self._entries.values():
            by_namespace[entry.namespace] += entry.active
        free = self._max_jobs - self._used(by_namespace)
        limit = self._max_jobs if self._namespace_limit is None else self._namespace_limit
        for entry in sorted(waiting, key=lambda entry: entry.offered_at):
            lacking = min(entry.lacking, limit - by_namespace[entry.namespace])
            if free > 0 and lacking > 0:
                free -= lacking
                by_namespace[entry.namespace] += lacking
                entry.offered_at = time.monotonic()
                self._wake(entry.demand.run.uid)
