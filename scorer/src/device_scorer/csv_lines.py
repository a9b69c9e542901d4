"""A line of a CSV and its fields. A field has no quoted line break."""

import csv
from collections.abc import Sequence

MAX_FIELDS = 1000
"""Number of fields of a line. The text of a field takes a few bytes of a file and tens of bytes of memory."""


def split_line(line: bytes) -> list[str]:
    """Split a line of a CSV into its fields.

    Raises:
        ValueError: The line is not UTF-8, or has more than MAX_FIELDS fields.
        csv.Error: The quotes do not match.
    """
    if line.count(b",") >= MAX_FIELDS:
        raise ValueError(f"the line has more than {MAX_FIELDS:,} fields")
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError("the line is not UTF-8") from error
    if '"' not in text:
        return text.split(",")
    return next(csv.reader([text], strict=True))


def join_line(texts: Sequence[str]) -> str:
    """Return the texts as a line of a CSV without its end, quoted where necessary (RFC 4180).

    The csv module of Python before 3.13 leaves carriage returns without quotes if its lines end in another character.
    """
    line = ",".join(texts)
    if line.count(",") < len(texts) and not _needs_quotes(line):
        return line
    return ",".join(
        f'"{quoted}"' if (quoted := text.replace('"', '""')) != text or "," in text or _needs_quotes(text) else text
        for text in texts
    )


def _needs_quotes(text: str) -> bool:
    return '"' in text or "\r" in text or "\n" in text
