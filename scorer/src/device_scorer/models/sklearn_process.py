"""The process that imports scikit-learn and forks a worker for each bundle, and the memory of the workers.

A scoring process starts one fork server (`sklearn_worker`) if a bundle needs it, and replaces it if it ends. The scorer
itself imports neither scikit-learn nor NumPy for it.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_scorer.errors import ConfigurationInvalid
from device_scorer.models import sklearn_messages as messages

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

START_SECONDS = 120.0
"""Time of the import of scikit-learn by the fork server."""

STOP_SECONDS = 5.0
"""Time of the end of the fork server, after which it is killed."""

LOAD_SECONDS = 60.0
PREDICT_SECONDS = 60.0
"""Seconds of the clock for one request to a worker. A device's deadline applies in addition."""

MIN_MEMORY_BYTES = 64 * 2**20
MAX_STARTS = 2

_LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SECRET_PREFIXES = ("AZURE_", "FLEETSCORE_")
"""Variables that models have no use for, secrets of the storage account among them."""


class MemoryBudget:
    """The memory that all workers may use together. A process waits for its share, in the order of arrival.

    Args:
        total_bytes: The memory.
    """

    def __init__(self, total_bytes: int) -> None:
        self._total = self._free = total_bytes
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    def acquire(self, count: int) -> int:
        """Take at most `count` bytes, wait until they are free, and return their number.

        Args:
            count: The wanted number of bytes. More than the total becomes the total.
        """
        share = min(count, self._total)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        return share

    def release(self, count: int) -> None:
        """Return bytes.

        Args:
            count: The number that `acquire` returned.
        """
        with self._changed:
            self._free += count
            self._changed.notify_all()


def memory_of_workers(limit_files: "Iterable[str]" = _LIMIT_FILES) -> int:
    """Return half of the memory of the container or machine, in bytes.

    Args:
        limit_files: The files that may have the limit of the container.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in limit_files:
        with contextlib.suppress(OSError, ValueError):  # version 2 of cgroups writes "max" for no limit
            limits.append(int(Path(name).read_text()))
    return max(MIN_MEMORY_BYTES, min(limits) // 2)


class ScikitLearnProcess:
    """The fork server of this process, which is started with the first bundle and replaced if it ends.

    Args:
        memory: The memory that all workers may use together. By default, half of the memory of this machine.
        load_seconds: The time for loading one bundle.
        predict_seconds: The time for one request for predictions.
        start_seconds: The time for the start of the fork server.
        stop_seconds: The time for its end, after which it is killed.
    """

    def __init__(
        self,
        *,
        memory: MemoryBudget | None = None,
        load_seconds: float = LOAD_SECONDS,
        predict_seconds: float = PREDICT_SECONDS,
        start_seconds: float = START_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.memory = memory or MemoryBudget(memory_of_workers())
        self.load_seconds, self.predict_seconds = load_seconds, predict_seconds
        self._start_seconds, self._stop_seconds = start_seconds, stop_seconds
        self._isolation = threading.Lock()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def connect(self, max_bytes: int) -> "socket.socket":
        """Return the connection to a new worker.

        Args:
            max_bytes: The memory that the worker may allocate.

        Raises:
            ConfigurationInvalid: The fork server cannot be started.
        """
        import socket  # noqa: PLC0415  most scoring processes need no worker

        with self._lock:
            for _ in range(MAX_STARTS):
                if self._server is None or self._server.has_ended():
                    self._server = _Server.start(self._start_seconds, self._stop_seconds)
                mine, theirs = socket.socketpair()
                with theirs:
                    try:
                        socket.send_fds(self._server.control, [messages.START.pack(max_bytes)], [theirs.fileno()])
                    except OSError:
                        mine.close()
                        self._server.stop()
                        continue
                return mine
        raise _cannot_start("it ended unexpectedly")

    @contextlib.contextmanager
    def isolated(self) -> "Iterator[ScikitLearnProcess]":
        """Yield another fork server with the same limits, for a bundle whose worker ended, and stop it at the end.

        One bundle at a time has one, as each costs the import of scikit-learn and its memory. The bundle has no other
        worker meanwhile, as it could wait for memory that it holds itself.
        """
        with self._isolation:
            process = ScikitLearnProcess(
                memory=self.memory,
                load_seconds=self.load_seconds,
                predict_seconds=self.predict_seconds,
                start_seconds=self._start_seconds,
                stop_seconds=self._stop_seconds,
            )
            try:
                yield process
            finally:
                process.stop()

    def stop(self) -> None:
        """End the fork server and its workers. A later bundle starts a new one."""
        with self._lock:
            if self._server is not None:
                self._server.stop()


@cache
def shared_process() -> ScikitLearnProcess:
    """Return the fork server that all bundles of this process share."""
    return ScikitLearnProcess()


class _Server:
    """A running fork server.

    Args:
        process: The process.
        control: The connection to it.
        stop_seconds: The time for its end, after which it is killed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", control: "socket.socket", stop_seconds: float) -> None:
        self.control = control
        self._process = process
        self.stop: Callable[[], Any] = weakref.finalize(self, _stop, process, control, stop_seconds)

    def has_ended(self) -> bool:
        """Return True if the process has ended."""
        return self._process.poll() is not None

    @classmethod
    def start(cls, start_seconds: float, stop_seconds: float) -> "_Server":
        """Start a fork server and wait until it has imported scikit-learn.

        Args:
            start_seconds: The time for the start.
            stop_seconds: The time for the end, after which the process is killed.

        Raises:
            ConfigurationInvalid: The process cannot be started.
        """
        import socket  # noqa: PLC0415  most scoring processes need no worker

        control, theirs = socket.socketpair()
        environment = {name: text for name, text in os.environ.items() if not name.startswith(_SECRET_PREFIXES)}
        threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a process with threads cannot be forked
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with theirs:
            command = [sys.executable, "-P", "-m", "device_scorer.models.sklearn_worker", str(theirs.fileno())]
            try:
                process = subprocess.Popen(
                    command,
                    env=environment | threads | paths,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # an interrupt of the terminal ends the scorer, and the scorer ends it
                )
            except OSError as error:
                control.close()
                raise _cannot_start(str(error)) from error
        server = cls(process, control, stop_seconds)
        try:
            if messages.receive(control, len(messages.READY), time.monotonic() + start_seconds) == messages.READY:
                control.settimeout(start_seconds)
                return server
            reason = "it sent a malformed message"
        except TimeoutError:
            reason = f"it needs more than {start_seconds:g} seconds"
        except (EOFError, OSError):
            reason = "it ended before it was ready"
        server.stop()
        raise _cannot_start(reason)


def _stop(process: "subprocess.Popen[bytes]", control: "socket.socket", stop_seconds: float) -> None:
    """Close the connection of a fork server, which ends the server and its workers, and collect the process."""
    control.close()
    try:
        process.wait(stop_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cannot_start(reason: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"the process of scikit-learn cannot start: {reason}; give the pod more memory, CPU or processes"
    )
