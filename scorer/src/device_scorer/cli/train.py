"""The command `device-scorer train`: its arguments, its output and its exit code."""

import argparse
import os
from datetime import UTC, datetime

from device_scorer import log
from device_scorer.errors import DataInvalid
from device_scorer.progress_line import ProgressLine
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.factory import open_store
from device_scorer.training.fit import GAMMA, MAX_ANOMALY_SHARE, MAX_ROWS, MIN_ROWS, NU
from device_scorer.training.history import list_readings
from device_scorer.training.trainer import TrainedDevice, train_device
from device_scorer.window import Window, parse_instant

DESCRIPTION = f"""\
Train one anomaly model per device and tag from the readings in the store, and write one bundle per device: a joblib
file that holds a dict tag -> scikit-learn pipeline (StandardScaler, then OneClassSVM with nu={NU}, rbf,
gamma={GAMMA}). An earlier bundle of the device is replaced.

A tag whose readings are all equal is rejected, with its name, because its model would predict every reading as an
anomaly. A tag with fewer than {MIN_ROWS} usable readings is rejected, too. So is a tag whose model would predict more
than {MAX_ANOMALY_SHARE:.0%} of its readings as anomalies, such as a switch. The device's other tags are trained.
If a tag has more than --max-rows readings, evenly spread readings are used, and always the smallest and the largest.

exit codes: 0 every device has a bundle; 65 at least one has none, each is named; 64 wrong usage; 75 storage

example: train on everything before the hour that will be scored
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""

_MIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_MAX_NAMED_DEVICES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--device", action="append", metavar="GLOB", help="only devices like GLOB, such as 'press-*'; may be repeated")
    add("--start", type=parse_instant, metavar="TIME", help="only readings from TIME on (all)")
    add("--end", type=parse_instant, metavar="TIME", help="only readings before TIME (all)")
    add("--max-rows", type=int, default=MAX_ROWS, metavar="N", help=f"at most N readings per tag ({MAX_ROWS:,})")


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
    models, without_bundle = 0, []
    for number, (device, names) in enumerate(sorted(sources.items()), 1):
        progress.show(f"training {device} ({number:,} of {len(sources):,})")
        trained = train_device(store, settings, device, names, window=window, max_rows=max(2, arguments.max_rows))
        _log_warnings(device, trained)
        models += trained.models
        if not trained.models:
            without_bundle.append(device)
    progress.clear()
    bundles = len(sources) - len(without_bundle)
    print(f"{models:,} models trained, in bundles of {bundles:,} of {len(sources):,} devices")
    if without_bundle:
        log.error(f"{len(without_bundle):,} devices have no bundle: {_format_names(without_bundle)}")
    return 65 if without_bundle else 0


def _log_warnings(device: str, trained: TrainedDevice) -> None:
    for name, error in trained.unreadable.items():
        log.warning(f"{name} is skipped: {error}")
    if trained.bad_rows:
        log.warning(f"{device}: {trained.bad_rows:,} unusable rows are skipped")
    for tag, reason in trained.rejected_tags.items():
        log.warning(f"{device}, tag {tag!r} gets no model: {reason}")


def _format_names(names: list[str]) -> str:
    omitted = len(names) - _MAX_NAMED_DEVICES
    return ", ".join(names[:_MAX_NAMED_DEVICES]) + (f" and {omitted:,} more" if omitted > 0 else "")
