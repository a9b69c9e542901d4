"""Which run goes first, and how many Jobs each may have. Pure.

Two runs of one fleet and window never run at once, for they would score the same devices into the same blobs; runs of
one schedule go one after the other. A suspended run does not hold the queue.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scoring_operator.api.scoringrun import ScoringRun


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that has not ended, as the queue sees it; `running` is whether it is going now."""

    run: ScoringRun
    running: bool


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a run has to know of the others.

    Attributes:
        ahead: who has to end before it.
        share: how many Jobs it may have now.
        short: how many more it may have as soon as places are free.
        newer: how many came after it.
    """

    blocked_by: str = ""
    slots: int = 1_000_000
    shortfall: int = 0
    later_runs: int = 0


def blocking_run(run: ScoringRun, others: Iterable[QueuedRun], *, running: bool) -> str:
    """The run that has to end before this one may go on, as `name` or `namespace/name`; '' for none.

    A running run yields only to one that runs as well and is older: that is how two that began at once are sorted out.
    """
    order = (run.created, run.uid)
    for entry in others:
        other = entry.run
        if other.uid == run.uid or other.ended or other.spec.suspend or not _conflict(run, other):
            continue
        older = (other.created, other.uid) < order
        if (entry.running and not running) or (older and entry.running == running):
            return other.name if other.namespace == run.namespace else f"{other.namespace}/{other.name}"
    return ""


def _conflict(run: ScoringRun, other: ScoringRun) -> bool:
    if run.spec.fleet != other.spec.fleet:
        return False
    same_schedule = bool(run.schedule) and (run.namespace, run.schedule) == (other.namespace, other.schedule)
    return same_schedule or run.spec.window == other.spec.window


def count_later_runs(run: ScoringRun, others: Iterable[ScoringRun]) -> int:
    """How many runs of later windows of a run's schedule have ended; of runs of no schedule there is no history."""
    schedule = (run.namespace, run.schedule, run.spec.fleet)
    return sum(
        1
        for other in others
        if run.schedule
        and other.ended
        and (other.namespace, other.schedule, other.spec.fleet) == schedule
        and other.spec.window.start > run.spec.window.start
    )


def fair_shares(demands: Mapping[str, int], max_jobs: int) -> dict[str, int]:
    """Divide the operator's limit of active Jobs: who wants little gets it, the others divide the rest evenly.

    Args:
        demands: how many Jobs each run could use.
        cap: how many there may be over all runs.
    """
    granted: dict[str, int] = {}
    left = max_jobs
    for count, (uid, demand) in enumerate(sorted(demands.items(), key=lambda item: (item[1], item[0]))):
        granted[uid] = min(demand, left // (len(demands) - count))
        left -= granted[uid]
    return granted


def slow_start(slots: int) -> int:
    """How many Jobs of its share a run begins at once while it lacks places that others want, too: a quarter.

    So runs that wait for the same places go on side by side, and each writes its progress four times, not at each Job.
    """
    return -(-slots // 4)
