"""What is written down of a cluster, and how everything of one is removed, however far its `up` came."""

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
    """What is written down of a cluster, in its folder's cluster.json."""

    slot: int
    nodes: str
    bin: str  # the folder with Kubernetes' programs
    etcd: str
    arguments: dict[str, list[str]] = field(default_factory=dict)
    ready: bool = False  # false until everything is up: what is found so later is the remains of an `up` that was ended


def list_clusters() -> list[str]:
    """The names of all clusters that have anything on this machine."""
    return sorted(path.name for path in clusters_dir().iterdir()) if clusters_dir().exists() else []


def remove_cluster(name: str, *, progress: StepProgress | None = None) -> None:
    """Take a cluster down, or clear away the remains of one; waits for a command that works on it.

    Raises:
        ClusterError: something of it cannot be removed.
    """
    progress = progress or StepProgress()
    with hold_lock(lock_path(name), progress, f"another command on cluster {name}"):
        remove_remains(name)


def lock_path(name: str) -> Path:
    """The lock that a command on a cluster holds."""
    return cache_dir() / "locks" / f"{name}.lock"


def remove_remains(name: str) -> None:
    """Remove whatever there is of a cluster: processes and folder, however far its `up` came.

    Raises:
        ClusterError: something of it cannot be removed.
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
            raise ClusterError(f"cannot remove {folder}; see what holds it: grep {folder} /proc/*/mounts")
    # The folders above it only hold clusters.
    for parent in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            parent.rmdir()


def read_record(name: str) -> ClusterRecord | None:
    """What is written down of a cluster, if anything."""
    try:
        return ClusterRecord(**json.loads((cluster_dir(name) / "cluster.json").read_text()))
    except (FileNotFoundError, TypeError, ValueError):  # none, or of another version: remains to be cleared away
        return None


def write_record(name: str, record: ClusterRecord) -> None:
    """Write a cluster's record down, making its folder where it is not there yet."""
    folder = cluster_dir(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = folder / "cluster.json.unfinished"
    unfinished.write_text(json.dumps(asdict(record)))
    unfinished.rename(folder / "cluster.json")
