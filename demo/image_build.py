"""A concurrent build of the images, in a process that ends with the demo."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.errors import DemoError
from demo.workspace import CHECKOUT, Workspace
from localcluster.progress import StepProgress

_TERMINATION_TIMEOUT_SECONDS = 20


@contextmanager
def build_images_in_background(workspace: Workspace) -> Iterator["ImageBuild"]:
    """Build the images of the demo and install Azurite in the background; end the build when the body ends."""
    workspace.demo_folder.mkdir(parents=True, exist_ok=True)
    path = workspace.demo_folder / "images.log"
    with path.open("w") as log:
        command = [sys.executable, "-m", "demo", "images", "--only-build"]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield ImageBuild(process, path)
        finally:
            terminate(process)


class ImageBuild:
    """A running build of the images."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def wait(self, progress: StepProgress) -> None:
        """Wait until the build ends.

        Raises:
            DemoError: The build failed. The message has the end of its log.
        """
        if self._process.poll() is None:
            with progress.step(f"waiting for the images, see {self._log}", usual_seconds=60):
                self._process.wait()
        if self._process.returncode != 0:
            last = "\n".join(self._log.read_text().splitlines()[-15:])
            raise DemoError(f"the images could not be built:\n{last}\n(complete log: {self._log})")


def terminate(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process by SIGINT, or by SIGKILL if it does not end in 20 seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_TERMINATION_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
