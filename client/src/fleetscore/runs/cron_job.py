"""The CronJob of a schedule, as the API server has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetscore.contract.schedules import SCHEDULE_LABEL
from fleetscore.texts import printable


@dataclass(frozen=True, slots=True)
class CronJob:
    """The CronJob of a schedule.

    Attributes:
        name: The name of the CronJob.
        schedule: The name of the schedule.
        expression: The cron expression, as the API server has it.
        zone: The IANA name of the time zone.
        suspended: True if no firing creates a run.
        created: The time at which the CronJob was created.
        last: The time of the last firing; None before the first.
    """

    name: str
    schedule: str
    expression: str
    zone: str
    suspended: bool
    created: datetime
    last: datetime | None

    @property
    def times(self) -> str:
        """The cron expression in a form that can be printed."""
        return printable(self.expression)


def read_cron_job(body: Mapping[str, Any]) -> CronJob:
    """Return the CronJob of a schedule.

    Args:
        body: The CronJob, as JSON; it has the label of its schedule.
    """
    metadata, spec = body["metadata"], body["spec"]
    last = (body.get("status") or {}).get("lastScheduleTime")
    return CronJob(
        name=str(metadata["name"]),
        schedule=str(metadata["labels"][SCHEDULE_LABEL]),
        expression=str(spec.get("schedule", "")),
        zone=printable(spec.get("timeZone") or "UTC"),
        suspended=bool(spec.get("suspend")),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        last=datetime.fromisoformat(last) if last else None,
    )
