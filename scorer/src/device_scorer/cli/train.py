"""The command `device-scorer train`: its arguments, its output and its exit code."""

import argparse
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from device_scorer import log
from device_scorer.cli import whole_number
from device_scorer.errors import DataInvalid
from device_scorer.plurals import counted, plural
from device_scorer.progress_line import ProgressLine
from device_scorer.scoring.flags import describe_seconds
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.factory import open_store
from device_scorer.training.fit import (
    CONSTANT,
    COUNTER,
    FEW_ROWS,
    FEW_VALUES,
    GAMMA,
    MAX_ANOMALY_SHARE,
    MAX_ROWS,
    MIN_ROWS,
    NU,
    RESERVED,
)
from device_scorer.training.past_readings import list_readings
from device_scorer.training.trainer import TrainedDevice, train_device
from device_scorer.window import Window, parse_instant

DESCRIPTION = f"""\
Train one anomaly model per device and tag from the readings in the store, and write one bundle per device: a joblib
file that holds a dict tag -> scikit-learn pipeline (StandardScaler, then OneClassSVM with nu={NU}, rbf,
gamma={GAMMA}), and the usual interval, range and longest flat stretch of each tag.

A tag needs {MIN_ROWS} usable readings. It gets no model if all its readings are equal, if they only increase (a
counter), or if its model would predict more than {MAX_ANOMALY_SHARE:.0%} of its readings as anomalies. The device's
other tags are trained. A few readings that are far from all others are left out. If a tag has more than --max-rows
readings, evenly spread readings are used, and always the smallest and the largest.

An earlier bundle of the device is replaced. Its models of tags that get no new model remain, unless --prune is given.

The model is the range of the training readings, so the history has to cover the usual range. The summary has the share
of the newest fifth of the readings that lie in the range of the earlier ones. A low share means: train on more history.

exit codes: 0 every device has a bundle; 65 at least one has none, each is named; 64 wrong usage; 75 storage

example: train on everything before the hour that will be scored
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""

_MIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_MAX_NAMED_DEVICES = 20
_MAX_NAMED_TAGS = 5
_LOW_COVERAGE = 0.95
_REASONS = {
    CONSTANT: "all their readings are equal",
    COUNTER: "their readings only increase, as those of a counter",
    FEW_ROWS: f"they have fewer than {MIN_ROWS} usable readings",
    FEW_VALUES: f"their models would predict more than {MAX_ANOMALY_SHARE:.0%} of their readings as anomalies",
    RESERVED: "their names are invalid",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--device", action="append", metavar="GLOB", help="only devices like GLOB, such as 'press-*'; may be repeated")
    add("--start", type=parse_instant, metavar="TIME", help="only readings from TIME on (all)")
    add("--end", type=parse_instant, metavar="TIME", help="only readings before TIME (all)")
    add(
        "--max-rows",
        type=whole_number(MIN_ROWS),
        default=MAX_ROWS,
        metavar="N",
        help=f"at most N readings per tag ({MAX_ROWS:,})",
    )
    add("--prune", action="store_true", help="drop the earlier models of tags that get no new model")
    add("--verbose", action="store_true", help="name every tag without a new model")


def run(arguments: argparse.Namespace) -> int:
    """Train every device that has readings; return 65 if a device has no bundle."""
    settings = read_settings(os.environ, arguments.store)
    window = Window(arguments.start or _MIN_TIME, arguments.end or _MAX_TIME)
    store = open_store(settings)
    sources = list_readings(store, settings, arguments.device or ["*"])
    if not sources:
        raise DataInvalid("the store has no readings of these devices; see `device-scorer import --help`")
    store.ensure_container("models")
    progress = ProgressLine()
    summary = _Summary(verbose=arguments.verbose)
    for number, (device, names) in enumerate(sorted(sources.items()), 1):
        progress.show(f"training {device} ({number:,} of {len(sources):,})")
        trained = train_device(
            *(store, settings, device, names),
            window=window,
            max_rows=arguments.max_rows,
            keep_earlier=not arguments.prune,
        )
        summary.add(device, trained)
    progress.clear()
    return summary.show(len(sources))


@dataclass
class _Examples:
    """A number of tags, and the first of them by device and tag."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, device: str, tags: Iterable[str]) -> None:
        """Count tags of a device."""
        for tag in tags:
            self.count += 1
            if len(self.named) < _MAX_NAMED_TAGS:
                self.named.append(f"{device} {tag[:60]!r}")

    def __str__(self) -> str:
        omitted = self.count - len(self.named)
        return ", ".join(self.named) + (f" and {omitted:,} more" if omitted else "")


class _Summary:
    """The results of all devices: one line of output for each kind of result."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._models = self._bad_rows = self._outliers = 0
        self._bad_sample = ""
        self._tags: defaultdict[str, _Examples] = defaultdict(_Examples)
        self._blobs, self._bundles = _Examples(), _Examples()
        self._without_bundle: list[str] = []
        self._coverage: list[float] = []
        self._times: list[int] = []

    def add(self, device: str, trained: TrainedDevice) -> None:
        """Add the result of a device."""
        self._models += trained.models
        self._bad_rows += trained.bad_rows
        self._bad_sample = self._bad_sample or (trained.bad_sample and f"{device}, {trained.bad_sample}")
        for tag, rejection in trained.rejected_tags.items():
            self._tags[rejection.kind].add(device, [tag])
            if self._verbose:
                log.warning(f"{device}, tag {tag[:60]!r} gets no model: {rejection}")
        for name, error in trained.unreadable.items():
            self._blobs.add(name, [error])
        for kind, tags in (("kept", trained.kept_tags), ("dropped", trained.dropped_tags)):
            self._tags[kind].add(device, tags)
        outliers, coverage = trained.outliers or {}, trained.coverage or {}
        self._tags["outliers"].add(device, outliers)
        self._outliers += sum(outliers.values())
        self._tags["coverage"].add(device, (tag for tag, share in coverage.items() if share < _LOW_COVERAGE))
        self._coverage += coverage.values()
        if trained.earlier_error:
            self._bundles.add(device, [trained.earlier_error])
        if trained.last_time:
            self._times += (trained.first_time, trained.last_time)
        if not trained.models:
            self._without_bundle.append(device)

    def show(self, devices: int) -> int:
        """Print the summary and return the exit code."""
        for examples, text in self._warnings():
            if examples.count:
                log.warning(f"{text}: {examples}")
        if self._bad_rows:
            rows = counted(self._bad_rows, "unusable row is", "unusable rows are")
            log.warning(f"{rows} skipped; the first: {self._bad_sample}")
        bundles = devices - len(self._without_bundle)
        trained = counted(self._models, "model", "models")
        print(f"{trained} trained, in bundles of {bundles:,} of {counted(devices, 'device', 'devices')}")
        if self._times:
            first, last = (datetime.fromtimestamp(at, UTC) for at in (min(self._times), max(self._times)))
            print(f"readings from {first:%FT%TZ} to {last:%FT%TZ} ({describe_seconds((last - first).total_seconds())})")
        if self._coverage:
            share = statistics.fmean(self._coverage)
            print(f"{share:.1%} of the newest fifth of the readings lie in the range of the earlier ones")
        if self._without_bundle:
            without = counted(len(self._without_bundle), "device has", "devices have")
            log.error(f"{without} no bundle: {_format_names(self._without_bundle)}")
        return 65 if self._without_bundle else 0

    def _warnings(self) -> Iterator[tuple[_Examples, str]]:
        for kind, reason in _REASONS.items():
            yield (
                self._tags[kind],
                f"{counted(self._tags[kind].count, 'tag gets', 'tags get')} no model, because {reason}",
            )
        kept, dropped, outliers, coverage = (self._tags[k] for k in ("kept", "dropped", "outliers", "coverage"))
        one, many = "tag without a new model keeps its earlier one", "tags without a new model keep their earlier one"
        yield kept, f"{counted(kept.count, one, many)}; --prune drops earlier models"
        yield dropped, counted(dropped.count, "tag loses its earlier model", "tags lose their earlier model")
        readings, tags = counted(self._outliers, "reading", "readings"), counted(outliers.count, "tag", "tags")
        verb = plural(self._outliers, "is", "are")
        yield outliers, f"{readings} of {tags} {verb} far from all others and left out"
        text = f"the history of {counted(coverage.count, 'tag does not cover its', 'tags does not cover their')} usual"
        yield coverage, f"{text} range; train on more history"
        yield self._blobs, f"{counted(self._blobs.count, 'blob is', 'blobs are')} skipped"
        one, many = "earlier bundle was unreadable and is", "earlier bundles were unreadable and are"
        yield self._bundles, f"{counted(self._bundles.count, one, many)} replaced"


def _format_names(names: list[str]) -> str:
    omitted = len(names) - _MAX_NAMED_DEVICES
    return ", ".join(names[:_MAX_NAMED_DEVICES]) + (f" and {omitted:,} more" if omitted > 0 else "")
