"""What a cluster with given nodes needs built or installed."""

from pathlib import Path

from localcluster import debian, tools
from localcluster.controlplane import PROGRAMS
from localcluster.nodes import Nodes
from localcluster.progress import Progress


def to_build(nodes: Nodes) -> bool:
    """Whether any tool for a cluster with these nodes still has to be built."""
    needed = {"kubernetes": [*PROGRAMS, *nodes.programs], "etcd": ["etcd"]}
    needed |= {"kwok": ["kwok"]} if nodes.simulated else {}
    needed |= {"pause": ["pause"]} if nodes.container else {}
    return any(tools.missing(tool, programs) for tool, programs in needed.items())


def bring(nodes: Nodes, progress: Progress) -> tuple[Path, Path]:
    """Build and install what is missing; returns the folder of Kubernetes' programs, and etcd's program."""
    kubernetes = tools.ensure("kubernetes", [*PROGRAMS, *nodes.programs], progress=progress)
    etcd = tools.ensure_program("etcd", progress=progress)
    if nodes.simulated:
        tools.ensure_program("kwok", progress=progress)
    if nodes.container:
        debian.install(debian.missing_packages(), progress=progress)
        tools.ensure("pause", progress=progress)
    return kubernetes, etcd
