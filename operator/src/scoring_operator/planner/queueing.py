"""The order of runs, and their shares in the operator's limit of active Jobs.

Two runs of one fleet and window never run at once, because they would score the same devices into the same blobs. The
runs of one schedule run one after the other. A suspended run does not block others.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner.progress import Progress

_NO_BATCHES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Demand:
    """The state of one run, as far as other runs depend on it.

    Attributes:
        run: The run.
        phase: Its phase after the last pass.
        progress: Its progress; None while it is not loaded, and before discovery.
    """

    run: ScoringRun
    phase: str
    progress: Progress | None

    @property
    def running(self) -> bool:
        """Whether the run is active, so that conflicting runs have to wait."""
        return self.phase == "Running" and not self.run.ended

    @property
    def finished(self) -> bool:
        """Whether the end of the run is decided."""
        return self.run.ended or bool(self.progress and self.progress.completion)

    @property
    def open_batches(self) -> Collection[str]:
        """The names of the run's open batches."""
        return (self.progress.open_batches if self.progress else _NO_BATCHES).keys()

    @property
    def jobs(self) -> int:
        """The number of Jobs that the run could use now."""
        progress = self.progress
        if self.run.ended or self.phase in ("Queued", "Suspended") or progress is None:
            return 0
        batches = len(progress.open_batches) + len(progress.queued_batches)
        return min(self.run.spec.parallelism, batches - (-len(progress.waiting) // progress.snapshot.devices_per_job))


def blocking_run(demand: Demand, others: Iterable[Demand]) -> str:
    """Return the run that has to end before this one, as `name` or `namespace/name`; empty if there is none.

    A running run yields only to a running run that is older. So one of two runs that began at once continues.

    Args:
        demand: The run.
        others: Other runs.
    """
    run = demand.run
    order = (run.created, run.uid)
    for entry in others:
        other = entry.run
        if other.uid == run.uid or other.ended or other.spec.suspend or not _conflict(run, other):
            continue
        older = (other.created, other.uid) < order
        if (entry.running and not demand.running) or (older and entry.running == demand.running):
            return other.name if other.namespace == run.namespace else f"{other.namespace}/{other.name}"
    return ""


def _conflict(run: ScoringRun, other: ScoringRun) -> bool:
    if run.spec.fleet != other.spec.fleet:
        return False
    same_schedule = bool(run.schedule) and (run.namespace, run.schedule) == (other.namespace, other.schedule)
    return same_schedule or run.spec.window == other.spec.window


def count_later_runs(run: ScoringRun, others: Iterable[ScoringRun]) -> int:
    """Return the number of ended runs of later windows of the run's schedule; 0 for a run without a schedule."""
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
    """Divide the limit of active Jobs: small demands are met, the other runs share the rest evenly.

    Args:
        demands: The number of Jobs that each run could use, by its uid.
        max_jobs: The largest number of active Jobs over all runs.
    """
    granted: dict[str, int] = {}
    left = max_jobs
    for count, (uid, demand) in enumerate(sorted(demands.items(), key=lambda item: (item[1], item[0]))):
        granted[uid] = min(demand, left // (len(demands) - count))
        left -= granted[uid]
    return granted


def slow_start(slots: int) -> int:
    """Return the number of Jobs that a run may start at once while other runs wait for slots: a quarter of its share.

    So the runs that wait for the same slots proceed concurrently, and each run saves its progress four times, not once
    per Job.

    Args:
        slots: The share of the run.
    """
    return -(-slots // 4)
