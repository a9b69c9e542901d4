"""What a machine must have before anything is built: looked at all at once, in seconds, and told in one table."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from localcluster import probes
from localcluster.errors import PreflightError
from localcluster.nodes import Nodes
from localcluster.probes import Finding, Probe

_SECONDS = 4.5


def probes_for(nodes: Nodes, *, building: bool) -> list[Probe]:
    """The probes that matter for these nodes; `building` when tools are still to be built."""
    chosen: list[Probe] = [
        probes.machine,
        lambda: probes.memory(building=building),
        lambda: probes.disk(building=building),
        probes.slot,
    ]
    if building:
        chosen += [probes.go_modules, probes.python_packages]
    if nodes.container:
        chosen.append(probes.root)
        if probes.root() is None:
            chosen += [
                probes.capabilities,
                probes.cgroup_hierarchies,
                probes.namespaces,
                probes.overlay,
                probes.network_devices,
                probes.netfilter,
                probes.debian_packages,
            ]
    return chosen


def run(chosen: Sequence[Probe], *, seconds: float = _SECONDS) -> list[Finding]:
    """What the probes found missing, in their order; one that does not answer in time counts as a finding."""
    deadline = time.monotonic() + seconds
    pool = ThreadPoolExecutor(max_workers=max(1, len(chosen)))
    try:
        running = [pool.submit(probe) for probe in chosen]
        done, _ = wait(running, timeout=max(0.0, deadline - time.monotonic()))
        return [finding for probe in running if (finding := probe.result() if probe in done else _SILENT)]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_SILENT = Finding(
    "an answer in time", f"a check took longer than {_SECONDS} s", "try again when the machine is less busy"
)


def table(findings: Sequence[Finding]) -> str:
    """The findings as a table with the command that mends each."""
    rows = [("MISSING", "FOUND", "MEND IT"), *((finding.what, finding.found, finding.mend) for finding in findings)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = ["  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows]
    return "\n".join(
        [
            "This machine cannot run the cluster yet:",
            *lines,
            "What works without any of it: make demo-local (no Kubernetes, no root, one minute)",
        ]
    )


def require(nodes: Nodes, *, building: bool, also: Sequence[Probe] = ()) -> None:
    """Check the machine.

    Args:
        nodes: what the cluster shall have.
        building: whether tools are still to be built.
        also: further probes that the caller's own work needs.

    Raises:
        PreflightError: something is missing; the message is the table.
    """
    findings = run([*probes_for(nodes, building=building), *also])
    if findings:
        raise PreflightError(table(findings))
