"""Paths of built tools (in the user's cache folder) and of clusters (in the user's state folder)."""

import hashlib
import os
import re
from pathlib import Path

from localcluster.errors import ClusterError

# The checkout's localcluster/ folder with the pinned sources. The package is installed in editable mode.
SOURCE_ROOT = Path(__file__).resolve().parents[2]
_NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def cache_dir() -> Path:
    """Return the folder of files that can be rebuilt: ``$XDG_CACHE_HOME/fleetscore``."""
    return _base_dir("XDG_CACHE_HOME", ".cache") / "fleetscore"


def clusters_dir() -> Path:
    """Return the folder with one folder per cluster: ``$XDG_STATE_HOME/fleetscore/clusters``."""
    return _base_dir("XDG_STATE_HOME", ".local/state") / "fleetscore" / "clusters"


def cluster_dir(name: str) -> Path:
    """Return the folder of one cluster.

    Args:
        name: A DNS label of at most 30 characters, used in host names and in a cgroup's name.

    Raises:
        ClusterError: The name is invalid.
    """
    if not _NAME_PATTERN.fullmatch(name):
        raise ClusterError(
            f"cluster name {name!r} is invalid: use 1 to 30 lower-case letters, digits and '-', not '-' at the ends"
        )
    return clusters_dir() / name


def machine_key(name: str) -> str:
    """Return ten hexadecimal digits that identify a cluster among all clusters of this machine.

    Users with other state folders may use the same name.

    Args:
        name: The name of the cluster.

    Raises:
        ClusterError: The name is invalid.
    """
    return hashlib.sha256(str(cluster_dir(name)).encode()).hexdigest()[:10]


def _base_dir(variable: str, default: str) -> Path:
    found = Path(os.environ.get(variable, ""))
    return found if found.is_absolute() else Path.home() / default  # the XDG specification ignores a relative path
