"""Runs a command whose output matters only when it fails."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.errors import BuildError

_MAX_OUTPUT_LINES = 15


def run_command(command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
    """Run a command in a folder and wait for it.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: all of its environment; by default this process's own.

    Raises:
        BuildError: it failed; the message ends with what it said last.
    """
    answer = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if answer.returncode != 0:
        last = "\n".join(answer.stdout.strip().splitlines()[-_MAX_OUTPUT_LINES:])
        raise BuildError(f"this command failed with exit code {answer.returncode}: {shlex.join(command)}\n{last}")
