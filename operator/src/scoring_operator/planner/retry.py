"""Which devices a run left over that is gone itself: what the window's report says of them. Pure.

The report's `_failures.csv` is in storage, where others may write: every line of it has to name a device and an
outcome, or none of it counts. It is of the window, not of one run, and so names what is left over of all its runs.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import RetryOf, ScoringRun
from scoring_operator.contract.blob_paths import DEVICE_ID, FAILURES_FILE, MAX_FAILURES_BYTES, window_slug
from scoring_operator.planner.types import Blocker

_COLUMNS = ["Device", "Outcome", "Reason", "Message"]
_REPORT_OUTCOMES = {"Failed": ("failed",), "Partial": ("partial",), "NotRun": ("notRun", "missing")}


def devices_from_report(
    run: ScoringRun, retry: RetryOf, fleet: Fleet, content: bytes | None
) -> Sequence[str] | Blocker:
    """Give the devices with the outcomes asked for, or what is missing to know them.

    Args:
        run: The run that asks.
        retry: The run that is gone, and the outcomes.
        fleet: The run's.
        content: `_failures.csv`; None where there is none.
    """
    name = f"{fleet.storage.predictions}/{window_slug(run.spec.window)}/{FAILURES_FILE}"
    missing_run = f"devices.retryOf names run {retry.name!r}, which is not there"
    if "Empty" in retry.outcomes:
        return Blocker(
            "RetryRunNotFound", f"{missing_run}, and reports do not name devices that were empty: leave Empty out"
        )
    if content is None:
        return Blocker(
            "RetryRunNotFound", f"{missing_run}, and neither is {name}, where a report would name what is left"
        )
    if len(content) > MAX_FAILURES_BYTES:
        return Blocker("RetryRunNotFound", f"{missing_run}, and {name} is larger than {MAX_FAILURES_BYTES:,} bytes")
    outcomes = {word for outcome in retry.outcomes for word in _REPORT_OUTCOMES[outcome]}
    try:
        return sorted({device for device, outcome in _read_rows(content) if outcome in outcomes})
    except (ValueError, csv.Error) as error:
        return Blocker("RetryRunNotFound", f"{missing_run}, and {name} is no report's: {error}")


def _read_rows(content: bytes) -> Iterator[tuple[str, str]]:
    """Device and outcome of each line. Raises ValueError, or csv's own error, for what no report has written."""
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
    if next(rows, None) != _COLUMNS:
        raise ValueError(f"its first line is not {','.join(_COLUMNS)}")
    for row in rows:
        if len(row) != len(_COLUMNS) or not DEVICE_ID.fullmatch(row[0]):
            raise ValueError(f"line {rows.line_num} names no device")
        yield row[0], row[1]
