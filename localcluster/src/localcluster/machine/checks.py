"""The checks of the machine itself, which preflight.py runs; each returns a missing requirement or None."""

import os
import platform
import shutil
import tempfile
from pathlib import Path

from localcluster import allocation
from localcluster.errors import ClusterError
from localcluster.machine.requirements import MissingRequirement, command_failure
from localcluster.nodes import cgroups
from localcluster.paths import cache_dir, clusters_dir

_BYTES_PER_GIB = 1 << 30

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
    return command_failure([*unshare, "sh", "-ec", script])
