"""The report as one HTML page that opens from disk: style, charts and script inside, nothing fetched. Pure.

Its size is bounded: every list has a limit and says what it left out; only the grid and the finder know all devices,
up to MOST_DEVICES of them.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from device_scorer import __version__
from device_scorer.report import charts
from device_scorer.report.charts import Point
from device_scorer.report.html import MAX_LISTED, columns, device_badges, placeholder, section, table
from device_scorer.report.summary import COMPLETE_OUTCOMES, DeviceRow, Summary
from device_scorer.window import Window

MAX_GRID_DEVICES = 20_000  # in the grid and the finder
MAX_PLOTTED_DEVICES = 8  # devices whose readings are drawn
MAX_PLOTTED_TAGS = 3  # of each, the worst
CELL_KINDS = {
    "good": "normal",
    "a1": "anomalous",
    "a2": "above 5% of readings",
    "a3": "above 20%",
    "partial": "partly scored",
    "silent": "no readings",
    "failed": "failed",
    "gone": "not run, or nothing known",
}
OUTCOME_LABELS = {
    "scored": "scored",
    "alreadyScored": "scored before",
    "partial": "partly scored",
    "empty": "no readings",
    "failed": "failed",
    "notRun": "not run",
    "missing": "no predictions",
}


def render(summary: Summary, plots: Mapping[str, Mapping[str, Sequence[Point]]]) -> bytes:
    """The page. `plots`: readings of the worst devices by device and tag, as the predictions have them."""
    window = _format_window(summary.window)
    assets = files("device_scorer.report") / "assets"
    style, script = (assets.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    shown = devices_in_grid(summary.devices)
    body = [
        _header(summary, window),
        _tiles(summary),
        _fleet_grid(summary, shown),
        columns(_timeline(summary), _anomalies_by_tag(summary)),
        columns(_anomalous_devices(summary), _comparison(summary)),
        columns(_failures(summary), _stale_devices(summary)),
        _worst_devices(summary, plots),
        _footer(summary),
    ]
    devices = [
        [line.device, OUTCOME_LABELS[line.outcome.kind], line.statistics.rows, line.statistics.anomalies]
        for line in shown
    ]
    data = json.dumps(devices, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Scores {escape(window)}</title><style>{style}</style></head><body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="devices">{data}</script>\n<script>{script}</script></body></html>\n'
    ).encode()


def devices_in_grid(devices: Sequence[DeviceRow]) -> list[DeviceRow]:
    """The devices of the grid, in order; where there are too many, those with something to see, then the first ones."""
    if len(devices) <= MAX_GRID_DEVICES:
        return list(devices)
    order = {line.device: index for index, line in enumerate(devices)}
    seen = sorted(devices, key=lambda line: (cell_kind(line) == "good", -line.statistics.anomalies, order[line.device]))
    return sorted(seen[:MAX_GRID_DEVICES], key=lambda line: order[line.device])


def cell_kind(device: DeviceRow) -> str:
    """Which of KINDS a device is."""
    outcome, digest = device.outcome.kind, device.statistics
    if not digest.rows:
        return {"failed": "failed", "empty": "silent"}.get(outcome, "gone")
    if device.anomalous:
        share = digest.anomalies / digest.rows
        return "a3" if share > 0.2 else "a2" if share > 0.05 else "a1"
    return "partial" if outcome == "partial" else "good"


def _header(summary: Summary, window: str) -> str:
    badge = (
        '<span class="badge good">complete</span>' if summary.complete else '<span class="badge bad">incomplete</span>'
    )
    return f"<header><h1>{escape(window)}</h1>{badge}</header>"


def _tiles(summary: Summary) -> str:
    outcomes = summary.outcomes
    scored = outcomes.get("scored", 0) + outcomes.get("alreadyScored", 0)
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    anomalous, failures, stale = (
        len(summary.anomalous),
        len(summary.failures) + len(summary.unreadable),
        len(summary.stale),
    )
    tiles = [
        ("devices", f"{len(summary.devices):,}", False),
        ("wholly scored", f"{scored:,}", False),
        ("anomalous devices", f"{anomalous:,}", anomalous > 0),
        ("readings", f"{summary.rows:,}", False),
        (f"anomalies, {share:.2%}", f"{summary.anomalies:,}", False),
        ("failed, partial, not run", f"{failures:,}", failures > 0),
        ("silent or old", f"{stale:,}", stale > 0),
        ("rows not usable", f"{summary.bad_rows + summary.unscored_rows:,}", False),
    ]
    drawn = (
        f'<div class="tile{" alarm" if alarm else ""}"><b>{number}</b>{name}</div>' for name, number, alarm in tiles
    )
    return f'<div class="tiles">{"".join(drawn)}</div>'


def _fleet_grid(summary: Summary, shown: Sequence[DeviceRow]) -> str:
    kinds = [cell_kind(line) for line in shown]
    left_out = len(summary.devices) - len(shown)
    note = f'<p class="note">{left_out:,} more devices without anything to see are not drawn.</p>' if left_out else ""
    finder = '<input id="find" type="search" placeholder="find a device" aria-label="find a device" hidden>'
    counted = Counter(kinds)
    return section(
        "The fleet at a glance",
        charts.device_grid(kinds)
        + charts.legend(counted, CELL_KINDS)
        + note
        + finder
        + '<p id="found" aria-live="polite"></p>',
    )


def _timeline(summary: Summary) -> str:
    drawn = charts.column_chart(
        summary.anomalies_by_bucket, first=_format_time(summary.window.start), last=_format_time(summary.window.end)
    )
    return section("When the anomalies were", drawn)


def _anomalies_by_tag(summary: Summary) -> str:
    tags = summary.tag_totals
    worst = [(tag, found, f"{found:,} of {rows:,}") for tag, rows, found in tags[:10] if found]
    more = sum(found > 0 for _, _, found in tags) - len(worst)
    note = f'<p class="note">and {more:,} more tags</p>' if more > 0 else ""
    return section("Anomalies by tag", charts.bar_chart(worst) + note if worst else placeholder("none"))


def _worst_devices(summary: Summary, plots: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    window = summary.window
    seconds = (window.end - window.start).total_seconds()
    lines = {line.device: line for line in summary.devices}
    cards = []
    for device, tags in plots.items():
        figures = lines[device].statistics
        drawn = []
        for tag, points in tags.items():
            one, label = figures.tags[tag], f"{device}, tag {tag}"
            ends = {"first": _format_time(window.start), "last": _format_time(window.end)}
            drawn.append(f"<p>tag {escape(tag)}: {one.anomalies:,} of {one.rows:,} readings</p>")
            drawn.append(charts.line_chart(points, seconds=seconds, label=label, **ends))
        cards.append(f"<div><h3>{escape(device)}</h3>{''.join(drawn)}</div>")
    shown = f'<div class="worst">{"".join(cards)}</div>' if cards else placeholder("no anomalous device")
    note = f'<p class="note">The {len(plots)} devices with the largest share of anomalies, {MAX_PLOTTED_TAGS} tags of each.</p>'
    return section("The worst, drawn", shown + (note if cards else ""))


def _anomalous_devices(summary: Summary) -> str:
    found = summary.anomalous
    rows = (
        [
            line.device,
            f"{line.statistics.anomalies:,}",
            f"{line.statistics.rows:,}",
            f"{line.statistics.anomalies / line.statistics.rows:.1%}",
            _format_tags(line),
        ]
        for line in found[:MAX_LISTED]
    )
    listed = table(
        ["Device", "Anomalies", "Readings", "Share", "Tags (anomalies)"], rows, numbers={1, 2, 3}, total=len(found)
    )
    rule = summary.rule.anomalous_when
    note = f'<p class="note">At least {rule.min_rows} readings and {rule.share:.2%} of all are anomalies.</p>'
    return section("Anomalous devices", listed + note)


def _comparison(summary: Summary) -> str:
    change = summary.comparison
    title = f"Against {_format_window(change.window)}"
    if not change.has_previous:
        return section(title, placeholder("nothing is known of the window before"))
    lists = (
        ("newly anomalous", change.new),
        ("well again", change.recovered),
        ("anomalous then, not heard now", change.missing),
    )
    return section(title, "".join(device_badges(name, devices) for name, devices in lists))


def _stale_devices(summary: Summary) -> str:
    found, end = summary.stale, summary.window.end.timestamp()
    rows = (
        [
            line.device,
            _format_time(datetime.fromtimestamp(line.statistics.newest_epoch_seconds, UTC)),
            f"{(end - line.statistics.newest_epoch_seconds) / 60:,.0f} min",
        ]
        if line.statistics.rows
        else [line.device, "none in the window", ""]
        for line in found[:MAX_LISTED]
    )
    minutes = summary.rule.stale_after.total_seconds() / 60
    note = f'<p class="note">The newest reading is more than {minutes:g} minutes older than the window\'s end.</p>'
    return section(
        "Silent or old", table(["Device", "Newest reading", "Age"], rows, numbers={2}, total=len(found)) + note
    )


def _failures(summary: Summary) -> str:
    found = summary.failures
    lines = [
        [line.device, OUTCOME_LABELS[line.outcome.kind], line.outcome.reason, line.outcome.message]
        for line in found[:MAX_LISTED]
    ]
    lines += [
        [device, "unreadable", "DataInvalid", text] for device, text in list(summary.unreadable.items())[:MAX_LISTED]
    ]
    if not lines:
        return section("Failures by reason", placeholder("none: every device is scored, or had no readings"))
    reasons = charts.bar_chart(
        [(OUTCOME_LABELS.get(reason, reason), count, f"{count:,}") for reason, count in summary.reasons], kind="failed"
    )
    total = len(found) + len(summary.unreadable)
    listed = table(["Device", "Outcome", "Reason", "Message"], lines, numbers=set(), total=total)
    return section("Failures by reason", reasons + listed)


def _footer(summary: Summary) -> str:
    outcomes = (
        ", ".join(f"{count:,} {OUTCOME_LABELS[outcome]}" for outcome, count in summary.outcomes.items()) or "no devices"
    )
    state = "complete" if summary.complete else "incomplete"
    parts = ", ".join(sorted(OUTCOME_LABELS[outcome] for outcome in COMPLETE_OUTCOMES))
    return (
        f"<footer><p>{outcomes}. The window is {state}: it is complete when every device is one of {parts}.</p>"
        "<p>Every figure is counted from the predictions beside this file; all devices and tags with anomalies stand "
        "in <code>_anomalies.csv</code>, all failures in <code>_failures.csv</code>, the sums in "
        "<code>_summary.json</code>. "
        f"device-scorer {__version__}</p></footer>"
    )


def _format_tags(device: DeviceRow) -> str:
    worst = sorted(device.statistics.tags.items(), key=lambda entry: (-entry[1].anomalies, entry[0]))
    named = [f"{tag} ({one.anomalies:,})" for tag, one in worst if one.anomalies]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _format_window(window: Window) -> str:
    end = f"{window.end:%H:%M}" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d %H:%M}"
    return f"{window.start:%Y-%m-%d %H:%M} to {end} UTC"


def _format_time(instant: datetime) -> str:
    return f"{instant:%H:%M}"
