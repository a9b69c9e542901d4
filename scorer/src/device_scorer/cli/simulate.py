"""The command `device-scorer simulate`: its arguments, its output and its exit code."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device_scorer.cli import whole_number
from device_scorer.contract import blob_paths
from device_scorer.errors import DataInvalid, UsageInvalid
from device_scorer.plurals import counted
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.simulation.signals import KINDS, SimulatedFleet
from device_scorer.simulation.writer import write_simulation
from device_scorer.store.factory import open_store
from device_scorer.store.upload import UploadResult
from device_scorer.window import Window, parse_instant

DESCRIPTION = """\
Write a simulated fleet's readings into the store, one blob per partition and device, and a file that lists the
injected anomalies. Equal arguments give equal bytes. Existing blobs are replaced only if --replace is given.

The anomalies lie in the last --anomaly-hours, in a share of the devices, outside of the band of the earlier readings:
spikes, and shifts that last a tenth of a partition. --subtle adds values that freeze inside the band, which a model of
single readings cannot detect. The file with the anomalies is a CSV with the columns TS,Device,Tag,Kind. It lists
missing readings, too.

--inject KIND injects other faults in place of spikes and shifts, and may be repeated. With --anomaly-hours, the same
sensors have the fault in each hour. One tag of a device: spike,
shift, drift, stuck, out-of-range, dead (no reading), sparse (a quarter of the readings), late (none in the last half).
All tags of a device: machine-off. All devices: hall. Late readings arrive if the command runs again with --replace and
without --inject late.

example: two days of 12 devices with 5 tags, anomalies in the last hour
  device-scorer simulate --store ./folder --devices 12 --tags 5 --hours 48
then
  device-scorer train --store ./folder --end 2018-08-28T23:00:00Z"""

DEFAULT_HOURS = 24
_KEPT = ("blob exists with other readings and is", "blobs exist with other readings and are")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    add = parser.add_argument
    add_store_argument(parser)
    add("--devices", type=whole_number(1), default=12, metavar="N", help="number of devices (12)")
    add("--tags", type=whole_number(1), default=5, metavar="N", help="number of tags of each device (5)")
    add("--prefix", default="press", help="devices are called PREFIX-1, PREFIX-2, ... (press)")
    add(
        "--start",
        type=parse_instant,
        metavar="TIME",
        help="time of the first reading, such as 2018-08-28T00:00:00Z (--end - --hours)",
    )
    add(
        "--end", type=parse_instant, metavar="TIME", help="first instant after the readings (end of the last full hour)"
    )
    add("--hours", type=whole_number(1), metavar="N", help="hours of readings, from --start or before --end (24)")
    add(
        "--interval",
        type=whole_number(1),
        default=15,
        metavar="SECONDS",
        help="time between two readings of a tag (15)",
    )
    add(
        "--anomaly-rate",
        type=_parse_share,
        default=0.25,
        metavar="SHARE",
        help="share of devices with anomalies (0.25)",
    )
    add(
        "--anomaly-hours", type=whole_number(0), default=1, metavar="N", help="only the last N hours hold anomalies (1)"
    )
    add("--subtle", action="store_true", help="also freeze values, which the models cannot detect")
    add(
        "--inject",
        action="append",
        choices=KINDS,
        default=[],
        metavar="KIND",
        help=f"inject this fault in place of spikes and shifts: {', '.join(KINDS)}",
    )
    add("--seed", type=int, default=1, help="random seed (1)")
    add(
        "--truth",
        type=Path,
        metavar="FILE",
        help="file for the injected anomalies (FOLDER/truth.csv, else ./truth.csv)",
    )
    add("--csv", type=Path, metavar="FILE", help="write the readings into one shared CSV, too")
    add("--replace", action="store_true", help="replace readings that exist and differ")


def run(arguments: argparse.Namespace) -> int:
    """Write the readings and the anomalies and return 0. Raises DataInvalid if other readings exist."""
    settings = read_settings(os.environ, arguments.store)
    if "{device}" not in settings.data_path:
        raise UsageInvalid(
            f"the data path {settings.data_path!r} is invalid: simulate writes a blob per device; add {{device}}"
        )
    window = _window_from_arguments(arguments, datetime.now(UTC))
    truth_path = arguments.truth or (settings.folder or Path()) / "truth.csv"
    written = write_simulation(
        open_store(settings),
        settings,
        _fleet_from_arguments(arguments, window),
        window,
        anomalies_from=window.end - timedelta(hours=arguments.anomaly_hours),
        truth_path=truth_path,
        shared_csv_path=arguments.csv,
        replace=arguments.replace,
    )
    if written.first_conflict:
        raise DataInvalid(
            f"{counted(written.blobs[UploadResult.CONFLICT], *_KEPT)} kept, the first is "
            f"{written.first_conflict}; use another store, or --replace"
        )
    print(
        f"{counted(written.readings, 'reading', 'readings')} of {counted(arguments.devices, 'device', 'devices')} x "
        f"{counted(arguments.tags, 'tag', 'tags')}, {window.interval}: "
        f"{counted(written.blobs[UploadResult.WRITTEN], 'blob', 'blobs')} written, "
        f"{counted(written.blobs[UploadResult.UNCHANGED], 'already exists', 'already exist')}\n"
        f"{counted(written.anomalies, 'injected anomaly', 'injected anomalies')}: {truth_path}"
    )
    return 0


def _window_from_arguments(arguments: argparse.Namespace, now: datetime) -> Window:
    """Return the window of two of --start, --hours and --end. Raises UsageInvalid if the three contradict."""
    start, end, length = arguments.start, arguments.end, timedelta(hours=arguments.hours or DEFAULT_HOURS)
    if start and end and arguments.hours and end - start != length:
        raise UsageInvalid("--start, --end and --hours contradict each other; leave one of them out")
    try:
        if start and not end and arguments.hours:
            return Window(start, start + length)
        end = end or now.replace(minute=0, second=0, microsecond=0)
        return Window(start or end - length, end)
    except OverflowError as error:
        raise UsageInvalid("--hours is invalid: the readings would be outside of the years 1 to 9999") from error


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
        kinds=tuple(dict.fromkeys(arguments.inject)),
    )
    # A device id may hold a comma, but it would need quotes in a CSV, which the simulation does not write.
    if "," in fleet.prefix or not blob_paths.DEVICE_ID_PATTERN.fullmatch(fleet.device_id(fleet.devices - 1)):
        raise UsageInvalid(f"--prefix {fleet.prefix!r} is invalid: use letters, digits, - . _")
    return fleet


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a share from 0 to 1")
    return share
