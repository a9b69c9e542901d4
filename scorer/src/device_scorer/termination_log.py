"""The file from which the kubelet reads the termination message of a container."""

import os
from collections.abc import Mapping
from pathlib import Path

from device_scorer import log

DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
"""The default of the kubelet (terminationMessagePath)."""


def termination_log_path(argument: str | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file that the user has selected, or None.

    Args:
        argument: The argument of the command line.
        environment: The environment; FLEETSCORE_TERMINATION_LOG is the default of the argument.
    """
    path = argument or environment.get("FLEETSCORE_TERMINATION_LOG")
    return Path(path) if path else None


def write_termination_message(path: Path | None, content: bytes, *, default: Path = DEFAULT_TERMINATION_LOG) -> None:
    """Write the termination message. Log a warning if it cannot be written.

    Args:
        path: The file. None selects the default file, if this process may write it: outside a pod it does not exist.
        content: The message.
        default: The default file.
    """
    if path is None:
        if not os.access(default, os.W_OK):
            return
        path = default
    try:
        path.write_bytes(content)
    except OSError as error:
        log.warning(f"the termination message could not be written to {path}: {error.strerror}")
