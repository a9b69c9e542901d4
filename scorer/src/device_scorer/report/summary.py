"""The summary of a window.

It is made from the statistics and outcomes of the devices, and from the counts of the previous window.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.report.statistics import DeviceFigures, DeviceStatistics
from device_scorer.report.totals import WindowTotals
from device_scorer.settings import AnomalousWhen
from device_scorer.window import Window

DEFAULT_STALE_AFTER = timedelta(minutes=15)
COMPLETE_OUTCOMES = frozenset({"scored", "alreadyScored", "empty"})
OUTCOMES = ("scored", "alreadyScored", "partial", "empty", "failed", "notRun", "quarantined", "missing")


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
    statistics: DeviceFigures
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


@dataclass(frozen=True, slots=True)
class Coverage:
    """The devices and readings that the predictions do not show.

    Attributes:
        unmodelled_devices: Devices that have readings and no model.
        vanished_models: Devices that had predictions in the previous window and have no model now.
        outdated: Devices whose readings changed after they were scored.
        unknown_devices: Ids of the run that have neither a model nor readings; they do not belong to the window.
        unknown_names: The number of blobs whose names do not denote a device.
        unknown_name_samples: Some of these names.
        large_records: The number of outcome records that are too large to read.
        damaged_digests: Devices whose digest is not the scorer's; their faulty sensors are unknown.
        data_etags: The ETags of readings of the devices without readings in the window, by device.
    """

    unmodelled_devices: Sequence[str] = ()
    vanished_models: Sequence[str] = ()
    outdated: Sequence[str] = ()
    unknown_devices: Sequence[str] = ()
    unknown_names: int = 0
    unknown_name_samples: Sequence[str] = ()
    large_records: int = 0
    damaged_digests: Sequence[str] = ()
    data_etags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """The summary of a window.

    Attributes:
        window: The window.
        rule: The rule for anomalous and stale devices.
        devices: One row per device, in the order of the ids.
        comparison: The comparison with the previous window.
        totals: Sums over all devices.
        unreadable: The error by device whose predictions cannot be read.
        coverage: The devices and readings that the predictions do not show.
    """

    window: Window
    rule: AnomalyRule
    devices: Sequence[DeviceRow]
    comparison: Comparison
    totals: WindowTotals = field(default_factory=WindowTotals)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)

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
    def below_rule(self) -> list[DeviceRow]:
        """Devices that have anomalies and are not anomalous, the most anomalies first."""
        found = [row for row in self.devices if row.statistics.anomalies and not row.anomalous]
        return sorted(found, key=lambda row: (-row.statistics.anomalies, row.device))


def build_row(
    device: str,
    outcome: DeviceOutcome,
    statistics: DeviceStatistics | DeviceFigures,
    window: Window,
    rule: AnomalyRule,
) -> DeviceRow:
    """Return the row of a device.

    Args:
        device: The device's id.
        outcome: Its outcome.
        statistics: The statistics of its predictions.
        window: The window, whose end is the reference for stale readings.
        rule: The rule for anomalous and stale devices.
    """
    figures = statistics.to_figures() if isinstance(statistics, DeviceStatistics) else statistics
    anomalous = rule.anomalous_when.is_anomalous(figures.rows, figures.anomalies)
    oldest = window.end.timestamp() - rule.stale_after.total_seconds()
    stale = outcome.kind == "empty" or (figures.rows > 0 and figures.newest_epoch_seconds < oldest)
    return DeviceRow(device, outcome, figures, anomalous, stale)


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


def natural_sort_key(device: str) -> str:
    """Return a sort key that orders numbers in ids by their value: press-2 before press-10."""
    parts = re.split(r"0*([0-9]+)", device)
    parts[1::2] = [f"{len(digits):03}{digits}" for digits in parts[1::2]]
    return "\0".join(parts)
