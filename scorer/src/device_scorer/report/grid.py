"""The grid of the report: which devices it shows, and the kind of each cell."""

from collections.abc import Sequence

from device_scorer.report.summary import DeviceRow

MAX_GRID_DEVICES = 20_000
"""Number of devices in the grid and in the search."""

ELEVATED_SHARE, SEVERE_SHARE = 0.05, 0.2
"""Shares of anomalies above which an anomalous device has the kind "elevated" or "severe"."""

CELL_KINDS = {
    "good": "normal",
    "anomalous": "anomalous",
    "elevated": "anomalies in more than 5% of readings",
    "severe": "anomalies in more than 20%",
    "partial": "partly scored",
    "no-readings": "no readings",
    "failed": "failed",
    "unknown": "not run or unknown",
}
"""Kinds of a device's cell: the suffix of the CSS class, and the text of the legend."""


def devices_in_grid(devices: Sequence[DeviceRow]) -> list[DeviceRow]:
    """Return the devices of the grid, in order.

    Of more than MAX_GRID_DEVICES, normal devices are omitted first, and of these the last ones.
    """
    if len(devices) <= MAX_GRID_DEVICES:
        return list(devices)
    order = {row.device: index for index, row in enumerate(devices)}
    seen = sorted(devices, key=lambda row: (cell_kind(row) == "good", -row.statistics.anomalies, order[row.device]))
    return sorted(seen[:MAX_GRID_DEVICES], key=lambda row: order[row.device])


def cell_kind(device: DeviceRow) -> str:
    """Return the kind of a device's cell, a key of CELL_KINDS."""
    outcome, statistics = device.outcome.kind, device.statistics
    if not statistics.rows:
        return {"failed": "failed", "empty": "no-readings"}.get(outcome, "unknown")
    if device.anomalous:
        share = statistics.anomalies / statistics.rows
        return "severe" if share > SEVERE_SHARE else "elevated" if share > ELEVATED_SHARE else "anomalous"
    return "partial" if outcome == "partial" else "good"
