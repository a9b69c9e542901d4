"""Collection of a window's predictions, and of the runs' records about them, for the report."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.errors import DataInvalid
from device_scorer.progress_line import ProgressLine
from device_scorer.report import page, summary
from device_scorer.report.charts import Point
from device_scorer.report.files import PAGE_FILE
from device_scorer.report.statistics import DeviceStatistics, compute_statistics, read_predictions
from device_scorer.report.summary import AnomalyRule, DeviceRow, Summary
from device_scorer.scoring import predictions
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, BlobInfo, Store
from device_scorer.store.parallel import map_in_order
from device_scorer.window import Window

MAX_RESTARTS = 3
"""Number of times that a window is collected again because it is being scored at the same time."""

MAX_RECORD_BYTES = 2 * 2**20
"""Size of an outcome record above which it is ignored: 500 messages of 500 characters have less, however escaped."""


@dataclass(frozen=True)
class CollectedWindow:
    """The summary of a window, and the predictions that it was made from.

    Attributes:
        summary: The summary.
        predictions: The properties of the predictions blobs, by device.
    """

    summary: Summary
    predictions: Mapping[str, BlobInfo]


@dataclass(frozen=True)
class ReportCollector:
    """A reader of everything that the report of one window needs.

    Attributes:
        store: The store.
        settings: The fleet's settings.
        window: The window.
        stale_after: The age at the window's end above which a device's newest reading is stale.
    """

    store: Store
    settings: Settings
    window: Window
    stale_after: timedelta = summary.DEFAULT_STALE_AFTER

    def collect_until_stable(
        self, devices: Sequence[str] | None, recorded_outcomes: Mapping[str, DeviceOutcome]
    ) -> CollectedWindow:
        """Collect the window, at most MAX_RESTARTS times again while other processes replace its predictions.

        A report that ends after a new scoring must not describe the old predictions.

        Args:
            devices: As in `collect`.
            recorded_outcomes: As in `collect`.
        """
        collected = self.collect(devices, recorded_outcomes)
        for _ in range(MAX_RESTARTS):
            if not self.is_outdated(collected):
                break
            collected = self.collect(devices, recorded_outcomes)
        return collected

    def collect(self, devices: Sequence[str] | None, recorded_outcomes: Mapping[str, DeviceOutcome]) -> CollectedWindow:
        """Read all predictions of the window and combine them with the outcomes that the run recorded.

        Args:
            devices: The expected devices; None for every device that has a model.
            recorded_outcomes: The outcomes that the run recorded, by device.
        """
        rule = AnomalyRule(self.settings.anomalous_when, self.stale_after)
        infos = dict(self._list_predictions(self.window))
        statistics, unreadable = self._compute_statistics(infos)
        expected = self.devices_with_model() if devices is None else devices
        rows = [
            summary.build_row(
                device,
                self._device_outcome(device, infos.get(device), recorded_outcomes.get(device)),
                statistics.get(device, DeviceStatistics()),
                self.window,
                rule,
            )
            for device in sorted({*expected, *statistics} - set(unreadable), key=summary.natural_sort_key)
        ]
        previous_window = Window(self.window.start - (self.window.end - self.window.start), self.window.start)
        previous_counts = {
            device: predictions.row_counts_from(info.metadata)
            for device, info in self._list_predictions(previous_window)
        }
        counted = [predictions.row_counts_from(infos[device].metadata) for device in statistics]
        return CollectedWindow(
            Summary(
                window=self.window,
                rule=rule,
                devices=rows,
                comparison=summary.compare_windows(rows, previous_counts, previous_window, rule),
                bad_rows=sum(row_counts.bad_rows for row_counts in counted),
                unscored_rows=sum(row_counts.unscored_rows for row_counts in counted),
                unreadable=unreadable,
            ),
            infos,
        )

    def is_outdated(self, collected: CollectedWindow) -> bool:
        """Return True if the window's predictions are no longer the collected ones."""
        now = {device: info.etag for device, info in self._list_predictions(self.window)}
        return now != {device: info.etag for device, info in collected.predictions.items()}

    def series(self, collected: CollectedWindow) -> dict[str, dict[str, list[Point]]]:
        """Return the readings of the worst tags of the worst devices, by device and tag."""
        worst = collected.summary.anomalous[: page.MAX_PLOTTED_DEVICES]
        return {row.device: self._device_series(row, collected.predictions[row.device]) for row in worst}

    def outcome_records(self, run_uid: str) -> Iterator[bytes]:
        """Yield the outcome records of a run's Jobs in which a device failed or was scored in part."""
        found = self.store.list("predictions", blob_paths.outcome_prefix(run_uid))
        names = (
            info.name for info in found if info.metadata.get("failures", "0") != "0" and info.size < MAX_RECORD_BYTES
        )
        for _, blob in map_in_order(
            names, lambda name: self.store.read("predictions", name), size_of=lambda _: MAX_RECORD_BYTES
        ):
            if blob is not None:
                yield blob.content

    def devices_with_model(self) -> Iterator[str]:
        """Yield every device that has a model."""
        template = self.settings.models_path
        for info in self.store.list("models", template.partition("{")[0]):
            device = blob_paths.device_from_name(template, info.name)
            if device is not None:
                yield device

    def _compute_statistics(self, infos: Mapping[str, BlobInfo]) -> tuple[dict[str, DeviceStatistics], dict[str, str]]:
        """Return the statistics by device, and the error by device whose predictions cannot be read."""
        statistics: dict[str, DeviceStatistics] = {}
        unreadable: dict[str, str] = {}
        progress = ProgressLine()
        for device, blob in self._read_predictions(infos.items()):
            progress.show(f"read {len(statistics):,} of {len(infos):,} predictions")
            try:
                statistics[device] = compute_statistics(blob.content if blob else b"", self.window)
            except DataInvalid as error:
                unreadable[device] = str(error)
                log.warning(f"the predictions of {device} are skipped: {error}")
        progress.clear()
        return statistics, unreadable

    def _read_predictions(self, infos: Iterable[tuple[str, BlobInfo]]) -> Iterator[tuple[str, Blob | None]]:
        blobs = map_in_order(
            infos,
            lambda entry: self.store.read("predictions", entry[1].name),
            size_of=lambda entry: entry[1].size,
        )
        for (device, _), blob in blobs:
            yield device, blob

    def _list_predictions(self, window: Window) -> Iterator[tuple[str, BlobInfo]]:
        template = self.settings.predictions_path
        for info in self.store.list("predictions", template.partition("{device}")[0].replace("{window}", window.slug)):
            device = blob_paths.device_from_name(template, info.name)
            # Under a template such as {window}/{device} the page has the name of predictions, but not their metadata.
            is_page = "window" not in info.metadata and info.name.rpartition("/")[2] == PAGE_FILE
            if device is not None and not is_page and blob_paths.prediction_name(template, window, device) == info.name:
                yield device, info

    def _device_series(self, row: DeviceRow, info: BlobInfo) -> dict[str, list[Point]]:
        series: dict[str, list[Point]] = {tag: [] for tag, _ in row.statistics.worst_tags[: page.MAX_PLOTTED_TAGS]}
        blob = self.store.read("predictions", info.name)
        start = self.window.start.timestamp()
        for prediction in read_predictions(blob.content) if blob else ():
            if prediction.tag in series:
                offset_seconds = prediction.epoch_seconds - start
                series[prediction.tag].append(Point(offset_seconds, float(prediction.value), prediction.anomalous))
        return {tag: points for tag, points in series.items() if points}

    def _device_outcome(self, device: str, info: BlobInfo | None, recorded: DeviceOutcome | None) -> DeviceOutcome:
        """Return the outcome of a device: by its predictions, or else by the run, or else by its readings."""
        if info is not None:
            if info.metadata.get("tags", "*") != "*":
                return DeviceOutcome("partial", "", "only the tags that a run requested are scored")
            if info.metadata.get("complete", "true") == "true":
                return (
                    recorded if recorded is not None and recorded.kind == "alreadyScored" else DeviceOutcome("scored")
                )
            return recorded if recorded is not None and recorded.kind == "partial" else DeviceOutcome("partial")
        if recorded is not None and recorded.kind in ("failed", "notRun", "empty"):
            return recorded
        settings = self.settings
        names = blob_paths.data_names(settings.data_path, settings.data_partition, self.window, device)
        return DeviceOutcome("missing" if any(self.store.head("data", name) for name in names) else "empty")
