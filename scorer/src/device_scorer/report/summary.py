"""A window in figures: digests, fates and the window before -> Summary, and its files. Pure."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from device_scorer.contract.outcome_message import Figures
from device_scorer.contract.run_state import Fate
from device_scorer.report.statistics import BUCKETS, Digest
from device_scorer.settings import AnomalousWhen
from device_scorer.window import Window

VERSION = 1
TOP = 20
STALE_AFTER = timedelta(minutes=15)
NAMED = 50  # devices named per list in _summary.json
COMPLETE_OUTCOMES = frozenset({"scored", "alreadyScored", "empty"})
OUTCOMES = ("scored", "alreadyScored", "partial", "empty", "failed", "notRun", "missing")


@dataclass(frozen=True, slots=True)
class Rule:
    """When a device counts as anomalous, and its readings as old."""

    anomalous_when: AnomalousWhen = field(default_factory=AnomalousWhen)
    stale_after: timedelta = STALE_AFTER


@dataclass(frozen=True, slots=True)
class Line:
    """One device of the report. `digest` is empty where there are no predictions."""

    device: str
    fate: Fate
    digest: Digest
    anomalous: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class Change:
    """Anomalous devices against the window before: `vanished` were anomalous and have no predictions now."""

    window: Window
    known: bool
    new: Sequence[str] = ()
    recovered: Sequence[str] = ()
    vanished: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """The window: one line per device in order of their ids, and what they add up to."""

    window: Window
    rule: Rule
    lines: Sequence[Line]
    change: Change
    bad_rows: int = 0
    unscored_rows: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many devices have which outcome; those with none are left out."""
        counts = Counter(line.fate.outcome for line in self.lines)
        return {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}

    @property
    def complete(self) -> bool:
        """Whether nothing of the window is missing."""
        return not self.unreadable and set(self.outcomes) <= COMPLETE_OUTCOMES

    @property
    def rows(self) -> int:
        """Labelled rows."""
        return sum(line.digest.rows for line in self.lines)

    @property
    def anomalies(self) -> int:
        """Anomalous rows."""
        return sum(line.digest.anomalies for line in self.lines)

    @property
    def anomalous(self) -> list[Line]:
        """Anomalous devices, the worst share first."""
        found = [line for line in self.lines if line.anomalous]
        return sorted(found, key=lambda line: (-line.digest.anomalies / line.digest.rows, line.device))

    @property
    def stale(self) -> list[Line]:
        """Devices whose newest reading is old, the oldest first."""
        return sorted((line for line in self.lines if line.stale), key=lambda line: (line.digest.newest, line.device))

    @property
    def failures(self) -> list[Line]:
        """Devices with an outcome that leaves the window incomplete."""
        return [line for line in self.lines if line.fate.outcome not in COMPLETE_OUTCOMES]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Failures by reason (by outcome where there is none), the most frequent first."""
        return Counter(line.fate.reason or line.fate.outcome for line in self.failures).most_common()

    @property
    def tags(self) -> list[tuple[str, int, int]]:
        """Rows and anomalies by tag over all devices, the most anomalies first."""
        rows: Counter[str] = Counter()
        anomalies: Counter[str] = Counter()
        for line in self.lines:
            for tag, figures in line.digest.tags.items():
                rows[tag] += figures.rows
                anomalies[tag] += figures.anomalies
        return sorted(((tag, rows[tag], anomalies[tag]) for tag in rows), key=lambda entry: (-entry[2], entry[0]))

    @property
    def times(self) -> list[int]:
        """Anomalies by part of the window."""
        total = Counter[int]()
        for line in self.lines:
            total.update(line.digest.times)
        return [total[bucket] for bucket in range(BUCKETS)]


def line_of(device: str, fate: Fate, digest: Digest, window: Window, rule: Rule) -> Line:
    """One device's line."""
    anomalous = rule.anomalous_when.holds(digest.rows, digest.anomalies)
    oldest = (window.end - rule.stale_after).timestamp()
    stale = fate.outcome == "empty" or (digest.rows > 0 and digest.newest < oldest)
    return Line(device, fate, digest, anomalous, stale)


def compare(lines: Iterable[Line], before: Mapping[str, Figures], window: Window, rule: Rule) -> Change:
    """Who became anomalous, who is well again, who was anomalous and is gone; `before`: figures by device."""
    if not before:
        return Change(window, known=False)
    earlier = {name for name, figures in before.items() if rule.anomalous_when.holds(figures.rows, figures.anomalies)}
    now = {line.device: line for line in lines}
    scored = {name for name, line in now.items() if line.digest.rows}
    anomalous = {name for name in scored if now[name].anomalous}
    return Change(
        window=window,
        known=True,
        new=sorted(anomalous - earlier, key=natural),
        recovered=sorted((earlier & scored) - anomalous, key=natural),
        vanished=sorted(earlier - scored, key=natural),
    )


def natural(device: str) -> list[tuple[int, str]]:
    """The order in which people count: press-2 before press-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", device)]


def as_json(summary: Summary) -> bytes:
    """`_summary.json`: bounded, whatever the number of devices."""
    worst = summary.anomalous[:TOP]
    change, when = summary.change, summary.rule.anomalous_when
    document = {
        "v": VERSION,
        "window": {"start": _time(summary.window.start), "end": _time(summary.window.end)},
        "complete": summary.complete,
        "devices": {"total": len(summary.lines), **summary.outcomes},
        "results": {
            "rows": summary.rows,
            "badRows": summary.bad_rows,
            "unscoredRows": summary.unscored_rows,
            "anomalies": summary.anomalies,
            "anomalousDevices": len(summary.anomalous),
        },
        "anomalousWhen": {"share": when.share, "minRows": when.min_rows},
        "topAnomalies": [
            {"device": line.device, "rows": line.digest.rows, "anomalies": line.digest.anomalies} for line in worst
        ],
        "failureReasons": dict(summary.reasons),
        "unreadablePredictions": len(summary.unreadable),
        "stale": _named([line.device for line in summary.stale]),
        "previous": {
            "window": {"start": _time(change.window.start), "end": _time(change.window.end)},
            "known": change.known,
            "new": _named(change.new),
            "recovered": _named(change.recovered),
            "vanished": _named(change.vanished),
        },
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def failures_csv(summary: Summary) -> bytes:
    """`_failures.csv`: every device that leaves the window incomplete."""
    # One line each: csv leaves a lone carriage return unquoted, which a reader takes for the line's end.
    fates = ((line.device, line.fate) for line in summary.failures)
    lines = ([device, fate.outcome, fate.reason, " ".join(fate.message.split())] for device, fate in fates)
    unreadable = ([device, "unreadable", "DataInvalid", text] for device, text in sorted(summary.unreadable.items()))
    return _csv(["Device", "Outcome", "Reason", "Message"], [*lines, *unreadable])


def anomalies_csv(summary: Summary) -> bytes:
    """`_anomalies.csv`: every device and tag with an anomaly; the readings themselves stand in the predictions."""
    header = ["Device", "Tag", "Rows", "Anomalies", "First", "Last", "WorstTS", "WorstVal", "WorstScore"]
    return _csv(
        header,
        (
            [line.device, tag, one.rows, one.anomalies, one.first, one.last, one.worst_ts, one.worst_value, score]
            for line in summary.lines
            for tag, one in sorted(line.digest.tags.items())
            if one.anomalies
            for score in [f"{one.worst_score:.9f}"]
        ),
    )


def _csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return file.getvalue().encode()


def _named(devices: Sequence[str]) -> dict[str, object]:
    return {"count": len(devices), "devices": list(devices[:NAMED])}


def _time(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
