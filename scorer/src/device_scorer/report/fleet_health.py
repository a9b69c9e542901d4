"""The health of a fleet in a window, as the report shows it: states, incidents, faulty sensors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from device_scorer.contract.causes import CAUSES
from device_scorer.contract.digest import FLAGS
from device_scorer.health import history
from device_scorer.health.history import UNKNOWN
from device_scorer.health.incidents import (
    CLOSED,
    OPEN,
    OPENED,
    History,
    Incident,
    find_incidents,
)
from device_scorer.health.mutes import Mutes
from device_scorer.health.settings import NO_OWNER, IncidentSettings, Owner
from device_scorer.plurals import counted
from device_scorer.report.statistics import DeviceFigures, FlaggedSensor
from device_scorer.report.summary import AnomalyRule, DeviceRow, Summary
from device_scorer.report.tables import encode_csv

MAX_TAGS = 10
"""Number of tags that are named for an incident."""

MIN_STUCK_TAGS = 2
"""Number of stuck sensors from which a machine counts as off: one stuck sensor is a faulty sensor."""

MAX_NAMED_DEVICES = 3
"""Number of devices that are named for an incident of the fleet."""

STRIP_WINDOWS = 48
"""Number of the last windows that the page shows for a drawn device."""

MAX_STRIPS = 20
"""Number of anomalous devices whose last states are kept; the page draws fewer."""

SENSORS_HEADER = ("Device", "Tag", "Flag", "Since", "Rows", "Detail")
INCIDENTS_HEADER = (
    *("Id", "Device", "Cause", "State", "Since", "Until", "Windows", "Tags", "Strongest", "Owner", "Muted"),
)
TRANSIENT_REASONS = frozenset(
    {"StorageUnavailable", "IdentityUnavailable", "ConfigurationInvalid", "ImagePull", "Evicted", "JobLost"}
)
"""Reasons of failures that are not those of the device: it counts as not run in the history."""

_WORDS = {
    history.ANOMALOUS: ("device is anomalous", "devices are anomalous"),
    history.SENSOR: ("device has a faulty sensor", "devices have a faulty sensor"),
    history.EMPTY: ("device has no readings", "devices have no readings"),
    history.FAILED: ("device failed", "devices failed"),
}
_STATE_OF_OUTCOME = {
    "failed": history.FAILED,
    "empty": history.EMPTY,
    "notRun": history.NOT_RUN,
    "quarantined": history.NOT_RUN,
    "missing": history.NOT_RUN,
}


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident with what people need to act on it.

    Attributes:
        incident: The incident.
        since: The start of its first window.
        until: The end of its last bad window; None if it lasts.
        tags: The worst tags in the window, with their faults or anomalies.
        strongest: The lowest score in the window; empty without anomalies.
        owner: The owner of the device.
        muted: The reason of a mute; None if it is not muted.
    """

    incident: Incident
    since: datetime
    until: datetime | None
    tags: Sequence[str] = ()
    strongest: str = ""
    owner: Owner = NO_OWNER
    muted: str | None = None


@dataclass(frozen=True)
class FleetHealth:
    """The health of a fleet in a window.

    Attributes:
        incidents: The incidents that opened, are open or closed in the window.
        sensors: The faulty sensors with their devices.
        strips: The last states of some devices, the newest last.
        problems: Sentences about files that are damaged, and then those about receivers of notices.
        notify_problems: The number of sentences about receivers of notices.
        newest: True if the history has no state of a later window.
        series: The name of the history: fleets have one for each length and offset of windows.
        mutes: The mutes that apply in the window.
        devices: The devices of the window.
    """

    incidents: Sequence[IncidentRow] = ()
    sensors: Sequence[tuple[str, FlaggedSensor]] = ()
    strips: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    notify_problems: int = 0
    newest: bool = True
    series: str = ""
    mutes: Mutes = field(default_factory=Mutes)
    devices: Sequence[str] = ()

    def mute_of(self, device: str) -> str | None:
        """Return why an incident that is not in the window any more is muted; None if it is not.

        The devices of such an incident of the fleet are not known, so it is muted if all devices of the window are.

        Args:
            device: The device; empty for an incident of the fleet.
        """
        return self.mutes.reason(device) if device else _mute_of_fleet(self.devices, self.mutes)

    @property
    def counts(self) -> dict[str, object]:
        """The numbers for `_summary.json` and the operator."""
        states = Counter(row.incident.state for row in self.incidents)
        causes = Counter(row.incident.cause for row in self.incidents if row.incident.state != CLOSED)
        return {
            "open": states[OPEN] + states[OPENED],
            "opened": states[OPENED],
            "closed": states[CLOSED],
            "muted": sum(row.muted is not None for row in self.incidents),
            "causes": {cause: causes[cause] for cause in CAUSES if causes[cause]},
        }

    @property
    def sensor_counts(self) -> dict[str, int]:
        """The number of faulty sensors by fault."""
        counts = Counter(sensor.flag.name for _, sensor in self.sensors)
        return {flag: counts[flag] for flag in FLAGS if counts[flag]}


def state_letter(row: DeviceRow, rule: AnomalyRule) -> str:
    """Return the state of a device: the first that applies.

    The anomalies of faulty sensors do not count for "anomalous", unless all sensors are stuck. A device that is scored
    in part is anomalous or has a faulty sensor if the scored tags show it. It is not normal, since the others are
    unknown.

    Args:
        row: The device in a window.
        rule: The rule for anomalous devices.
    """
    if row.outcome.kind == "failed" and row.outcome.reason in TRANSIENT_REASONS:
        return history.NOT_RUN
    if row.outcome.kind in _STATE_OF_OUTCOME:
        return _STATE_OF_OUTCOME[row.outcome.kind]
    figures = row.statistics
    faulty = {sensor.tag for sensor in figures.flagged}
    trusted = sum(one.anomalies for tag, one in figures.tags.items() if tag not in faulty)
    trusted = max(0, trusted - sum(figures.left_out_flags[-1:]))
    if rule.anomalous_when.is_anomalous(figures.rows, trusted) or (row.anomalous and _is_off(figures)):
        return history.ANOMALOUS
    if faulty or figures.left_out_flags:
        return history.SENSOR
    return history.PARTIAL if row.outcome.kind == "partial" else history.NORMAL


def _is_off(figures: DeviceFigures) -> bool:
    """Return True if every sensor with readings is stuck: sensors do not freeze together, but a machine can be off."""
    stuck = sum(sensor.flag.name == "stuck" for sensor in figures.flagged)
    stuck += dict(zip(FLAGS, figures.left_out_flags, strict=False)).get("stuck", 0)
    return stuck >= max(MIN_STUCK_TAGS, figures.tags_with_rows)


def state_letters(summary: Summary) -> dict[str, str]:
    """Return the state of each device of a window.

    A device whose digest is damaged is not normal, because the faults of its sensors are unknown: no incident closes.
    """
    letters = {row.device: state_letter(row, summary.rule) for row in summary.devices}
    for device in summary.coverage.damaged_digests:
        if letters.get(device) == history.NORMAL:
            letters[device] = history.PARTIAL
    return letters | dict.fromkeys(summary.unreadable, history.FAILED)


def flagged_sensors(summary: Summary) -> list[tuple[str, FlaggedSensor]]:
    """Return the faulty sensors of a window with their devices."""
    return [(row.device, sensor) for row in summary.devices for sensor in row.statistics.flagged]


def assess(
    summary: Summary, past: History, settings: IncidentSettings, mutes: Mutes, problems: Sequence[str] = ()
) -> FleetHealth:
    """Return the health of a fleet. A device that does not belong to the window any more has no incident.

    Args:
        summary: The summary of the window.
        past: The history up to the window.
        settings: The rules of incidents.
        mutes: The mutes that apply in the window.
        problems: Sentences about files that are damaged.
    """
    rows = {row.device: row for row in summary.devices}
    devices = rows.keys() | summary.unreadable.keys()
    incidents = [
        _incident_row(incident, rows.get(incident.device), past, settings, mutes)
        for incident in find_incidents(past, settings, devices)
    ]
    drawn = (row.device for row in summary.anomalous[:MAX_STRIPS])
    strips = {device: past.states.get(device, "")[-STRIP_WINDOWS:].lstrip(UNKNOWN) for device in drawn}
    known, sensors = [*rows, *summary.unreadable], flagged_sensors(summary)
    return FleetHealth(incidents, sensors, strips, [*problems, *mutes.problems], mutes=mutes, devices=known)


def sensors_csv(health: FleetHealth) -> bytes:
    """Return the content of `_sensors.csv`: every faulty sensor."""
    return encode_csv(
        SENSORS_HEADER,
        (
            [device, one.tag, one.flag.name, format_epoch(one.flag.since), one.rows, one.flag.detail]
            for device, one in health.sensors
        ),
    )


def incidents_csv(health: FleetHealth) -> bytes:
    """Return the content of `_incidents.csv`: every incident that opened, is open or closed in the window."""
    return encode_csv(
        INCIDENTS_HEADER,
        (
            [
                row.incident.id,
                row.incident.device,
                row.incident.cause,
                row.incident.state,
                format_instant(row.since),
                format_instant(row.until) if row.until else "",
                row.incident.windows,
                "; ".join(row.tags),
                row.strongest,
                row.owner.label,
                "" if row.muted is None else row.muted or "muted",
            ]
            for row in health.incidents
        ),
    )


def format_instant(instant: datetime) -> str:
    """Return the ISO 8601 text of an instant."""
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def format_epoch(seconds: int) -> str:
    """Return the ISO 8601 text of seconds since the epoch; an empty text for 0 and for a year out of range."""
    try:
        return format_instant(datetime.fromtimestamp(seconds, UTC)) if seconds else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _incident_row(
    incident: Incident, row: DeviceRow | None, past: History, settings: IncidentSettings, mutes: Mutes
) -> IncidentRow:
    recovered = incident.recovered
    until = None if recovered is None else datetime.fromtimestamp(past.start_of(recovered), UTC)
    since = datetime.fromtimestamp(past.start_of(incident.first), UTC)
    if not incident.device:
        muted = _mute_of_fleet(incident.devices, mutes)
        return IncidentRow(incident, since, until, [_describe_devices(incident)], "", settings.owner_of(""), muted)
    owner, muted = settings.owner_of(incident.device), mutes.reason(incident.device)
    if row is None or incident.state == CLOSED:
        return IncidentRow(incident, since, until, (), "", owner, muted)
    return IncidentRow(incident, since, until, _tags(row), _strongest(row), owner, muted)


def _mute_of_fleet(devices: Sequence[str], mutes: Mutes) -> str | None:
    """Return why an incident of the fleet is muted, by a mute of the whole fleet or of each device; None if it is not.

    A planned stop of a hall, whose devices are muted, is not a page for the fleet.
    """
    reason = mutes.reason("")
    if reason is not None or not mutes.mutes:
        return reason
    for device in devices:
        if (reason := mutes.reason(device)) is None:
            return None
    return reason


def _describe_devices(incident: Incident) -> str:
    """Return the number of devices, their state, and the names of some."""
    named, count = list(incident.devices[:MAX_NAMED_DEVICES]), len(incident.devices)
    more = f" and {count - len(named):,} more" if count > len(named) else ""
    return f"{counted(count, *_WORDS[incident.letter])}: {', '.join(named)}{more}"


def _tags(row: DeviceRow) -> list[str]:
    flagged = [f"{sensor.tag} ({sensor.flag.name})" for sensor in row.statistics.flagged]
    anomalous = [f"{tag} ({counted(one.anomalies, 'anomaly', 'anomalies')})" for tag, one in row.statistics.worst_tags]
    found = [*anomalous, *flagged]
    more = [f"and {len(found) - MAX_TAGS:,} more"] if len(found) > MAX_TAGS else []
    return [*found[:MAX_TAGS], *more]


def _strongest(row: DeviceRow) -> str:
    scores = [one.worst_score for one in row.statistics.tags.values()]
    return f"{min(scores):.9g}" if scores else ""
