"""Tests of the fork server and its workers, each in a process of its own."""

import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from device_scorer.models import sklearn_messages as messages
from device_scorer.models import sklearn_worker
from device_scorer.models.sklearn_worker import MAX_CPU_SECONDS, limit_process, serve
from tests.testkit.processes import has_ended
from tests.testkit.scorer_fleet import a_model, bundle
from tests.testkit.waiting import until

# The function that forks creates no thread; the test runner may have some.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_a_process(work: Callable[[], bytes]) -> bytes:
    """Return the result of a function that changes its process."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    os.waitpid(pid, 0)
    return content


def test_worker_has_limits_and_is_the_first_to_be_killed() -> None:
    def work() -> bytes:
        limit_process(64 * 2**20)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        left = resource.getrlimit(resource.RLIMIT_AS)[1] - pages * resource.getpagesize()
        cpu, core = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_CORE)
        score = Path("/proc/self/oom_score_adj").read_text().strip()
        return f"{0 < left <= 64 * 2**20} {cpu[1]} {core[1]} {score}".encode()

    assert in_a_process(work) == f"True {MAX_CPU_SECONDS} 0 1000".encode()
    assert MAX_CPU_SECONDS == 600


def test_allocation_above_the_limit_fails() -> None:
    def work() -> bytes:
        limit_process(64 * 2**20)
        bytearray(32 * 2**20)
        try:
            bytearray(128 * 2**20)
        except MemoryError:
            return b"too little memory"
        return b"allocated"

    assert in_a_process(work) == b"too little memory"


def exchange(*requests: bytes) -> bytes:
    """Return the replies of a worker to requests, which it reads from a connection that then ends."""
    mine, theirs = socket.socketpair()
    with mine, theirs:

        def send() -> None:
            mine.sendall(b"".join(requests))
            mine.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        serve(theirs)
        sender.join()
        theirs.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: mine.recv(65536), b""))


def load_request(content: bytes) -> bytes:
    return messages.LOAD.pack(False, len(content)) + content


def test_worker_describes_its_models_and_predicts() -> None:
    values = np.array([10.0, 99.0])
    replies = exchange(
        load_request(bundle({"1": a_model(), "2": 5})),
        messages.PREDICT.pack(0, 2) + values.tobytes(),
        messages.PREDICT.pack(1, 2) + values.tobytes(),
    )
    kind, size = messages.REPLY.unpack(replies[: messages.REPLY.size])
    description, rest = replies[messages.REPLY.size :][:size], replies[messages.REPLY.size + size :]
    assert kind == messages.DESCRIPTION
    assert b'["1", "StandardScaler -> OneClassSVM", "1.9.1", "", ""]' in description
    expected = b"\x00\x01" + a_model().decision_function(values.reshape(-1, 1)).tobytes()
    assert rest.startswith(messages.REPLY.pack(messages.PREDICTION, 18) + expected)
    text = b"the model is invalid: expected a fitted pipeline, found an int; save one fitted pipeline for each tag"
    assert b'["ModelInvalid", "' + text + b'"]' in rest


def test_worker_reports_a_bundle_that_it_cannot_load() -> None:
    assert exchange(load_request(b"garbage")).startswith(messages.FAILURE)


def test_description_above_the_limit_is_an_error() -> None:
    tags = [f"{number:0{messages.MAX_DESCRIPTION_BYTES // 10}}" for number in range(10)]
    assert b"it has 10 tags" in exchange(load_request(bundle(dict.fromkeys(tags, a_model()))))


class Server:
    """A fork server in a process of its own."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.control.close()
                sklearn_worker.ForkServer(theirs).run()
            finally:
                os._exit(0)
        theirs.close()
        assert self.control.recv(1) == messages.READY

    def worker(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [messages.START.pack(2**28)], [theirs.fileno()])
        mine.settimeout(20)
        return mine

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def end(self) -> int:
        self.control.close()
        return os.waitpid(self.pid, 0)[1]


@pytest.fixture
def server() -> Server:
    return Server()


def test_closed_connection_kills_its_worker_only(server: Server) -> None:
    one, two = server.worker(), server.worker()
    until(lambda: len(server.children()) == 2, "two workers")
    for pid in server.children():
        os.kill(pid, signal.SIGSTOP)  # the worker does not read that its connection was closed
    one.close()
    until(lambda: len(server.children()) == 1, "one worker")
    two.close()
    until(lambda: not server.children(), "no worker")
    assert server.end() == 0


def test_end_of_a_worker_closes_its_connection(server: Server) -> None:
    one, two = server.worker(), server.worker()
    until(lambda: len(server.children()) == 2, "two workers")
    for pid in server.children():
        os.kill(pid, signal.SIGKILL)
    assert (one.recv(1), two.recv(1)) == (b"", b"")
    one.close()
    two.close()
    assert server.end() == 0


def test_workers_end_with_the_scorer_and_with_the_server() -> None:
    ends: list[Callable[[Server], object]] = [Server.end, lambda server: os.kill(server.pid, signal.SIGKILL)]
    for end in ends:
        server = Server()
        connection = server.worker()
        (worker,) = until(server.children, "a worker")
        until(partial(is_limited, worker), "a worker that ends with the server")
        os.kill(worker, signal.SIGSTOP)
        end(server)
        until(partial(has_ended, worker), "no worker")
        connection.close()
        server.control.close()


def is_limited(pid: int) -> bool:
    return Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"


def test_process_that_a_model_started_ends_with_its_worker(server: Server, tmp_path: Path) -> None:
    one, two = server.worker(), server.worker()
    one.sendall(messages.LOAD.pack(True, len(content := bundle({"1": StartsProcesses(str(tmp_path))}))) + content)
    assert one.recv(1) == b"", "the end of the worker, although its processes have its connection"
    started = [int(path.name) for path in tmp_path.iterdir()]
    assert len(started) == 3
    until(lambda: all(map(has_ended, started)), "the end of the processes")
    until(lambda: len(server.children()) == 1, "the other worker alone")
    one.close()
    two.close()
    assert server.end() == 0


class StartsProcesses:
    """An object that starts processes when it is unpickled, and ends its own process.

    Args:
        folder: The folder in which each process writes a file with its number.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return start_processes, (self.folder,)


def start_processes(folder: str) -> None:
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            Path(folder, str(os.getpid())).touch()
            time.sleep(600)
    until(lambda: len(list(Path(folder).iterdir())) == 3, "the processes")
    os._exit(1)


def test_worker_has_no_connection_of_another_worker(server: Server) -> None:
    connections = [server.worker() for _ in range(3)]
    until(lambda: len(server.children()) == 3, "three workers")

    def sockets(pid: int) -> int:
        with suppress(FileNotFoundError):  # the worker closes its descriptors meanwhile
            return sum("socket:" in str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
        return 0

    until(lambda: [sockets(pid) for pid in server.children()] == [1, 1, 1], "one socket each")
    for connection in connections:
        connection.close()
    server.end()


def test_malformed_request_ends_the_server(server: Server) -> None:
    server.control.sendall(b"x")
    started = time.monotonic()
    assert os.waitpid(server.pid, 0)[1] == 0
    assert time.monotonic() - started < 60
    server.control.close()
