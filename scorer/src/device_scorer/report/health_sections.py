"""The sections of the page about incidents and faulty sensors, and the strip of a device's last windows."""

from html import escape

from device_scorer.health.incidents import CLOSED
from device_scorer.report.fleet_health import FleetHealth, IncidentRow, format_epoch, format_instant
from device_scorer.report.html import MAX_LISTED, placeholder, section, table

STATE_CLASSES = {
    "F": ("failed", "failed"),
    "E": ("no-readings", "no readings"),
    "P": ("partial", "partly scored"),
    "S": ("elevated", "faulty sensor"),
    "A": ("severe", "anomalous"),
    "N": ("good", "normal"),
    "-": ("unknown", "not run"),
    "?": ("unknown", "unknown"),
}


def incidents_section(health: FleetHealth) -> str:
    """Return the section of incidents: those that last first, those that closed last."""
    ordered = sorted(health.incidents, key=lambda row: (row.muted is not None, row.incident.state == CLOSED))
    rows = (
        [
            row.incident.device or "the fleet",
            row.incident.cause,
            row.incident.state + (" (muted)" if row.muted is not None else ""),
            format_instant(row.since).replace("T", " ").removesuffix(":00Z"),
            f"{row.incident.windows:,}",
            ", ".join(row.tags[:3]),
            row.owner.label,
        ]
        for row in ordered[:MAX_LISTED]
    )
    headers = ["Device", "Cause", "State", "Since (UTC)", "Windows", "Worst tags", "Owner"]
    listed = table(headers, rows, numbers={4}, total=len(ordered)) if ordered else placeholder("none")
    problems = "".join(f'<p class="note">{escape(text)}</p>' for text in health.problems[:MAX_LISTED])
    return section("Incidents", listed + problems)


def sensors_section(health: FleetHealth) -> str:
    """Return the section of faulty sensors; empty without one."""
    if not health.sensors:
        return ""
    rows = (
        [device, one.tag, one.flag.name, format_epoch(one.flag.since), f"{one.rows:,}", one.flag.detail]
        for device, one in health.sensors[:MAX_LISTED]
    )
    headers = ["Device", "Tag", "Fault", "Since", "Readings", "Detail"]
    return section("Faulty sensors", table(headers, rows, numbers={4}, total=len(health.sensors)))


def strip(health: FleetHealth, device: str) -> str:
    """Return a row of squares, one per window of the device's last windows, the newest last."""
    states = health.strips.get(device, "")
    if not states:
        return ""
    squares = "".join(
        f'<i class="k-{STATE_CLASSES[letter][0]}" title="{STATE_CLASSES[letter][1]}"></i>' for letter in states
    )
    return f'<div class="strip" role="img" aria-label="states of the last windows: {states}">{squares}</div>'


def since_text(health: FleetHealth, device: str) -> str:
    """Return since when and why a device is not well; empty without an incident."""
    found: IncidentRow | None = next((row for row in health.incidents if row.incident.device == device), None)
    if found is None or found.incident.state == CLOSED:
        return ""
    return f"<p>{escape(found.incident.cause)} incident since {format_instant(found.since)}</p>"
