"""The processes of a cluster: started apart from the command that starts them, found again by a mark they carry.

The mark is an environment variable with the cluster's folder and the process's role. It is read from the kernel, not
from a file, so there is no table that a crash could leave out of date: a process is found however its starter ended,
and a stranger that was given a recorded pid is never taken for ours. Signals go through a pidfd for the same reason.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from localcluster.errors import ClusterError

_MARK_VARIABLE = "LOCALCLUSTER_PROCESS"


def start_process(
    folder: Path, role: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> int:
    """Start a process in its own session, its output appended to ``logs/<role>.log``; returns its pid."""
    logs = log_path(folder, role)
    logs.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # The cluster's programs talk to each other: a proxy for the world outside must not come between them.
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # posix_spawn, not Popen: the process outlives this command and is nobody's child to wait for.
    return os.posix_spawnp(
        command[0],
        list(command),
        inherited | dict(environment or {}) | {_MARK_VARIABLE: f"{folder}:{role}"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(logs), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def log_path(folder: Path, role: str) -> Path:
    """The file with a process's output."""
    return folder / "logs" / f"{role}.log"


def find_processes(folder: Path, roles: Sequence[str] | None = None) -> dict[int, str]:
    """The living processes of a cluster by pid, with their roles; only those of `roles` where given."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            role = _role_of(folder, int(entry.name))
            if role is not None and (roles is None or role in roles):
                found[int(entry.name)] = role
    return found


def _role_of(folder: Path, pid: int) -> str | None:
    prefix = f"{_MARK_VARIABLE}={folder}:".encode()
    for variable in _read_environment(pid).split(b"\0"):
        if variable.startswith(prefix):
            role = variable[len(prefix) :].decode()
            return f"{role}'s pod" if _is_containerd_shim(pid) else role
    return None


def _read_environment(pid: int) -> bytes:
    """A process's environment, empty where it has ended or is another user's."""
    folder = Path(f"/proc/{pid}")
    deadline = time.monotonic() + 1
    try:
        while not (environment := (folder / "environ").read_bytes()):
            # For a moment, while a process turns into another program, it has neither environment nor command line,
            # though it is no zombie or kernel thread (those have no program): look again, or ours would be missed.
            (folder / "exe").readlink()
            if (folder / "cmdline").read_bytes() or time.monotonic() > deadline:
                return (folder / "environ").read_bytes()
            time.sleep(0.001)
    except OSError:
        return b""
    return environment


def _is_containerd_shim(pid: int) -> bool:
    """Whether it is one of containerd's shims: they have its mark, and outlive it when it alone is stopped."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("containerd-shim")
    except OSError:
        return False


def stop_processes(
    folder: Path,
    roles: Sequence[str] | None = None,
    *,
    signal_number: signal.Signals = signal.SIGKILL,
    timeout_seconds: float = 60,
) -> None:
    """Signal a cluster's processes (those of `roles`, or all) and wait until they are gone.

    Raises:
        ClusterError: one is still there after `seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    signalled: set[int] = set()
    # Again and again: what is being killed may be starting something at that moment.
    while living := find_processes(folder, roles):
        for pid in living.keys() - signalled:
            _send_signal(folder, pid, signal_number)
            signalled.add(pid)
        for pid in living:
            _wait_for_exit(pid, deadline)
        if time.monotonic() > deadline:
            names = ", ".join(f"{role} (pid {pid})" for pid, role in living.items())
            raise ClusterError(f"still running {timeout_seconds:.0f} s after {signal_number.name}: {names}")


def _send_signal(folder: Path, pid: int, signal_number: signal.Signals) -> None:
    with _pidfd(pid) as handle:
        # The pidfd now names one process for good: make sure it is the one we mean, then signal that one.
        if handle is not None and _role_of(folder, pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal_number)


def _wait_for_exit(pid: int, deadline: float) -> None:
    with _pidfd(pid) as handle:
        if handle is not None:
            select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # where this very command started it, nobody else would reap it


@contextlib.contextmanager
def _pidfd(pid: int) -> Iterator[int | None]:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def wait_until(
    folder: Path, role: str, is_ready: Callable[[], bool], *, timeout_seconds: float, description: str
) -> None:
    """Wait until `ready()` holds while the process lives.

    Raises:
        ClusterError: the process ended, or `seconds` went by; with the end of its log.
    """
    deadline = time.monotonic() + timeout_seconds
    while not is_ready():
        if not find_processes(folder, [role]):
            raise ClusterError(f"{role} ended while waiting for {description}:\n{_log_tail(folder, role)}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{description}: not after {timeout_seconds:.0f} s; the end of {role}'s log:\n{_log_tail(folder, role)}"
            )
        time.sleep(0.1)


def _log_tail(folder: Path, role: str) -> str:
    lines = log_path(folder, role).read_text(errors="replace").splitlines()
    return "\n".join([*lines[-15:], f"(all of it: {log_path(folder, role)})"])
