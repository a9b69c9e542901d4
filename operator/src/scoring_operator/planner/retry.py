"""The devices of a deleted run that are to be retried, from the report of the window.

The report's `_failures.csv` is in storage, where other clients may write. The file is rejected unless each line has a
valid device id. The file belongs to the window, so it lists the devices of all runs of the window.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import RetryOf, ScoringRun
from scoring_operator.contract.blob_paths import DEVICE_ID_PATTERN, MAX_FAILURES_BYTES, failures_name
from scoring_operator.errors import RunRejected

_COLUMNS = ["Device", "Outcome", "Reason", "Message"]
_REPORT_OUTCOMES = {
    "Failed": ("failed",),
    "Partial": ("partial",),
    "NotRun": ("notRun", "missing"),
    "Quarantined": ("quarantined",),
}


def devices_from_report(run: ScoringRun, retry: RetryOf, fleet: Fleet, content: bytes | None) -> Sequence[str]:
    """Return the devices of a window's report that have one of the requested outcomes.

    Args:
        run: The run that retries.
        retry: The deleted run, and the outcomes.
        fleet: The fleet of the run.
        content: The content of `_failures.csv`; None if the blob does not exist.

    Raises:
        RunRejected: The report does not exist or is invalid.
    """
    name = f"{fleet.storage.predictions}/{failures_name(run.spec.window)}"
    missing_run = f"run {retry.name!r} of devices.retryOf does not exist"
    if "Empty" in retry.outcomes:
        raise RunRejected(
            "RetryRunNotFound", f"{missing_run}, and reports do not list empty devices; remove Empty from the outcomes"
        )
    if content is None:
        raise RunRejected(
            "RetryRunNotFound", f"{missing_run}, and neither does {name}, the report's list of failed devices"
        )
    if len(content) > MAX_FAILURES_BYTES:
        raise RunRejected("RetryRunNotFound", f"{missing_run}, and {name} is larger than {MAX_FAILURES_BYTES:,} bytes")
    outcomes = {entry for outcome in retry.outcomes for entry in _REPORT_OUTCOMES[outcome]}
    try:
        devices = sorted({device for device, outcome in _read_rows(content) if outcome in outcomes})
    except (ValueError, csv.Error) as error:
        raise RunRejected("RetryRunNotFound", f"{missing_run}, and {name} is invalid: {error}") from error
    if not devices:
        raise RunRejected("RetryRunNotFound", f"{missing_run}, and {name} lists no device with these outcomes")
    return devices


def _read_rows(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the device and the outcome of each line.

    Raises:
        ValueError: The content is not a report's list of failed devices.
        csv.Error: The content is not CSV.
    """
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
    if next(rows, None) != _COLUMNS:
        raise ValueError(f"its first line must be {','.join(_COLUMNS)}")
    for row in rows:
        if len(row) != len(_COLUMNS) or not DEVICE_ID_PATTERN.fullmatch(row[0]):
            raise ValueError(f"line {rows.line_num} must have four columns and a device id")
        yield row[0], row[1]
