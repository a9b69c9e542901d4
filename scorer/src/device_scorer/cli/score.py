"""The command `device-scorer score`: its arguments, its output and its exit code.

The same command line is used in a Job's manifest and in a shell.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping

from device_scorer import log
from device_scorer.contract import blob_paths, outcome_message
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import UsageInvalid
from device_scorer.plurals import counted
from device_scorer.scoring.context import ExistingPredictions, ScoringContext
from device_scorer.scoring.device import score_device
from device_scorer.scoring.outcome_writer import write_outcome_record
from device_scorer.scoring.request import DEFAULT_DEADLINE_SECONDS, ENGINES, WRITE_POLICIES, ScoreRequest
from device_scorer.scoring.worker_pool import WorkerPool
from device_scorer.settings import Settings, add_store_argument, read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_scoring_store
from device_scorer.termination_log import termination_log_path, write_termination_message
from device_scorer.window import Window, parse_instant

DESCRIPTION = """\
Score the readings of a window. For each DEVICE the command reads the readings and the models, labels every reading
(0 normal, 1 anomaly) and writes one predictions CSV. The window is half-open: [start, end), whole seconds, UTC.

  device-scorer score --store ./folder \\
      --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z -- press-1 press-2

reads folder/models/press-1.joblib and folder/data/20180828T2300Z/press-1.csv (columns TS,Device,Tag,Value) and writes
folder/predictions/20180828T230000Z_20180829T000000Z/press-1.csv (columns TS,Device,Tag,Val,Prediction,Score)."""

EXIT_CODES = """\
exit codes:
  0   every device has an outcome that a retry does not change (scored, partial, empty, already scored; some may have
      failed)
  64  wrong arguments or configuration
  65  no device could be scored, and a retry does not help
  75  storage or identity was unavailable, the output could not be written, or the process was stopped; run the command
      again, which skips finished devices

environment of a score, with the values of the fleet:
  FLEETSCORE_ALLOW_OVERWRITE              true allows --write-policy Overwrite (false)
  FLEETSCORE_MODELS_TRUST                 any loads every model file, which may execute code (allowlist)"""

_OUTCOME_LABELS = {
    outcome_message.SCORED: "scored",
    outcome_message.PARTIAL: "partial",
    outcome_message.EMPTY: "empty",
    outcome_message.ALREADY_SCORED: "already scored",
    outcome_message.FAILED: "FAILED",
    outcome_message.TRANSIENT: "transient error",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    add = parser.add_argument
    add("devices", nargs="+", metavar="DEVICE", help="device ids, after --")
    add("--window-start", required=True, metavar="TIME", help="first second of the window")
    add("--window-end", required=True, metavar="TIME", help="first second after the window")
    add(
        "--tag",
        action="append",
        metavar="T",
        help="only this tag (repeatable; default: every tag that has a model)",
    )
    add(
        "--write-policy",
        choices=WRITE_POLICIES,
        default=WRITE_POLICIES[0],
        help="where complete predictions exist: keep them, replace them if data or model changed, or replace them",
    )
    add("--run-uid", default="", metavar="UID", help="the ScoringRun's uid, kept with the predictions")
    add("--job-name", default="", metavar="NAME", help="with --run-uid: write an outcome record to storage")
    add(
        "--device-deadline-seconds",
        type=float,
        default=DEFAULT_DEADLINE_SECONDS,
        metavar="S",
        help=f"time for one device ({DEFAULT_DEADLINE_SECONDS:.0f})",
    )
    add("--engine", choices=ENGINES, default=ENGINES[0], help="auto: closed form where it is exact")
    add("--termination-log", metavar="PATH", help="file for the Job's message (/dev/termination-log)")
    add_store_argument(parser)


def parse_request(arguments: argparse.Namespace, environment: Mapping[str, str]) -> ScoreRequest:
    """Return the request that the arguments describe.

    Args:
        arguments: The parsed arguments.
        environment: The environment; FLEETSCORE_TERMINATION_LOG is the default of --termination-log.

    Raises:
        UsageInvalid: An argument is invalid.
    """
    request = ScoreRequest(
        devices=tuple(arguments.devices),
        window=Window(parse_instant(arguments.window_start), parse_instant(arguments.window_end)),
        tags=frozenset(arguments.tag) if arguments.tag else None,
        write_policy=arguments.write_policy,
        run_uid=arguments.run_uid,
        job_name=arguments.job_name,
        device_deadline_seconds=arguments.device_deadline_seconds,
        engine=arguments.engine,
        termination_log=termination_log_path(arguments.termination_log, environment),
    )
    request.validate()
    return request


def run(arguments: argparse.Namespace, *, open_store: Callable[[Settings], Store] = open_scoring_store) -> int:
    """Score the devices and return the exit code.

    Args:
        arguments: The parsed arguments.
        open_store: The function that opens the store.

    Raises:
        UsageInvalid: An argument or a setting is invalid.
    """
    settings = read_settings(os.environ, arguments.store)
    request = parse_request(arguments, os.environ)
    request.window.check_partitions(settings.data_partition)
    if request.write_policy == "Overwrite" and not settings.allow_overwrite:
        raise UsageInvalid(
            "--write-policy Overwrite is invalid: this fleet does not allow it; set FLEETSCORE_ALLOW_OVERWRITE=true"
        )
    settings.check_folder()
    store = open_store(settings)
    valid = filter(blob_paths.DEVICE_ID_PATTERN.fullmatch, request.devices)
    names = [blob_paths.prediction_name(settings.predictions_path, request.window, device) for device in valid]
    context = ScoringContext(request, settings, store, existing=ExistingPredictions(names))
    pool = WorkerPool(
        lambda device, deadline: score_device(device, context, deadline),
        request.devices,
        store=store,
        deadline_seconds=request.device_deadline_seconds,
        on_outcome=OutcomePrinter(request, human=settings.folder is not None or sys.stdout.isatty()),
    )
    outcomes = _run_until_sigterm(pool)
    count = len(request.devices)
    if len(outcomes) < count:
        log.warning("stopped by SIGTERM; finished devices are kept", finished=len(outcomes), devices=count)
    write_outcome_record(request, store, outcomes)
    write_termination_message(request.termination_log, outcome_message.termination_message(outcomes, count))
    return outcome_message.exit_code(outcomes, count)


def _run_until_sigterm(pool: WorkerPool) -> dict[int, Outcome]:
    """Run the pool and stop it on SIGTERM, the signal with which the kubelet stops a pod."""
    if not gc.isenabled():
        gc.freeze()
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: pool.stop())
    try:
        return pool.run()
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


class OutcomePrinter:
    """A printer of one line per device: text on stdout for people, or a JSON line on stderr for programs.

    Args:
        request: The request, whose device ids are printed.
        human: True for text.
    """

    def __init__(self, request: ScoreRequest, *, human: bool) -> None:
        self._request, self._human = request, human
        self._width = min(40, max(map(len, request.devices)))

    def __call__(self, index: int, outcome: Outcome) -> None:
        """Print the outcome of the device at the index."""
        device, row_counts = self._request.devices[index], outcome.row_counts
        if not self._human:
            fields = {"device": device, "outcome": outcome.kind, "reason": outcome.reason, "detail": outcome.message}
            counts = {"rows": row_counts.rows, "badRows": row_counts.bad_rows, "anomalies": row_counts.anomalies}
            log.info("device", **{key: value for key, value in {**fields, **counts}.items() if value != ""})
            return
        found = counted(row_counts.rows, "row", "rows")
        found += f", {counted(row_counts.anomalies, 'anomaly', 'anomalies')}"
        extra = [f"{row_counts.bad_rows:,} malformed", f"{row_counts.unscored_rows:,} of tags without a model"]
        found += "".join(f", {text}" for text in extra if not text.startswith("0 "))
        parts = [_OUTCOME_LABELS[outcome.kind], found if row_counts.rows else "", outcome.reason, outcome.message]
        shown = device if device.isprintable() else repr(device)
        print(f"{shown:<{self._width}}  " + "  ".join(part for part in parts if part), flush=True)
