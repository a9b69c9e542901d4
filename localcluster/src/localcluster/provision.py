"""What a cluster with given nodes needs built or installed."""

from pathlib import Path

from localcluster.kubernetes.control_plane import CONTROL_PLANE_PROGRAMS
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress
from localcluster.toolchain import debian, tools


def needs_build(nodes: NodeLayout) -> bool:
    """Whether any tool for a cluster with these nodes still has to be built."""
    needed = {"kubernetes": [*CONTROL_PLANE_PROGRAMS, *nodes.programs], "etcd": ["etcd"]}
    needed |= {"kwok": ["kwok"]} if nodes.simulated else {}
    needed |= {"pause": ["pause"]} if nodes.container else {}
    return any(tools.missing_programs(tool, programs) for tool, programs in needed.items())


def ensure(nodes: NodeLayout, progress: StepProgress) -> tuple[Path, Path]:
    """Build and install what is missing; returns the folder of Kubernetes' programs, and etcd's program."""
    kubernetes = tools.ensure_tool("kubernetes", [*CONTROL_PLANE_PROGRAMS, *nodes.programs], progress=progress)
    etcd = tools.ensure_program("etcd", progress=progress)
    if nodes.simulated:
        tools.ensure_program("kwok", progress=progress)
    if nodes.container:
        debian.install(debian.missing_packages(), progress=progress)
        tools.ensure_tool("pause", progress=progress)
    return kubernetes, etcd
