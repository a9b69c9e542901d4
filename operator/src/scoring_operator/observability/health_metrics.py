"""The metrics of the health of fleets, by fleet, namespace and schedule, from the latest window that has a report.

The status of a run has the figures of its report, so that the gauges are set again after a restart. A run of an earlier
window changes no gauge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge

RUN_LABELS = ("fleet", "run_namespace", "schedule")  # Prometheus sets `namespace` to the operator's namespace


class RunLabels(NamedTuple):
    """The labels that metrics have for a run.

    Attributes:
        fleet: The run's fleet; empty if the administrator did not define it.
        run_namespace: The run's namespace.
        schedule: The run's schedule; empty for a run without one.
    """

    fleet: str
    run_namespace: str
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class ReportedWindow:
    """The figures of a window's report.

    Attributes:
        end: The end of the window.
        report: The address or the path of the page; empty if the report failed, so that there are no figures.
        incidents: The open incidents by cause.
        opened: The number of incidents that opened in the window and are not muted.
        sensors: The faulty sensors by fault.
        notify_problems: The number of problems with receivers of notices.
    """

    end: datetime
    report: str = ""
    incidents: Mapping[str, int] = field(default_factory=dict)
    opened: int = 0
    sensors: Mapping[str, int] = field(default_factory=dict)
    notify_problems: int = 0


class HealthMetrics:
    """The gauges of the latest window of each schedule.

    Args:
        registry: The registry of the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, description: str, *labels: str) -> Gauge:
            return Gauge(f"fleetscore_last_window_{name}", description, (*RUN_LABELS, *labels), registry=registry)

        self._incidents = gauge("open_incidents", "Open incidents after the latest reported window, by cause", "cause")
        self._opened = gauge("opened_incidents", "Unmuted incidents that opened in the latest reported window")
        self._sensors = gauge("flagged_sensors", "Faulty sensors in the latest reported window, by flag", "flag")
        self._notify_problems = gauge(
            "notify_problems", "Problems with receivers of notices in the latest reported window"
        )
        self._failed = gauge("report_failed", "1 if the report of the latest window failed")
        self._page = gauge("report_info", "Always 1; the label url is the address of the latest report", "url")
        self._latest_end: dict[RunLabels, datetime] = {}
        self._latest_report: dict[RunLabels, datetime] = {}
        self._pages: dict[RunLabels, str] = {}

    def record(self, labels: RunLabels, window: ReportedWindow) -> None:
        """Publish the figures of a window, if it is the latest one; repeated calls in any order are allowed.

        Args:
            labels: The labels of the run.
            window: The figures. Those of the latest report remain if a later report failed.
        """
        if window.end >= self._latest_end.get(labels, window.end):
            self._latest_end[labels] = window.end
            self._failed.labels(*labels).set(not window.report)
        if not window.report or window.end < self._latest_report.get(labels, window.end):
            return
        self._latest_report[labels] = window.end
        for cause, count in window.incidents.items():
            self._incidents.labels(*labels, cause).set(count)
        for flag, count in window.sensors.items():
            self._sensors.labels(*labels, flag).set(count)
        self._opened.labels(*labels).set(window.opened)
        self._notify_problems.labels(*labels).set(window.notify_problems)
        if (old := self._pages.get(labels)) not in (None, window.report):
            self._page.remove(*labels, old)
        self._pages[labels] = window.report
        self._page.labels(*labels, window.report).set(1)
