"""What the operator may see of a Job and a Pod: only the fields that decisions read, decoded by msgspec. Pure.

A full Job is about 31 KB as Python objects; a view is a tenth of that, and decoding skips the rest of the object.
"""

from msgspec import Struct, field


class OwnerView(Struct, frozen=True, gc=False):
    """One owner reference; the uid is what counts, kind and name are for messages."""

    uid: str = ""
    kind: str = ""
    name: str = ""


class JobLabels(Struct, frozen=True, gc=False):
    """The labels of a scoring Job that decisions read; all others are skipped while decoding."""

    run: str = field(default="", name="fleetscore.dev/run")
    run_uid: str = field(default="", name="fleetscore.dev/run-uid")
    round: str = field(default="0", name="fleetscore.dev/round")


class JobMeta(Struct, frozen=True, rename="camel"):
    """Metadata of a Job."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: JobLabels = field(default_factory=JobLabels)
    owner_references: tuple[OwnerView, ...] = ()


class ConditionView(Struct, frozen=True, rename="camel", gc=False):
    """One condition of a Job or Pod."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class JobSpecView(Struct, frozen=True, gc=False):
    """The part of a Job's spec that the operator changes after creation."""

    suspend: bool | None = None


class JobStatusView(Struct, frozen=True, rename="camel"):
    """Counts and conditions of a Job."""

    active: int = 0
    ready: int | None = 0
    succeeded: int = 0
    failed: int = 0
    conditions: tuple[ConditionView, ...] = ()


class JobView(Struct, frozen=True):
    """A Job as the planner sees it."""

    metadata: JobMeta = field(default_factory=JobMeta)
    spec: JobSpecView = field(default_factory=JobSpecView)
    status: JobStatusView = field(default_factory=JobStatusView)

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.metadata.name

    @property
    def owner_uid(self) -> str:
        """The uid of the first owner ('' for none)."""
        owners = self.metadata.owner_references
        return owners[0].uid if owners else ""

    def true_condition(self, kind: str) -> ConditionView | None:
        """The condition of this type if its status is True."""
        return next((c for c in self.status.conditions if c.type == kind and c.status == "True"), None)

    @property
    def finished(self) -> bool:
        """Whether the Job controller has closed the Job; its conditions say so, never its counters."""
        return any(c.status == "True" and c.type in ("Complete", "Failed") for c in self.status.conditions)

    @property
    def pod_started(self) -> bool:
        """Whether some pod of the Job has run or runs."""
        return bool(self.status.ready or self.status.succeeded or self.status.failed)


class PodLabels(Struct, frozen=True, gc=False):
    """The labels of a scorer pod that decisions read."""

    job_name: str = field(default="", name="batch.kubernetes.io/job-name")
    run_uid: str = field(default="", name="fleetscore.dev/run-uid")


class PodMeta(Struct, frozen=True, rename="camel"):
    """Metadata of a Pod."""

    name: str = ""
    namespace: str = ""
    creation_timestamp: str = ""
    labels: PodLabels = field(default_factory=PodLabels)


class Terminated(Struct, frozen=True, rename="camel", gc=False):
    """How a container ended; `message` is what it wrote to its termination log (at most 4,096 bytes)."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None


class Waiting(Struct, frozen=True, gc=False):
    """Why a container has not started."""

    reason: str = ""
    message: str = ""


class ContainerState(Struct, frozen=True):
    """The state of a container: waiting or terminated; a running one has neither."""

    terminated: Terminated | None = None
    waiting: Waiting | None = None


class ContainerView(Struct, frozen=True):
    """One container of a Pod."""

    name: str = ""
    state: ContainerState = field(default_factory=ContainerState)


class PodStatusView(Struct, frozen=True, rename="camel"):
    """Phase, conditions and containers of a Pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    conditions: tuple[ConditionView, ...] = ()
    container_statuses: tuple[ContainerView, ...] = ()


class PodView(Struct, frozen=True):
    """A Pod as the operator sees it when it looks."""

    metadata: PodMeta = field(default_factory=PodMeta)
    status: PodStatusView = field(default_factory=PodStatusView)

    @property
    def scorer(self) -> ContainerState:
        """The state of the container `scorer`, or an empty one."""
        return next((c.state for c in self.status.container_statuses if c.name == "scorer"), ContainerState())
