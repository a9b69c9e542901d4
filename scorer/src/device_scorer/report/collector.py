"""Collection of the predictions of a window for its report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.errors import DataInvalid
from device_scorer.progress_line import ProgressLine
from device_scorer.report import page, summary
from device_scorer.report.charts import Point
from device_scorer.report.statistics import DeviceStatistics, compute_statistics, read_predictions
from device_scorer.report.summary import AnomalyRule, DeviceRow, Summary
from device_scorer.scoring import predictions
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, BlobInfo, Store
from device_scorer.store.parallel import map_in_order
from device_scorer.window import Window

SUMMARY_FILE, FAILURES_FILE, ANOMALIES_FILE, PAGE_FILE, SUCCESS_MARKER = (
    "_summary.json",
    "_failures.csv",
    "_anomalies.csv",
    "report.html",
    "_SUCCESS",
)

_MAX_RESTARTS = 3
_MAX_RECORD_BYTES = 2 * 2**20
"""Bytes of an outcome record above which it is none: 500 messages of 500 characters have less, however escaped."""


def summarise_until_stable(
    collector: "ReportCollector", devices: Sequence[str] | None, recorded_outcomes: Mapping[str, DeviceOutcome]
) -> Summary:
    """The summary, made again while the window is scored anew beside it: a late report must not tell of what was."""
    result = collector.summarise(devices, recorded_outcomes)
    for _ in range(_MAX_RESTARTS):
        if not collector.is_outdated():
            break
        result = collector.summarise(devices, recorded_outcomes)
    return result


@dataclass
class ReportCollector:
    """Reads what the report is made of."""

    store: Store
    settings: Settings
    window: Window
    stale_after: timedelta
    _infos: dict[str, BlobInfo] = field(default_factory=dict)

    def summarise(self, devices: Sequence[str] | None, recorded_outcomes: Mapping[str, DeviceOutcome]) -> Summary:
        """Digest every prediction of the window and set it beside what is known of its devices."""
        config = self.settings
        rule = AnomalyRule(config.anomalous_when, self.stale_after)
        self._infos = dict(self._list_predictions(self.window))
        statistics: dict[str, DeviceStatistics] = {}
        unreadable: dict[str, str] = {}
        progress = ProgressLine()
        for device, blob in self._read_predictions():
            progress.show(f"read {len(statistics):,} of {len(self._infos):,} predictions")
            try:
                statistics[device] = compute_statistics(blob.content if blob else b"", self.window)
            except DataInvalid as error:
                unreadable[device] = str(error)
                log.warning(f"the predictions of {device} are left out: {error}")
        progress.clear()
        expected = self.devices_with_model() if devices is None else devices
        lines = [
            summary.build_row(
                device,
                self._device_outcome(device, recorded_outcomes.get(device)),
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
        counted = [predictions.row_counts_from(self._infos[device].metadata) for device in statistics]
        return Summary(
            window=self.window,
            rule=rule,
            devices=lines,
            comparison=summary.compare_windows(lines, previous_counts, previous_window, rule),
            bad_rows=sum(figures.bad_rows for figures in counted),
            unscored_rows=sum(figures.unscored_rows for figures in counted),
            unreadable=unreadable,
        )

    def is_outdated(self) -> bool:
        """Whether the window's predictions are others by now than those that were summarised."""
        now = {device: info.etag for device, info in self._list_predictions(self.window)}
        return now != {device: info.etag for device, info in self._infos.items()}

    def series(self, device_row: DeviceRow) -> dict[str, list[Point]]:
        """The readings of a device's worst tags."""
        worst = sorted(device_row.statistics.tags.items(), key=lambda entry: (-entry[1].anomalies, entry[0]))
        tags = [tag for tag, one in worst[: page.MAX_PLOTTED_TAGS] if one.anomalies]
        found: dict[str, list[Point]] = {tag: [] for tag in tags}
        blob = self.store.read("predictions", self._infos[device_row.device].name)
        start = self.window.start.timestamp()
        for row in read_predictions(blob.content) if blob else ():
            if row.tag in found:
                found[row.tag].append(Point(row.epoch_seconds - start, float(row.value), row.anomalous))
        return {tag: points for tag, points in found.items() if points}

    def outcome_records(self, run_uid: str) -> Iterator[bytes]:
        """The outcome records of a run's Jobs that say why a device failed or was scored in part."""
        found = self.store.list("predictions", blob_paths.outcome_prefix(run_uid))
        names = (
            info.name for info in found if info.metadata.get("failures", "0") != "0" and info.size < _MAX_RECORD_BYTES
        )
        for _, blob in map_in_order(
            names, lambda name: self.store.read("predictions", name), size_of=lambda _: _MAX_RECORD_BYTES
        ):
            if blob is not None:
                yield blob.content

    def _list_predictions(self, window: Window) -> Iterator[tuple[str, BlobInfo]]:
        template = self.settings.predictions_path
        for info in self.store.list("predictions", template.partition("{device}")[0].replace("{window}", window.slug)):
            device = blob_paths.device_from_name(template, info.name)
            # Under a template such as {window}/{device} the page has the name of predictions, but not their metadata.
            ours = "window" not in info.metadata and info.name.rpartition("/")[2] == PAGE_FILE
            if device is not None and not ours and blob_paths.prediction_name(template, window, device) == info.name:
                yield device, info

    def _read_predictions(self) -> Iterator[tuple[str, Blob | None]]:
        blobs = map_in_order(
            self._infos.items(),
            lambda entry: self.store.read("predictions", entry[1].name),
            size_of=lambda entry: entry[1].size,
        )
        for (device, _), blob in blobs:
            yield device, blob

    def devices_with_model(self) -> Iterator[str]:
        """Every device that has a model."""
        template = self.settings.models_path
        for info in self.store.list("models", template.partition("{")[0]):
            device = blob_paths.device_from_name(template, info.name)
            if device is not None:
                yield device

    def _device_outcome(self, device: str, recorded: DeviceOutcome | None) -> DeviceOutcome:
        """What became of a device: its predictions say it, else the run, else whether it has readings at all."""
        info = self._infos.get(device)
        if info is not None:
            if info.metadata.get("tags", "*") != "*":
                return DeviceOutcome("partial", "", "only the tags that a run asked for are scored")
            if info.metadata.get("complete", "true") == "true":
                return (
                    recorded if recorded is not None and recorded.kind == "alreadyScored" else DeviceOutcome("scored")
                )
            return recorded if recorded is not None and recorded.kind == "partial" else DeviceOutcome("partial")
        if recorded is not None and recorded.kind in ("failed", "notRun", "empty"):
            return recorded
        config = self.settings
        names = blob_paths.data_names(config.data_path, config.data_partition, self.window, device)
        return DeviceOutcome("missing" if any(self.store.head("data", name) for name in names) else "empty")
