import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import processes
from localcluster.errors import ClusterError
from tests.testkit.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    processes.stop_processes(tmp_path)


def test_processes_are_found_by_role_and_stopped_separately(folder: Path) -> None:
    first = processes.start_process(folder, "first", ["sleep", "1000"])
    second = processes.start_process(folder, "second", ["sleep", "1000"])
    until(lambda: processes.find_processes(folder) == {first: "first", second: "second"}, "both processes")
    processes.stop_processes(folder, ["first"], signal_number=signal.SIGTERM)
    assert processes.find_processes(folder) == {second: "second"}


def test_children_of_a_process_are_found_and_stopped_too(folder: Path) -> None:
    processes.start_process(folder, "shell", ["sh", "-c", "sleep 1000 & sleep 1000"])
    processes.wait_until(
        folder,
        "shell",
        lambda: len(processes.find_processes(folder)) == 3,
        timeout_seconds=180,
        description="the children",
    )
    processes.stop_processes(folder)
    assert processes.find_processes(folder) == {}


def test_process_of_another_program_is_not_stopped(folder: Path) -> None:
    stranger = subprocess.Popen(["sleep", "1000"], cwd=folder)
    try:
        assert processes.find_processes(folder) == {}
        processes.stop_processes(folder)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_processes_of_another_folder_are_not_stopped(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    pid = processes.start_process(other, "sleeper", ["sleep", "1000"])
    processes.stop_processes(folder)
    until(lambda: processes.find_processes(other) == {pid: "sleeper"}, "the other process")
    processes.stop_processes(other)


def test_process_that_ends_early_is_reported_with_its_last_output(folder: Path) -> None:
    processes.start_process(folder, "failing", ["sh", "-c", "echo no such flag >&2"])
    with pytest.raises(ClusterError, match="no such flag"):
        processes.wait_until(folder, "failing", lambda: False, timeout_seconds=180, description="it")


def test_process_that_ignores_a_signal_is_named(folder: Path) -> None:
    processes.start_process(folder, "stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"])
    log = processes.log_path(folder, "stubborn")
    processes.wait_until(
        folder, "stubborn", lambda: "ready" in log.read_text(), timeout_seconds=180, description="the trap"
    )
    with pytest.raises(ClusterError, match=r"stubborn \(pid \d+\)"):
        processes.stop_processes(folder, signal_number=signal.SIGTERM, timeout_seconds=0.2)


UNREAPED_NAMESPACE = """
import ctypes, os, sys, time
ctypes.CDLL(None, use_errno=True).unshare(0x20000000) == 0 or sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
for role in ("node", "daemon"):
    os.posix_spawnp("sleep", ["sleep", "1000"], {**os.environ, sys.argv[1]: f"{sys.argv[2]}:{role}"})
print("ready", flush=True)
time.sleep(1000)
"""


def test_namespace_whose_processes_are_not_waited_for_counts_as_stopped(folder: Path) -> None:
    # As in a container whose first process does not wait for orphans: "node" stays until "daemon" is waited for.
    command = [sys.executable, "-c", UNREAPED_NAMESPACE, processes._MARK_VARIABLE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            until(lambda: set(processes.find_processes(folder).values()) == {"node", "daemon"}, "both processes")
            processes.stop_processes(folder, timeout_seconds=180)
            assert processes.find_processes(folder) == {}
        finally:
            parent.kill()


def test_process_survives_the_session_of_its_starter(folder: Path) -> None:
    pid = processes.start_process(folder, "daemon", ["sleep", "1000"])
    assert os.getsid(pid) == pid
