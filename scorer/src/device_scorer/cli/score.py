"""The command `device-scorer score`: run the crew, tell Job, record and person what became of each device."""

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from device_scorer import log
from device_scorer.contract import blob_paths, outcome_message
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import DeviceError, UsageInvalid
from device_scorer.scoring.context import ExistingPredictions, ScoringContext
from device_scorer.scoring.device import score_device
from device_scorer.scoring.request import ScoreRequest, add_arguments, parse_request
from device_scorer.scoring.worker_pool import WorkerPool
from device_scorer.settings import read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store

__all__ = ["add_arguments", "run"]

_DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
_RECORD_TIMEOUT_SECONDS = 20.0
_OUTCOME_LABELS = {
    outcome_message.SCORED: "scored",
    outcome_message.PARTIAL: "partial",
    outcome_message.EMPTY: "empty",
    outcome_message.ALREADY_SCORED: "scored before",
    outcome_message.FAILED: "FAILED",
    outcome_message.TRANSIENT: "not now",
}


def run(arguments: argparse.Namespace) -> int:
    """Score the devices and return the exit code. Raises UsageInvalid."""
    settings = read_settings(os.environ, arguments.store)
    request = parse_request(arguments, os.environ)
    if request.write_policy == "Overwrite" and not settings.allow_overwrite:
        raise UsageInvalid(
            "--write-policy Overwrite: this fleet does not allow it (FLEETSCORE_ALLOW_OVERWRITE=true would)",
        )
    valid = filter(blob_paths.DEVICE_ID_PATTERN.fullmatch, request.devices)
    names = [blob_paths.prediction_name(settings.predictions_path, request.window, device) for device in valid]
    context = ScoringContext(request, settings, open_store(settings), existing=ExistingPredictions(names))
    print_outcome = _make_printer(request, local=settings.folder is not None)
    pool = WorkerPool(
        lambda device, guard: score_device(device, context, guard),
        request.devices,
        deadline_seconds=request.device_deadline_seconds,
        on_outcome=print_outcome,
    )
    if not gc.isenabled():
        gc.freeze()
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: pool.stop())
    try:
        outcomes = pool.run()
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
    count = len(request.devices)
    if len(outcomes) < count:
        log.warning("told to stop: what is finished is kept", finished=len(outcomes), devices=count)
    _write_record(request, context.store, outcomes)
    _write_message(request, outcome_message.termination_message(outcomes, count))
    return outcome_message.exit_code(outcomes, count)


def _make_printer(request: ScoreRequest, *, local: bool) -> "_OutcomePrinter":
    return _OutcomePrinter(request, human=local or sys.stdout.isatty())


class _OutcomePrinter:
    """One line per device: for a person on stdout, for a machine on stderr."""

    def __init__(self, request: ScoreRequest, *, human: bool) -> None:
        self._request, self._human = request, human
        self._width = min(40, max(map(len, request.devices)))

    def __call__(self, index: int, result: Outcome) -> None:
        device, row_counts = self._request.devices[index], result.row_counts
        if not self._human:
            fields = {"device": device, "outcome": result.kind, "reason": result.reason, "detail": result.message}
            counts = {"rows": row_counts.rows, "badRows": row_counts.bad_rows, "anomalies": row_counts.anomalies}
            log.info("device", **{key: value for key, value in {**fields, **counts}.items() if value != ""})
            return
        counted = f"{row_counts.rows:,} rows, {row_counts.anomalies:,} anomalies"
        extra = [f"{row_counts.bad_rows:,} bad", f"{row_counts.unscored_rows:,} of tags without a model"]
        counted += "".join(f", {text}" for text in extra if not text.startswith("0 "))
        parts = [_OUTCOME_LABELS[result.kind], counted if row_counts.rows else "", result.reason, result.message]
        shown = device if device.isprintable() else repr(device)
        print(f"{shown:<{self._width}}  " + "  ".join(word for word in parts if word), flush=True)


def _write_record(request: ScoreRequest, store: Store, outcomes: Mapping[int, Outcome]) -> None:
    name = request.record_name
    if name is None:
        return
    content = outcome_message.outcome_record(outcomes, request.devices)
    metadata = {"failures": str(outcome_message.count_failures(outcomes))}
    try:
        store_with_deadline = store.with_deadline(time.monotonic() + _RECORD_TIMEOUT_SECONDS)
        store_with_deadline.write("predictions", name, content, metadata=metadata, overwrite=True)
    except DeviceError as error:
        log.warning(f"the outcome record {name} could not be written: {error}")


def _write_message(request: ScoreRequest, message: bytes) -> None:
    """Give the kubelet the message; a laptop has no such file, and its person has read the lines."""
    target = request.termination_log
    if target is None:
        if not os.access(_DEFAULT_TERMINATION_LOG, os.W_OK):
            return
        target = _DEFAULT_TERMINATION_LOG
    try:
        target.write_bytes(message)
    except OSError as error:
        log.warning(f"the termination message could not be written to {target}: {error.strerror}")
