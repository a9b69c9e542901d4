"""Commands whose output is shown only on failure."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster.errors import BuildError

_MAX_OUTPUT_LINES = 15


def run_command(command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
    """Run a command in a folder and wait for it.

    Args:
        command: The program and its arguments.
        folder: The working folder.
        environment: The complete environment. The default is this process's environment.

    Raises:
        BuildError: The command failed. The message ends with the last lines of its output.
    """
    answer = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if answer.returncode != 0:
        last = "\n".join(answer.stdout.strip().splitlines()[-_MAX_OUTPUT_LINES:])
        raise BuildError(f"this command failed with exit code {answer.returncode}: {shlex.join(command)}\n{last}")
