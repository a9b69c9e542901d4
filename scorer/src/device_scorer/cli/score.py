"""The command `device-scorer score`: run the crew, tell Job, record and person what became of each device."""

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from device_scorer import log, settings
from device_scorer.contract import blob_paths, outcome_message
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import ReasonedError, UsageInvalid
from device_scorer.scoring import request
from device_scorer.scoring.context import Found, Shift
from device_scorer.scoring.device import score_device
from device_scorer.scoring.request import Task, add_arguments
from device_scorer.scoring.worker_pool import Crew
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store

__all__ = ["add_arguments", "run"]

_KUBERNETES_LOG = Path("/dev/termination-log")
_RECORD_SECONDS = 20.0
_WORDS = {
    outcome_message.SCORED: "scored",
    outcome_message.PARTIAL: "partial",
    outcome_message.EMPTY: "empty",
    outcome_message.ALREADY_SCORED: "scored before",
    outcome_message.FAILED: "FAILED",
    outcome_message.PASSING: "not now",
}


def run(arguments: argparse.Namespace) -> int:
    """Score the devices and return the exit code. Raises UsageInvalid."""
    given = settings.read(os.environ, arguments.store)
    asked = request.parse(arguments, os.environ)
    if asked.write_policy == "Overwrite" and not given.allow_overwrite:
        raise UsageInvalid(
            "--write-policy Overwrite: this fleet does not allow it (FLEETSCORE_ALLOW_OVERWRITE=true would)",
        )
    valid = filter(blob_paths.DEVICE_ID.fullmatch, asked.devices)
    names = [blob_paths.prediction_name(given.predictions_path, asked.window, device) for device in valid]
    shift = Shift(asked, given, open_store(given), found=Found(names))
    tell = _teller(asked, local=given.folder is not None)
    crew = Crew(
        lambda device, guard: score_device(device, shift, guard),
        asked.devices,
        deadline=asked.device_deadline,
        on_outcome=tell,
    )
    if not gc.isenabled():
        gc.freeze()
    before = signal.signal(signal.SIGTERM, lambda *_: crew.stop())
    try:
        outcomes = crew.run()
    finally:
        signal.signal(signal.SIGTERM, before)
    count = len(asked.devices)
    if len(outcomes) < count:
        log.warning("told to stop: what is finished is kept", finished=len(outcomes), devices=count)
    _write_record(asked, shift.store, outcomes)
    _write_message(asked, outcome_message.message(outcomes, count))
    return outcome_message.exit_code(outcomes, count)


def _teller(asked: Task, *, local: bool) -> "_Tell":
    return _Tell(asked, human=local or sys.stdout.isatty())


class _Tell:
    """One line per device: for a person on stdout, for a machine on stderr."""

    def __init__(self, asked: Task, *, human: bool) -> None:
        self._asked, self._human = asked, human
        self._width = min(40, max(map(len, asked.devices)))

    def __call__(self, index: int, result: Outcome) -> None:
        device, figures = self._asked.devices[index], result.figures
        if not self._human:
            fields = {"device": device, "outcome": result.kind, "reason": result.reason, "detail": result.message}
            counts = {"rows": figures.rows, "badRows": figures.bad_rows, "anomalies": figures.anomalies}
            log.info("device", **{key: value for key, value in {**fields, **counts}.items() if value != ""})
            return
        counted = f"{figures.rows:,} rows, {figures.anomalies:,} anomalies"
        extra = [f"{figures.bad_rows:,} bad", f"{figures.unscored_rows:,} of tags without a model"]
        counted += "".join(f", {text}" for text in extra if not text.startswith("0 "))
        words = [_WORDS[result.kind], counted if figures.rows else "", result.reason, result.message]
        shown = device if device.isprintable() else repr(device)
        print(f"{shown:<{self._width}}  " + "  ".join(word for word in words if word), flush=True)


def _write_record(asked: Task, store: Store, outcomes: Mapping[int, Outcome]) -> None:
    name = asked.outcome_name
    if name is None:
        return
    content = outcome_message.record(outcomes, asked.devices)
    metadata = {"complaints": str(outcome_message.complaints(outcomes))}
    try:
        patient = store.until(time.monotonic() + _RECORD_SECONDS)
        patient.write("predictions", name, content, metadata=metadata, overwrite=True)
    except ReasonedError as error:
        log.warning(f"the outcome record {name} could not be written: {error}")


def _write_message(asked: Task, message: bytes) -> None:
    """Give the kubelet the message; a laptop has no such file, and its person has read the lines."""
    target = asked.termination_log
    if target is None:
        if not os.access(_KUBERNETES_LOG, os.W_OK):
            return
        target = _KUBERNETES_LOG
    try:
        target.write_bytes(message)
    except OSError as error:
        log.warning(f"the termination message could not be written to {target}: {error.strerror}")
