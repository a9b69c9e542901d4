"""Builds and installs the programs of a cluster."""

from pathlib import Path

from localcluster.kubernetes.control_plane import CONTROL_PLANE_PROGRAMS
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress
from localcluster.toolchain import debian, tools


def needs_build(nodes: NodeLayout) -> bool:
    """Return True if a tool for a cluster with these nodes is not built yet."""
    needed = {"kubernetes": [*CONTROL_PLANE_PROGRAMS, *nodes.programs], "etcd": ["etcd"]}
    needed |= {"kwok": ["kwok"]} if nodes.simulated else {}
    needed |= {"pause": ["pause"]} if nodes.container else {}
    return any(tools.missing_programs(tool, programs) for tool, programs in needed.items())


def ensure(nodes: NodeLayout, progress: StepProgress) -> tuple[Path, Path]:
    """Build and install missing programs.

    Returns:
        The folder of Kubernetes' programs, and the etcd program.
    """
    kubernetes = tools.ensure_tool("kubernetes", [*CONTROL_PLANE_PROGRAMS, *nodes.programs], progress=progress)
    etcd = tools.ensure_program("etcd", progress=progress)
    if nodes.simulated:
        tools.ensure_program("kwok", progress=progress)
    if nodes.container:
        debian.install(debian.missing_packages(), progress=progress)
        tools.ensure_tool("pause", progress=progress)
    return kubernetes, etcd
