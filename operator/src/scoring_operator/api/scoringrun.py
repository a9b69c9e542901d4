"""ScoringRun as a frozen type, and its parser. Pure.

The schema of the CRD has already refused what a schema can refuse; defaults stand here again so that tests and objects
stored under an older schema read the same.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct

from scoring_operator.errors import InvalidRun

GROUP, VERSION, PLURAL, KIND = "fleetscore.dev", "v1alpha1", "scoringruns", "ScoringRun"
SCHEDULE_LABEL = "fleetscore.dev/schedule"

WritePolicy = Literal["CreateOnly", "IfChanged", "Overwrite"]
RetryOutcome = Literal["Failed", "Partial", "NotRun", "Empty"]


class Window(Struct, frozen=True):
    """The half-open time window [start, end) of readings to score, in whole seconds UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start


class RetryOf(Struct, frozen=True):
    """Devices of an earlier run of the same window, chosen by how they ended."""

    name: str
    outcomes: tuple[RetryOutcome, ...] = ("Failed", "Partial", "NotRun")


class DeviceSource(Struct, frozen=True, rename="camel"):
    """Where the device list comes from: at most one field is set; none means every device that has a model."""

    include: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    retry_of: RetryOf | None = None


class Resources(Struct, frozen=True):
    """Requests and limits of the scorer container, as Kubernetes quantities."""

    requests: dict[str, str | int] = {}
    limits: dict[str, str | int] = {}


class Spec(Struct, frozen=True, rename="camel"):
    """The spec of a ScoringRun; the CRD describes every field."""

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
    overlap_policy: Literal["Queue", "Skip"] = "Queue"
    pending_deadline_seconds: int = 1800
    active_deadline_seconds: int = 3300
    device_deadline_seconds: int = 300
    ttl_seconds_after_finished: int = 604_800
    history_limit: int = 200
    resources: Resources | None = None


class ScoringRun(Struct, frozen=True):
    """A ScoringRun: identity, spec, and the status as last read (plain JSON, rewritten as a whole)."""

    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime
    resource_version: str
    spec: Spec
    schedule: str = ""
    deleting: bool = False
    status: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        """Whether a terminal condition stands in status; it never reverts."""
        return has_ended(self.status)


def has_ended(status: Mapping[str, Any]) -> bool:
    """Whether a run with this status has ended: Complete or Failed is True."""
    conditions = status.get("conditions") or ()
    return any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in conditions)


def parse_run(body: Mapping[str, Any]) -> ScoringRun:
    """Read the JSON of a ScoringRun.

    Args:
        body: the object as the API server gives it.

    Raises:
        InvalidRunError: a field is missing or of the wrong type; the message names it.
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
                "status": body.get("status") or {},
            },
            ScoringRun,
        )
    except msgspec.ValidationError as error:
        raise InvalidRun(str(error)) from error


def resolve_limit(value: int | str, total: int) -> int:
    """How many of `total` devices a bound allows: an int as it is, a percentage rounded up."""
    if isinstance(value, int):
        return value
    tenths = round(float(value.rstrip("%")) * 10)
    return -(-total * tenths // 1000)
