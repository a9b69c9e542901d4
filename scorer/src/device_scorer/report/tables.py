"""The CSV files of a report, and the reader of those of an earlier report of the window.

People open these files with spreadsheet programs, which evaluate a text that begins like a formula (OWASP, "CSV
Injection"). Such a text gets an apostrophe in front. Numbers are unchanged. So are ids of the alphabet of devices,
because programs join the files by id. The alphabet has none of the characters that a formula needs to call a program or
a URL.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from device_scorer.contract.blob_paths import DEVICE_ID_PATTERN
from device_scorer.contract.run_state import DeviceOutcome

FAILURES_HEADER = ("Device", "Outcome", "Reason", "Message")
EMPTY_HEADER = ("Device", "DataETags")
MAX_EARLIER_BYTES = 32 * 2**20
"""Size of a file of an earlier report above which it is ignored: 100,000 devices with a message of 250 bytes each."""

MAX_EARLIER_ROWS = 250_000
MAX_MESSAGE_CHARS = 500
_KEPT_OUTCOMES = frozenset({"failed", "partial", "notRun", "quarantined"})
_REASON_PATTERN = re.compile(r"[A-Za-z]{0,64}")
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The signs of OWASP, and the full-width forms of `=+-@`, which programs take for the others."""

_OTHER_BEGINS = ("\t", "\r", "\n", "'")
"""The other characters of OWASP, and an apostrophe."""

_SEPARATORS = re.compile(r"(; *|(?<!^)\t *)")
"""The ends of cells within a text, with the spaces after them."""


def encode_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV for people.

    Args:
        header: The names of the columns.
        rows: The rows: numbers, or texts, which are protected against evaluation.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    # csv quotes a line feed and not a lone carriage return, which readers take for the end of the line.
    writer.writerows(
        [protect_text(cell).replace("\r", " ") if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return file.getvalue().encode("utf-8", "backslashreplace")


def protect_text(text: str) -> str:
    """Return the text, with an apostrophe in front if a spreadsheet program would evaluate it.

    LibreOffice by its defaults, and Excel with the list separator of many countries, end a cell at a semicolon or tab
    within the text, too. So an apostrophe is put after these.
    """
    if DEVICE_ID_PATTERN.fullmatch(text):
        return text
    first, *others = _SEPARATORS.split(text)
    cells = [_protect(cell, _FORMULA_SIGNS) if at % 2 else cell for at, cell in enumerate(others)]
    return "".join([_protect(first, _FORMULA_SIGNS + _OTHER_BEGINS), *cells])


def _protect(text: str, begins: tuple[str, ...]) -> str:
    if not text.startswith(begins) or DEVICE_ID_PATTERN.fullmatch(text) or _is_number(text):
        return text
    return f"'{text}"


def read_failures(content: bytes) -> dict[str, DeviceOutcome] | None:
    """Return the outcomes in `_failures.csv` that only a run knows, by device; None if the content is another one.

    Args:
        content: The file of an earlier report, which other clients may have changed.
    """
    rows = _read_rows(content, FAILURES_HEADER)
    if rows is None:
        return None
    return {
        device: DeviceOutcome(outcome, reason, message[:MAX_MESSAGE_CHARS])
        for device, outcome, reason, message in rows
        if outcome in _KEPT_OUTCOMES and _REASON_PATTERN.fullmatch(reason) and DEVICE_ID_PATTERN.fullmatch(device)
    }


def read_empty(content: bytes) -> Mapping[str, str] | None:
    """Return the ETags of readings in `_empty.csv`, by device; None if the content is another one.

    Args:
        content: The file of an earlier report, which other clients may have changed.
    """
    rows = _read_rows(content, EMPTY_HEADER)
    return None if rows is None else {row[0]: row[1] for row in rows}


def _read_rows(content: bytes, header: Sequence[str]) -> list[list[str]] | None:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(content.decode(), newline=""), strict=True):
            if len(row) != len(header) or len(rows) > MAX_EARLIER_ROWS or (not rows and row != list(header)):
                return None
            rows.append(row)
    except (ValueError, csv.Error):
        return None
    return rows[1:] if rows else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
