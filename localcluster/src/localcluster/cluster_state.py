"""The record of a cluster on disk, and the removal of a complete or incomplete cluster."""

import json
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from localcluster import processes
from localcluster.errors import ClusterError
from localcluster.locks import hold_lock
from localcluster.nodes import container_node
from localcluster.paths import cache_dir, cluster_dir, clusters_dir
from localcluster.progress import StepProgress


@dataclass
class ClusterRecord:
    """The record of a cluster, stored as cluster.json in its folder."""

    slot: int
    nodes: str
    bin: str  # the folder with Kubernetes' programs
    etcd: str
    arguments: dict[str, list[str]] = field(default_factory=dict)
    ready: bool = False  # False until everything is up; a later command that finds False treats the cluster as remains


def list_clusters() -> list[str]:
    """Return the names of all clusters that have files on this machine."""
    return sorted(path.name for path in clusters_dir().iterdir()) if clusters_dir().exists() else []


def remove_cluster(name: str, *, progress: StepProgress | None = None) -> None:
    """Remove a cluster or its remains, after any other command on the cluster has ended.

    Args:
        name: The name of the cluster.
        progress: The printer of the wait for another command.

    Raises:
        ClusterError: A part of the cluster cannot be removed.
    """
    progress = progress or StepProgress()
    with hold_lock(lock_path(name), progress, f"another command on cluster {name}"):
        remove_remains(name)


def lock_path(name: str) -> Path:
    """Return the lock file that a command on a cluster holds."""
    return cache_dir() / "locks" / f"{name}.lock"


def remove_remains(name: str) -> None:
    """Remove the processes, the node and the folder of a cluster, complete or not.

    Raises:
        ClusterError: A part of the cluster cannot be removed.
    """
    folder = cluster_dir(name)
    processes.stop_processes(folder)
    container_node.remove_node(name)
    _remove_folder(folder)


def _remove_folder(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() and time.monotonic() > deadline:
            raise ClusterError(f"cannot remove {folder}; find the process that uses it: grep {folder} /proc/*/mounts")
    # The two parent folders contain only clusters.
    for parent in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            parent.rmdir()


def read_record(name: str) -> ClusterRecord | None:
    """Return the record of a cluster, or None if it is missing or has another version's fields."""
    try:
        return ClusterRecord(**json.loads((cluster_dir(name) / "cluster.json").read_text()))
    except (FileNotFoundError, TypeError, ValueError):
        return None


def write_record(name: str, record: ClusterRecord) -> None:
    """Write a cluster's record; create its folder if it is missing."""
    folder = cluster_dir(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder / "cluster.json.unfinished"
    unfinished.write_text(json.dumps(asdict(record)))
    unfinished.rename(folder / "cluster.json")
