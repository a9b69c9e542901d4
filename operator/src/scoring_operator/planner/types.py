"""What a pass sees of a run, and what it is to do: the planner's argument and its answer. Pure values."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scoring_operator.api.views import JobView
from scoring_operator.planner.job_results import JobResult
from scoring_operator.planner.progress import Batch, Completion, Progress


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something that keeps the run from going on; `probe` says whether to try one Job at a time meanwhile."""

    reason: str
    message: str
    allows_probe: bool = True


@dataclass(frozen=True, slots=True)
class ReportCondition:
    """What to say in the condition Reported; `true` is None while the report is not made yet."""

    true: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What a pass sees of a run.

    Attributes:
        progress: as read or last written; None before the device list is frozen.
        devices: the frozen device list; position i is device i.
        jobs: the run's Jobs, by name, from the mirror.
        assumed: names of Jobs that this process has created and the mirror does not show yet.
        known: names of Jobs that this process has created or seen, there or not.
        doubtful: marked batches of an earlier process whose Jobs nobody has looked for yet.
        words: what was heard on looking at finished or vanished Jobs, by name.
        ahead: the run that has to end first, '' for none.
        share: how many Jobs this run may have under the operator's limit.
        newer: how many runs of later windows of its schedule have ended.
        refusal: why the run may not begin, or go on.
        lost: its progress or device list is gone, and is to be made again if that is safe.
        trouble: what keeps it from going on.
    """

    progress: Progress | None = None
    devices: Sequence[str] = ()
    jobs: Mapping[str, JobView] = field(default_factory=dict)
    assumed: Collection[str] = frozenset()
    known: Collection[str] = frozenset()
    doubtful: Collection[str] = frozenset()
    words: Mapping[str, JobResult] = field(default_factory=dict)
    ahead: str = ""
    share: int = 1_000_000
    newer: int = 0
    refusal: Blocker | None = None
    lost: bool = False
    trouble: Blocker | None = None

    def occupied(self, name: str) -> bool:
        """Whether the Job exists as far as is known and has not completed; what a failed one means is to be heard."""
        job = self.jobs.get(name)
        return name in self.assumed if job is None else not job.true_condition("Complete")

    def has_job(self, name: str) -> bool:
        """Whether the Job exists as far as is known."""
        return name in self.jobs or name in self.assumed


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do next.

    Attributes:
        phase: the run's phase, for people.
        progress: the progress after this plan; None before the list is frozen.
        save: progress must be saved before anything else of this plan is done.
        discover: find and freeze the devices now.
        create: Jobs to create, by name.
        suspend: Jobs to suspend (True) or resume (False), by name.
        delete: Jobs to delete; their outcomes are in `progress`.
        delete_run: the run's time to live has passed.
        make_report: create the report's Job.
        reported: what has become of the report, where that is to be said anew.
        end: how the run ends or ended.
        trouble: what to say in the condition Stalled.
        slow: the run has just been found not to fit its window.
        wake: seconds until the next pass is due without an event; None for the engine's resync.
    """

    phase: str
    progress: Progress | None = None
    save: bool = False
    discover: bool = False
    create: Mapping[str, Batch] = field(default_factory=dict)
    suspend: Mapping[str, bool] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    delete_run: bool = False
    make_report: bool = False
    reported: ReportCondition | None = None
    end: Completion | None = None
    trouble: Blocker | None = None
    slow: bool = False
    wake: float | None = None
