"""The programs of a cluster: the missing ones, and their build and installation."""

from collections.abc import Mapping
from pathlib import Path

from localcluster.kubernetes.control_plane import CONTROL_PLANE_PROGRAMS
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress
from localcluster.toolchain import debian, tools


def missing_programs(nodes: NodeLayout) -> Mapping[str, list[str]]:
    """Return the programs that a cluster with these nodes needs and that are not built yet, by tool."""
    needed = {"kubernetes": [*CONTROL_PLANE_PROGRAMS, *nodes.programs], "etcd": ["etcd"]}
    needed |= {"kwok": ["kwok"]} if nodes.simulated else {}
    needed |= {"pause": ["pause"]} if nodes.container else {}
    missing = {tool: tools.missing_programs(tool, programs) for tool, programs in needed.items()}
    return {tool: programs for tool, programs in missing.items() if programs}


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
