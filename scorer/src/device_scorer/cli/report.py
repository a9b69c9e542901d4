"""`device-scorer report`: reads a window's predictions and writes what people and programs want to know of them."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from device_scorer import log
from device_scorer.contract.run_state import DeviceOutcome, read_device_list, read_outcomes, with_messages
from device_scorer.errors import UsageInvalid
from device_scorer.report import page, summary
from device_scorer.report.collector import (
    ANOMALIES_FILE,
    FAILURES_FILE,
    PAGE_FILE,
    SUCCESS_MARKER,
    SUMMARY_FILE,
    ReportCollector,
    summarise_until_stable,
)
from device_scorer.settings import add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.window import Window, parse_duration, parse_instant

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
        "--include-modelled",
        action="store_true",
        help="the list is not the whole fleet: devices that have a model belong to the window, too",
    )
    add(
        "--stale-after",
        type=parse_duration,
        default=summary.DEFAULT_STALE_AFTER,
        metavar="DURATION",
        help="a device is old whose newest reading is so much older than the window's end (PT15M)",
    )
    add_store_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the report's files; 0 whether or not the window is complete: the report says which."""
    settings = read_settings(os.environ, arguments.store)
    window = Window(arguments.window_start, arguments.window_end)
    store = open_store(settings)
    devices, recorded_outcomes = _read_run_state(arguments.devices or [], arguments.progress)
    collector = ReportCollector(store, settings, window, arguments.stale_after)
    if arguments.run_uid:
        recorded_outcomes = with_messages(recorded_outcomes, collector.outcome_records(arguments.run_uid))
    if devices is not None and arguments.include_modelled:
        devices += collector.devices_with_model()
    result = summarise_until_stable(collector, devices, recorded_outcomes)
    plots = {line.device: collector.series(line) for line in result.anomalous[: page.MAX_PLOTTED_DEVICES]}
    files = {
        SUMMARY_FILE: summary.summary_json(result),
        FAILURES_FILE: summary.failures_csv(result),
        ANOMALIES_FILE: summary.anomalies_csv(result),
        PAGE_FILE: page.render(result, plots),
    }
    _write_files(store, window, files, complete=result.complete)
    if result.complete and collector.is_outdated():
        store.delete("predictions", f"{window.slug}/{SUCCESS_MARKER}")
        log.warning(f"{window.slug} is being scored anew: {SUCCESS_MARKER} is left to the report on that")
    outcomes = (
        ", ".join(f"{count:,} {page.OUTCOME_LABELS[outcome]}" for outcome, count in result.outcomes.items())
        or "no devices"
    )
    print(
        f"{window.interval}: {outcomes}; {result.anomalies:,} anomalies in {result.rows:,} readings, "
        f"{len(result.anomalous):,} anomalous devices\n"
        f"{window.slug}/{PAGE_FILE}, {'complete' if result.complete else 'incomplete'}"
    )
    return 0


def _read_run_state(
    device_list_files: Sequence[Path], progress_file: Path | None
) -> tuple[list[str] | None, dict[str, DeviceOutcome]]:
    try:
        devices = read_device_list([path.read_bytes() for path in device_list_files]) if device_list_files else None
        if progress_file is None:
            return devices, {}
        if devices is None:
            raise UsageInvalid("--progress speaks of positions in the device list: give --devices too")
        return devices, read_outcomes(progress_file.read_bytes(), devices)
    except OSError as error:
        raise UsageInvalid(f"{error.filename} cannot be read: {error.strerror}") from error


def _write_files(store: Store, window: Window, files: Mapping[str, bytes], *, complete: bool) -> None:
    """Write the files, and the mark of completeness last; an older mark goes first."""
    store.delete("predictions", f"{window.slug}/{SUCCESS_MARKER}")
    for name, content in files.items():
        existing = store.head("predictions", f"{window.slug}/{name}")
        if existing is not None and "window" in existing.metadata:
            log.warning(f"{window.slug}/{name} is a device's predictions, by its metadata: this file is not written")
            continue
        store.write("predictions", f"{window.slug}/{name}", content, overwrite=True)
    if complete:
        store.write("predictions", f"{window.slug}/{SUCCESS_MARKER}", b"", overwrite=True)
