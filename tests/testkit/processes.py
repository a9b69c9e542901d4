"""The processes of the machine."""

from pathlib import Path


def has_ended(pid: int) -> bool:
    """Return True if a process has ended, also if its parent has not read its exit code."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
