"""Commands whose output is shown only on failure."""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from localcluster.errors import BuildError

_MAX_OUTPUT_LINES = 15
_REMOVAL_SECONDS = 10.0


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


@contextmanager
def scratch_folder(prefix: str, *, removal_seconds: float = _REMOVAL_SECONDS) -> Iterator[Path]:
    """Yield a temporary folder, and remove it also while the processes of a killed command still write to it.

    Args:
        prefix: The beginning of the folder's name.
        removal_seconds: The time after which the folder is left, if it cannot be removed.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        deadline = time.monotonic() + removal_seconds
        while folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.05)
