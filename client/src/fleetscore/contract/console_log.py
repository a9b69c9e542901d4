"""The lines of a console's log about its storage, which `doctor` reads."""

from collections.abc import Iterable

FAULT_PREFIX = "storage cannot be read: "
READABLE = "storage can be read again"


def last_fault(lines: Iterable[str]) -> str:
    """Return the fault of storage that a log has last; empty if it has none, or if storage can be read again."""
    fault = ""
    for line in lines:
        if line.startswith(FAULT_PREFIX):
            fault = line.removeprefix(FAULT_PREFIX).strip()
        elif line.startswith(READABLE):
            fault = ""
    return fault
