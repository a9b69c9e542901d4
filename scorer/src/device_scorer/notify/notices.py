"""Notices and their forms: alerts of Alertmanager's API v2, and CloudEvents 1.0 in structured JSON.

The form of a notice depends on nothing but the notice, so that a repeated report makes the same bytes.
"""

import hashlib
import hmac
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from device_scorer.notify.receivers import CLOSED, OPENED, RUN_FAILED
from device_scorer.window import format_time

OPEN = "open"
"""The event of an incident that was opened earlier. Only Alertmanager receives it: its clients repeat alerts."""

MORE = "more"
"""The event of a notice that counts the notices above the limit of a window."""

ALERT_NAME = "FleetscoreIncident"
ALERT_NAMES = {RUN_FAILED: "FleetscoreRunFailed", MORE: "FleetscoreMoreIncidents"}
CLOUD_EVENT_TYPES = {
    OPENED: "dev.fleetscore.incident.opened",
    CLOSED: "dev.fleetscore.incident.closed",
    RUN_FAILED: "dev.fleetscore.run.failed",
    MORE: "dev.fleetscore.incident.more",
}
_COMMANDS = {RUN_FAILED: "status", MORE: "incidents"}
SIGNATURE_HEADER = "X-Fleetscore-Signature-256"
MAX_TEXT_CHARS = 500
MAX_TAGS = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """One event about an incident or a run.

    Attributes:
        event: OPENED, OPEN, CLOSED, RUN_FAILED or MORE.
        id: The id of the incident, or the fleet and the window of the run.
        fleet: The fleet's name.
        cause: machine, sensor, data, fleet or run.
        window_end: The end of the window of the event, in UTC.
        since: The start of the first window of the incident, in UTC.
        until: The end of the last window of a closed incident, in UTC.
        device: The device's id; empty for the fleet or a run.
        tags: The tags, the worst first.
        windows: The number of windows that the incident has lasted.
        detail: A sentence with the numbers.
        owner: The name of the owner; empty without one.
        contact: The owner's contact.
        report: The address or the blob name of the report.
        muted: True if a mute applies; the notice is then sent to no receiver.
        may_be_older: True if the incident may have begun before `since`, which is the first window that is known.
    """

    event: str
    id: str
    fleet: str
    cause: str
    window_end: datetime
    since: datetime
    until: datetime | None = None
    device: str = ""
    tags: Sequence[str] = ()
    windows: int = 1
    detail: str = ""
    owner: str = ""
    contact: str = ""
    report: str = ""
    muted: bool = False
    may_be_older: bool = False

    @property
    def summary(self) -> str:
        """One sentence: the subject, the event and since when."""
        subject = f"device {self.device} of fleet {self.fleet}" if self.device else f"fleet {self.fleet}"
        since = format_time(self.since)
        if self.event == RUN_FAILED:
            return f"A run of fleet {self.fleet} failed in the window from {since}"
        if self.event == MORE:
            return f"{subject}: more incidents than this receiver takes"
        kind = f"{self.cause} incident" if self.device else "incident of many devices"
        if self.event == CLOSED:
            lasted = f"; it lasted until {format_time(self.until)}" if self.until else ""
            return f"{subject}: {kind} since {since} is closed{lasted}"
        return f"{subject}: {kind} since {since}"

    @property
    def command(self) -> str:
        """The command with which the reader continues."""
        words = ["device", self.device] if self.device else [_COMMANDS.get(self.event, "doctor")]
        return shlex.join(["kubectl", "fleetscore", *words, "--fleet", self.fleet])

    @property
    def event_id(self) -> str:
        """The id of the event: equal for the same event of the same incident in a window, however often it is sent."""
        return hashlib.sha256(f"{self.id}\0{self.event}\0{format_time(self.window_end)}".encode()).hexdigest()[:32]


def to_alert(notice: Notice, *, ends_at: datetime | None) -> dict[str, Any]:
    """Return an alert of Alertmanager's API v2 (POST /api/v2/alerts).

    Alertmanager knows an alert by its labels. A device has one incident at a time, and a fleet may have several, so
    those of a fleet have their id as a label.

    Args:
        notice: The notice.
        ends_at: The end of an open alert, after which Alertmanager resolves it without another report; None for the
            receiver's own resolve timeout. A closed incident ends with its window.
    """
    labels = {
        "alertname": ALERT_NAMES.get(notice.event, ALERT_NAME),
        "fleet": notice.fleet,
        "device": notice.device,
        "cause": notice.cause,
        "owner": notice.owner,
        "incident": "" if notice.device or notice.event in ALERT_NAMES else notice.id,
    }
    annotations = {
        "summary": notice.summary,
        "description": notice.detail,
        "tags": ", ".join(notice.tags[:MAX_TAGS]),
        "since": format_time(notice.since),
        "windows": str(notice.windows),
        "contact": notice.contact,
        "report": notice.report,
        "command": notice.command,
    }
    end = notice.window_end if notice.event == CLOSED else ends_at
    start = min(notice.since, end or notice.since)  # Alertmanager rejects an alert that ends before it starts
    alert: dict[str, Any] = {
        "labels": {key: clean(value) for key, value in labels.items() if value},
        "annotations": {key: clean(value) for key, value in annotations.items() if value},
        "startsAt": format_time(start),
    }
    return {**alert, "endsAt": format_time(end)} if end else alert


def to_cloud_event(notice: Notice) -> dict[str, Any]:
    """Return a CloudEvent in the structured JSON mode (CloudEvents 1.0, JSON event format)."""
    data: dict[str, Any] = {
        "incident": notice.id,
        "fleet": clean(notice.fleet),
        "device": clean(notice.device),
        "cause": notice.cause,
        "since": format_time(notice.since),
        "until": format_time(notice.until) if notice.until else None,
        "windows": notice.windows,
        "tags": [clean(tag) for tag in notice.tags[:MAX_TAGS]],
        "summary": clean(notice.summary),
        "detail": clean(notice.detail),
        "owner": clean(notice.owner),
        "contact": clean(notice.contact),
        "report": clean(notice.report),
        "command": clean(notice.command),
    }
    return {
        "specversion": "1.0",
        "id": notice.event_id,
        "type": CLOUD_EVENT_TYPES[notice.event],
        "source": f"/fleetscore/{quote(clean(notice.fleet), safe='')}",  # a URI reference
        "subject": clean(notice.device) or clean(notice.fleet),
        "time": format_time(notice.window_end),
        "datacontenttype": "application/json",
        "data": {key: value for key, value in data.items() if value not in ("", None, [])},
    }


def signature(body: bytes, key: str) -> str:
    """Return the signature header's value: `sha256=` and the HMAC-SHA-256 (RFC 2104) of the body in hex."""
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def clean(text: str) -> str:
    """Return a text as one printable line of at most MAX_TEXT_CHARS characters."""
    line = " ".join(text[: 4 * MAX_TEXT_CHARS].split())
    return "".join(one if one.isprintable() else "?" for one in line)[:MAX_TEXT_CHARS]
