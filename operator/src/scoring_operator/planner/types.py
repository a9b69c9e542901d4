"""The input and the output of one planning step: observation and plan, with the values that they consist of."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.views import JobView
from scoring_operator.contract.report_message import ReportMessage
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch, Completion, Progress


@dataclass(frozen=True, slots=True)
class PlannerLimits:
    """The limits and intervals of the planner.

    Attributes:
        max_auto_jobs: The largest number of batches with `devicesPerJob: Auto`.
        max_finished_jobs: The largest number of finished Jobs of an active run. 10,000 Jobs take 300 MiB in etcd.
        cleanup_delay: Seconds from the end of a run to the first deletion of its Jobs, for people who inspect them.
        deletes_per_second: The number of finished Jobs that are deleted per second.
        replace_delay: The age in seconds at which a Job with outdated settings and without a started pod is replaced.
    """

    max_auto_jobs: int = 2000
    max_finished_jobs: int = 10_000
    cleanup_delay: float = 60.0
    deletes_per_second: int = 10
    replace_delay: float = 30.0


DEFAULT_LIMITS = PlannerLimits()


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The limits of active Jobs. A fleet may have a limit of its own.

    Attributes:
        total: The largest number of active Jobs over all runs.
        namespace: The largest number of active Jobs of a namespace; None for no limit.
    """

    total: int = 1000
    namespace: int | None = None


@dataclass(frozen=True, slots=True)
class Blocker:
    """A condition outside the run that prevents progress.

    Attributes:
        reason: The reason of the condition Stalled or Waiting.
        message: A sentence for people.
        allows_probe: Whether one Job at a time is created to test if the condition has ended.
        permanent: Whether a person has to end the condition. It is then the condition Stalled, otherwise Waiting.
        limits_jobs: Whether fewer Jobs are created because of it.
    """

    reason: str
    message: str
    allows_probe: bool = True
    permanent: bool = False
    limits_jobs: bool = True


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report that exists.

    Attributes:
        path: The name of the page in the container of predictions.
        url: The address of the page; empty if the address of the account is only in a Secret.
        message: The result of the report; None if its pod left no consistent one.
    """

    path: str
    url: str = ""
    message: ReportMessage | None = None


@dataclass(frozen=True, slots=True)
class ReportCondition:
    """The condition Reported.

    Attributes:
        true: The status; None is Unknown, while the report is not finished.
        reason: The reason, in CamelCase.
        message: A sentence for people.
        written: The report, if it exists.
    """

    true: bool | None
    reason: str
    message: str
    written: WrittenReport | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """The persisted state of one run.

    Attributes:
        progress: The progress as last saved or decided; None before discovery, and after the end of the run.
        devices: The device list: the device at index i has position i. Empty while it is missing.
        fleet: The administrator's fleet; None before discovery, and if it changed since.
        unverified: The names of reserved batches for which it is unknown whether their Job was ever created.
        rejection: The reason why the run may not begin or continue.
        missing: Whether the progress or the device list was deleted and has to be rebuilt.
    """

    progress: Progress | None
    devices: Sequence[str]
    fleet: Fleet | None
    unverified: frozenset[str]
    rejection: Blocker | None
    missing: bool


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """The existing Jobs of one run, as far as this process knows.

    Attributes:
        visible: The Jobs in the informer, by name; a live view, because a copy of 100,000 entries is expensive.
        assumed: The names of Jobs that this process created and that the informer does not show yet.
        seen: The names of Jobs that this process created or observed, and that saved progress does not call created.
    """

    visible: Mapping[str, JobView]
    assumed: AbstractSet[str]
    seen: AbstractSet[str]

    def is_active(self, name: str) -> bool:
        """Return True if the Job exists and is not complete. A failed Job counts until its result is recorded."""
        job = self.visible.get(name)
        return name in self.assumed if job is None else not job.complete

    def exists(self, name: str) -> bool:
        """Return True if the Job is visible or assumed."""
        return name in self.visible or name in self.assumed


@dataclass(frozen=True, slots=True)
class Allocation:
    """The share of one run in the operator's limit of active Jobs.

    Attributes:
        blocked_by: The name of the run that has to end or to pause first; empty if there is none.
        slots: The number of Jobs that the run may have now.
        shortfall: The number of Jobs that it may have in addition once slots are free.
        later_runs: The number of runs of later windows of its schedule that have ended.
        blocked_seconds: The seconds for which another run has blocked the run.
        starved_seconds: The seconds for which the run has had no slot.
        blocker_pauses: Whether the run `blocked_by` only has to pause, because this run has precedence.
        job_quota_full: Whether a run of the namespace waits for its quota of Jobs and has no finished Job to delete.
    """

    blocked_by: str
    slots: int
    shortfall: int
    later_runs: int
    blocked_seconds: float
    starved_seconds: float
    blocker_pauses: bool = False
    job_quota_full: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """The complete input of one planning step.

    Attributes:
        state: The persisted state of the run.
        jobs: The Jobs of the run.
        results: The results that were collected in this pass, by Job.
        allocation: The share of the run in the operator's limit.
        blocker: The condition that prevents progress.
        template: The digest of the current settings of scorer pods; empty if it is unknown.
        current_fleet: The administrator's fleet that the run names; None if there is none.
        rejected: The Jobs that the API server rejected one by one, those first that were tried first.
    """

    state: RunState
    jobs: JobSnapshot
    results: Mapping[str, JobResult]
    allocation: Allocation
    blocker: Blocker | None
    template: str
    current_fleet: Fleet | None
    rejected: Sequence[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """The next actions for one run.

    Attributes:
        phase: The phase of the run, for people.
        progress: The new progress; None if it does not change.
        save: Whether progress has to be saved before any other action.
        discover_devices: Whether the devices have to be discovered now.
        create: The batches whose Jobs are to be created, by Job name.
        suspend: Whether a Job is to be suspended (True) or resumed (False), by Job name.
        delete: The names of Jobs to delete; `progress` has their outcomes.
        replace: The names of Jobs to delete unless they change meanwhile; the batches follow in the next round.
        delete_run: Whether the run is to be deleted.
        create_report: Whether the report Job is to be created.
        report_condition: The new condition Reported; None if it does not change.
        completion: The end of the run, when it has one.
        blocker: The blocker that the condition Stalled or Waiting shows.
        queued_for: The cause of the phase Queued, which is not a problem; None in other phases.
        warn_slow: Whether to warn that the run takes longer than its window.
        requeue_after: Seconds until the next pass without an event; None: the resync interval.
    """

    phase: str
    progress: Progress | None = None
    save: bool = False
    discover_devices: bool = False
    create: Mapping[str, Batch] = field(default_factory=dict)
    suspend: Mapping[str, bool] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    delete_run: bool = False
    create_report: bool = False
    report_condition: ReportCondition | None = None
    completion: Completion | None = None
    blocker: Blocker | None = None
    queued_for: Blocker | None = None
    warn_slow: bool = False
    requeue_after: float | None = None
