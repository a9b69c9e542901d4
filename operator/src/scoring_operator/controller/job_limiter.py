"""The limit of active Jobs over all runs: the share of each run, and the offers of free slots.

The rules are in planner.queueing. A namespace and a fleet may have limits of their own. The Jobs of a namespace take no
more slots from other namespaces than its limit, whatever other clients do to them.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.controller.job_tracker import JobTracker
from scoring_operator.errors import RunDeleted
from scoring_operator.planner import queueing
from scoring_operator.planner.job_shares import JobShares
from scoring_operator.planner.job_slots import FullQuotas, JobSlots, ReportSlots
from scoring_operator.planner.queueing import Demand
from scoring_operator.planner.related_runs import RelatedRuns
from scoring_operator.planner.types import Allocation, JobLimits

MAX_EXACT_RUNS = 50  # with more runs, shares are computed at most every SHARES_SECONDS
SHARES_SECONDS = 0.2
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
        active: The number of Jobs of the run that exist and are not complete, or are about to be created.
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
    active: int = 0

    def __post_init__(self) -> None:
        self.count = self.demand.jobs

    def update(self, demand: Demand) -> None:
        if demand.finished and not self.demand.finished:
            self.created |= frozenset(self.demand.open_batches)
        self.demand = demand
        self.count = demand.jobs

    @property
    def lacking(self) -> int:
        """The number of Jobs that the run would create at once if slots were free."""
        return self.shortfall if self.demand.running else 1

    def count_active(self) -> int:
        """Return the number of active Jobs; before the progress is loaded, all unfinished Jobs of the run."""
        if not self.demand.finished and self.demand.progress is not None:
            return self.jobs.active(self.demand.open_batches, self.reserved)
        if not self.demand.finished or self.created or self.demand.run.status.get("devices"):
            return self.jobs.unfinished(self.demand.run, self.created)
        return 0  # a run without devices never had a Job


class JobLimiter:
    """The shares of all runs in the limit of active Jobs. It belongs to one event loop.

    The number of runs is not limited, so a pass does not visit all runs: Jobs are counted when they change, conflicting
    runs have an index, and with many runs the shares are computed a few times per second. Shares only divide the slots.
    The limits themselves are compared with the current number of Jobs.

    Args:
        limits: The limits of active Jobs.
        offer_delay: Seconds for which free slots are gathered before runs are woken.
        wake: Wakes the run with a uid.
    """

    def __init__(self, limits: JobLimits, offer_delay: float, wake: Callable[[str], None]) -> None:
        self._limits = limits
        self._offer_delay = offer_delay
        self._wake = wake
        self._entries: dict[str, _Entry] = {}
        self._related = RelatedRuns()
        self._slots = JobSlots(limits)
        self._reports = ReportSlots(limits)
        self._quotas = FullQuotas()
        self._uncounted: set[str] = set()
        self._shares: JobShares | None = None
        self._offer: asyncio.TimerHandle | None = None
        self._new_shares = False

    def add(self, demand: Demand, jobs: JobTracker) -> None:
        """Add a run.

        Args:
            demand: The demand of the run.
            jobs: The Jobs of the run.
        """
        uid = demand.run.uid
        self._drop(uid)
        self._entries[uid] = _Entry(demand, jobs)
        self._related.update(demand)
        jobs.on_change(partial(self._uncounted.add, uid))
        self._changed(uid)

    def remove(self, uid: str) -> None:
        """Remove a deleted run. Its Jobs count while they exist.

        Args:
            uid: The uid of the run.
        """
        if entry := self._entries.get(uid):
            entry.update(replace(entry.demand, run=msgspec.structs.replace(entry.demand.run, deleting=True)))
            entry.removed = True
            self._related.update(entry.demand)
            self._reports.release(entry.demand.run)
            self._quotas.record(entry.demand.run, waiting=False)
            self._changed(uid)
            self._count()

    def update(self, demand: Demand) -> None:
        """Replace the demand of a run, if the run is not removed.

        Args:
            demand: The new demand.
        """
        uid = demand.run.uid
        if entry := self._get(uid):
            entry.update(demand)
            self._related.update(demand)
            self._changed(uid)

    def update_run(self, run: ScoringRun) -> None:
        """Replace the object of a run in its demand, if the run is not removed.

        Args:
            run: The run as observed or written.
        """
        if entry := self._get(run.uid):
            self.update(replace(entry.demand, run=run))

    @property
    def used_slots(self) -> int:
        """The number of slots that active Jobs occupy."""
        self._count()
        return self._slots.used

    def active(self, uid: str) -> int:
        """Return the number of active Jobs of a run.

        Args:
            uid: The uid of the run.
        """
        self._count()
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
        self._count()
        run = own.demand.run
        if run.ended:
            later_runs = self._related.count_later(own.demand)
            return Allocation(
                "",
                self._reports.slots_for(run),
                0,
                later_runs,
                blocked_seconds=0.0,
                starved_seconds=0.0,
                job_quota_full=self._quotas.is_full(run),
            )
        blocking = queueing.blocking_run(own.demand, self._related.first(own.demand))
        shares = self._current_shares()
        share = shares.by_uid.get(uid, 0) if own.count else 1
        others_wait = not own.demand.running or shares.lacking > int(own.lacking > 0)
        contended = shares.exceed_limits(run.namespace, further=int(not own.count))
        at_once = queueing.slow_start(share) if contended and others_wait and own.lacking else share
        slots = max(0, min(share, own.active + at_once, self._slots.free_for(run, own.active, own.demand.job_limit)))
        now = time.monotonic()
        own.blocked_since = (own.blocked_since or now) if blocking else None
        own.starved_since = (own.starved_since or now) if own.demand.running and own.count and not slots else None
        return Allocation(
            blocked_by=queueing.name_for(own.demand, blocking) if blocking else "",
            slots=slots,
            shortfall=min(share - slots, at_once),
            later_runs=0,
            blocked_seconds=now - (own.blocked_since or now),
            starved_seconds=now - (own.starved_since or now),
            blocker_pauses=blocking is not None and queueing.pauses_for(blocking, own.demand),
        )

    def record_quota(self, uid: str, *, waiting: bool) -> None:
        """Record whether a run waits for the quota of Jobs of its namespace, and has no finished Job to delete.

        Args:
            uid: The uid of the run.
            waiting: Whether it waits.
        """
        if entry := self._get(uid):
            self._quotas.record(entry.demand.run, waiting=waiting)

    def _get(self, uid: str) -> _Entry | None:
        entry = self._entries.get(uid)
        return None if entry is None or entry.removed else entry

    def _changed(self, uid: str) -> None:
        self._uncounted.add(uid)
        if len(self._entries) <= MAX_EXACT_RUNS:
            self._shares = None

    def _count(self) -> None:
        """Count the Jobs of runs that have changed, and forget deleted runs without Jobs."""
        while self._uncounted:
            uid = self._uncounted.pop()
            if entry := self._entries.get(uid):
                active = entry.count_active()
                self._slots.add(entry.demand.run, active - entry.active)
                entry.active = active
                if entry.removed and not active:
                    self._drop(uid)

    def _drop(self, uid: str) -> None:
        if entry := self._entries.pop(uid, None):
            self._slots.add(entry.demand.run, -entry.active)
            self._related.remove(uid)
            self._shares = None

    def _current_shares(self) -> JobShares:
        """Return the shares; with many runs, they may be a part of a second old."""
        now = time.monotonic()
        if self._shares is None or now - self._shares.computed_at >= SHARES_SECONDS:
            entries = self._entries.values()
            lacking = sum(1 for entry in entries if entry.demand.running and entry.lacking)
            demands = ((entry.demand, entry.count) for entry in entries)
            self._shares = JobShares.compute(demands, self._limits, lacking=lacking, now=now)
        return self._shares

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
        self._changed(uid)
        try:
            yield
        finally:
            entry.reserved = ()
            self._changed(uid)

    def offer_free_slots(self) -> None:
        """Wake the runs that wait for slots, after a delay in which more slots may become free."""
        self._count()
        if not self._offer:
            self._offer = asyncio.get_running_loop().call_later(self._offer_delay, self._offer_now)

    def offer_new_shares(self) -> None:
        """Offer the free slots to all running runs that could use more: the share of a run may have grown."""
        self._new_shares = True
        self.offer_free_slots()

    def next_runs(self, uid: str) -> list[str]:
        """Return the uids of the runs that a change of this run may start or stop.

        Args:
            uid: The uid of the run.
        """
        own = self._entries.get(uid)
        return queueing.next_runs(own.demand, self._related.first(own.demand)) if own else []

    def oldest_ended_runs(self, uid: str) -> list[str]:
        """Return the uids of the first ended runs of a run's schedule: one may be beyond `historyLimit`.

        Args:
            uid: The uid of the run.
        """
        own = self._entries.get(uid)
        return self._related.oldest_ended(own.demand) if own else []

    def _offer_now(self) -> None:
        """Wake the runs whose last offer is oldest, until all free slots are offered."""
        self._offer = None
        self._count()
        if self._new_shares:
            self._new_shares = False
            for entry in self._entries.values():
                if entry.demand.running and entry.count > entry.active:
                    entry.shortfall = max(entry.shortfall, 1)
        waiting = [entry for entry in self._entries.values() if entry.demand.running and entry.lacking]
        waiting.sort(key=lambda entry: entry.offered_at)
        for run in self._slots.offers((entry.demand.run, entry.lacking) for entry in waiting):
            self._entries[run.uid].offered_at = time.monotonic()
            self._wake(run.uid)
