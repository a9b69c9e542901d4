"""File locks between commands; the kernel frees them when their holder ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.progress import StepProgress


@contextmanager
def hold_lock(path: Path, progress: StepProgress, holder_description: str) -> Iterator[None]:
    """Hold the lock file at `path` while the body runs; wait, saying for whom, while another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"waiting for {holder_description}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
