"""Builds images while something else is going on, in a process of its own that never outlives the demo."""

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
    """Build both images and install Azurite in the background; ended with the body, whichever way that ends."""
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
    """The build that is going on."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def wait(self, progress: StepProgress) -> None:
        """Wait until it is done; DemoError with the end of its log where it failed."""
        if self._process.poll() is None:
            with progress.step(f"waiting for the images, see {self._log}", usual_seconds=60):
                self._process.wait()
        if self._process.returncode != 0:
            last = "\n".join(self._log.read_text().splitlines()[-15:])
            raise DemoError(f"the images could not be built:\n{last}\n(all of it: {self._log})")


def terminate(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process as Ctrl-C would, and by force where that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_TERMINATION_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
