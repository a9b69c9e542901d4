"""The processes of a cluster, which outlive the command that starts them and are found by a mark.

The mark is an environment variable with the cluster's folder and the process's role. The mark is read from /proc, not
from a file that a crash could leave stale. So a process is found however its starter ended, and another process that
reuses a pid is not mistaken for it. Signals use a pidfd for the same reason.
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
_RECHECK_SECONDS = 1.0  # the longest wait for one process before all processes are looked for again


def start_process(
    folder: Path, role: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> int:
    """Start a process in a session of its own and return its pid.

    Args:
        folder: The cluster's folder. The output is appended to ``logs/<role>.log`` in it.
        role: The process's role, such as ``etcd``.
        command: The program and its arguments.
        environment: Variables to add to this process's environment.
    """
    logs = log_path(folder, role)
    logs.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # The cluster's programs connect to each other directly, not through a proxy for the internet.
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # posix_spawn, not Popen: the process outlives this command, which does not wait for it.
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
    """Return the file with a process's output."""
    return folder / "logs" / f"{role}.log"


def find_processes(folder: Path, roles: Sequence[str] | None = None) -> dict[int, str]:
    """Return the roles of a cluster's running processes by pid, limited to `roles` if given."""
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
    """Return a process's environment, or nothing if the process ended or belongs to another user."""
    folder = Path(f"/proc/{pid}")
    deadline = time.monotonic() + 1
    try:
        while not (environment := (folder / "environ").read_bytes()):
            # During exec a process has neither an environment nor a command line for a moment. Zombies and kernel
            # threads have no program, so a process with a program is read again.
            (folder / "exe").readlink()
            if (folder / "cmdline").read_bytes() or time.monotonic() > deadline:
                return (folder / "environ").read_bytes()
            time.sleep(0.001)
    except OSError:
        return b""
    return environment


def _is_containerd_shim(pid: int) -> bool:
    """Return True for containerd's shims, which inherit its mark and outlive it."""
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
    """Signal a cluster's processes and wait until they end.

    Args:
        folder: The cluster's folder.
        roles: The roles to stop. The default is every role.
        signal_number: The signal to send.
        timeout_seconds: The time limit in seconds.

    Raises:
        ClusterError: A process still runs after the time limit.
    """
    deadline = time.monotonic() + timeout_seconds
    signalled: set[int] = set()
    # Repeat: a process that is being killed may start another one at that moment.
    while living := find_processes(folder, roles):
        for pid in living.keys() - signalled:
            _send_signal(folder, pid, signal_number)
            signalled.add(pid)
        for pid in living:
            # A pid namespace ends after all its processes are waited for, which only their parents can do. Its first
            # process then has no memory and no files any more, and is not found again.
            _wait_for_exit(pid, min(deadline, time.monotonic() + _RECHECK_SECONDS))
        if time.monotonic() > deadline and (living := find_processes(folder, roles)):
            names = ", ".join(f"{role} (pid {pid})" for pid, role in living.items())
            raise ClusterError(f"still running {timeout_seconds:.0f} s after {signal_number.name}: {names}")


def _send_signal(folder: Path, pid: int, signal_number: signal.Signals) -> None:
    with _pidfd(pid) as handle:
        # The pidfd refers to one process even if its pid is reused: check that process, then signal it.
        if handle is not None and _role_of(folder, pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal_number)


def _wait_for_exit(pid: int, deadline: float) -> None:
    with _pidfd(pid) as handle:
        if handle is not None:
            select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # reaps the process if this command started it


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
    """Wait until `is_ready` returns True while the process runs.

    Args:
        folder: The cluster's folder.
        role: The role of the process.
        is_ready: The condition to wait for.
        timeout_seconds: The time limit in seconds.
        description: A description of the condition, for the error message.

    Raises:
        ClusterError: The process ended or the time limit passed. The message has the end of the log.
    """
    deadline = time.monotonic() + timeout_seconds
    while not is_ready():
        if not find_processes(folder, [role]):
            raise ClusterError(f"{role} ended while waiting for {description}:\n{_log_tail(folder, role)}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{role} did not become ready in {timeout_seconds:.0f} s, waiting for {description}; "
                f"the end of its log:\n{_log_tail(folder, role)}"
            )
        time.sleep(0.1)


def _log_tail(folder: Path, role: str) -> str:
    lines = log_path(folder, role).read_text(errors="replace").splitlines()
    return "\n".join([*lines[-15:], f"(complete log: {log_path(folder, role)})"])
