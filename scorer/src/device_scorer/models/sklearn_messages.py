"""The messages between a scorer and its scikit-learn processes.

The scorer parses lengths, JSON and raw numbers, and no pickles. Each side knows the largest size of a message before it
reads one.

| request | content |
|---|---|
| to the fork server | START, with the descriptor of a socket for the new worker process |
| LOAD | flag, length, then the content of a bundle |
| PREDICT | index of a model, number of values, then the values as float64 |

| reply of a worker | payload |
|---|---|
| DESCRIPTION | JSON: the tag, kind, version, reason and text of each model, and the sensors' behaviour in training |
| PREDICTION | one byte per label (1 anomaly, 0 normal), then no score or a float64 per value; NaN is a missing score |
| FAILURE | JSON: reason and text |
"""

import re
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

READY = b"R"
"""The byte with which the fork server reports that scikit-learn is imported."""

START = struct.Struct("<Q")
LOAD = struct.Struct("<?Q")
PREDICT = struct.Struct("<II")
REPLY = struct.Struct("<cQ")

DESCRIPTION, PREDICTION, FAILURE = b"D", b"P", b"F"
MAX_DESCRIPTION_BYTES = 4 * 2**20
MAX_FAILURE_BYTES = 8192
MAX_VALUES = 65_536
"""Number of values in one request."""

MAX_TEXT_CHARS = 400
"""Length of an error text, and of the name of a detector."""

UNKNOWN_VERSION = "unknown"
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,2}[.\w+-]{0,16}", re.ASCII)
_VERSION_IN_FILE = rb"(?s)_sklearn_version.{1,16}?(\d{1,4}(?:\.\d{1,4}){1,2}(?:\.?(?:dev|post|rc|a|b)\d{1,3})?)"


def receive(connection: "socket.socket", size: int, ends_at: float | None = None) -> bytearray:
    """Return exactly `size` bytes.

    Args:
        connection: The connection.
        size: The number of bytes.
        ends_at: The time at which to stop, on the clock of `time.monotonic()`; None for no limit.

    Raises:
        EOFError: The other side closed the connection.
        TimeoutError: The time is over.
    """
    content = bytearray(size)
    view = memoryview(content)
    while view:
        set_timeout(connection, ends_at)
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the connection was closed")
        view = view[count:]
    return content


def set_timeout(connection: "socket.socket", ends_at: float | None) -> None:
    """Let the next call of the connection end at a time.

    Args:
        connection: The connection.
        ends_at: The time, on the clock of `time.monotonic()`; None for no limit.

    Raises:
        TimeoutError: The time is over.
    """
    if ends_at is None:
        return
    if (seconds := ends_at - time.monotonic()) <= 0:
        raise TimeoutError("the time is over")
    connection.settimeout(seconds)


def one_line(text: str) -> str:
    """Return the text in one line of printable characters, cut to MAX_TEXT_CHARS."""
    cut = text[: 2 * MAX_TEXT_CHARS]
    printable = "".join(letter if letter.isprintable() else " " for letter in cut)
    return " ".join(printable.split())[:MAX_TEXT_CHARS]


def clean_version(version: object) -> str:
    """Return a version of scikit-learn from a file, or "unknown" if it does not have the form of one."""
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else UNKNOWN_VERSION


def find_version(content: bytes) -> str:
    """Return the first version of scikit-learn that a pickle names, or "unknown".

    Args:
        content: The pickle, which may be unreadable.
    """
    found = re.search(_VERSION_IN_FILE, content)
    return clean_version(found[1].decode("ascii")) if found else UNKNOWN_VERSION
