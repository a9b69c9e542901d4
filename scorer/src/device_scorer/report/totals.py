"""Sums over all devices of a window. Their size does not depend on the number of devices."""

from collections import Counter
from dataclasses import dataclass, field

from device_scorer.contract.digest import BUCKET_COUNT
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.report.statistics import DeviceStatistics

MAX_TAGS = 20_000
"""Number of tags that are counted by name; further tags count together."""

OTHER_TAGS = "other tags"


@dataclass
class WindowTotals:
    """Sums over all devices of a window.

    Attributes:
        bad_rows: Lines that are not readings.
        unscored_rows: Rows of tags without a model.
        left_out_rows: Rows of tags that digests left out; `tag_totals` lacks them.
        anomalies_by_bucket: Anomalies by part of the window.
    """

    bad_rows: int = 0
    unscored_rows: int = 0
    left_out_rows: int = 0
    anomalies_by_bucket: list[int] = field(default_factory=lambda: [0] * BUCKET_COUNT)
    _rows: Counter[str] = field(default_factory=Counter)
    _anomalies: Counter[str] = field(default_factory=Counter)
    _unmodelled_rows: Counter[str] = field(default_factory=Counter)
    _unmodelled_devices: Counter[str] = field(default_factory=Counter)

    def add(self, statistics: DeviceStatistics, row_counts: RowCounts) -> None:
        """Add one device.

        Args:
            statistics: The statistics of its predictions.
            row_counts: The counts in the metadata of the predictions.
        """
        self.bad_rows += row_counts.bad_rows
        self.unscored_rows += row_counts.unscored_rows
        self.left_out_rows += statistics.left_out_rows
        for bucket, count in statistics.anomalies_by_bucket.items():
            self.anomalies_by_bucket[bucket] += count
        for tag, one in statistics.tags.items():
            name = tag if tag in self._rows or len(self._rows) < MAX_TAGS else OTHER_TAGS
            self._rows[name] += one.rows
            if one.anomalies:
                self._anomalies[name] += one.anomalies
        for tag, rows in statistics.unmodelled:
            name = tag if tag in self._unmodelled_rows or len(self._unmodelled_rows) < MAX_TAGS else OTHER_TAGS
            self._unmodelled_rows[name] += rows
            self._unmodelled_devices[name] += 1

    @property
    def tag_totals(self) -> list[tuple[str, int, int]]:
        """Rows and anomalies by tag, the most anomalies first."""
        found = ((tag, rows, self._anomalies[tag]) for tag, rows in self._rows.items() if rows)
        return sorted(found, key=lambda entry: (-entry[2], entry[0]))

    @property
    def worst_unmodelled(self) -> list[tuple[str, int, int]]:
        """Tags without a model with their rows and devices, the most rows first."""
        found = ((tag, rows, self._unmodelled_devices[tag]) for tag, rows in self._unmodelled_rows.items())
        return sorted(found, key=lambda entry: (-entry[1], entry[0]))
