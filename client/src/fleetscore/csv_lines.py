"""The lines of a CSV that other clients can write: limits, and the fields of a line."""

import csv
import re

from fleetscore.errors import DataInvalid

MAX_LINE_BYTES = 2**20
"""Bytes of a line of a CSV above which the file is rejected: pandas needs 16 bytes for each of its fields."""

MAX_FIELDS = 1000
"""Number of fields of a line, as for the scorer."""

_FIRST_LINE = re.compile(rb"\s*[^\r\n]*")  # pandas skips blank lines before it


def check_lines(content: bytes, name: str) -> None:
    """Check the lines of a CSV, which other clients can write.

    The time of pandas for the same name in many columns is quadratic. A name with a line break, which needs a quote,
    would hide columns.

    Args:
        content: The CSV.
        name: The name of the blob, for messages.

    Raises:
        DataInvalid: A line has more than MAX_LINE_BYTES, or the first one more than MAX_FIELDS columns.
    """
    start = 0
    while len(content) - start > MAX_LINE_BYTES:
        start = content.rfind(b"\n", start, start + MAX_LINE_BYTES + 1) + 1
        if not start:
            raise DataInvalid(f"{name} is invalid: a line has more than {MAX_LINE_BYTES:,} bytes; write it again")
    header = _FIRST_LINE.match(content)
    if header and (header[0].count(b",") >= MAX_FIELDS or header[0].count(b'"') % 2):
        text = f"its first line names more than {MAX_FIELDS:,} columns, or has an open quote"
        raise DataInvalid(f"{name} is invalid: {text}; write it again")


def split_line(line: bytes) -> list[str]:
    """Return the fields of a line, or an empty list if the line is malformed."""
    if line.count(b",") >= MAX_FIELDS:
        return []
    try:
        text = line.decode().rstrip("\r")
        fields = next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")
    except (UnicodeDecodeError, csv.Error):
        return []
    return [] if "\0" in text else fields
