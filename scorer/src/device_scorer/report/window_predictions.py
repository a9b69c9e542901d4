"""The predictions of one window: their listing, and the figures of each device from its digest or its predictions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from device_scorer import log
from device_scorer.contract.digest import METADATA_KEY, decode_digest
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.errors import BlobUnreadable, DataInvalid
from device_scorer.plurals import counted
from device_scorer.progress_line import ProgressLine
from device_scorer.report import summary
from device_scorer.report.files import PAGE_FILE
from device_scorer.report.inventory import Inventory, predictions_pattern
from device_scorer.report.outcomes import OutcomeRules
from device_scorer.report.statistics import (
    DeviceStatistics,
    compute_statistics,
    flagged_sensors,
    statistics_from_digest,
)
from device_scorer.report.summary import AnomalyRule, DeviceRow
from device_scorer.report.totals import WindowTotals
from device_scorer.scoring import predictions
from device_scorer.scoring.predictions import InputVersions
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, BlobInfo, Store
from device_scorer.store.parallel import map_in_order
from device_scorer.window import Window

MAX_PREDICTIONS_BYTES = 512 * 2**20
"""Size of predictions above which they are unreadable: 3,000,000 rows have less."""

_READ_BATCH = 64


@dataclass
class WindowPredictions:
    """A collection of the figures of all devices that have predictions.

    Attributes:
        store: The store.
        settings: The fleet's settings.
        window: The window.
        rules: The sources of outcomes.
        rule: The rule for anomalous and stale devices.
        rows: One row per device whose predictions are readable.
        etags: The ETags of all predictions, by device.
        unreadable: The error by device whose predictions cannot be read.
        outdated: Devices whose readings changed after they were scored.
        damaged_digests: Devices whose digest is not the scorer's.
        totals: Sums over all rows.
    """

    store: Store
    settings: Settings
    window: Window
    rules: OutcomeRules
    rule: AnomalyRule
    rows: list[DeviceRow] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)
    damaged_digests: list[str] = field(default_factory=list)
    totals: WindowTotals = field(default_factory=WindowTotals)

    def collect(self) -> None:
        """List the predictions, and read those without a usable digest."""
        progress = ProgressLine()
        left = self._without_digest()
        while batch := list(islice(left, _READ_BATCH)):
            for (device, info), result in self._read_statistics(batch):
                if isinstance(result, DeviceStatistics):
                    _add_flags(result, info.metadata)
                    self._add(device, info, predictions.row_counts_from(info.metadata), result)
                else:
                    self.unreadable[device] = result
                    log.warning(f"the predictions of {device} are skipped: {result}")
            progress.show(f"read the predictions of {counted(len(self.rows), 'device', 'devices')}")
        progress.clear()

    def _without_digest(self) -> Iterator[tuple[str, BlobInfo]]:
        """Add all devices with a usable digest, and yield the others."""
        for device, info in list_predictions(self.store, self.settings, self.window):
            self.etags[device] = info.etag
            if _is_outdated(info.metadata, device, self.rules.inventory):
                self.outdated.append(device)
            row_counts = predictions.row_counts_from(info.metadata)
            encoded = info.metadata.get(METADATA_KEY, "")
            digest = decode_digest(encoded)
            statistics = digest and statistics_from_digest(digest, row_counts.rows, row_counts.anomalies)
            if statistics:
                self._add(device, info, row_counts, statistics)
            else:
                if encoded and not (digest and digest.left_out_tags):
                    self.damaged_digests.append(device)
                yield device, info

    def _add(self, device: str, info: BlobInfo, row_counts: RowCounts, statistics: DeviceStatistics) -> None:
        self.totals.add(statistics, row_counts)
        outcome = self.rules.with_predictions(device, info.metadata)
        self.rows.append(summary.build_row(device, outcome, statistics, self.window, self.rule))

    def _read_statistics(
        self, batch: Iterable[tuple[str, BlobInfo]]
    ) -> Iterator[tuple[tuple[str, BlobInfo], DeviceStatistics | str]]:
        """Yield the statistics of each predictions blob, or the reason why it cannot be read."""
        for entry, blob in map_in_order(
            batch, lambda entry: self._read(entry[1].name), size_of=lambda one: one[1].size
        ):
            try:
                yield entry, blob if isinstance(blob, str) else compute_statistics(blob.content, self.window)
            except DataInvalid as error:
                yield entry, str(error)

    def _read(self, name: str) -> Blob | str:
        try:
            return (
                self.store.read("predictions", name, max_bytes=MAX_PREDICTIONS_BYTES) or "the predictions are deleted"
            )
        except BlobUnreadable as error:
            return str(error)


def _add_flags(statistics: DeviceStatistics, metadata: Mapping[str, str]) -> None:
    """Add what predictions do not have, from a digest in which only the figures of some tags are missing."""
    digest = decode_digest(metadata.get(METADATA_KEY, ""))
    if digest and digest.left_out_tags:
        statistics.flagged, statistics.unmodelled = flagged_sensors(digest), digest.unmodelled
        statistics.left_out_flags = digest.left_out_flags


def list_predictions(
    store: Store, settings: Settings, window: Window, *, with_metadata: bool = True
) -> Iterator[tuple[str, BlobInfo]]:
    """Yield the device and the properties of each predictions blob of a window.

    Args:
        store: The store.
        settings: The fleet's settings.
        window: The window.
        with_metadata: False if the metadata is not needed.
    """
    pattern = predictions_pattern(settings, window)
    for info in store.list("predictions", pattern.prefix, with_metadata=with_metadata):
        device = pattern.device(info.name)
        if device is None:
            continue
        # Under a template such as {window}/{device} the page has the name of predictions, but not their metadata.
        if info.name.rpartition("/")[2] == PAGE_FILE and not _is_predictions(store, info):
            continue
        yield device, info


def _is_predictions(store: Store, info: BlobInfo) -> bool:
    found = info if info.metadata else store.head("predictions", info.name)
    return found is not None and "window" in found.metadata


def _is_outdated(metadata: Mapping[str, str], device: str, inventory: Inventory) -> bool:
    """Return True if the readings changed after the device was scored."""
    if not metadata.get("dataetags") or inventory.data_etags is None:
        return False
    etags = inventory.data_etags.get(device)
    if etags is None:
        return False
    now = InputVersions(tuple(etags.split(" ")), metadata.get("modeletag", ""))
    return not predictions.inputs_unchanged({"modeletag": "", **metadata}, now)
