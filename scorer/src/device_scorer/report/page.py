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
from device_scorer.report.html import LISTED, chips, none, section, table, two
from device_scorer.report.summary import COMPLETE_OUTCOMES, Line, Summary
from device_scorer.window import Window

MOST_DEVICES = 20_000  # in the grid and the finder
MOST_PLOTTED = 8  # devices whose readings are drawn
MOST_TAGS = 3  # of each, the worst
KINDS = {
    "good": "normal",
    "a1": "anomalous",
    "a2": "above 5% of readings",
    "a3": "above 20%",
    "partial": "partly scored",
    "silent": "no readings",
    "failed": "failed",
    "gone": "not run, or nothing known",
}
WORDS = {
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
    window = _span(summary.window)
    assets = files("device_scorer.report") / "assets"
    style, script = (assets.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    shown = grid_lines(summary.lines)
    body = [
        _head(summary, window),
        _tiles(summary),
        _fleet(summary, shown),
        two(_when(summary), _by_tag(summary)),
        two(_anomalous(summary), _change(summary)),
        two(_failures(summary), _stale(summary)),
        _worst(summary, plots),
        _foot(summary),
    ]
    devices = [[line.device, WORDS[line.fate.outcome], line.digest.rows, line.digest.anomalies] for line in shown]
    data = json.dumps(devices, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Scores {escape(window)}</title><style>{style}</style></head><body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="devices">{data}</script>\n<script>{script}</script></body></html>\n'
    ).encode()


def grid_lines(lines: Sequence[Line]) -> list[Line]:
    """The devices of the grid, in order; where there are too many, those with something to see, then the first ones."""
    if len(lines) <= MOST_DEVICES:
        return list(lines)
    order = {line.device: index for index, line in enumerate(lines)}
    seen = sorted(lines, key=lambda line: (kind_of(line) == "good", -line.digest.anomalies, order[line.device]))
    return sorted(seen[:MOST_DEVICES], key=lambda line: order[line.device])


def kind_of(line: Line) -> str:
    """Which of KINDS a device is."""
    outcome, digest = line.fate.outcome, line.digest
    if not digest.rows:
        return {"failed": "failed", "empty": "silent"}.get(outcome, "gone")
    if line.anomalous:
        share = digest.anomalies / digest.rows
        return "a3" if share > 0.2 else "a2" if share > 0.05 else "a1"
    return "partial" if outcome == "partial" else "good"


def _head(summary: Summary, window: str) -> str:
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
        ("devices", f"{len(summary.lines):,}", False),
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


def _fleet(summary: Summary, shown: Sequence[Line]) -> str:
    kinds = [kind_of(line) for line in shown]
    left_out = len(summary.lines) - len(shown)
    note = f'<p class="note">{left_out:,} more devices without anything to see are not drawn.</p>' if left_out else ""
    finder = '<input id="find" type="search" placeholder="find a device" aria-label="find a device" hidden>'
    counted = Counter(kinds)
    return section(
        "The fleet at a glance",
        charts.grid(kinds) + charts.legend(counted, KINDS) + note + finder + '<p id="found" aria-live="polite"></p>',
    )


def _when(summary: Summary) -> str:
    drawn = charts.columns(summary.times, first=_clock(summary.window.start), last=_clock(summary.window.end))
    return section("When the anomalies were", drawn)


def _by_tag(summary: Summary) -> str:
    tags = summary.tags
    worst = [(tag, found, f"{found:,} of {rows:,}") for tag, rows, found in tags[:10] if found]
    more = sum(found > 0 for _, _, found in tags) - len(worst)
    note = f'<p class="note">and {more:,} more tags</p>' if more > 0 else ""
    return section("Anomalies by tag", charts.bars(worst) + note if worst else none("none"))


def _worst(summary: Summary, plots: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    window = summary.window
    seconds = (window.end - window.start).total_seconds()
    lines = {line.device: line for line in summary.lines}
    cards = []
    for device, tags in plots.items():
        figures = lines[device].digest
        drawn = []
        for tag, points in tags.items():
            one, label = figures.tags[tag], f"{device}, tag {tag}"
            ends = {"first": _clock(window.start), "last": _clock(window.end)}
            drawn.append(f"<p>tag {escape(tag)}: {one.anomalies:,} of {one.rows:,} readings</p>")
            drawn.append(charts.series(points, seconds=seconds, label=label, **ends))
        cards.append(f"<div><h3>{escape(device)}</h3>{''.join(drawn)}</div>")
    shown = f'<div class="worst">{"".join(cards)}</div>' if cards else none("no anomalous device")
    note = (
        f'<p class="note">The {len(plots)} devices with the largest share of anomalies, {MOST_TAGS} tags of each.</p>'
    )
    return section("The worst, drawn", shown + (note if cards else ""))


def _anomalous(summary: Summary) -> str:
    found = summary.anomalous
    rows = (
        [
            line.device,
            f"{line.digest.anomalies:,}",
            f"{line.digest.rows:,}",
            f"{line.digest.anomalies / line.digest.rows:.1%}",
            _tags(line),
        ]
        for line in found[:LISTED]
    )
    listed = table(
        ["Device", "Anomalies", "Readings", "Share", "Tags (anomalies)"], rows, numbers={1, 2, 3}, total=len(found)
    )
    rule = summary.rule.anomalous_when
    note = f'<p class="note">At least {rule.min_rows} readings and {rule.share:.2%} of all are anomalies.</p>'
    return section("Anomalous devices", listed + note)


def _change(summary: Summary) -> str:
    change = summary.change
    title = f"Against {_span(change.window)}"
    if not change.known:
        return section(title, none("nothing is known of the window before"))
    lists = (
        ("newly anomalous", change.new),
        ("well again", change.recovered),
        ("anomalous then, not heard now", change.vanished),
    )
    return section(title, "".join(chips(name, devices) for name, devices in lists))


def _stale(summary: Summary) -> str:
    found, end = summary.stale, summary.window.end.timestamp()
    rows = (
        [
            line.device,
            _clock(datetime.fromtimestamp(line.digest.newest, UTC)),
            f"{(end - line.digest.newest) / 60:,.0f} min",
        ]
        if line.digest.rows
        else [line.device, "none in the window", ""]
        for line in found[:LISTED]
    )
    minutes = summary.rule.stale_after.total_seconds() / 60
    note = f'<p class="note">The newest reading is more than {minutes:g} minutes older than the window\'s end.</p>'
    return section(
        "Silent or old", table(["Device", "Newest reading", "Age"], rows, numbers={2}, total=len(found)) + note
    )


def _failures(summary: Summary) -> str:
    found = summary.failures
    lines = [[line.device, WORDS[line.fate.outcome], line.fate.reason, line.fate.message] for line in found[:LISTED]]
    lines += [[device, "unreadable", "DataInvalid", text] for device, text in list(summary.unreadable.items())[:LISTED]]
    if not lines:
        return section("Failures by reason", none("none: every device is scored, or had no readings"))
    reasons = charts.bars(
        [(WORDS.get(reason, reason), count, f"{count:,}") for reason, count in summary.reasons], kind="failed"
    )
    total = len(found) + len(summary.unreadable)
    listed = table(["Device", "Outcome", "Reason", "Message"], lines, numbers=set(), total=total)
    return section("Failures by reason", reasons + listed)


def _foot(summary: Summary) -> str:
    outcomes = ", ".join(f"{count:,} {WORDS[outcome]}" for outcome, count in summary.outcomes.items()) or "no devices"
    state = "complete" if summary.complete else "incomplete"
    parts = ", ".join(sorted(WORDS[outcome] for outcome in COMPLETE_OUTCOMES))
    return (
        f"<footer><p>{outcomes}. The window is {state}: it is complete when every device is one of {parts}.</p>"
        "<p>Every figure is counted from the predictions beside this file; all devices and tags with anomalies stand "
        "in <code>_anomalies.csv</code>, all failures in <code>_failures.csv</code>, the sums in "
        "<code>_summary.json</code>. "
        f"device-scorer {__version__}</p></footer>"
    )


def _tags(line: Line) -> str:
    worst = sorted(line.digest.tags.items(), key=lambda entry: (-entry[1].anomalies, entry[0]))
    named = [f"{tag} ({one.anomalies:,})" for tag, one in worst if one.anomalies]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")


def _span(window: Window) -> str:
    end = f"{window.end:%H:%M}" if window.end.date() == window.start.date() else f"{window.end:%Y-%m-%d %H:%M}"
    return f"{window.start:%Y-%m-%d %H:%M} to {end} UTC"


def _clock(instant: datetime) -> str:
    return f"{instant:%H:%M}"
