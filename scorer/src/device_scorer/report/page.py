"""The report as one HTML page that opens from disk: it contains its style, charts and script.

Its size is bounded: every list has a limit and shows the number of omitted entries. Only the grid and the search know
all devices, up to a limit.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from device_scorer import __version__
from device_scorer.plurals import counted, plural
from device_scorer.report import charts
from device_scorer.report.charts import Point
from device_scorer.report.coverage_sections import coverage_sections, coverage_tiles
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.grid import CELL_KINDS, cell_kind, devices_in_grid
from device_scorer.report.health_sections import incidents_section, sensors_section, since_text, strip
from device_scorer.report.html import MAX_LISTED, columns, device_badges, placeholder, section, table
from device_scorer.report.summary import COMPLETE_OUTCOMES, DeviceRow, Summary
from device_scorer.report.time_labels import axis_ends, time_label, window_label

MAX_PLOTTED_DEVICES = 8
"""Number of devices whose readings are plotted."""

MAX_PLOTTED_TAGS = 3
"""Number of tags that are plotted for each of these devices."""

MAX_LISTED_TAGS = 10
"""Number of tags in the chart of anomalies by tag."""

OUTCOME_LABELS = {
    "scored": "scored",
    "alreadyScored": "already scored",
    "partial": "partly scored",
    "empty": "no readings",
    "failed": "failed",
    "notRun": "not run",
    "quarantined": "in quarantine",
    "missing": "no predictions",
}


def render(
    summary: Summary,
    series: Mapping[str, Mapping[str, Sequence[Point]]],
    health: FleetHealth = FleetHealth(),  # noqa: B008  it is immutable
) -> bytes:
    """Return the page.

    Args:
        summary: The summary of the window.
        series: The readings of the worst devices, by device and tag.
        health: The incidents and faulty sensors.
    """
    window = window_label(summary.window)
    assets = files("device_scorer.report") / "assets"
    style, script = (assets.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    shown = devices_in_grid(summary.devices)
    body = [
        _header(summary, window),
        _tiles(summary),
        incidents_section(health),
        sensors_section(health),
        _fleet_grid(summary, shown),
        columns(_timeline(summary), _anomalies_by_tag(summary)),
        columns(_anomalous_devices(summary), _comparison(summary)),
        columns(_failures(summary), _stale_devices(summary)),
        coverage_sections(summary),
        _worst_devices(summary, series, health),
        _footer(summary),
    ]
    devices = [
        [row.device, OUTCOME_LABELS[row.outcome.kind], row.statistics.rows, row.statistics.anomalies] for row in shown
    ]
    data = json.dumps(devices, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Scores {escape(window)}</title><style>{style}</style></head><body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="devices">{data}</script>\n<script>{script}</script></body></html>\n'
    ).encode()


def _header(summary: Summary, window: str) -> str:
    badge = (
        '<span class="badge good">complete</span>' if summary.complete else '<span class="badge bad">incomplete</span>'
    )
    return f"<header><h1>{escape(window)}</h1>{badge}</header>"


def _tiles(summary: Summary) -> str:
    outcomes = summary.outcomes
    scored = outcomes.get("scored", 0) + outcomes.get("alreadyScored", 0)
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    unusable = summary.totals.bad_rows + summary.totals.unscored_rows
    anomalous, failures, stale = (
        len(summary.anomalous),
        len(summary.failures) + len(summary.unreadable),
        len(summary.stale),
    )
    tiles = [
        (plural(len(summary.devices), "device", "devices"), f"{len(summary.devices):,}", False),
        ("fully scored", f"{scored:,}", False),
        (plural(anomalous, "anomalous device", "anomalous devices"), f"{anomalous:,}", anomalous > 0),
        (plural(summary.rows, "reading", "readings"), f"{summary.rows:,}", False),
        (f"{plural(summary.anomalies, 'anomaly', 'anomalies')}, {share:.2%}", f"{summary.anomalies:,}", False),
        ("failed, partial, not run", f"{failures:,}", failures > 0),
        ("silent or stale", f"{stale:,}", stale > 0),
        (plural(unusable, "unusable row", "unusable rows"), f"{unusable:,}", False),
        *coverage_tiles(summary),
    ]
    drawn = (
        f'<div class="tile{" alarm" if alarm else ""}"><b>{number}</b>{name}</div>' for name, number, alarm in tiles
    )
    return f'<div class="tiles">{"".join(drawn)}</div>'


def _fleet_grid(summary: Summary, shown: Sequence[DeviceRow]) -> str:
    kinds = [cell_kind(row) for row in shown]
    omitted = len(summary.devices) - len(shown)
    several = "more devices without anomalies or failures are not shown."
    text = counted(omitted, "more device without anomalies or failures is not shown.", several)
    note = f'<p class="note">{text}</p>' if omitted else ""
    finder = '<input id="find" type="search" placeholder="find a device" aria-label="find a device" hidden>'
    cells = Counter(kinds)
    return section(
        "The fleet at a glance",
        charts.device_grid(kinds)
        + charts.legend(cells, CELL_KINDS)
        + note
        + finder
        + '<p id="found" aria-live="polite"></p>',
    )


def _timeline(summary: Summary) -> str:
    drawn = charts.column_chart(summary.totals.anomalies_by_bucket, **axis_ends(summary.window))
    return section("Anomalies over time", drawn)


def _anomalies_by_tag(summary: Summary) -> str:
    tags = summary.totals.tag_totals
    worst = [(tag, found, f"{found:,} of {rows:,}") for tag, rows, found in tags[:MAX_LISTED_TAGS] if found]
    more = sum(found > 0 for _, _, found in tags) - len(worst)
    note = f'<p class="note">and {counted(more, "more tag", "more tags")}</p>' if more > 0 else ""
    return section("Anomalies by tag", charts.bar_chart(worst) + note if worst else placeholder("none"))


def _worst_devices(summary: Summary, series: Mapping[str, Mapping[str, Sequence[Point]]], health: FleetHealth) -> str:
    window = summary.window
    seconds = (window.end - window.start).total_seconds()
    rows = {row.device: row for row in summary.devices}
    cards = []
    for device, tags in series.items():
        statistics = rows[device].statistics
        drawn = []
        for tag, points in tags.items():
            one, label = statistics.tags[tag], f"{device}, tag {tag}"
            drawn.append(f"<p>tag {escape(tag)}: {one.anomalies:,} of {counted(one.rows, 'reading', 'readings')}</p>")
            drawn.append(charts.line_chart(points, seconds=seconds, label=label, **axis_ends(window)))
        past = since_text(health, device) + strip(health, device)
        cards.append(f"<div><h3>{escape(device)}</h3>{past}{''.join(drawn)}</div>")
    shown = f'<div class="worst">{"".join(cards)}</div>' if cards else placeholder("no anomalous device")
    drawn_devices = counted(len(series), "device", "devices")
    text = (
        f"{drawn_devices} with the largest share of anomalies, {MAX_PLOTTED_TAGS} tags of each. "
        "The band has the readings that are not anomalies."
    )
    return section("Worst devices", shown + (f'<p class="note">{text}</p>' if cards else ""))


def _anomalous_devices(summary: Summary) -> str:
    found = summary.anomalous
    rows = (
        [
            row.device,
            f"{row.statistics.anomalies:,}",
            f"{row.statistics.rows:,}",
            f"{row.statistics.anomalies / row.statistics.rows:.1%}",
            _format_tags(row),
        ]
        for row in found[:MAX_LISTED]
    )
    listed = table(
        ["Device", "Anomalies", "Readings", "Share", "Tags (anomalies)"], rows, numbers={1, 2, 3}, total=len(found)
    )
    rule = summary.rule.anomalous_when
    least = counted(rule.min_rows, "reading", "readings")
    note = f'<p class="note">At least {least} and {rule.share:.2%} of all are anomalies.</p>'
    below = [f"{row.device} ({row.statistics.anomalies:,})" for row in summary.below_rule]
    title = f"{plural(len(below), 'device has', 'devices have')} anomalies below this bound"
    fewer = device_badges(title, below) if below else ""
    return section("Anomalous devices", listed + note + fewer)


def _comparison(summary: Summary) -> str:
    change = summary.comparison
    title = f"Compared with {window_label(change.window)}"
    if not change.has_previous:
        return section(title, placeholder("no data for the previous window"))
    lists = (
        ("newly anomalous", change.new),
        ("recovered", change.recovered),
        ("previously anomalous, no predictions now", change.missing),
    )
    return section(title, "".join(device_badges(name, devices) for name, devices in lists))


def _stale_devices(summary: Summary) -> str:
    found, end = summary.stale, summary.window.end.timestamp()
    rows = (
        [
            row.device,
            time_label(datetime.fromtimestamp(row.statistics.newest_epoch_seconds, UTC), summary.window),
            f"{(end - row.statistics.newest_epoch_seconds) / 60:,.0f} min",
        ]
        if row.statistics.rows
        else [row.device, "none in the window", ""]
        for row in found[:MAX_LISTED]
    )
    minutes = summary.rule.stale_after.total_seconds() / 60
    limit = f"{minutes:g} {plural(minutes, 'minute', 'minutes')}"
    note = f'<p class="note">The newest reading is more than {limit} older than the window\'s end.</p>'
    return section(
        "Silent or stale", table(["Device", "Newest reading", "Age"], rows, numbers={2}, total=len(found)) + note
    )


def _failures(summary: Summary) -> str:
    found = summary.failures
    rows = [
        [row.device, OUTCOME_LABELS[row.outcome.kind], row.outcome.reason, row.outcome.message]
        for row in found[:MAX_LISTED]
    ]
    rows += [
        [device, "unreadable", "DataInvalid", text] for device, text in list(summary.unreadable.items())[:MAX_LISTED]
    ]
    if not rows:
        return section("Failures by reason", placeholder("none: every device is scored, or had no readings"))
    reasons = charts.bar_chart(
        [(OUTCOME_LABELS.get(reason, reason), count, f"{count:,}") for reason, count in summary.reasons], kind="failed"
    )
    total = len(found) + len(summary.unreadable)
    listed = table(["Device", "Outcome", "Reason", "Message"], rows, numbers=set(), total=total)
    return section("Failures by reason", reasons + listed)


def _footer(summary: Summary) -> str:
    outcomes = (
        ", ".join(f"{count:,} {OUTCOME_LABELS[outcome]}" for outcome, count in summary.outcomes.items()) or "no devices"
    )
    state = "complete" if summary.complete else "incomplete"
    parts = ", ".join(sorted(OUTCOME_LABELS[outcome] for outcome in COMPLETE_OUTCOMES))
    return (
        f"<footer><p>{outcomes}. The window is {state}: it is complete when every device is one of {parts}.</p>"
        "<p>Every number is counted from the predictions in this folder; all devices and tags with anomalies are "
        "listed in <code>_anomalies.csv</code>, all failures in <code>_failures.csv</code>, the sums in "
        "<code>_summary.json</code>. "
        f"device-scorer {__version__}</p></footer>"
    )


def _format_tags(device: DeviceRow) -> str:
    named = [f"{tag} ({statistics.anomalies:,})" for tag, statistics in device.statistics.worst_tags]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
