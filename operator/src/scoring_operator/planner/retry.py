"""Which devices a run left over that is gone itself: what the window's report says of them. Pure.

The report's `_failures.csv` is in storage, where others may write: every line of it has to name a device and an
outcome, or none of it counts. It is of the window, not of one run, and so names what is left over of all its runs.
"""

import csv
import io
from collections.abc import Iterator, Sequence

from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import RetryOf, ScoringRun
from scoring_operator.contract.blob_paths import DEVICE_ID, FAILURES, MOST_BYTES, window_text
from scoring_operator.planner.types import Trouble

_COLUMNS = ["Device", "Outcome", "Reason", "Message"]
_WORDS = {"Failed": ("failed",), "Partial": ("partial",), "NotRun": ("notRun", "missing")}


def from_report(run: ScoringRun, retry: RetryOf, fleet: Fleet, content: bytes | None) -> Sequence[str] | Trouble:
    """Give the devices with the outcomes asked for, or what is missing to know them.

    Args:
        run: The run that asks.
        retry: The run that is gone, and the outcomes.
        fleet: The run's.
        content: `_failures.csv`; None where there is none.
    """
    name = f"{fleet.storage.predictions}/{window_text(run.spec.window)}/{FAILURES}"
    gone = f"devices.retryOf names run {retry.name!r}, which is not there"
    if "Empty" in retry.outcomes:
        return Trouble("RetryRunNotFound", f"{gone}, and reports do not name devices that were empty: leave Empty out")
    if content is None:
        return Trouble("RetryRunNotFound", f"{gone}, and neither is {name}, where a report would name what is left")
    if len(content) > MOST_BYTES:
        return Trouble("RetryRunNotFound", f"{gone}, and {name} is larger than {MOST_BYTES:,} bytes")
    words = {word for outcome in retry.outcomes for word in _WORDS[outcome]}
    try:
        return sorted({device for device, outcome in _lines(content) if outcome in words})
    except (ValueError, csv.Error) as error:
        return Trouble("RetryRunNotFound", f"{gone}, and {name} is no report's: {error}")


def _lines(content: bytes) -> Iterator[tuple[str, str]]:
    """Device and outcome of each line. Raises ValueError, or csv's own error, for what no report has written."""
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
    if next(rows, None) != _COLUMNS:
        raise ValueError(f"its first line is not {','.join(_COLUMNS)}")
    for row in rows:
        if len(row) != len(_COLUMNS) or not DEVICE_ID.fullmatch(row[0]):
            raise ValueError(f"line {rows.line_num} names no device")
        yield row[0], row[1]
