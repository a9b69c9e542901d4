"""The command `device-scorer report`: its arguments, its output and its exit code."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from device_scorer import log
from device_scorer.contract import blob_paths
from device_scorer.contract.run_state import DeviceOutcome, read_device_list, read_outcomes, with_messages
from device_scorer.errors import UsageInvalid
from device_scorer.health.history import HISTORY_FOLDER
from device_scorer.health.settings import VARIABLE, parse_incident_settings
from device_scorer.notify.receivers import parse_receivers
from device_scorer.plurals import counted
from device_scorer.report import page, summary
from device_scorer.report.collector import (
    MAX_RESTARTS,
    CollectedWindow,
    ReportCollector,
    read_earlier_report,
    without_devices,
)
from device_scorer.report.files import PAGE_FILE, SUCCESS_MARKER, delete_success_marker, render_files, write_files
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.health_keeper import HealthKeeper
from device_scorer.report.notifier import Notifier
from device_scorer.report.result import report_result
from device_scorer.report.summary import Summary
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from device_scorer.termination_log import termination_log_path, write_termination_message
from device_scorer.window import Window, parse_duration, parse_instant

DESCRIPTION = """\
Report on a window from its predictions in the store. The command writes to {window}/:
  _summary.json   counts of devices by outcome, rows, anomalies, the worst devices, changes since the previous window
  _failures.csv   every device that failed, was scored in part, was not run, or has no predictions, and why
  _empty.csv      every device without readings in the window
  _anomalies.csv  every device and tag that has anomalies: how many, the first, the last, the strongest
  _sensors.csv    every faulty sensor, since when, and the numbers that show it
  _incidents.csv  every incident that opened, is open or closed: device, cause, since, worst tags, owner
  report.html     all of it for people; one file, opens from disk
  _SUCCESS        last, and only if every device is scored, or had no readings

--devices lists the expected devices (one id a line) and --progress their outcomes in a run, both as in the ConfigMaps
of a ScoringRun. Without --devices every device that has a model is expected.

example
  device-scorer report --store ./folder --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z"""

REPORT_ENVIRONMENT = """\
environment of the report, with the values of the fleet (the report Job of a run has them):
  FLEETSCORE_INCIDENTS            name of the fleet, rules of incidents and owners as JSON, such as
                                  {"fleet": "plant", "openAfter": 2} (the fleet is "default")
  FLEETSCORE_NOTIFY               receivers of notices as a JSON list (none)
  FLEETSCORE_ANOMALOUS_SHARE      share of anomalous readings of an anomalous device (1%)
  FLEETSCORE_ANOMALOUS_MIN_ROWS   number of anomalous readings of an anomalous device (3)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, REPORT_ENVIRONMENT
    add = parser.add_argument
    add("--window-start", required=True, type=parse_instant, metavar="TIME", help="first second of the window")
    add("--window-end", required=True, type=parse_instant, metavar="TIME", help="first second after the window")
    add("--devices", type=Path, action="append", metavar="FILE", help="the run's device list; its parts in order")
    add("--progress", type=Path, metavar="FILE", help="the run's progress; needs --devices")
    add("--run-uid", default="", metavar="UID", help="the run's uid: its Jobs' outcome records have all messages")
    add(
        "--include-modelled",
        action="store_true",
        help="the device list is not the whole fleet; include devices that have a model",
    )
    add(
        "--stale-after",
        type=parse_duration,
        default=summary.DEFAULT_STALE_AFTER,
        metavar="DURATION",
        help="report a device as stale if its newest reading is older than this before the window's end (PT15M)",
    )
    add("--run-failed", default="", metavar="REASON", help="the run has failed; receivers of runFailed are notified")
    add("--termination-log", metavar="PATH", help="file for the Job's result (/dev/termination-log)")
    add_store_argument(parser)


def run(arguments: argparse.Namespace, *, open_store: Callable[[Settings], Store] = open_store) -> int:
    """Write the report's files and print the outcomes.

    Args:
        arguments: The parsed arguments.
        open_store: The function that opens the store.

    Returns:
        0, whether or not the window is complete.
    """
    settings = read_settings(os.environ, arguments.store)
    window = Window(arguments.window_start, arguments.window_end)
    window.check_partitions(settings.data_partition)
    settings.check_folder()
    devices, recorded_outcomes = _read_run_state(arguments.devices or [], arguments.progress)
    store = open_store(settings)
    text = os.environ.get(VARIABLE, "")
    rules = parse_incident_settings(text)
    if not text.strip():
        _check_fleet(store, rules.fleet)
    collector = ReportCollector(
        store, settings, window, arguments.stale_after, earlier=read_earlier_report(store, window)
    )
    too_large: list[str] = []
    damaged: list[str] = []
    if arguments.run_uid:
        failures = collector.recorded_failures(arguments.run_uid, too_large, damaged)
        recorded_outcomes = with_messages(recorded_outcomes, failures)

    def collect() -> CollectedWindow:
        return collector.collect(
            devices, recorded_outcomes, include_modelled=arguments.include_modelled, large_records=len(too_large)
        )

    keeper = HealthKeeper(store, rules, window, damaged_records=damaged)
    result, health = _write_until_stable(store, collector, collect, keeper.assess)
    _print_summary(result)
    container_url = f"{settings.account_url}/{settings.containers['predictions']}" if settings.account_url else ""
    notifier = Notifier(store, rules.fleet, parse_receivers(os.environ), container_url)
    undelivered = notifier.notify(health, window, run_failure=arguments.run_failed)
    health = replace(health, problems=[*health.problems, *undelivered], notify_problems=len(undelivered))
    for problem in health.problems:
        log.warning(problem)
    termination_log = termination_log_path(arguments.termination_log, os.environ)
    write_termination_message(termination_log, report_result(result, health))
    return 0


def _check_fleet(store: Store, fleet: str) -> None:
    """Check that a report of this fleet does not replace the incidents that reports of another one wrote.

    Raises:
        UsageInvalid: The store has a history of other fleets alone.
    """
    own = store.list("predictions", f"{HISTORY_FOLDER}/{blob_paths.encode_id(fleet)}/", with_metadata=False)
    if next(own, None) is not None:
        return
    first = next(store.list("predictions", f"{HISTORY_FOLDER}/", with_metadata=False), None)
    if first is not None:
        other = blob_paths.decode_id(first.name.split("/")[1]) or "another"
        raise UsageInvalid(
            f"{VARIABLE} is missing: the store has the history of the fleet {other}, whose incidents a report of the "
            f"fleet {fleet} would replace; create another run of the window, which makes the report, or set the "
            f'variable as the report Job of that fleet, such as {VARIABLE}=\'{{"fleet": "{other}"}}\''
        )


def _write_until_stable(
    store: Store,
    collector: ReportCollector,
    collect: Callable[[], CollectedWindow],
    assess: Callable[[Summary], FleetHealth],
) -> tuple[Summary, FleetHealth]:
    """Collect and write the report, again while other processes replace the predictions, and return its content.

    A report that ends after a new scoring must not describe the old predictions. After MAX_RESTARTS the next report
    has to describe them.
    """
    for attempt in range(MAX_RESTARTS + 1):
        collected = collect()
        series, unreadable = collector.series(collected)
        if unreadable:
            collected = without_devices(collected, unreadable)
        health = assess(collected.summary)
        files = render_files(collected.summary, series, health)
        write_files(store, collector.window, files, complete=collected.summary.complete)
        if not collector.is_outdated(collected):
            break
        delete_success_marker(store, collector.window)
        if attempt == MAX_RESTARTS:
            log.warning(f"{collector.window.slug} is being scored again; the next report writes {SUCCESS_MARKER}")
    return collected.summary, health


def _print_summary(result: Summary) -> None:
    outcomes = ", ".join(f"{count:,} {page.OUTCOME_LABELS[outcome]}" for outcome, count in result.outcomes.items())
    print(
        f"{result.window.interval}: {outcomes or 'no devices'}; "
        f"{counted(result.anomalies, 'anomaly', 'anomalies')} in {counted(result.rows, 'reading', 'readings')}, "
        f"{counted(len(result.anomalous), 'anomalous device', 'anomalous devices')}\n"
        f"{result.window.slug}/{PAGE_FILE}, {'complete' if result.complete else 'incomplete'}"
    )


def _read_run_state(
    device_list_files: Sequence[Path], progress_file: Path | None
) -> tuple[list[str] | None, dict[str, DeviceOutcome]]:
    """Return the device list, or None without files, and the recorded outcomes by device."""
    try:
        devices = read_device_list([path.read_bytes() for path in device_list_files]) if device_list_files else None
        if progress_file is None:
            return devices, {}
        if devices is None:
            raise UsageInvalid("--progress requires --devices")
        return devices, read_outcomes(progress_file.read_bytes(), devices)
    except OSError as error:
        raise UsageInvalid(f"{error.filename} cannot be read: {error.strerror}") from error
