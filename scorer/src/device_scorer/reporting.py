"""`device-scorer report`: reads a window's predictions and writes what people and programs want to know of them."""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from device_scorer import log, page, paths, predictions, settings, summary
from device_scorer.ahead import ahead
from device_scorer.blobs import Blob, BlobInfo, Store, open_store
from device_scorer.charts import Point
from device_scorer.digest import Digest, digest, rows
from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.progress import Progress
from device_scorer.runstate import Fate, device_list, explained, fates
from device_scorer.settings import Settings
from device_scorer.summary import Line, Rule, Summary
from device_scorer.window import Window, parse_duration, parse_instant

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

DESCRIPTION = """\
Report on a window from its predictions in the store. Beside them, in {window}/, are written
  _summary.json   counts of devices by outcome, rows, anomalies, the worst devices, changes against the window before
  _failures.csv   every device that failed, was scored in part, was not run, or has no predictions, and why
  _anomalies.csv  every device and tag that has anomalies: how many, the first, the last, the strongest
  report.html     all of it for people; one file, opens from disk
  _SUCCESS        last, and only if every device is scored, or had no readings

Which devices there should be is told by --devices (one id a line) and what a run says of them by --progress, both as
in the ConfigMaps of a ScoringRun; without them it is every device that has a model.

example
  device-scorer report --store ./folder --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add("--window-start", required=True, type=parse_instant, metavar="TIME", help="first second of the window")
    add("--window-end", required=True, type=parse_instant, metavar="TIME", help="first second after the window")
    add("--devices", type=Path, action="append", metavar="FILE", help="the run's device list; its parts in order")
    add("--progress", type=Path, metavar="FILE", help="the run's progress; needs --devices")
    add("--run-uid", default="", metavar="UID", help="the run's uid: its Jobs' outcome records have all messages")
    add(
        "--and-modelled",
        action="store_true",
        help="the list is not the whole fleet: devices that have a model belong to the window, too",
    )
    add(
        "--stale-after",
        type=parse_duration,
        default=summary.STALE_AFTER,
        metavar="DURATION",
        help="a device is old whose newest reading is so much older than the window's end (PT15M)",
    )
    settings.add_store_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report's files; 0 whether or not the window is complete: the report says which."""
    config = settings.read(os.environ, arguments.store)
    window = Window(arguments.window_start, arguments.window_end)
    store = open_store(config)
    devices, told = _run_state(arguments.devices or [], arguments.progress)
    gathering = Gathering(store, config, window, arguments.stale_after)
    if arguments.run_uid:
        told = explained(told, gathering.records(arguments.run_uid))
    if devices is not None and arguments.and_modelled:
        devices += gathering.modelled()
    result = _settled(gathering, devices, told)
    plots = {line.device: gathering.points(line) for line in result.anomalous[: page.MOST_PLOTTED]}
    files = {
        SUMMARY: summary.as_json(result),
        FAILURES: summary.failures_csv(result),
        ANOMALIES: summary.anomalies_csv(result),
        PAGE: page.render(result, plots),
    }
    _write(store, window, files, complete=result.complete)
    if result.complete and gathering.outdated():
        store.delete("predictions", f"{window.slug}/{SUCCESS}")
        log.warning(f"{window.slug} is being scored anew: {SUCCESS} is left to the report on that")
    outcomes = (
        ", ".join(f"{count:,} {page.WORDS[outcome]}" for outcome, count in result.outcomes.items()) or "no devices"
    )
    print(
        f"{window.text}: {outcomes}; {result.anomalies:,} anomalies in {result.rows:,} readings, "
        f"{len(result.anomalous):,} anomalous devices\n"
        f"{window.slug}/{PAGE}, {'complete' if result.complete else 'incomplete'}"
    )
    return 0


def _settled(gathering: "Gathering", devices: Sequence[str] | None, told: Mapping[str, Fate]) -> Summary:
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
        found = self.store.list("predictions", paths.outcome_prefix(run_uid))
        names = (info.name for info in found if info.metadata.get("complaints", "0") != "0" and info.size < _RECORD)
        for _, blob in ahead(names, lambda name: self.store.read("predictions", name), size=lambda _: _RECORD):
            if blob is not None:
                yield blob.content

    def _predictions(self, window: Window) -> Iterator[tuple[str, BlobInfo]]:
        template = self.config.predictions_path
        for info in self.store.list("predictions", template.partition("{device}")[0].replace("{window}", window.slug)):
            device = paths.device_of(template, info.name)
            # Under a template such as {window}/{device} the page has the name of predictions, but not their metadata.
            ours = "window" not in info.metadata and info.name.rpartition("/")[2] == PAGE
            if device is not None and not ours and paths.prediction_name(template, window, device) == info.name:
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
            device = paths.device_of(template, info.name)
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
        names = paths.data_names(config.data_path, config.data_partition, self.window, device)
        return Fate("missing" if any(self.store.stat("data", name) for name in names) else "empty")


def _run_state(lists: Sequence[Path], progress: Path | None) -> tuple[list[str] | None, dict[str, Fate]]:
    try:
        devices = device_list([path.read_bytes() for path in lists]) if lists else None
        if progress is None:
            return devices, {}
        if devices is None:
            raise UsageInvalid("--progress speaks of positions in the device list: give --devices too")
        return devices, fates(progress.read_bytes(), devices)
    except OSError as error:
        raise UsageInvalid(f"{error.filename} cannot be read: {error.strerror}") from error


def _write(store: Store, window: Window, files: Mapping[str, bytes], *, complete: bool) -> None:
    """Write the files, and the mark of completeness last; an older mark goes first."""
    store.delete("predictions", f"{window.slug}/{SUCCESS}")
    for name, content in files.items():
        there = store.stat("predictions", f"{window.slug}/{name}")
        if there is not None and "window" in there.metadata:
            log.warning(f"{window.slug}/{name} is a device's predictions, by its metadata: this file is not written")
            continue
        store.write("predictions", f"{window.slug}/{name}", content, overwrite=True)
    if complete:
        store.write("predictions", f"{window.slug}/{SUCCESS}", b"", overwrite=True)
