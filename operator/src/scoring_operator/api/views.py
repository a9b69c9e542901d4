"""The fields of Jobs and Pods that the operator reads.

A complete Job needs about 31 KB as Python objects. A view needs a tenth, because msgspec skips all other fields.
"""

from msgspec import Struct, field, structs

from scoring_operator.api.conditions import Condition, first_true
from scoring_operator.api.scoringrun import KIND, TERMINAL_CONDITIONS

MAX_TEXT_LENGTH = 4096  # characters of all annotations or of a condition: a Job of 500 devices has 3,500 of positions
MAX_OWNER_LENGTH = 400  # characters of an owner reference: a uid has 36, a kind at most 63, a name at most 253
MAX_KEPT_FINALIZERS = 5
MAX_KEPT_CONDITIONS = 16  # the Job controller writes at most six


class OwnerView(Struct, frozen=True, gc=False):
    """One owner reference: the uid identifies the owner, kind and name are for messages."""

    uid: str = ""
    kind: str = ""
    name: str = ""


class JobLabels(Struct, frozen=True, gc=False):
    """The labels of a scoring Job."""

    run: str = field(default="", name="fleetscore.dev/run")
    run_uid: str = field(default="", name="fleetscore.dev/run-uid")
    round: str = field(default="0", name="fleetscore.dev/round")


class JobAnnotations(Struct, frozen=True, gc=False):
    """The annotations of a scoring Job."""

    suspended: str = field(default="", name="fleetscore.dev/suspended")
    template: str = field(default="", name="fleetscore.dev/template")
    positions: str = field(default="", name="fleetscore.dev/positions")


class JobMeta(Struct, frozen=True, rename="camel"):
    """Metadata of a Job."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: JobLabels = field(default_factory=JobLabels)
    annotations: JobAnnotations = field(default_factory=JobAnnotations)
    owner_references: tuple[OwnerView, ...] = ()
    finalizers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Drop what is larger than in a Job of the operator: the informer holds every Job, and others create some."""
        if len(self.finalizers) > MAX_KEPT_FINALIZERS:
            structs.force_setattr(self, "finalizers", self.finalizers[:MAX_KEPT_FINALIZERS])
        if len(self.owner_references) > 1:
            runs = [owner for owner in self.owner_references if owner.kind == KIND]
            structs.force_setattr(self, "owner_references", tuple(runs or self.owner_references)[:1])
        if any(_length(owner) > MAX_OWNER_LENGTH for owner in self.owner_references):
            structs.force_setattr(self, "owner_references", ())
        if _length(self.annotations) > MAX_TEXT_LENGTH:
            structs.force_setattr(self, "annotations", JobAnnotations())


class JobSpecView(Struct, frozen=True, gc=False):
    """The parts of a Job's spec that the operator or another controller changes after creation."""

    suspend: bool | None = None
    parallelism: int | None = None


class JobStatusView(Struct, frozen=True, rename="camel"):
    """Counters and conditions of a Job."""

    active: int = 0
    ready: int | None = 0
    succeeded: int = 0
    failed: int = 0
    conditions: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        """Drop conditions that no Job controller writes."""
        kept = tuple(one for one in self.conditions[:MAX_KEPT_CONDITIONS] if _length(one) <= MAX_TEXT_LENGTH)
        if len(kept) < len(self.conditions):
            structs.force_setattr(self, "conditions", kept)


class JobView(Struct, frozen=True):
    """A Job.

    Attributes:
        metadata: The metadata.
        spec: The spec.
        status: The status.
        complete: Whether the Job is Complete.
        finished: Whether the Job has ended: its conditions decide, because its counters change before them.
    """

    metadata: JobMeta = field(default_factory=JobMeta)
    spec: JobSpecView = field(default_factory=JobSpecView)
    status: JobStatusView = field(default_factory=JobStatusView)
    complete: bool = False
    finished: bool = False

    def __post_init__(self) -> None:
        """Precompute the two values that each pass reads for every Job."""
        conditions = self.status.conditions
        structs.force_setattr(self, "complete", bool(conditions) and first_true(conditions, "Complete") is not None)
        ended = bool(conditions) and first_true(conditions, *TERMINAL_CONDITIONS) is not None
        structs.force_setattr(self, "finished", ended)

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.metadata.name

    @property
    def owner_uid(self) -> str:
        """The uid of the run; '' without one.

        Other parties add owners, and a deletion with `--cascade=orphan` removes them. Then the label has the uid.
        """
        owners = self.metadata.owner_references
        return owners[0].uid if owners and owners[0].kind == KIND else self.metadata.labels.run_uid

    def true_condition(self, type_: str) -> Condition | None:
        """Return the condition of this type if its status is True, or None."""
        return first_true(self.status.conditions, type_)

    @property
    def pod_started(self) -> bool:
        """Whether a pod of the Job runs or has run."""
        return bool(self.status.ready or self.status.succeeded or self.status.failed)

    @property
    def suspended_by_operator(self) -> bool:
        """Whether the operator suspended the Job, and has not resumed it since."""
        return self.metadata.annotations.suspended == "true"


def _length(texts: Struct) -> int:
    """Return the number of characters of all fields of a view."""
    return sum(len(text or "") for text in structs.astuple(texts))


class PodLabels(Struct, frozen=True, gc=False):
    """The labels of a scorer pod."""

    job_name: str = field(default="", name="batch.kubernetes.io/job-name")
    run_uid: str = field(default="", name="fleetscore.dev/run-uid")


class PodMeta(Struct, frozen=True, rename="camel"):
    """Metadata of a Pod."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: PodLabels = field(default_factory=PodLabels)
    owner_references: tuple[OwnerView, ...] = ()


class Terminated(Struct, frozen=True, rename="camel", gc=False):
    """The end of a container; `message` is its termination message, at most 4,096 bytes."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


class Waiting(Struct, frozen=True, gc=False):
    """The reason why a container has not started."""

    reason: str = ""
    message: str = ""


class Running(Struct, frozen=True, rename="camel", gc=False):
    """The start of a container that has not ended."""

    started_at: str | None = None


class ContainerState(Struct, frozen=True):
    """The state of a container: at most one of its fields is set."""

    terminated: Terminated | None = None
    waiting: Waiting | None = None
    running: Running | None = None


class ContainerView(Struct, frozen=True):
    """One container of a Pod."""

    name: str = ""
    state: ContainerState = field(default_factory=ContainerState)
    started: bool | None = None


class PodStatusView(Struct, frozen=True, rename="camel"):
    """Phase, conditions and containers of a Pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerView, ...] = ()
    container_statuses: tuple[ContainerView, ...] = ()


class InitContainerView(Struct, frozen=True, rename="camel", gc=False):
    """An init container in a spec; with the restart policy Always it is a native sidecar (KEP-753)."""

    name: str = ""
    restart_policy: str = ""


class SchedulingGate(Struct, frozen=True, gc=False):
    """A gate that another controller has to remove before a Pod is scheduled (KEP-3521)."""

    name: str = ""


class PodSpecView(Struct, frozen=True, rename="camel"):
    """The node of a Pod, empty until the scheduler has chosen one, its gates and its init containers."""

    node_name: str = ""
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    init_containers: tuple[InitContainerView, ...] = ()


class PodView(Struct, frozen=True):
    """A Pod."""

    metadata: PodMeta = field(default_factory=PodMeta)
    spec: PodSpecView = field(default_factory=PodSpecView)
    status: PodStatusView = field(default_factory=PodStatusView)

    @property
    def job(self) -> str:
        """The name of the Job that owns the pod; '' for a pod that only has its label."""
        name = self.metadata.labels.job_name
        owned = any((owner.kind, owner.name) == ("Job", name) for owner in self.metadata.owner_references)
        return name if owned else ""

    @property
    def containers(self) -> tuple[ContainerView, ...]:
        """The init containers and the containers, with those that another party has injected."""
        return (*self.status.init_container_statuses, *self.status.container_statuses)

    @property
    def ended(self) -> bool:
        """Whether every container of the pod has ended."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def terminating(self) -> bool:
        """Whether the pod is to be deleted, and its node has not reported the end of its containers."""
        return self.metadata.deletion_timestamp is not None and not self.ended

    @property
    def scorer(self) -> ContainerState:
        """The state of the container `scorer`, or an empty state."""
        statuses = self.status.container_statuses
        return next((one.state for one in statuses if one.name == "scorer"), ContainerState())


class EventSeries(Struct, frozen=True, rename="camel", gc=False):
    """The repetition of an event."""

    last_observed_time: str | None = None


class EventObject(Struct, frozen=True, gc=False):
    """The object that an event is about."""

    name: str = ""


class EventView(Struct, frozen=True, rename="camel"):
    """An event. Every client of the namespace may create events with any text."""

    type: str = "Warning"
    reason: str | None = None
    message: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None
    involved_object: EventObject = field(default_factory=EventObject)

    @property
    def time(self) -> str:
        """The time of the last occurrence."""
        last = self.series.last_observed_time if self.series else ""
        return last or self.last_timestamp or self.event_time or ""
