"""The result of a report for the operator: counts in the termination message of its pod, never names of devices."""

import json
import os
from pathlib import Path

from device_scorer import log
from device_scorer.health.incidents import FLEET, OPENED
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.summary import Summary

FORMAT_VERSION = 1
DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")
"""The file from which the kubelet reads the termination message by default (terminationMessagePath)."""


def report_result(summary: Summary, health: FleetHealth) -> bytes:
    """Return the result as JSON. Every value is a number or a truth value, so it has less than 2 KiB.

    Args:
        summary: The summary of the window.
        health: The incidents and faulty sensors.
    """
    coverage = summary.coverage
    opened = [row for row in health.incidents if row.incident.state == OPENED]
    new = {
        "openedUnmuted": sum(row.muted is None for row in opened),
        "openedFleet": sum(row.incident.cause == FLEET for row in opened),
    }
    document = {
        "v": FORMAT_VERSION,
        "complete": summary.complete,
        "devices": len(summary.devices) + len(summary.unreadable),
        "anomalousDevices": len(summary.anomalous),
        "failures": len(summary.failures) + len(summary.unreadable),
        "unreadable": len(summary.unreadable),
        "unmodelledDevices": len(coverage.unmodelled_devices),
        "unscoredRows": summary.totals.unscored_rows,
        "vanishedModels": len(coverage.vanished_models),
        "outdatedDevices": len(coverage.outdated),
        "unknownDevices": len(coverage.unknown_devices),
        "unknownNames": coverage.unknown_names,
        "problems": len(health.problems),
        "notifyProblems": health.notify_problems,
        "sensors": health.sensor_counts,
        "incidents": health.counts | new,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def write_result(
    summary: Summary, health: FleetHealth, path: str | None, *, default: Path = DEFAULT_TERMINATION_LOG
) -> None:
    """Write the result. Log a warning if it cannot be written.

    Args:
        summary: The summary of the window.
        health: The incidents and faulty sensors.
        path: The file. None selects the default file, if this process may write it: outside a pod it does not exist.
        default: The default file.
    """
    target = Path(path or os.environ.get("FLEETSCORE_TERMINATION_LOG") or default)
    if target == default and not os.access(default, os.W_OK):
        return
    try:
        target.write_bytes(report_result(summary, health))
    except OSError as error:
        log.warning(f"the result could not be written to {target}: {error.strerror}")
