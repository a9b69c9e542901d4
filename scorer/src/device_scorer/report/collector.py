"""Collection of a window's predictions, and of the runs' records about them, for the report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.contract.outcome_message import RowCounts
from device_scorer.contract.run_state import DeviceOutcome, read_outcome_record
from device_scorer.errors import BlobUnreadable, DataInvalid
from device_scorer.report import page, summary, tables
from device_scorer.report.charts import Point
from device_scorer.report.files import EMPTY_FILE, FAILURES_FILE
from device_scorer.report.inventory import Inventory, take_inventory
from device_scorer.report.outcomes import EarlierReport, OutcomeRules
from device_scorer.report.statistics import NO_FIGURES, read_predictions
from device_scorer.report.summary import AnomalyRule, Coverage, DeviceRow, Summary
from device_scorer.report.window_predictions import MAX_PREDICTIONS_BYTES, WindowPredictions, list_predictions
from device_scorer.scoring import predictions
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, Store
from device_scorer.store.parallel import map_in_order
from device_scorer.window import Window

MAX_RESTARTS = 3
"""Number of times that a window is collected again because it is being scored at the same time."""

MAX_RECORD_BYTES = 2 * 2**20
"""Size of an outcome record above which it is ignored: 500 messages of 500 characters have less, however escaped."""

_NO_ANOMALIES = RowCounts()
_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class CollectedWindow:
    """The summary of a window, and the predictions that it was made from.

    Attributes:
        summary: The summary.
        etags: The ETags of the predictions, by device.
    """

    summary: Summary
    etags: Mapping[str, str]


@dataclass(frozen=True)
class ReportCollector:
    """A reader of everything that the report of one window needs.

    Attributes:
        store: The store.
        settings: The fleet's settings.
        window: The window.
        stale_after: The age at the window's end above which a device's newest reading is stale.
        earlier: The earlier report of the window.
    """

    store: Store
    settings: Settings
    window: Window
    stale_after: timedelta = summary.DEFAULT_STALE_AFTER
    earlier: EarlierReport = field(default_factory=EarlierReport)

    @property
    def previous_window(self) -> Window:
        """The window of the same length before this one."""
        return Window(self.window.start - (self.window.end - self.window.start), self.window.start)

    def collect(
        self,
        devices: Sequence[str] | None,
        recorded_outcomes: Mapping[str, DeviceOutcome],
        *,
        include_modelled: bool = False,
        large_records: int = 0,
    ) -> CollectedWindow:
        """Combine all predictions of the window with the outcomes that the run recorded.

        Args:
            devices: The expected devices; None for every device that has a model.
            recorded_outcomes: The outcomes that the run recorded, by device.
            include_modelled: True to expect every device that has a model, too.
            large_records: The number of outcome records that are too large to read.
        """
        inventory = take_inventory(self.store, self.settings, self.window)
        rules = OutcomeRules(recorded_outcomes, self.earlier, inventory, self._has_readings)
        rule = AnomalyRule(self.settings.anomalous_when, self.stale_after)
        found = WindowPredictions(self.store, self.settings, self.window, rules, rule)
        found.collect()
        expected = set(inventory.models if devices is None or include_modelled else ()) | set(devices or ())
        unknown = []
        for device in expected - found.etags.keys():
            outcome = rules.without_predictions(device)
            if rules.is_unknown(device, outcome):
                unknown.append(device)
            else:
                found.rows.append(summary.build_row(device, outcome, NO_FIGURES, self.window, rule))
        found.rows.sort(key=lambda row: row.device)  # press-07 and press-7 have the same key
        found.rows.sort(key=lambda row: summary.natural_sort_key(row.device))
        previous_counts = self._previous_counts()
        return CollectedWindow(
            Summary(
                window=self.window,
                rule=rule,
                devices=found.rows,
                comparison=summary.compare_windows(found.rows, previous_counts, self.previous_window, rule),
                totals=found.totals,
                unreadable=found.unreadable,
                coverage=replace(_coverage(inventory, found, unknown, previous_counts), large_records=large_records),
            ),
            found.etags,
        )

    def _previous_counts(self) -> dict[str, RowCounts]:
        """Return the counts of the previous window's predictions with anomalies; the others have none."""
        found = {}
        for device, info in list_predictions(self.store, self.settings, self.previous_window):
            row_counts = predictions.row_counts_from(info.metadata)
            found[device] = row_counts if row_counts.anomalies else _NO_ANOMALIES
        return found

    def is_outdated(self, collected: CollectedWindow) -> bool:
        """Return True if the window's predictions are no longer the collected ones."""
        found = list_predictions(self.store, self.settings, self.window, with_metadata=False)
        return {device: info.etag for device, info in found} != collected.etags

    def series(self, collected: CollectedWindow) -> tuple[dict[str, dict[str, list[Point]]], dict[str, str]]:
        """Return the readings of the worst tags of the worst devices, by device and tag.

        Returns:
            The readings, and the error by device whose predictions cannot be read.
        """
        series: dict[str, dict[str, list[Point]]] = {}
        unreadable: dict[str, str] = {}
        for row in collected.summary.anomalous[: page.MAX_PLOTTED_DEVICES]:
            try:
                series[row.device] = self._device_series(row)
            except (DataInvalid, BlobUnreadable) as error:
                unreadable[row.device] = str(error)
        return series, unreadable

    def recorded_failures(
        self, run_uid: str, too_large: list[str], damaged: list[str]
    ) -> Iterator[tuple[str, DeviceOutcome]]:
        """Yield the devices that failed or were scored in part, from the outcome records of a run's Jobs.

        Args:
            run_uid: The run's uid.
            too_large: Receives the names of records that are not read because of their size.
            damaged: Receives the names of records that cannot be read, or that are not a scorer's.
        """
        names = []
        for info in self.store.list("predictions", blob_paths.outcome_prefix(run_uid)):
            if info.metadata.get("failures", "0") == "0":
                continue
            if info.size < MAX_RECORD_BYTES:
                names.append(info.name)
            else:
                too_large.append(info.name)
                log.warning(
                    f"the outcome record {info.name} has {info.size:,} bytes and is not read; the report lacks its "
                    f"messages, which the log of its Job has"
                )
        for name, blob in map_in_order(names, self._read_record, size_of=lambda _: MAX_RECORD_BYTES):
            failures = read_outcome_record(blob.content) if blob else None
            if failures is None:
                damaged.append(name)
            yield from failures or ()

    def _read_record(self, name: str) -> Blob | None:
        try:
            return self.store.read("predictions", name, max_bytes=MAX_RECORD_BYTES)
        except BlobUnreadable as error:
            log.warning(f"an outcome record is not read: {error}")
            return None

    def _device_series(self, row: DeviceRow) -> dict[str, list[Point]]:
        series: dict[str, list[Point]] = {tag: [] for tag, _ in row.statistics.worst_tags[: page.MAX_PLOTTED_TAGS]}
        name = blob_paths.prediction_name(self.settings.predictions_path, self.window, row.device)
        blob = self.store.read("predictions", name, max_bytes=MAX_PREDICTIONS_BYTES)
        start = self.window.start.timestamp()
        for prediction in read_predictions(blob.content) if blob else ():
            if prediction.tag in series:
                offset_seconds = prediction.epoch_seconds - start
                series[prediction.tag].append(Point(offset_seconds, float(prediction.value), prediction.anomalous))
        return {tag: points for tag, points in series.items() if points}

    def _has_readings(self, device: str) -> bool:
        settings = self.settings
        names = blob_paths.data_names(settings.data_path, settings.data_partition, self.window, device)
        return any(self.store.head("data", name) for name in names)


def read_earlier_report(store: Store, window: Window) -> EarlierReport:
    """Return the part of an earlier report of the window that its runs do not know.

    Args:
        store: The store.
        window: The window.
    """

    def read(file_name: str, parse: Callable[[bytes], Mapping[str, _Entry] | None]) -> Mapping[str, _Entry]:
        name = f"{window.slug}/{file_name}"
        try:
            blob = store.read("predictions", name, max_bytes=tables.MAX_EARLIER_BYTES)
            found = None if blob is None or "window" in blob.metadata else parse(blob.content)
        except BlobUnreadable as error:
            blob, found = None, None
            log.warning(f"the earlier report is ignored: {error}")
        if blob is not None and found is None:
            log.warning(f"the earlier report is ignored: {name} is not a file of a report")
        return found or {}

    return EarlierReport(read(FAILURES_FILE, tables.read_failures), read(EMPTY_FILE, tables.read_empty))


def without_devices(collected: CollectedWindow, unreadable: Mapping[str, str]) -> CollectedWindow:
    """Return the window with devices whose predictions cannot be read.

    Args:
        collected: The window.
        unreadable: The error by device.
    """
    old = collected.summary
    rows = [row for row in old.devices if row.device not in unreadable]
    return replace(collected, summary=replace(old, devices=rows, unreadable={**old.unreadable, **unreadable}))


def _coverage(
    inventory: Inventory, found: WindowPredictions, unknown: Sequence[str], previous_counts: Mapping[str, RowCounts]
) -> Coverage:
    def ordered(devices: Iterable[str]) -> list[str]:
        return sorted(sorted(devices), key=summary.natural_sort_key)

    data_etags = inventory.data_etags or {}
    empty = [row.device for row in found.rows if row.outcome.kind == "empty" and row.device in data_etags]
    return Coverage(
        unmodelled_devices=ordered(inventory.unmodelled_devices),
        vanished_models=ordered(previous_counts.keys() - inventory.models),
        outdated=ordered(found.outdated),
        damaged_digests=ordered(found.damaged_digests),
        unknown_devices=ordered(unknown),
        unknown_names=inventory.unknown_names,
        unknown_name_samples=inventory.unknown_name_samples,
        data_etags={device: data_etags[device] for device in empty},
    )
