"""The cgroups under which a cluster's pods run: one of the cluster's own in every hierarchy, of version 1 or 2."""

import time
from contextlib import suppress
from pathlib import Path

from localcluster.errors import ClusterError


def cgroup_name(cluster: str) -> str:
    """The name of a cluster's cgroup, in every hierarchy."""
    return f"fleetscore-{cluster}"


def find_hierarchies(mounts_text: str) -> list[Path]:
    """Where cgroup hierarchies are mounted, from /proc/mounts' text."""
    rows = [row.split() for row in mounts_text.splitlines()]
    return [Path(row[1]) for row in rows if row[2] in ("cgroup", "cgroup2")]


def available_controllers(mounts_text: str, cgroup: str = "") -> set[str]:
    """The controllers that a cgroup has, from /proc/mounts' text (and the cgroup's own list in version 2)."""
    found: set[str] = set()
    for row in (line.split() for line in mounts_text.splitlines()):
        if row[2] == "cgroup":
            found.update(row[3].split(","))
        elif row[2] == "cgroup2" and (listed := Path(row[1]) / cgroup / "cgroup.controllers").exists():
            found.update(listed.read_text().split())
    return found


def create(cgroup: str) -> None:
    """Make a cgroup in every hierarchy; the kubelet wants its root to be there."""
    for hierarchy in find_hierarchies(Path("/proc/mounts").read_text()):
        (hierarchy / cgroup).mkdir(exist_ok=True)
        # Version 2 gives a cgroup only those controllers that its parent passes on.
        passed_on = hierarchy / "cgroup.subtree_control"
        if passed_on.exists():
            for controller in (hierarchy / "cgroup.controllers").read_text().split():
                with suppress(OSError):
                    passed_on.write_text(f"+{controller}")


def remove(cgroup: str, *, timeout_seconds: float = 20) -> None:
    """Remove a cgroup with everything below it; its processes are ending or gone.

    Raises:
        ClusterError: a process in it does not end within `seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    for hierarchy in find_hierarchies(Path("/proc/mounts").read_text()):
        while not _remove_tree(hierarchy / cgroup):
            if time.monotonic() > deadline:
                raise ClusterError(f"cannot remove cgroup {hierarchy / cgroup}: it still has processes in it")
            time.sleep(0.05)


def _remove_tree(root: Path) -> bool:
    # Deepest first: a cgroup is removed by rmdir once it has no children and no processes.
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
