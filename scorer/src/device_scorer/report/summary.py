"""A window in figures: digests, fates and the window before -> Summary, and its files. Pure."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.statistics import BUCKET_COUNT, DeviceStatistics
from device_scorer.settings import AnomalousWhen
from device_scorer.window import Window

FORMAT_VERSION = 1
MAX_TOP_DEVICES = 20
DEFAULT_STALE_AFTER = timedelta(minutes=15)
MAX_NAMED_DEVICES = 50  # devices named per list in _summary.json
COMPLETE_OUTCOMES = frozenset({"scored", "alreadyScored", "empty"})
OUTCOMES = ("scored", "alreadyScored", "partial", "empty", "failed", "notRun", "missing")


@dataclass(frozen=True, slots=True)
class AnomalyRule:
    """When a device counts as anomalous, and its readings as old."""

    anomalous_when: AnomalousWhen = field(default_factory=AnomalousWhen)
    stale_after: timedelta = DEFAULT_STALE_AFTER


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of the report. `digest` is empty where there are no predictions."""

    device: str
    outcome: DeviceOutcome
    statistics: DeviceStatistics
    anomalous: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Anomalous devices against the window before: `vanished` were anomalous and have no predictions now."""

    window: Window
    has_previous: bool
    new: Sequence[str] = ()
    recovered: Sequence[str] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """The window: one line per device in order of their ids, and what they add up to."""

    window: Window
    rule: AnomalyRule
    devices: Sequence[DeviceRow]
    comparison: Comparison
    bad_rows: int = 0
    unscored_rows: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, int]:
        """How many devices have which outcome; those with none are left out."""
        counts = Counter(line.outcome.kind for line in self.devices)
        return {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}

    @property
    def complete(self) -> bool:
        """Whether nothing of the window is missing."""
        return not self.unreadable and set(self.outcomes) <= COMPLETE_OUTCOMES

    @property
    def rows(self) -> int:
        """Labelled rows."""
        return sum(line.statistics.rows for line in self.devices)

    @property
    def anomalies(self) -> int:
        """Anomalous rows."""
        return sum(line.statistics.anomalies for line in self.devices)

    @property
    def anomalous(self) -> list[DeviceRow]:
        """Anomalous devices, the worst share first."""
        found = [line for line in self.devices if line.anomalous]
        return sorted(found, key=lambda line: (-line.statistics.anomalies / line.statistics.rows, line.device))

    @property
    def stale(self) -> list[DeviceRow]:
        """Devices whose newest reading is old, the oldest first."""
        return sorted(
            (line for line in self.devices if line.stale),
            key=lambda line: (line.statistics.newest_epoch_seconds, line.device),
        )

    @property
    def failures(self) -> list[DeviceRow]:
        """Devices with an outcome that leaves the window incomplete."""
        return [line for line in self.devices if line.outcome.kind not in COMPLETE_OUTCOMES]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Failures by reason (by outcome where there is none), the most frequent first."""
        return Counter(line.outcome.reason or line.outcome.kind for line in self.failures).most_common()

    @property
    def tag_totals(self) -> list[tuple[str, int, int]]:
        """Rows and anomalies by tag over all devices, the most anomalies first."""
        rows: Counter[str] = Counter()
        anomalies: Counter[str] = Counter()
        for line in self.devices:
            for tag, figures in line.statistics.tags.items():
                rows[tag] += figures.rows
                anomalies[tag] += figures.anomalies
        return sorted(((tag, rows[tag], anomalies[tag]) for tag in rows), key=lambda entry: (-entry[2], entry[0]))

    @property
    def anomalies_by_bucket(self) -> list[int]:
        """Anomalies by part of the window."""
        total = Counter[int]()
        for line in self.devices:
            total.update(line.statistics.anomalies_by_bucket)
        return [total[bucket] for bucket in range(BUCKET_COUNT)]


def build_row(
    device: str, outcome: DeviceOutcome, statistics: DeviceStatistics, window: Window, rule: AnomalyRule
) -> DeviceRow:
    """One device's line."""
    anomalous = rule.anomalous_when.is_anomalous(statistics.rows, statistics.anomalies)
    oldest = (window.end - rule.stale_after).timestamp()
    stale = outcome.kind == "empty" or (statistics.rows > 0 and statistics.newest_epoch_seconds < oldest)
    return DeviceRow(device, outcome, statistics, anomalous, stale)


def compare_windows(
    rows: Iterable[DeviceRow], previous_counts: Mapping[str, RowCounts], window: Window, rule: AnomalyRule
) -> Comparison:
    """Who became anomalous, who is well again, who was anomalous and is gone; `before`: figures by device."""
    if not previous_counts:
        return Comparison(window, has_previous=False)
    anomalous_before = {
        name
        for name, figures in previous_counts.items()
        if rule.anomalous_when.is_anomalous(figures.rows, figures.anomalies)
    }
    now = {line.device: line for line in rows}
    scored = {name for name, line in now.items() if line.statistics.rows}
    anomalous = {name for name in scored if now[name].anomalous}
    return Comparison(
        window=window,
        has_previous=True,
        new=sorted(anomalous - anomalous_before, key=natural_sort_key),
        recovered=sorted((anomalous_before & scored) - anomalous, key=natural_sort_key),
        missing=sorted(anomalous_before - scored, key=natural_sort_key),
    )


def natural_sort_key(device: str) -> list[tuple[int, str]]:
    """The order in which people count: press-2 before press-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", device)]


def summary_json(summary: Summary) -> bytes:
    """`_summary.json`: bounded, whatever the number of devices."""
    worst = summary.anomalous[:MAX_TOP_DEVICES]
    change, when = summary.comparison, summary.rule.anomalous_when
    document = {
        "v": FORMAT_VERSION,
        "window": {"start": _format_time(summary.window.start), "end": _format_time(summary.window.end)},
        "complete": summary.complete,
        "devices": {"total": len(summary.devices), **summary.outcomes},
        "results": {
            "rows": summary.rows,
            "badRows": summary.bad_rows,
            "unscoredRows": summary.unscored_rows,
            "anomalies": summary.anomalies,
            "anomalousDevices": len(summary.anomalous),
        },
        "anomalousWhen": {"share": when.share, "minRows": when.min_rows},
        "topAnomalies": [
            {"device": line.device, "rows": line.statistics.rows, "anomalies": line.statistics.anomalies}
            for line in worst
        ],
        "failureReasons": dict(summary.reasons),
        "unreadablePredictions": len(summary.unreadable),
        "stale": _bounded_list([line.device for line in summary.stale]),
        "previous": {
            "window": {"start": _format_time(change.window.start), "end": _format_time(change.window.end)},
            "known": change.has_previous,
            "new": _bounded_list(change.new),
            "recovered": _bounded_list(change.recovered),
            "vanished": _bounded_list(change.missing),
        },
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def failures_csv(summary: Summary) -> bytes:
    """`_failures.csv`: every device that leaves the window incomplete."""
    # One line each: csv leaves a lone carriage return unquoted, which a reader takes for the line's end.
    fates = ((line.device, line.outcome) for line in summary.failures)
    lines = ([device, fate.kind, fate.reason, " ".join(fate.message.split())] for device, fate in fates)
    unreadable = ([device, "unreadable", "DataInvalid", text] for device, text in sorted(summary.unreadable.items()))
    return _encode_csv(["Device", "Outcome", "Reason", "Message"], [*lines, *unreadable])


def anomalies_csv(summary: Summary) -> bytes:
    """`_anomalies.csv`: every device and tag with an anomaly; the readings themselves stand in the predictions."""
    header = ["Device", "Tag", "Rows", "Anomalies", "First", "Last", "WorstTS", "WorstVal", "WorstScore"]
    return _encode_csv(
        header,
        (
            [
                line.device,
                tag,
                one.rows,
                one.anomalies,
                one.first_anomaly,
                one.last_anomaly,
                one.worst_ts,
                one.worst_value,
                score,
            ]
            for line in summary.devices
            for tag, one in sorted(line.statistics.tags.items())
            if one.anomalies
            for score in [f"{one.worst_score:.9f}"]
        ),
    )


def _encode_csv(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return file.getvalue().encode()


def _bounded_list(devices: Sequence[str]) -> dict[str, object]:
    return {"count": len(devices), "devices": list(devices[:MAX_NAMED_DEVICES])}


def _format_time(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
