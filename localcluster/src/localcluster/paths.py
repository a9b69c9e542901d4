"""Where things are kept: built tools in the user's cache, clusters in the user's state; nothing in the checkout."""

import os
import re
from pathlib import Path

from localcluster.errors import ClusterError

# The checkout's localcluster/ folder. The package is installed editable, so this is where the pinned sources stand.
SOURCE_ROOT = Path(__file__).resolve().parents[2]
_NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def cache_dir() -> Path:
    """The folder of everything that can be built again: ``$XDG_CACHE_HOME/fleetscore``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetscore"


def clusters_dir() -> Path:
    """The folder with one folder per cluster: ``$XDG_STATE_HOME/fleetscore/clusters``."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fleetscore" / "clusters"


def cluster_dir(name: str) -> Path:
    """The folder of one cluster.

    Args:
        name: a DNS label of at most 30 characters; it becomes part of host names and of a cgroup's name.

    Raises:
        ClusterError: the name does not fit.
    """
    if not _NAME_PATTERN.fullmatch(name):
        raise ClusterError(f"cluster name {name!r}: use 1 to 30 lower-case letters, digits and '-', not at the ends")
    return clusters_dir() / name
