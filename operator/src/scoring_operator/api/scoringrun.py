"""ScoringRun as a frozen type, and its parser.

The API server has already validated the object against the schema of the CRD. The defaults of the schema are repeated
here for objects that were stored under an older schema.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.formatting import format_time
from scoring_operator.errors import InvalidRun

GROUP, VERSION, PLURAL, KIND = "fleetscore.dev", "v1alpha1", "scoringruns", "ScoringRun"
SCHEDULE_LABEL = "fleetscore.dev/schedule"
TERMINAL_CONDITIONS = ("Complete", "Failed")

MAX_KEPT_DEVICES = 20  # ids or globs
_STATUS_TIMES = ("startTime", "firstPodTime", "lastProgressTime", "completionTime")
_FIRST_YEAR, _LAST_YEAR = 1970, 9000  # a deadline after a later time would be beyond Python's last year
_METADATA = ("name", "namespace", "uid", "generation", "creationTimestamp", "resourceVersion", "deletionTimestamp")
WritePolicy = Literal["CreateOnly", "IfChanged", "Overwrite"]
RetryOutcome = Literal["Failed", "Partial", "NotRun", "Empty", "Quarantined"]


class Window(Struct, frozen=True):
    """The half-open time window [start, end) of readings to score, in whole seconds UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """The time from start to end."""
        return self.end - self.start

    @property
    def slug(self) -> str:
        """The window in names of blobs: 20180828T230000Z_20180829T000000Z."""
        return "_".join(f"{time.astimezone(UTC):%Y%m%dT%H%M%SZ}" for time in (self.start, self.end))

    @property
    def run_suffix(self) -> str:
        """The window in the name of a schedule's run: 20180828t230000z."""
        return f"{self.start.astimezone(UTC):%Y%m%dt%H%M%Sz}"

    @property
    def interval(self) -> str:
        """The window in the metadata of blobs, as ISO 8601 has it: 2018-08-28T23:00:00Z/2018-08-29T00:00:00Z."""
        return f"{format_time(self.start)}/{format_time(self.end)}"

    @property
    def column(self) -> str:
        """The window in a column of kubectl, as start and length: 2018-08-28T23:00Z/1h."""
        hours, seconds = divmod(int(self.length.total_seconds()), 3600)
        minutes, seconds = divmod(seconds, 60)
        parts = [f"{hours}h" * bool(hours), f"{minutes}m" * bool(minutes), f"{seconds}s" * bool(seconds)]
        return f"{self.start.astimezone(UTC):%Y-%m-%dT%H:%MZ}/{''.join(parts)}"


class RetryOf(Struct, frozen=True):
    """The devices of an earlier run of the same window that have one of some outcomes."""

    name: str
    outcomes: tuple[RetryOutcome, ...] = ("Failed", "Partial", "NotRun")


class DeviceSource(Struct, frozen=True, rename="camel"):
    """The source of the device list: at most one field is set; without any, every device that has a model."""

    include: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    retry_of: RetryOf | None = None


class Resources(Struct, frozen=True):
    """Requests and limits of the scorer container, as Kubernetes quantities."""

    requests: dict[str, str | int | float] = {}
    limits: dict[str, str | int | float] = {}


class Canary(Struct, frozen=True, rename="camel"):
    """The Jobs that run alone at first, and the share of their devices that may fail."""

    jobs: int = 3
    max_failed_percent: int | str = "50%"

    @property
    def max_failed_tenths(self) -> int:
        """The share in tenths of a percent."""
        return round(float(str(self.max_failed_percent).rstrip("%")) * 10)


class Spec(Struct, frozen=True, rename="camel"):
    """The spec of a ScoringRun; crds/ describes every field."""

    window: Window
    fleet: str = "default"
    devices: DeviceSource = DeviceSource()
    tags: tuple[str, ...] = ()
    write_policy: WritePolicy = "CreateOnly"
    devices_per_job: int | Literal["Auto"] = 1
    parallelism: int = 100
    backoff_limit: int = 2
    max_failed_devices: int | str = "5%"
    max_empty_devices: int | str = "50%"
    max_devices: int = 100_000
    suspend: bool = False
    cancel: bool = False
    canary: Canary | None = None
    overlap_policy: Literal["Queue", "Skip"] = "Queue"
    pending_deadline_seconds: int = 1800
    active_deadline_seconds: int = 3300
    device_deadline_seconds: int = 300
    ttl_seconds_after_finished: int = 604_800
    history_limit: int = 200
    resources: Resources | None = None


class RunRef(Struct, frozen=True):
    """The identity of a ScoringRun."""

    name: str
    namespace: str
    uid: str


class ScoringRun(RunRef, frozen=True):
    """A ScoringRun: its identity, its spec, and its last observed status as JSON.

    Attributes:
        abridged: Whether `spec.devices` lacks ids or globs, because there are many.
        ended: Whether the status has a terminal condition, which never reverts. Each event of a Job asks for it.
    """

    generation: int
    created: datetime
    resource_version: str
    spec: Spec
    schedule: str = ""
    deleting: bool = False
    status: dict[str, Any] = {}
    abridged: bool = False
    ended: bool = False

    def __post_init__(self) -> None:
        """Compute `ended`."""
        structs.force_setattr(self, "ended", has_ended(self.status))

    @property
    def ref(self) -> RunRef:
        """The identity of the run, which never changes."""
        return RunRef(self.name, self.namespace, self.uid)

    def equals(self, other: "ScoringRun") -> bool:
        """Return True if two objects of the run differ in nothing that the operator reads.

        Args:
            other: Another object of the run.
        """
        version = other.resource_version
        return bool(version) and structs.replace(self, resource_version=version) == other

    def is_newer_than(self, other: "ScoringRun") -> bool:
        """Return True if this object is a later state. Resource versions are opaque, but grow if they are numbers.

        Args:
            other: Another object of the run.
        """
        versions = self.resource_version, other.resource_version
        return all(version.isdecimal() for version in versions) and int(versions[0]) > int(versions[1])


def has_ended(status: Mapping[str, Any]) -> bool:
    """Return True if a run with this status has ended: Complete or Failed is True."""
    return true_condition(status, *TERMINAL_CONDITIONS) is not None


def relevant_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a ScoringRun without what the operator does not read, such as annotations of any size.

    The operator holds all runs, and a run with 1,000 ids takes 200 KB. The device list needs the ids once, so it reads
    the run again.

    Args:
        body: The object, as the API server returns it.
    """
    meta = body.get("metadata") or {}
    found: dict[str, Any] = {key: meta[key] for key in _METADATA if key in meta}
    if SCHEDULE_LABEL in (meta.get("labels") or {}):
        found["labels"] = {SCHEDULE_LABEL: meta["labels"][SCHEDULE_LABEL]}
    kept = {"metadata": found} | {key: body[key] for key in ("spec", "status") if key in body}
    devices = (body.get("spec") or {}).get("devices") or {}
    if any(len(devices.get(key) or ()) > MAX_KEPT_DEVICES for key in ("ids", "include")):
        first = {key: value[:MAX_KEPT_DEVICES] for key, value in devices.items() if key in ("ids", "include")}
        return kept | {"spec": body["spec"] | {"devices": devices | first}, "abridged": True}
    return kept


def parse_run(body: Mapping[str, Any]) -> ScoringRun:
    """Parse the JSON of a ScoringRun.

    Args:
        body: The object, as the API server returns it.

    Raises:
        InvalidRun: A field is missing or has the wrong type; the message names the field.
    """
    meta = body.get("metadata") or {}
    try:
        return msgspec.convert(
            {
                "name": meta.get("name"),
                "namespace": meta.get("namespace"),
                "uid": meta.get("uid"),
                "generation": meta.get("generation", 1),
                "created": meta.get("creationTimestamp"),
                "resource_version": meta.get("resourceVersion", ""),
                "schedule": (meta.get("labels") or {}).get(SCHEDULE_LABEL, ""),
                "deleting": bool(meta.get("deletionTimestamp")),
                "spec": body.get("spec"),
                "status": _without_unusable_times(body.get("status") or {}),
                "abridged": body.get("abridged", False),
            },
            ScoringRun,
        )
    except msgspec.ValidationError as error:
        raise InvalidRun(str(error)) from error


def _without_unusable_times(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a status without times that Python cannot read: the format date-time admits some, such as 23:00:00x5Z.

    Only the operator writes the status, unless an administrator gives that right to others.
    """
    unusable = [key for key in _STATUS_TIMES if key in status and not _is_usable(status[key])]
    return {key: value for key, value in status.items() if key not in unusable} if unusable else status


def _is_usable(text: Any) -> bool:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return time.tzinfo is not None and _FIRST_YEAR <= time.year <= _LAST_YEAR


def resolve_limit(value: int | str, total: int) -> int:
    """Return the number of devices that a failure budget allows.

    Args:
        value: A number of devices, or a percentage such as "5%".
        total: The number of devices of the run.

    Returns:
        The number itself, or the percentage of `total`, rounded up as `maxUnavailable` of a PodDisruptionBudget.
    """
    if isinstance(value, int):
        return value
    tenths = round(float(value.rstrip("%")) * 10)
    return -(-total * tenths // 1000)
