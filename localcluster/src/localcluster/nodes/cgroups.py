"""The cgroups of a cluster's pods: one per cluster in every hierarchy of version 1 or 2."""

import time
from contextlib import suppress
from pathlib import Path

from localcluster.errors import ClusterError
from localcluster.paths import machine_key


def cgroup_name(cluster: str) -> str:
    """Return the name of a cluster's cgroup, the same in every hierarchy."""
    return f"fleetscore-{cluster}-{machine_key(cluster)}"


def find_hierarchies(mounts_text: str) -> list[Path]:
    """Return the mount points of the cgroup hierarchies in the text of /proc/mounts."""
    rows = [row.split() for row in mounts_text.splitlines()]
    return [Path(row[1]) for row in rows if row[2] in ("cgroup", "cgroup2")]


def available_controllers(mounts_text: str, cgroup: str = "") -> set[str]:
    """Return the controllers of a cgroup, from the text of /proc/mounts and, in version 2, from the cgroup's list."""
    found: set[str] = set()
    for row in (line.split() for line in mounts_text.splitlines()):
        if row[2] == "cgroup":
            found.update(row[3].split(","))
        elif row[2] == "cgroup2" and (listed := Path(row[1]) / cgroup / "cgroup.controllers").exists():
            found.update(listed.read_text().split())
    return found


def create(cgroup: str) -> None:
    """Create a cgroup in every hierarchy; the kubelet requires its root cgroup to exist."""
    for hierarchy in find_hierarchies(Path("/proc/mounts").read_text()):
        (hierarchy / cgroup).mkdir(exist_ok=True)
        # In version 2 a cgroup has only the controllers that its parent delegates.
        delegated = hierarchy / "cgroup.subtree_control"
        if delegated.exists():
            for controller in (hierarchy / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    delegated.write_text(f"+{controller}")


def remove(cgroup: str, *, timeout_seconds: float = 20) -> None:
    """Remove a cgroup and its children, after its processes have ended.

    Args:
        cgroup: The name of the cgroup.
        timeout_seconds: The time limit in seconds.

    Raises:
        ClusterError: A process in the cgroup did not end within the time limit.
    """
    deadline = time.monotonic() + timeout_seconds
    for hierarchy in find_hierarchies(Path("/proc/mounts").read_text()):
        while not _remove_tree(hierarchy / cgroup):
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"cannot remove cgroup {hierarchy / cgroup}: it still has processes; end them and try again"
                )
            time.sleep(0.05)


def _remove_tree(root: Path) -> bool:
    # Deepest first: rmdir removes a cgroup that has neither children nor processes.
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        _remove_folder(folder)
    return _remove_folder(root)


def _remove_folder(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
