"""`device-scorer simulate`: writes a simulated fleet's readings into the store, and the truth about its anomalies.

What the readings are is decided in `signals`; here they become blobs and files, one partition and device at a time.
"""

import argparse
import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.readings import COLUMNS
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.simulation.signals import SimulatedFleet
from device_scorer.simulation.writer import Simulation
from device_scorer.store.factory import open_store
from device_scorer.store.upload import UploadResult, upload_all
from device_scorer.window import Window, parse_instant

DESCRIPTION = """\
Write a simulated fleet's readings into the store, one blob per partition and device, and a file that says which of
them are anomalies. Equal arguments give equal bytes; nothing that exists is replaced unless --replace is given.

The anomalies lie in the last --anomaly-hours, in a share of the devices, outside of the band in which the earlier
readings lie: spikes, and shifts that last a tenth of a partition. --subtle adds values that freeze inside the band,
which a model of single readings cannot see. The truth is a CSV with the columns TS,Device,Tag,Kind.

example: two days of 12 devices with 5 tags, anomalies in the last hour
  device-scorer simulate --store ./folder --devices 12 --tags 5 --hours 48
then
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--devices", type=_parse_count, default=12, metavar="N", help="how many devices (12)")
    add("--tags", type=_parse_count, default=5, metavar="N", help="how many tags each has (5)")
    add("--prefix", default="press", help="devices are called PREFIX-1, PREFIX-2, ... (press)")
    add(
        "--start",
        type=parse_instant,
        metavar="TIME",
        help="first instant, such as 2018-08-28T00:00:00Z (--end - --hours)",
    )
    add("--end", type=parse_instant, metavar="TIME", help="first instant after the readings (the last full hour's end)")
    add(
        "--hours", type=_parse_count, default=24, metavar="N", help="hours of readings, where --start is not given (24)"
    )
    add("--interval", type=_parse_count, default=15, metavar="SECONDS", help="between two readings of a tag (15)")
    add(
        "--anomaly-rate",
        type=_parse_share,
        default=0.25,
        metavar="SHARE",
        help="share of devices with anomalies (0.25)",
    )
    add("--anomaly-hours", type=int, default=1, metavar="N", help="only the last N hours hold anomalies (1)")
    add("--subtle", action="store_true", help="also freeze values, which the models cannot see")
    add("--seed", type=int, default=1, help="another seed, another fleet (1)")
    add("--truth", type=Path, metavar="FILE", help="where the truth goes (FOLDER/truth.csv, else ./truth.csv)")
    add("--csv", type=Path, metavar="FILE", help="write the readings into one shared CSV, too")
    add("--replace", action="store_true", help="replace readings that exist and differ")


def run(arguments: argparse.Namespace) -> int:
    """Write readings and truth; 0, or DataInvalid where other readings are in the way."""
    settings = read_settings(os.environ, arguments.store)
    if "{device}" not in settings.data_path:
        raise UsageInvalid(f"simulate writes a blob per device: the data path {settings.data_path!r} needs {{device}}")
    window = _window_from_arguments(arguments, datetime.now(UTC))
    truth = arguments.truth or (settings.folder or Path()) / "truth.csv"
    store = open_store(settings)
    store.ensure_container("data")
    results: Counter[UploadResult] = Counter()
    first_conflict = ""
    with contextlib.ExitStack() as files:
        simulation = Simulation(
            fleet=_fleet_from_arguments(arguments, window),
            window=window,
            settings=settings,
            anomalies_from=window.end - timedelta(hours=arguments.anomaly_hours),
            truth_file=files.enter_context(_open_csv(truth, "TS,Device,Tag,Kind")),
            shared_csv=files.enter_context(_open_csv(arguments.csv, ",".join(COLUMNS))) if arguments.csv else None,
        )
        for name, outcome in upload_all(store, "data", simulation.blobs(), replace=arguments.replace):
            results[outcome] += 1
            first_conflict = first_conflict or (name if outcome is UploadResult.CONFLICT else "")
    if first_conflict:
        raise DataInvalid(
            f"{results[UploadResult.CONFLICT]:,} blobs exist with other readings, the first is {first_conflict}: "
            "they stay as they are; use another store, or --replace",
        )
    print(
        f"{simulation.reading_count:,} readings of {arguments.devices:,} devices x {arguments.tags} tags, {window.interval}: "
        f"{results[UploadResult.WRITTEN]:,} blobs written, {results[UploadResult.UNCHANGED]:,} already there\n"
        f"{simulation.anomaly_count:,} injected anomalies: {truth}",
    )
    return 0


def _window_from_arguments(arguments: argparse.Namespace, now: datetime) -> Window:
    end = arguments.end or now.replace(minute=0, second=0, microsecond=0)
    return Window(arguments.start or end - timedelta(hours=arguments.hours), end)


def _fleet_from_arguments(arguments: argparse.Namespace, window: Window) -> SimulatedFleet:
    fleet = SimulatedFleet(
        seed=arguments.seed,
        devices=arguments.devices,
        tags=arguments.tags,
        prefix=arguments.prefix,
        interval_seconds=arguments.interval,
        start_epoch_seconds=int(window.start.timestamp()),
        anomaly_rate=arguments.anomaly_rate,
        inject_stuck=arguments.subtle,
    )
    # A comma is allowed in a device's id, but would need quotes in a CSV: a simulated fleet can do without.
    if "," in fleet.prefix or not blob_paths.DEVICE_ID_PATTERN.fullmatch(fleet.device_id(fleet.devices - 1)):
        raise UsageInvalid(f"--prefix {fleet.prefix!r} makes no device id: use letters, digits, - . _")
    return fleet


@contextlib.contextmanager
def _open_csv(path: Path, header: str) -> Iterator[TextIO]:
    """A CSV being written, with its header."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageInvalid(f"{path} cannot be written: {error.strerror}") from error
    with file:
        file.write(f"{header}\n")
        yield file


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 10,000,000")
    return int(text)


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return share
