"""The facts that the checks need, as values. A fact that could not be gathered is Unseen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fleetscore.contract.fleets import FleetLayout
from fleetscore.contract.schedules import Schedule
from fleetscore.contract.windows import Window
from fleetscore.doctor.findings import Right, Unseen
from fleetscore.runs.cron_job import CronJob


@dataclass(frozen=True, slots=True)
class Server:
    """The API server: its version, its time, and the local time in the middle of the same request."""

    version: str
    time: datetime
    local_time: datetime


@dataclass(frozen=True, slots=True)
class Crd:
    """The API of ScoringRuns.

    Attributes:
        served: The served versions of the group; empty if the API server serves none.
        release: The version of the release that installed the CRD; empty without the label, Unseen without the right.
        fault: The reason that the API server does not serve the CRD, or soon will not; empty without one.
        missing_fields: The fields of this client's version that the schema lacks.
    """

    served: tuple[str, ...]
    release: str | Unseen = ""
    fault: str = ""
    missing_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """The Lease of an operator.

    Attributes:
        holder: The name of the pod that holds it; empty if no pod does.
        renewed: The time of the last renewal, by the API server's clock.
        seconds: Its duration in seconds.
        ahead: The seconds by which the clock of the holder's node is ahead of the API server's.
    """

    holder: str
    renewed: datetime | None
    seconds: int = 15
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment and the state of its pods.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        replicas: The number of pods that it must have.
        ready: The number of ready pods.
        updated: The number of pods with its newest settings.
        blocker: The reason that a pod does not run, or that none is created; empty if there is none.
        restarts: The restarts of a pod that crashes again and again; empty if there are none.
        account: The name of its ServiceAccount, if that does not exist; empty otherwise.
    """

    namespace: str
    name: str
    replicas: int = field(default=1, kw_only=True)
    ready: int = field(default=1, kw_only=True)
    updated: int = field(default=1, kw_only=True)
    blocker: str = field(default="", kw_only=True)
    restarts: str = field(default="", kw_only=True)
    account: str = field(default="", kw_only=True)

    @property
    def subject(self) -> str:
        """The name in findings."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Operator(Deployment):
    """The Deployment of an operator.

    Attributes:
        version: The version of the release.
        watches: The watched namespaces; empty for all.
        pods: The names of its pods.
        outdated: True if its pods are older than the last change of the fleets, which they read once.
        lease: The Lease; None if it does not exist.
        rights: The rights that the operator needs, and whether it has them.
    """

    version: str = ""
    watches: tuple[str, ...] = ()
    pods: tuple[str, ...] | Unseen = ()
    outdated: bool = False
    lease: Lease | Unseen | None = None
    rights: Mapping[Right, bool] | Unseen = field(default_factory=dict)

    def watches_namespace(self, namespace: str) -> bool:
        """Return True if the operator handles the runs of a namespace."""
        return not self.watches or namespace in self.watches


@dataclass(frozen=True, slots=True)
class Container:
    """The access to a container of storage: the reason of a failure, and its next step; both empty without one."""

    reason: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """The ServiceAccount of a fleet's pods: its name, and its fault with the next step; both empty without one."""

    name: str
    reason: str = ""
    cure: str = ""


class SecretState(StrEnum):
    """The state of a key of a Secret."""

    PRESENT = "present"
    MISSING = "missing"
    WITHOUT_KEY = "without key"


@dataclass(frozen=True, slots=True, order=True)
class SecretKey:
    """A key of a Secret that pods use: the namespace, the name of the Secret, and the key."""

    namespace: str
    name: str
    key: str


@dataclass(frozen=True, slots=True)
class ConsoleFacts(Deployment):
    """The Deployment of a console, or its Service without one.

    Attributes:
        exists: False if only the Service exists.
        port: The port of its Service.
        storage_fault: The reason that a pod cannot read storage, by its log; empty without one.
        secret: The key with its credential; None for an identity.
        secret_state: The state of this key; None without a key.
        outdated: True if the key was changed after a pod has read it, which it does once.
    """

    exists: bool = True
    port: int = 0
    storage_fault: str | Unseen = ""
    secret: SecretKey | None = None
    secret_state: SecretState | Unseen | None = None
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Models:
    """The blobs of the container of models.

    Attributes:
        devices: The number of devices with a model among the first blobs.
        others: Some names that denote no device.
        limit: The number of blobs that were read at most.
    """

    devices: int
    others: tuple[str, ...] = ()
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Notices:
    """The notices of a fleet: those that wait, by the receiver that has not accepted them, and dropped ones."""

    pending: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """A fleet of the release.

    Attributes:
        layout: The storage layout.
        containers: The access to each container, by role.
        models: The models; None if their container cannot be read.
        secrets: The state of each key of the fleet's Secrets.
        receivers: The names of the receivers of notices.
        notices: The notices; None if predictions cannot be read.
        newest_run: The newest run of the fleet in the namespace of the command.
        active_runs: The older runs of the fleet in the namespace that have not ended.
        account: The ServiceAccount of its pods in the namespace; None if the fleets file names none.
    """

    layout: FleetLayout
    containers: Mapping[str, Container | Unseen] = field(default_factory=dict)
    models: Models | None = None
    secrets: Mapping[SecretKey, SecretState | Unseen] = field(default_factory=dict)
    receivers: tuple[str, ...] = ()
    notices: Notices | None = None
    newest_run: Mapping[str, Any] | None = None
    active_runs: tuple[Mapping[str, Any], ...] = ()
    account: Account | Unseen | None = None


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """The CronJob of a schedule.

    Attributes:
        namespace: The namespace of the CronJob.
        name: The name of the schedule.
        cron_job: The CronJob; None if it does not exist.
        schedule: The schedule; Unseen if its ConfigMap cannot be read.
        missing: The due windows without a run; Unseen if the runs cannot be read.
        rights: The rights that the schedule's Jobs need, and whether they have them.
        account: The name of the ServiceAccount of the Jobs, if that does not exist; empty otherwise.
        job_failure: The reason that the newest Job of the schedule failed or does not start; empty without one, Unseen
            if a right to find it is missing.
        fleet_exists: False if no fleet of this name serves the namespace.
    """

    namespace: str
    name: str
    cron_job: CronJob | None = None
    schedule: Schedule | Unseen | None = None
    missing: tuple[Window, ...] | Unseen = ()
    rights: Mapping[Right, bool] | Unseen = field(default_factory=dict)
    account: str | Unseen = ""
    job_failure: str | Unseen = ""
    fleet_exists: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts about an installation, as one user sees it in one namespace.

    Attributes:
        namespace: The namespace of the command.
        client_version: The version of the client.
        server: The API server.
        crd: The API of ScoringRuns.
        operators: The operators of the cluster.
        others: Unseen if only the operators of one namespace could be listed.
        rights: The rights of the user in the namespace, and whether the user has them.
        fleets: The fleets of the release that serves the namespace.
        schedules: The schedules.
        consoles: The consoles of the namespace.
        phase: The phase of the namespace, such as Active or Terminating; empty if the namespace does not exist.
        fleet: The fleet that the user names; empty for all.
        other_fleets: The number of fleets that were not checked.
        stray_runs: The newest run of each fleet that no release has, by the name of the fleet.
    """

    namespace: str
    client_version: str
    server: Server | Unseen
    crd: Crd | Unseen
    operators: tuple[Operator, ...] | Unseen
    others: Unseen | None = None
    rights: Mapping[Right, bool] | Unseen = field(default_factory=dict)
    fleets: tuple[FleetFacts, ...] | Unseen = ()
    schedules: tuple[ScheduleFacts, ...] | Unseen = ()
    consoles: tuple[ConsoleFacts, ...] | Unseen = ()
    phase: str | Unseen = "Active"
    fleet: str = ""
    other_fleets: int = 0
    stray_runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def now(self) -> datetime | None:
        """The time of the API server; None if it is unknown."""
        return self.server.time if isinstance(self.server, Server) else None
