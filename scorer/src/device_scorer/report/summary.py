"""The summary of a window, and the JSON and CSV files with its content. Pure.

It is made from the statistics and outcomes of the devices, and from the counts of the previous window.
"""

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
MAX_NAMED_DEVICES = 50
"""Number of devices that a list of _summary.json names."""

COMPLETE_OUTCOMES = frozenset({"scored", "alreadyScored", "empty"})
OUTCOMES = ("scored", "alreadyScored", "partial", "empty", "failed", "notRun", "missing")


@dataclass(frozen=True, slots=True)
class AnomalyRule:
    """The rule by which a device counts as anomalous or stale."""

    anomalous_when: AnomalousWhen = field(default_factory=AnomalousWhen)
    stale_after: timedelta = DEFAULT_STALE_AFTER


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of the report; its statistics are empty if it has no predictions."""

    device: str
    outcome: DeviceOutcome
    statistics: DeviceStatistics
    anomalous: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The anomalous devices compared with the previous window.

    Attributes:
        window: The previous window.
        has_previous: True if the previous window has predictions.
        new: Devices that are anomalous and were not.
        recovered: Devices that were anomalous and are not.
        missing: Devices that were anomalous and have no predictions now.
    """

    window: Window
    has_previous: bool
    new: Sequence[str] = ()
    recovered: Sequence[str] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Summary:
    """The summary of a window.

    Attributes:
        window: The window.
        rule: The rule for anomalous and stale devices.
        devices: One row per device, in the order of the ids.
        comparison: The comparison with the previous window.
        bad_rows: Lines that are not readings.
        unscored_rows: Rows of tags without a model.
        unreadable: The error by device whose predictions cannot be read.
    """

    window: Window
    rule: AnomalyRule
    devices: Sequence[DeviceRow]
    comparison: Comparison
    bad_rows: int = 0
    unscored_rows: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of devices by outcome, without outcomes that do not occur."""
        counts = Counter(row.outcome.kind for row in self.devices)
        return {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]}

    @property
    def complete(self) -> bool:
        """True if every device is scored or has no readings."""
        return not self.unreadable and set(self.outcomes) <= COMPLETE_OUTCOMES

    @property
    def rows(self) -> int:
        """Rows with a prediction."""
        return sum(row.statistics.rows for row in self.devices)

    @property
    def anomalies(self) -> int:
        """Rows that are predicted as anomalies."""
        return sum(row.statistics.anomalies for row in self.devices)

    @property
    def anomalous(self) -> list[DeviceRow]:
        """Anomalous devices, the largest share of anomalies first."""
        found = [row for row in self.devices if row.anomalous]
        return sorted(found, key=lambda row: (-row.statistics.anomalies / row.statistics.rows, row.device))

    @property
    def stale(self) -> list[DeviceRow]:
        """Devices without a recent reading, the oldest reading first."""
        return sorted(
            (row for row in self.devices if row.stale),
            key=lambda row: (row.statistics.newest_epoch_seconds, row.device),
        )

    @property
    def failures(self) -> list[DeviceRow]:
        """Devices because of whose outcome the window is incomplete."""
        return [row for row in self.devices if row.outcome.kind not in COMPLETE_OUTCOMES]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """The number of failures by reason (by outcome if there is no reason), the most frequent first."""
        return Counter(row.outcome.reason or row.outcome.kind for row in self.failures).most_common()

    @property
    def tag_totals(self) -> list[tuple[str, int, int]]:
        """Rows and anomalies by tag over all devices, the most anomalies first."""
        rows: Counter[str] = Counter()
        anomalies: Counter[str] = Counter()
        for row in self.devices:
            for tag, figures in row.statistics.tags.items():
                rows[tag] += figures.rows
                anomalies[tag] += figures.anomalies
        return sorted(((tag, rows[tag], anomalies[tag]) for tag in rows), key=lambda entry: (-entry[2], entry[0]))

    @property
    def anomalies_by_bucket(self) -> list[int]:
        """Anomalies by part of the window (BUCKET_COUNT parts)."""
        total = Counter[int]()
        for row in self.devices:
            total.update(row.statistics.anomalies_by_bucket)
        return [total[bucket] for bucket in range(BUCKET_COUNT)]


def build_row(
    device: str, outcome: DeviceOutcome, statistics: DeviceStatistics, window: Window, rule: AnomalyRule
) -> DeviceRow:
    """Return the row of a device.

    Args:
        device: The device's id.
        outcome: Its outcome.
        statistics: The statistics of its predictions.
        window: The window, whose end is the reference for stale readings.
        rule: The rule for anomalous and stale devices.
    """
    anomalous = rule.anomalous_when.is_anomalous(statistics.rows, statistics.anomalies)
    oldest = (window.end - rule.stale_after).timestamp()
    stale = outcome.kind == "empty" or (statistics.rows > 0 and statistics.newest_epoch_seconds < oldest)
    return DeviceRow(device, outcome, statistics, anomalous, stale)


def compare_windows(
    rows: Iterable[DeviceRow], previous_counts: Mapping[str, RowCounts], window: Window, rule: AnomalyRule
) -> Comparison:
    """Return the comparison with the previous window.

    Args:
        rows: The devices of the window.
        previous_counts: The counts of the previous window, by device.
        window: The previous window.
        rule: The rule for anomalous devices.
    """
    if not previous_counts:
        return Comparison(window, has_previous=False)
    anomalous_before = {
        name
        for name, figures in previous_counts.items()
        if rule.anomalous_when.is_anomalous(figures.rows, figures.anomalies)
    }
    now = {row.device: row for row in rows}
    scored = {name for name, row in now.items() if row.statistics.rows}
    anomalous = {name for name in scored if now[name].anomalous}
    return Comparison(
        window=window,
        has_previous=True,
        new=sorted(anomalous - anomalous_before, key=natural_sort_key),
        recovered=sorted((anomalous_before & scored) - anomalous, key=natural_sort_key),
        missing=sorted(anomalous_before - scored, key=natural_sort_key),
    )


def natural_sort_key(device: str) -> list[tuple[int, str]]:
    """Return a sort key that orders numbers in ids by their value: press-2 before press-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", device)]


def summary_json(summary: Summary) -> bytes:
    """Return the content of `_summary.json`; its size does not depend on the number of devices."""
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
            {"device": row.device, "rows": row.statistics.rows, "anomalies": row.statistics.anomalies} for row in worst
        ],
        "failureReasons": dict(summary.reasons),
        "unreadablePredictions": len(summary.unreadable),
        "stale": _bounded_list([row.device for row in summary.stale]),
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
    """Return the content of `_failures.csv`: every device because of which the window is incomplete."""
    # Messages get one line: csv does not quote a lone carriage return, which readers take for the end of the line.
    outcomes = ((row.device, row.outcome) for row in summary.failures)
    rows = ([device, one.kind, one.reason, " ".join(one.message.split())] for device, one in outcomes)
    unreadable = ([device, "unreadable", "DataInvalid", text] for device, text in sorted(summary.unreadable.items()))
    return _encode_csv(["Device", "Outcome", "Reason", "Message"], [*rows, *unreadable])


def anomalies_csv(summary: Summary) -> bytes:
    """Return the content of `_anomalies.csv`: every device and tag with an anomaly, without the readings."""
    header = ["Device", "Tag", "Rows", "Anomalies", "First", "Last", "WorstTS", "WorstVal", "WorstScore"]
    return _encode_csv(
        header,
        (
            [
                row.device,
                tag,
                one.rows,
                one.anomalies,
                one.first_anomaly,
                one.last_anomaly,
                one.worst_ts,
                one.worst_value,
                score,
            ]
            for row in summary.devices
            for tag, one in sorted(row.statistics.tags.items())
            if one.anomalies
            for score in [f"{one.worst_score:.9f}"]
        ),
    )


def _encode_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return file.getvalue().encode()


def _bounded_list(devices: Sequence[str]) -> dict[str, object]:
    return {"count": len(devices), "devices": list(devices[:MAX_NAMED_DEVICES])}


def _format_time(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
