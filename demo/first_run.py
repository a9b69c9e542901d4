"""The note at the start of a demo that has to build Kubernetes first."""

import math
from collections.abc import Mapping, Sequence

from localcluster import provision
from localcluster.nodes.layout import NodeLayout
from localcluster.toolchain import tools

_SECONDS_PER_MINUTE = 60


def first_run_note() -> str | None:
    """Return the note for this machine, or None if every program of the cluster is built."""
    missing = provision.missing_programs(NodeLayout.parse("container"))
    if not missing:
        return None
    seconds = sum(tools.expected_seconds(tool, programs) for tool, programs in missing.items())
    return format_note(missing, seconds)


def format_note(missing: Mapping[str, Sequence[str]], seconds: float) -> str:
    """Return the note: what is built, why, for how long, and what can be run meanwhile.

    Args:
        missing: The programs to build, by tool.
        seconds: The usual duration of the builds in seconds, on two idle cores.
    """
    programs = ", ".join(program for names in missing.values() for program in names)
    minutes = math.ceil(seconds / _SECONDS_PER_MINUTE)
    return f"""The demo builds programs first; they are kept for later runs.
  what       Kubernetes {tools.KUBERNETES_VERSION} from pinned sources: {programs}
  why        the demo runs a real Kubernetes, and package registries have its sources, but not all of its programs
  how long   about {minutes} min on two idle cores, half an hour on a slow machine; later runs take a minute in all
  meanwhile  make demo-local, in another terminal: the same scoring without Kubernetes, in a minute"""
