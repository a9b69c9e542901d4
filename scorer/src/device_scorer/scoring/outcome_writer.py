"""Writing of the outcome record of a Job."""

import time
from collections.abc import Mapping

from device_scorer import log
from device_scorer.contract import outcome_message
from device_scorer.contract.outcome_message import Outcome
from device_scorer.errors import DeviceError
from device_scorer.scoring.request import ScoreRequest
from device_scorer.store.base import Store

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
