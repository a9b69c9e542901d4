"""The order of runs, and their shares in the operator's limit of active Jobs.

Two runs of one fleet and window never run at once, because they would score the same devices into the same blobs. The
runs of one schedule run one after the other. A suspended run does not block others. A run that the chart's schedule
created goes before all others: a conflicting run that is active pauses.

Shares are fair between namespaces first, then between the scheduled and the other runs of a namespace, then between
runs. So the number of runs of one namespace does not change the share of another one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import ScoringRun
from scoring_operator.planner import canary
from scoring_operator.planner.progress import Progress

Path = tuple[str, ...]
"""A demand in the tree of demands: namespace, kind of run, uid."""
Order = tuple[bool, datetime, str]
"""The place of a run among conflicting ones: whether no schedule created it, its creation, its uid."""

ELSEWHERE = "in another namespace"  # replaces the name of a run that belongs to another namespace
MAX_WOKEN = 20  # runs that the end of one run wakes; the others have a pass within a minute
_NO_BATCHES: Mapping[str, object] = {}


@dataclass(frozen=True)
class Demand:
    """The state of one run, as far as other runs depend on it.

    Attributes:
        run: The run.
        phase: Its phase after the last pass.
        progress: Its progress; None while it is not loaded, and before discovery.
        fleet: The administrator's fleet of the run; None if there is none.
    """

    run: ScoringRun
    phase: str
    progress: Progress | None
    fleet: Fleet | None = None

    @cached_property
    def scheduled(self) -> bool:
        """Whether a schedule of the chart created the run."""
        return self.fleet is not None and self.fleet.scheduled(self.run)

    @property
    def job_limit(self) -> int | None:
        """The limit of the run's fleet; None without one."""
        return self.fleet.job_limit if self.fleet else None

    @cached_property
    def order(self) -> Order:
        """The place of the run among conflicting runs: scheduled runs first, then older ones."""
        return not self.scheduled, self.run.created, self.run.uid

    @property
    def running(self) -> bool:
        """Whether the run is active, so that conflicting runs have to wait."""
        return self.phase == "Running" and not (self.run.ended or self.run.deleting)

    @property
    def may_block(self) -> bool:
        """Whether conflicting runs may have to wait for the run."""
        return not (self.run.ended or self.run.deleting or self.run.spec.suspend)

    @property
    def finished(self) -> bool:
        """Whether the end of the run is decided."""
        return self.run.ended or self.run.deleting or bool(self.progress and self.progress.completion)

    @property
    def open_batches(self) -> Collection[str]:
        """The names of the run's open batches."""
        return self.progress.open_batches if self.progress else _NO_BATCHES

    @property
    def jobs(self) -> int:
        """The number of Jobs that the run could use now."""
        progress = self.progress
        if self.finished or self.phase in ("Queued", "Suspended") or progress is None:
            return 0
        batches = len(progress.open_batches) + len(progress.queued_batches)
        return min(
            self.run.spec.parallelism, batches - (-canary.startable(progress) // progress.snapshot.devices_per_job)
        )


def blocking_run(demand: Demand, others: Iterable[Demand]) -> Demand | None:
    """Return the run that has to end or to pause first; None if there is none.

    A run that is active is returned before one that waits itself. A run yields to a scheduled run. Among others, a
    running run yields only to a running run that is older. So one of two runs that began at once continues.

    Args:
        demand: The run.
        others: Other runs.
    """
    return min(
        (entry for entry in others if entry.may_block and conflict(demand, entry) and _goes_before(entry, demand)),
        key=lambda entry: (not entry.running, entry.order),
        default=None,
    )


def name_for(demand: Demand, blocking: Demand) -> str:
    """Return the name of a blocking run, as a run may show it: not that of a run of another namespace.

    Args:
        demand: The run.
        blocking: The run that blocks it.
    """
    return blocking.run.name if blocking.run.namespace == demand.run.namespace else ELSEWHERE


def pauses_for(blocking: Demand, demand: Demand) -> bool:
    """Return True if the blocking run only has to pause: it was active first, and the run is a scheduled one.

    Args:
        blocking: The run that blocks the other one.
        demand: The run.
    """
    return demand.scheduled and not blocking.scheduled


def _goes_before(entry: Demand, demand: Demand) -> bool:
    if entry.run.uid == demand.run.uid:
        return False
    if pauses_for(demand, entry) or (entry.running and not demand.running):
        return True
    return entry.order < demand.order and entry.running == demand.running


def conflict(demand: Demand, other: Demand) -> bool:
    """Return True if two runs must not run at once.

    Args:
        demand: A run.
        other: Another run.
    """
    run, second = demand.run, other.run
    if run.spec.fleet != second.spec.fleet:
        return False
    if run.spec.window == second.spec.window:
        return True
    same_schedule = bool(run.schedule) and (run.namespace, run.schedule) == (second.namespace, second.schedule)
    return same_schedule and demand.scheduled == other.scheduled


def next_runs(changed: Demand, others: Iterable[Demand]) -> list[str]:
    """Return the uids of the runs that a change of one run may start or stop.

    Args:
        changed: The run that has changed.
        others: Other runs.
    """
    conflicting = [one for one in others if one.may_block and one.run.uid != changed.run.uid and conflict(changed, one)]
    chosen = [one for one in conflicting if one.running]
    for one in sorted((one for one in conflicting if not one.running), key=lambda one: one.order):
        if len(chosen) < MAX_WOKEN and not any(conflict(one, other) for other in chosen):
            chosen.append(one)
    return [one.run.uid for one in chosen]


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


def nested_shares(demands: Mapping[Path, int], max_jobs: int, group_limit: int | None = None) -> dict[Path, int]:
    """Divide the limit of active Jobs among groups, and the share of each group among its members.

    Args:
        demands: The number of Jobs that each run could use, by its path in the tree.
        max_jobs: The largest number of active Jobs.
        group_limit: The largest number of active Jobs of a group of the first level; None for no limit.
    """
    groups: dict[str, dict[Path, int]] = {}
    for path, demand in demands.items():
        groups.setdefault(path[0], {})[path[1:]] = demand
    totals = {key: sum(group.values()) for key, group in groups.items()}
    if group_limit is not None:
        totals = {key: min(total, group_limit) for key, total in totals.items()}
    granted = fair_shares(totals, max_jobs)
    shares: dict[Path, int] = {}
    for key, group in groups.items():
        nested = group if () in group else nested_shares(group, granted[key])
        shares.update({(key, *path): min(share, granted[key]) for path, share in nested.items()})
    return shares


def run_shares(demands: Iterable[tuple[Demand, int]], max_jobs: int, namespace_limit: int | None) -> dict[str, int]:
    """Return the share of each run, by uid.

    Args:
        demands: The runs, with the number of Jobs that each could use.
        max_jobs: The largest number of active Jobs over all runs.
        namespace_limit: The largest number of active Jobs of a namespace; None for no limit.
    """
    jobs: dict[Path, int] = {}
    fleets: dict[str, tuple[int, list[Path]]] = {}
    for demand, count in demands:
        path = (demand.run.namespace, "scheduled" if demand.scheduled else "other", demand.run.uid)
        jobs[path] = count
        if demand.job_limit is not None:
            fleets.setdefault(demand.run.spec.fleet, (demand.job_limit, []))[1].append(path)
    for limit, paths in fleets.values():
        jobs.update(nested_shares({path: jobs[path] for path in paths}, limit))
    return {path[-1]: share for path, share in nested_shares(jobs, max_jobs, namespace_limit).items()}


def slow_start(slots: int) -> int:
    """Return the number of Jobs that a run may start at once while other runs wait for slots: a quarter of its share.

    So the runs that wait for the same slots proceed concurrently, and each run saves its progress four times, not once
    per Job.

    Args:
        slots: The share of the run.
    """
    return -(-slots // 4)
