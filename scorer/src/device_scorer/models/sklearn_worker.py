"""The fork server that imports scikit-learn once, and its worker processes, of which each evaluates one bundle.

The scorer starts the fork server with `python -m`. For each bundle the server forks a worker from its own state, in
which no model was ever loaded. A model that changes classes or global state changes its own worker only. A worker has a
limit of memory and of CPU time. The server kills a worker as soon as the scorer closes the worker's connection. It
kills the processes that a worker has started as soon as the worker has ended. The server ends with the scorer, and its
workers end with it.

The import of this module imports scikit-learn. The scorer itself does not import it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device_scorer.errors import PermanentError
from device_scorer.models import sklearn_loader
from device_scorer.models.allowlist import INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.expectations import encode_expectations
from device_scorer.models.sklearn_detector import SklearnDetector
from device_scorer.models.sklearn_messages import (
    DESCRIPTION,
    FAILURE,
    LOAD,
    MAX_DESCRIPTION_BYTES,
    PREDICT,
    PREDICTION,
    READY,
    REPLY,
    START,
    one_line,
    receive,
)

MAX_CPU_SECONDS = 600
"""CPU time of one worker. The scorer's time limits end a worker earlier, except if the scorer itself is blocked."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
MAX_END_SECONDS = 2.0
"""Time for the end of all workers and their processes at the end of the server."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """A worker process, and the server's copy of its connection, which shows when the scorer closes the other end."""

    pid: int
    connection: socket.socket


class ForkServer:
    """A server that forks a worker for each connection that it receives.

    Args:
        control: The connection to the scorer.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, _Worker] = {}
        self._poll = select.poll()
        self._wakeup, wakeup_writer = socket.socketpair()
        self._wakeup.setblocking(False)
        wakeup_writer.setblocking(False)
        self._wakeup_writer = wakeup_writer

    def run(self) -> None:
        """Serve until the scorer closes the control connection, and kill the remaining workers."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._wakeup, select.POLLIN)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans of the workers become children of the server
        self._control.sendall(READY)
        try:
            while self._serve_once():
                pass
        finally:
            for worker in self._workers.values():
                os.kill(worker.pid, signal.SIGKILL)
            ends_at = time.monotonic() + MAX_END_SECONDS
            while self._reap() and time.monotonic() < ends_at:
                time.sleep(0.01)

    def _serve_once(self) -> bool:
        """Handle the next events; return False after the control connection was closed."""
        for descriptor, _ in self._poll.poll():
            if descriptor == self._control.fileno():
                if not self._accept():
                    return False
            elif descriptor == self._wakeup.fileno():
                with contextlib.suppress(BlockingIOError):
                    self._wakeup.recv(4096)
            elif descriptor in self._workers:
                self._poll.unregister(descriptor)
                os.kill(self._workers[descriptor].pid, signal.SIGKILL)
        self._reap()
        return True

    def _accept(self) -> bool:
        """Fork a worker for the connection that the scorer sends; return False if the scorer has ended."""
        message, descriptors, _, _ = socket.recv_fds(self._control, START.size, 1)
        if len(message) != START.size or len(descriptors) != 1:
            return False
        connection = socket.socket(fileno=descriptors[0])
        try:
            pid = os.fork()
        except OSError as error:
            _send_failure(connection, "ConfigurationInvalid", f"no process can be started ({error})")
            connection.close()
            return True
        if pid == 0:
            _run_worker(connection, *START.unpack(message))
        self._workers[connection.fileno()] = _Worker(pid, connection)
        self._poll.register(connection, select.POLLRDHUP)
        return True

    def _reap(self) -> bool:
        """Close the connections of the workers that have ended, which reports their end to the scorer.

        The processes that an ended worker has started are killed. They could use its connection and CPU time.

        Returns:
            True if the server has children.
        """
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                break
            for descriptor, worker in list(self._workers.items()):
                if worker.pid == pid:
                    with contextlib.suppress(KeyError):
                        self._poll.unregister(descriptor)
                    worker.connection.close()
                    del self._workers[descriptor]
        workers = {worker.pid for worker in self._workers.values()}
        with contextlib.suppress(OSError):  # some sandboxes have no such file
            for child in Path("/proc/thread-self/children").read_text().split():
                if int(child) not in workers:
                    os.kill(int(child), signal.SIGKILL)
        return True


def _run_worker(connection: socket.socket, max_bytes: int) -> None:
    """Serve one bundle in a new process and end it. An object of the file may raise any exception."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _close_other_descriptors(connection.fileno())
        limit_process(max_bytes)
        serve(connection)
    except BaseException:  # noqa: BLE001, S110  the closed connection is the report
        pass
    finally:
        os._exit(0)


def _close_other_descriptors(kept: int) -> None:
    """Close all descriptors except the standard streams and one more: the connections of other workers, above all."""
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    os.closerange(3, kept)
    os.closerange(kept + 1, highest + 1)


def limit_process(max_bytes: int) -> None:
    """Limit this process, and let the kernel end it with its parent.

    Args:
        max_bytes: The memory that the process may allocate in addition to its present address space.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError):  # the kernel then ends the scorer or a worker if the pod has no memory left
        Path("/proc/self/oom_score_adj").write_text("1000")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + max_bytes,
        resource.RLIMIT_CPU: MAX_CPU_SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        _, hard = resource.getrlimit(kind)
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lowest, lowest))


def serve(connection: socket.socket) -> None:
    """Load one bundle and predict until the scorer closes the connection.

    Args:
        connection: The connection to the scorer.
    """
    trust_any, size = LOAD.unpack(receive(connection, LOAD.size))
    try:
        bundle = sklearn_loader.load_detectors(bytes(receive(connection, size)), trust_any=trust_any)
        description = _describe(bundle)
    except PermanentError as error:
        _send_failure(connection, error.reason, str(error))
        return
    _send(connection, DESCRIPTION, description)
    models = list(bundle.detectors.values())
    while True:
        try:
            index, count = PREDICT.unpack(receive(connection, PREDICT.size))
        except EOFError:
            return
        values = np.frombuffer(receive(connection, 8 * count), dtype=np.float64)
        try:
            _send(connection, PREDICTION, _predict(models[index], values))
        except PermanentError as error:
            _send_failure(connection, error.reason, str(error))


def _predict(model: SklearnDetector | PermanentError, values: np.ndarray) -> bytes:
    if isinstance(model, PermanentError):
        raise model
    labels, scores = model.predict_array(values)
    numbers = b"" if scores is None else np.ascontiguousarray(scores, dtype=np.float64).tobytes()
    return labels.astype(np.uint8).tobytes() + numbers


def _describe(bundle: sklearn_loader.LoadedBundle) -> bytes:
    described = [
        (tag, "", "", model.reason, one_line(str(model)))
        if isinstance(model, PermanentError)
        else (tag, model.kind, model.sklearn_version, "", "")
        for tag, model in bundle.detectors.items()
    ]
    content = json.dumps([described, encode_expectations(bundle.expectations)]).encode()
    if len(content) > MAX_DESCRIPTION_BYTES:
        raise sklearn_loader.too_many_tags(len(described))
    return content


def _send_failure(connection: socket.socket, reason: str, text: str) -> None:
    _send(connection, FAILURE, json.dumps([reason, one_line(text)]).encode())


def _send(connection: socket.socket, kind: bytes, payload: bytes) -> None:
    connection.sendall(REPLY.pack(kind, len(payload)))
    connection.sendall(payload)


def main() -> None:
    """Import the modules of the allow-list, and serve the connection whose descriptor is the argument."""
    for module in sorted({name.rpartition(".")[0] for name in {*INERT_CLASSES.values(), *SKLEARN_ONLY_NAMES}}):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # the collector would copy the pages that the workers share
    ForkServer(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
