"""Checks of the machine before anything is built: concurrent, within seconds, reported in one table."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from localcluster.errors import PreflightError
from localcluster.machine import checks, registry_checks
from localcluster.machine.requirements import MAX_CHECK_SECONDS, Check, MissingRequirement
from localcluster.nodes.layout import NodeLayout
from localcluster.progress import StepProgress

# Longer than a check's own limit, so that a slow check can report its command.
_TIMEOUT_SECONDS = MAX_CHECK_SECONDS + 1
_PROGRESS_DELAY_SECONDS = 2.0


def select_checks(nodes: NodeLayout, missing: Mapping[str, Sequence[str]]) -> list[Check]:
    """Return the checks for these nodes.

    Args:
        nodes: The nodes of the cluster.
        missing: The programs that are not built yet, by tool.
    """
    building = bool(missing)
    chosen: list[Check] = [
        checks.machine,
        lambda: checks.memory(building=building),
        lambda: checks.disk(building=building),
        checks.free_slot,
    ]
    if building:
        chosen += [lambda: registry_checks.go_modules(missing), registry_checks.python_packages]
    if nodes.container:
        chosen.append(checks.root)
        if checks.root() is None:
            chosen += [
                checks.capabilities,
                checks.cgroup_hierarchies,
                checks.namespaces,
                checks.overlay,
                checks.network_devices,
                checks.netfilter,
                registry_checks.debian_packages,
            ]
    return chosen


def run_checks(selected: Sequence[Check], *, timeout_seconds: float = _TIMEOUT_SECONDS) -> list[MissingRequirement]:
    """Run checks concurrently and return the missing requirements in their order.

    Args:
        selected: The checks.
        timeout_seconds: The time limit in seconds. A check that exceeds it is reported as a missing requirement.
    """
    deadline = time.monotonic() + timeout_seconds
    timed_out = MissingRequirement(
        "an answer in time", f"a check took longer than {timeout_seconds:g} s", "retry when the machine is less busy"
    )
    pool = ThreadPoolExecutor(max_workers=max(1, len(selected)))
    try:
        running = [pool.submit(probe) for probe in selected]
        done, _ = wait(running, timeout=max(0.0, deadline - time.monotonic()))
        return [finding for probe in running if (finding := probe.result() if probe in done else timed_out)]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def format_table(findings: Sequence[MissingRequirement]) -> str:
    """Return a table of the missing requirements with the command that fixes each."""
    rows = [
        ("MISSING", "FOUND", "FIX"),
        *((finding.requirement, finding.found, finding.fix) for finding in findings),
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = ["  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]) for row in rows]
    return "\n".join(
        [
            "This machine cannot run the cluster yet:",
            *lines,
            "Without these requirements, this works: make demo-local (no Kubernetes, no root, one minute)",
        ]
    )


def require_machine(
    nodes: NodeLayout,
    *,
    missing: Mapping[str, Sequence[str]],
    progress: StepProgress | None = None,
    extra_checks: Sequence[Check] = (),
    progress_delay_seconds: float = _PROGRESS_DELAY_SECONDS,
) -> None:
    """Check the machine.

    Args:
        nodes: The nodes of the cluster.
        missing: The programs that are not built yet, by tool.
        progress: The printer of the checks' progress.
        extra_checks: Additional checks that the caller needs.
        progress_delay_seconds: The time after which the progress is shown.

    Raises:
        PreflightError: A requirement is missing. The message is the table.
    """
    with (progress or StepProgress()).step("checking this machine", delay_seconds=progress_delay_seconds):
        findings = run_checks([*select_checks(nodes, missing), *extra_checks])
    if findings:
        raise PreflightError(format_table(findings))
