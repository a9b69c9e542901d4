"""What runs have to know of each other: who goes first, who may have how many Jobs, who is told of free places.

The rules are in `queueing`; here they meet the runs that are there.
"""

import asyncio
import time
from collections.abc import Callable, Collection

from scoring_operator.controller.reconciler import RunReconciler
from scoring_operator.planner import queueing
from scoring_operator.planner.queueing import Allocation, QueuedRun

OFFER_DELAY_SECONDS = (
    1.0  # seconds for which places that got free are gathered, for each taker writes its progress first
)


class JobLimiter:
    """The limit of active Jobs over all runs; belongs to an event loop.

    Args:
        most: how many Jobs may be active.
        runners: all runs that are there, as they come and go.
        wake: makes a run look anew.
    """

    def __init__(self, most: int, runners: Collection[RunReconciler], wake: Callable[[RunReconciler], None]) -> None:
        self._most = most
        self._runners = runners
        self._wake = wake
        self._offer: asyncio.TimerHandle | None = None

    def around(self, runner: RunReconciler) -> Allocation:
        """Who is ahead of a run, its share of the limit, and how many came after it."""
        if runner.run.ended:
            return Allocation(later_runs=queueing.count_later_runs(runner.run, (other.run for other in self._runners)))
        others = [other for other in self._runners if other is not runner and not other.run.ended]
        ahead = queueing.blocking_run(runner.run, (QueuedRun(o.run, o.running) for o in others), running=runner.running)
        demands = {other.run.uid: other.demand() for other in others} | {runner.run.uid: max(runner.demand(), 1)}
        due = queueing.fair_shares(demands, self._most)[runner.run.uid]
        contended = sum(demands.values()) > self._most
        beside = not runner.running or any(other.short for other in others if other.running)
        at_once = queueing.slow_start(due) if contended and beside and runner.short else due
        elsewhere = sum(other.active() for other in self._runners if other is not runner)
        share = max(0, min(due, runner.active() + at_once, self._most - elsewhere))
        return Allocation(ahead, share, shortfall=min(due - share, at_once))

    def freed(self) -> None:
        """A pass was made, so places may be free: in a moment they are offered to those that wait for some."""
        if not self._offer:
            self._offer = asyncio.get_running_loop().call_later(OFFER_DELAY_SECONDS, self._offer_all)

    def _offer_all(self) -> None:
        """Wake the runs whose last offer is longest ago, until all free places are offered."""
        self._offer = None
        waiting = [runner for runner in self._runners if runner.running and runner.short]
        free = self._most - sum(runner.active() for runner in self._runners) if waiting else 0
        for runner in sorted(waiting, key=lambda runner: runner.offered_at):
            if free > 0:
                free -= runner.short
                runner.offered_at = time.monotonic()
                self._wake(runner)
