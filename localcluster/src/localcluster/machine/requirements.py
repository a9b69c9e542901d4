"""The result of a check of the machine, and the commands that checks run within a time limit."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A limit that a machine with two busy cores meets; on an idle one every check takes less than two seconds.
MAX_CHECK_SECONDS = 19.0


@dataclass(frozen=True)
class MissingRequirement:
    """A missing requirement: what is required, what was found instead, and the command that fixes it."""

    requirement: str
    found: str
    fix: str


Check = Callable[[], MissingRequirement | None]


def command_failure(
    command: Sequence[str],
    *,
    timeout_seconds: float = MAX_CHECK_SECONDS,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run a command and return the last line of its output, or None if it succeeds."""
    try:
        completed = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    except FileNotFoundError:
        return f"no program {command[0]}"
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not finish in {timeout_seconds:.0f} s"
    if completed.returncode == 0:
        return None
    lines = (completed.stderr or completed.stdout).strip().splitlines()
    return lines[-1][:100] if lines else f"{command[0]} failed"


def command_output(command: Sequence[str], *, timeout_seconds: float) -> str:
    """Run a command and return its output, which is empty if the command does not finish in time."""
    try:
        completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        return ""
    return completed.stdout
