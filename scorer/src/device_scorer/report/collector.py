"""Collection of the predictions of a window for its report."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.contract.run_state import Fate
from device_scorer.errors import DataInvalid
from device_scorer.progress_line import Progress
from device_scorer.report import page, summary
from device_scorer.report.charts import Point
from device_scorer.report.statistics import Digest, digest, rows
from device_scorer.report.summary import Line, Rule, Summary
from device_scorer.scoring import predictions
from device_scorer.settings import Settings
from device_scorer.store.base import Blob, BlobInfo, Store
from device_scorer.store.parallel import ahead
from device_scorer.window import Window

SUMMARY, FAILURES, ANOMALIES, PAGE, SUCCESS = (
    "_summary.json",
    "_failures.csv",
    "_anomalies.csv",
    "report.html",
    "_SUCCESS",
)

_MOST_ANEW = 3
_RECORD = 2 * 2**20
"""Bytes of an outcome record above which it is none: 500 messages of 500 characters have less, however escaped."""


def summarise_until_stable(gathering: "Gathering", devices: Sequence[str] | None, told: Mapping[str, Fate]) -> Summary:
    """The summary, made again while the window is scored anew beside it: a late report must not tell of what was."""
    result = gathering.summarise(devices, told)
    for _ in range(_MOST_ANEW):
        if not gathering.outdated():
            break
        result = gathering.summarise(devices, told)
    return result


@dataclass
class Gathering:
    """Reads what the report is made of."""

    store: Store
    config: Settings
    window: Window
    stale_after: timedelta
    _found: dict[str, BlobInfo] = field(default_factory=dict)

    def summarise(self, devices: Sequence[str] | None, told: Mapping[str, Fate]) -> Summary:
        """Digest every prediction of the window and set it beside what is known of its devices."""
        config = self.config
        rule = Rule(config.anomalous_when, self.stale_after)
        self._found = dict(self._predictions(self.window))
        digests: dict[str, Digest] = {}
        unreadable: dict[str, str] = {}
        progress = Progress()
        for device, blob in self._read_all():
            progress.show(f"read {len(digests):,} of {len(self._found):,} predictions")
            try:
                digests[device] = digest(blob.content if blob else b"", self.window)
            except DataInvalid as error:
                unreadable[device] = str(error)
                log.warning(f"the predictions of {device} are left out: {error}")
        progress.clear()
        expected = self.modelled() if devices is None else devices
        lines = [
            summary.line_of(
                device, self._fate(device, told.get(device)), digests.get(device, Digest()), self.window, rule
            )
            for device in sorted({*expected, *digests} - set(unreadable), key=summary.natural)
        ]
        before = Window(self.window.start - (self.window.end - self.window.start), self.window.start)
        earlier = {device: predictions.figures_of(info.metadata) for device, info in self._predictions(before)}
        counted = [predictions.figures_of(self._found[device].metadata) for device in digests]
        return Summary(
            window=self.window,
            rule=rule,
            lines=lines,
            change=summary.compare(lines, earlier, before, rule),
            bad_rows=sum(figures.bad_rows for figures in counted),
            unscored_rows=sum(figures.unscored_rows for figures in counted),
            unreadable=unreadable,
        )

    def outdated(self) -> bool:
        """Whether the window's predictions are others by now than those that were summarised."""
        now = {device: info.etag for device, info in self._predictions(self.window)}
        return now != {device: info.etag for device, info in self._found.items()}

    def points(self, line: Line) -> dict[str, list[Point]]:
        """The readings of a device's worst tags."""
        worst = sorted(line.digest.tags.items(), key=lambda entry: (-entry[1].anomalies, entry[0]))
        tags = [tag for tag, one in worst[: page.MOST_TAGS] if one.anomalies]
        found: dict[str, list[Point]] = {tag: [] for tag in tags}
        blob = self.store.read("predictions", self._found[line.device].name)
        start = self.window.start.timestamp()
        for row in rows(blob.content) if blob else ():
            if row.tag in found:
                found[row.tag].append(Point(row.at - start, float(row.value), row.anomalous))
        return {tag: points for tag, points in found.items() if points}

    def records(self, run_uid: str) -> Iterator[bytes]:
        """The outcome records of a run's Jobs that say why a device failed or was scored in part."""
        found = self.store.list("predictions", blob_paths.outcome_prefix(run_uid))
        names = (info.name for info in found if info.metadata.get("complaints", "0") != "0" and info.size < _RECORD)
        for _, blob in ahead(names, lambda name: self.store.read("predictions", name), size=lambda _: _RECORD):
            if blob is not None:
                yield blob.content

    def _predictions(self, window: Window) -> Iterator[tuple[str, BlobInfo]]:
        template = self.config.predictions_path
        for info in self.store.list("predictions", template.partition("{device}")[0].replace("{window}", window.slug)):
            device = blob_paths.device_of(template, info.name)
            # Under a template such as {window}/{device} the page has the name of predictions, but not their metadata.
            ours = "window" not in info.metadata and info.name.rpartition("/")[2] == PAGE
            if device is not None and not ours and blob_paths.prediction_name(template, window, device) == info.name:
                yield device, info

    def _read_all(self) -> Iterator[tuple[str, Blob | None]]:
        blobs = ahead(
            self._found.items(),
            lambda entry: self.store.read("predictions", entry[1].name),
            size=lambda entry: entry[1].size,
        )
        for (device, _), blob in blobs:
            yield device, blob

    def modelled(self) -> Iterator[str]:
        """Every device that has a model."""
        template = self.config.models_path
        for info in self.store.list("models", template.partition("{")[0]):
            device = blob_paths.device_of(template, info.name)
            if device is not None:
                yield device

    def _fate(self, device: str, told: Fate | None) -> Fate:
        """What became of a device: its predictions say it, else the run, else whether it has readings at all."""
        info = self._found.get(device)
        if info is not None:
            if info.metadata.get("tags", "*") != "*":
                return Fate("partial", "", "only the tags that a run asked for are scored")
            if info.metadata.get("complete", "true") == "true":
                return told if told is not None and told.outcome == "alreadyScored" else Fate("scored")
            return told if told is not None and told.outcome == "partial" else Fate("partial")
        if told is not None and told.outcome in ("failed", "notRun", "empty"):
            return told
        config = self.config
        names = blob_paths.data_names(config.data_path, config.data_partition, self.window, device)
        return Fate("missing" if any(self.store.stat("data", name) for name in names) else "empty")
