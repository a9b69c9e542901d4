"""Writing of a process's outcomes: the outcome record in storage, and the termination message for the kubelet."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from device_scorer import log
from device_scorer.contract import outcome_message
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import DeviceError
from device_scorer.scoring.request import ScoreRequest
from device_scorer.store.base import Store

DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
"""The file from which the kubelet reads the termination message by default (terminationMessagePath)."""

RECORD_TIMEOUT_SECONDS = 20.0


def write_outcome_record(
    request: ScoreRequest,
    store: Store,
    outcomes: Mapping[int, Outcome],
    *,
    timeout_seconds: float = RECORD_TIMEOUT_SECONDS,
) -> None:
    """Write the Job's outcome record; outside a run there is none. Log a warning if it cannot be written.

    Args:
        request: The request of the process.
        store: The store.
        outcomes: The outcomes by index of the device.
        timeout_seconds: The time for the write.
    """
    name = request.record_name
    if name is None:
        return
    content = outcome_message.outcome_record(outcomes, request.devices)
    metadata = {"failures": str(outcome_message.count_failures(outcomes))}
    try:
        store.with_deadline(time.monotonic() + timeout_seconds).write(
            "predictions", name, content, metadata=metadata, overwrite=True
        )
    except DeviceError as error:
        log.warning(f"the outcome record {name} could not be written: {error}")


def write_termination_message(
    path: Path | None, outcomes: Mapping[int, Outcome], devices: int, *, default: Path = DEFAULT_TERMINATION_LOG
) -> None:
    """Write the termination message. Log a warning if it cannot be written.

    Args:
        path: The file. None selects the default file, if this process may write it: outside a pod it does not exist.
        outcomes: The outcomes by index of the device.
        devices: The number of devices of the request.
        default: The default file.
    """
    if path is None:
        if not os.access(default, os.W_OK):
            return
        path = default
    try:
        path.write_bytes(outcome_message.termination_message(outcomes, devices))
    except OSError as error:
        log.warning(f"the termination message could not be written to {path}: {error.strerror}")
