"""The result of a report for the operator: counts in the termination message of its pod, never names of devices."""

import json

from device_scorer.contract.causes import FLEET
from device_scorer.health.incidents import OPENED
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.summary import Summary

FORMAT_VERSION = 1


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
