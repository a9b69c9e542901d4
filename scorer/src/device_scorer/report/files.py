"""The files of a report in storage: their names, their content and the order in which they are written."""

from collections.abc import Mapping, Sequence

from device_scorer import log
from device_scorer.report import documents, fleet_health, page
from device_scorer.report.charts import Point
from device_scorer.report.fleet_health import FleetHealth
from device_scorer.report.summary import Summary
from device_scorer.store.base import Store
from device_scorer.window import Window

SUMMARY_FILE = "_summary.json"
FAILURES_FILE = "_failures.csv"
EMPTY_FILE = "_empty.csv"
ANOMALIES_FILE = "_anomalies.csv"
SENSORS_FILE = "_sensors.csv"
INCIDENTS_FILE = "_incidents.csv"
PAGE_FILE = "report.html"
SUCCESS_MARKER = "_SUCCESS"


def render_files(
    window_summary: Summary,
    series: Mapping[str, Mapping[str, Sequence[Point]]],
    health: FleetHealth = FleetHealth(),  # noqa: B008  it is immutable
) -> dict[str, bytes]:
    """Return the content of the files by name, in the order in which they are written.

    Args:
        window_summary: The summary of the window.
        series: The readings to plot, by device and tag.
        health: The incidents and faulty sensors.
    """
    return {
        SUMMARY_FILE: documents.summary_json(window_summary, health),
        FAILURES_FILE: documents.failures_csv(window_summary),
        EMPTY_FILE: documents.empty_csv(window_summary),
        ANOMALIES_FILE: documents.anomalies_csv(window_summary),
        SENSORS_FILE: fleet_health.sensors_csv(health),
        INCIDENTS_FILE: fleet_health.incidents_csv(health),
        PAGE_FILE: page.render(window_summary, series, health),
    }


def write_files(store: Store, window: Window, files: Mapping[str, bytes], *, complete: bool) -> None:
    """Delete the old `_SUCCESS`, write the files, and last write `_SUCCESS` if the window is complete.

    A file whose name is taken by a device's predictions is not written.

    Args:
        store: The store.
        window: The window, whose folder receives the files.
        files: The content by file name.
        complete: True if the window is complete.
    """
    delete_success_marker(store, window)
    for file_name, content in files.items():
        name = f"{window.slug}/{file_name}"
        existing = store.head("predictions", name)
        if existing is not None and "window" in existing.metadata:
            log.warning(f"{name} exists and holds a device's predictions; the report file is not written")
            continue
        store.write("predictions", name, content, overwrite=True)
    if complete:
        store.write("predictions", f"{window.slug}/{SUCCESS_MARKER}", b"", overwrite=True)


def delete_success_marker(store: Store, window: Window) -> None:
    """Delete the window's `_SUCCESS`."""
    store.delete("predictions", f"{window.slug}/{SUCCESS_MARKER}")
