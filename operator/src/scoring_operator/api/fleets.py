"""The administrator's file of fleets, as frozen types.

A fleet decides where a scorer pod reads, writes and runs. A ScoringRun does not, so a user who may create runs gains no
other rights (threats T1 and T7). A run ends if the storage or the layout of its fleet changes.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct, field

from scoring_operator.api.formatting import parse_duration
from scoring_operator.api.quantities import Quantity, parse_quantity
from scoring_operator.api.scoringrun import Resources, ScoringRun
from scoring_operator.errors import InvalidFleets

DEFAULT_MAX_QUEUE_TIME = "PT6H"


class ExistingSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """A Secret that the administrator created in each of the fleet's namespaces."""

    name: str
    key: str = "connectionString"
    kind: Literal["connectionString", "sas"] = "connectionString"


class StorageSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The storage account, its three containers and the kind of credential."""

    account_url: str = ""
    models: str = "models"
    data: str = "data"
    predictions: str = "predictions"
    auth: Literal["workloadIdentity", "existingSecret"] = "workloadIdentity"
    existing_secret: ExistingSecret | None = None


class DataSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The path template, the partition length (ISO 8601) and the format of readings."""

    path: str = "{yyyy}{MM}{dd}T{HH}{mm}Z/{device}.csv"
    partition: str = "PT1H"
    format: Literal["csv"] = "csv"


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The path template of models, and the classes that may be loaded from them."""

    path: str = "{device}.joblib"
    trust: Literal["allowlist", "any"] = "allowlist"


class PredictionSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The path template of predictions, and whether a run may overwrite them."""

    path: str = "{window}/{device}.csv"
    allow_overwrite: bool = False


class AnomalousWhen(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The bound of an anomalous device: at least `minRows` anomalies, and at least this share of its rows."""

    share: str = "1%"
    min_rows: int = 3


class SecretKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key of a Secret in each of the fleet's namespaces."""

    name: str
    key: str


class Receiver(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A receiver of notices: exactly one of `url` and `urlFrom` is set. The scorer validates the other keys."""

    name: str
    type: Literal["alertmanager", "webhook"]
    url: str = ""
    url_from: SecretKey | None = None
    key_from: SecretKey | None = None
    events: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    min_windows: int = 1
    max_per_window: int = 50


class Quarantine(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The failed windows after which a device is left out, and every which window runs it again."""

    after: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 24
    retry_every: Annotated[int, msgspec.Meta(ge=2, le=10_080)] = 24


class PodIds(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """The user and group ids of a pod; the cluster chooses the ones that are not set."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None


class ScorerSettings(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The service account, the resources and the placement of scorer pods."""

    service_account_name: str = "fleetscore-scorer"
    resources: Resources = field(default_factory=lambda: Resources(
        requests={"cpu": "250m", "memory": "256Mi"}, limits={"memory": "1Gi"}
    ))  # fmt: skip
    max_resources: dict[str, Quantity] = {}
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, Any]] = []
    affinity: dict[str, Any] = {}
    topology_spread_constraints: list[dict[str, Any]] = []
    priority_class_name: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    pod_labels: dict[str, str] = {}
    pod_annotations: dict[str, str] = {}
    extra_env: list[dict[str, Any]] = []
    extra_args: list[str] = []
    extra_volumes: list[dict[str, Any]] = []
    extra_volume_mounts: list[dict[str, Any]] = []
    # Unset is not part of a saved layout, so a new field does not change the layout of a run.
    pod_security_context: PodIds | msgspec.UnsetType = msgspec.UNSET
    host_users: bool | msgspec.UnsetType = msgspec.UNSET


class FleetSchedule(Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule of the chart that creates runs of the fleet; `window` is the length of a window (ISO 8601)."""

    namespace: str
    name: str
    window: str = "PT1H"

    def created(self, run: ScoringRun) -> bool:
        """Return True if a run has the namespace, label, name and length of window of the schedule's runs."""
        window = run.spec.window
        return (
            (run.namespace, run.schedule) == (self.namespace, self.name)
            and run.name == f"{self.name}-{window.run_suffix}"
            and window.length == parse_duration(self.window)
        )


_UNSAVED_FIELDS = (
    *("delay", "max_active_jobs", "max_queue_time", "schedules"),
    *("quality", "incidents", "owners", "notify", "quarantine"),
)


class Fleet(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The storage, the layout, the scorer settings and the limits of one fleet.

    The fields of _UNSAVED_FIELDS are not part of a saved layout. So they are unset there, as in a fleet of an earlier
    operator.
    """

    name: str
    namespaces: tuple[str, ...]
    storage: StorageSettings = field(default_factory=StorageSettings)
    data: DataSettings = field(default_factory=DataSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    predictions: PredictionSettings = field(default_factory=PredictionSettings)
    anomalous_when: AnomalousWhen = field(default_factory=AnomalousWhen)
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    delay: str | msgspec.UnsetType = msgspec.UNSET  # by which readings may be late (ISO 8601)
    max_active_jobs: int | msgspec.UnsetType = msgspec.UNSET
    max_queue_time: str | msgspec.UnsetType = msgspec.UNSET
    schedules: tuple[FleetSchedule, ...] | msgspec.UnsetType = msgspec.UNSET
    quarantine: Quarantine | msgspec.UnsetType = msgspec.UNSET
    # The scorer validates these.
    quality: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    incidents: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    owners: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET
    notify: tuple[Receiver, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def readings_delay(self) -> timedelta:
        """The time after the end of a window by which its readings may be late."""
        return parse_duration(self.delay or "PT0S")

    @property
    def queue_limit(self) -> timedelta:
        """The time for which a run may wait for another run before its condition Stalled names it."""
        return parse_duration(self.max_queue_time or DEFAULT_MAX_QUEUE_TIME)

    @property
    def job_limit(self) -> int | None:
        """The largest number of active Jobs of the fleet's runs; None for no limit of its own."""
        return self.max_active_jobs or None

    def scheduled(self, run: ScoringRun) -> bool:
        """Return True if a schedule of the chart creates this run."""
        return bool(run.schedule) and any(schedule.created(run) for schedule in self.schedules or ())

    def admits(self, namespace: str) -> bool:
        """Return True if runs of this namespace may use the fleet."""
        return namespace in self.namespaces

    def resources_for(self, run: ScoringRun) -> Resources:
        """Return the requests and limits of a run's scorer container: the run's own, else the fleet's."""
        default, requested = self.scorer.resources, run.spec.resources or Resources()
        return Resources({**default.requests, **requested.requests}, {**default.limits, **requested.limits})

    def storage_layout(self) -> "Fleet":
        """Return the settings that must not change while a run is active: storage, paths and limits on writing."""
        return msgspec.structs.replace(
            self,
            namespaces=(),
            scorer=ScorerSettings(),
            **dict.fromkeys(_UNSAVED_FIELDS, msgspec.UNSET),
        )


def parse_fleets(document: Any) -> dict[str, Fleet]:
    """Parse the fleets file.

    Args:
        document: The decoded YAML, `{"fleets": [...]}`.

    Returns:
        The fleets by name.

    Raises:
        InvalidFleets: A key is unknown, missing or invalid; the message names the fleet and the key.
    """
    entries = (document or {}).get("fleets") if isinstance(document, Mapping | None) else None
    if not isinstance(entries, list):
        raise InvalidFleets("the fleets file must have a list under the key `fleets`")
    fleets: dict[str, Fleet] = {}
    for index, entry in enumerate(entries):
        fleet = parse_fleet(entry, fallback_name=f"number {index + 1}")
        if fleet.name in fleets:
            raise InvalidFleets(f"fleet {fleet.name!r} is defined twice; names must be unique")
        fleets[fleet.name] = fleet
    return fleets


def parse_fleet(entry: Any, *, fallback_name: str = "") -> Fleet:
    """Parse one fleet.

    Args:
        entry: An entry of the fleets file.
        fallback_name: The name in errors about an entry without a name.

    Raises:
        InvalidFleets: As `parse_fleets`.
    """
    name = (isinstance(entry, Mapping) and entry.get("name")) or fallback_name
    try:
        fleet = msgspec.convert(entry, Fleet)
    except msgspec.ValidationError as error:
        raise InvalidFleets(f"fleet {name}: {error}") from error
    try:
        for duration in (fleet.delay, fleet.max_queue_time, *(one.window for one in fleet.schedules or ())):
            parse_duration(duration or "PT0S")
    except ValueError as error:
        raise InvalidFleets(f"fleet {name}: {error}") from error
    if fleet.storage.auth == "existingSecret" and fleet.storage.existing_secret is None:
        raise InvalidFleets(
            f"fleet {name}: storage.auth is existingSecret, but storage.existingSecret is not set; "
            "name the Secret there, or use workloadIdentity"
        )
    return fleet


def resource_excess(resources: Resources, fleet: Fleet) -> str:
    """Return the first of a run's requests and limits that the fleet does not allow, with its bound; '' for none.

    The bound is `maxResources`. A resource that `maxResources` does not name may not exceed the fleet's default. So a
    fleet without `maxResources` allows no more than its defaults. A limit of 0 is above every bound: the kubelet sets
    no limit for it (pkg/kubelet/kuberuntime).
    """
    default = fleet.scorer.resources
    for part, requested in (("requests", resources.requests), ("limits", resources.limits)):
        for name, value in requested.items():
            bound = fleet.scorer.max_resources.get(name, default.limits.get(name, default.requests.get(name)))
            try:
                if part == "limits" and not parse_quantity(value):
                    return f"resources.limits.{name} is 0, which means no limit; set an amount above 0"
                if bound is not None and parse_quantity(value) <= parse_quantity(bound):
                    continue
            except ValueError as error:
                return f"resources.{part}.{name}: {error}"
            allowed = "nothing" if bound is None else bound
            return f"resources.{part}.{name} is {value}, but fleet {fleet.name} allows {allowed}"
    return ""
