"""File locks between commands; the kernel releases a lock when its process ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.progress import StepProgress


@contextmanager
def hold_lock(path: Path, progress: StepProgress, holder_description: str) -> Iterator[None]:
    """Hold a file lock while the body runs; wait while another process holds it.

    Args:
        path: The lock file. It is created if it does not exist.
        progress: The printer that shows the wait.
        holder_description: The expected holder, such as ``another build of images``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"waiting for {holder_description}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
