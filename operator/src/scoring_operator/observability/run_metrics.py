"""The metrics of ScoringRuns, derived from their status.

A run is counted once, when an event first shows its end. A run that ended before the process started is not counted;
only its window is published.

The author of a run chooses its fleet, its label of a schedule and its window. So a fleet is a label value only if the
administrator defined it. A schedule is a label value only if the run is one that the chart's schedule creates. A reason
is a label value only if it is one of the operator's, because users may edit the progress of a run. A run without
devices, such as a rejected one, changes no gauge of a window, and neither does a run that ended before its window.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scoring_operator.api.conditions import find_condition, true_condition
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.contract.outcome_message import REASONS
from scoring_operator.contract.report_message import CAUSES, FLAGS, known
from scoring_operator.errors import InvalidRun
from scoring_operator.observability.health_metrics import ReportedWindow, RunLabels
from scoring_operator.observability.metrics import Metrics

MAX_COUNTED_RUNS = 100_000  # whose uids are remembered
_UNFINISHED_STATES = ("total", "pending", "active")
_NOT_FAILURES = ("Cancelled", "Skipped")  # reasons of Failed that are not failures of the run


class RunLoad(NamedTuple):
    """The load of one run.

    Attributes:
        namespace: The run's namespace.
        fleet: The run's fleet.
        active: The number of its active Jobs.
        queued: True while another run blocks it.
        stalled_reason: The reason of its condition Stalled or Waiting; empty if neither is True.
    """

    namespace: str
    fleet: str
    active: int
    queued: bool
    stalled_reason: str


class RunMetrics:
    """Observes runs and updates the metrics.

    Args:
        metrics: The metrics to update.
        since: The start of the process. Runs that ended before are not counted.
        fleets: The administrator's fleets, by name.
    """

    def __init__(self, metrics: Metrics, since: datetime, fleets: Mapping[str, Fleet]) -> None:
        self._metrics = metrics
        self._since = since.astimezone(UTC).replace(microsecond=0)
        self._fleets = fleets
        self._counted: dict[str, None] = {}  # the uids of runs, the oldest first

    def observe_run(self, body: Mapping[str, Any], *, active: bool) -> None:
        """Update the metrics with a ScoringRun of an event.

        Args:
            body: The object.
            active: True in the leader. Only the leader counts runs; every process publishes the last window.
        """
        try:
            run = parse_run(body)
            end = _status_time(run, "completionTime")
        except (InvalidRun, ValueError):
            return
        if not run.ended or end is None:
            return
        outcome = _outcome(run)
        fleet = self._fleets.get(run.spec.fleet)
        schedule = run.schedule if fleet and fleet.scheduled(run) else ""
        labels = RunLabels(fleet.name if fleet else "", run.namespace, schedule)
        devices = {key: n for key, n in run.status.get("devices", {}).items() if key not in _UNFINISHED_STATES}
        is_new = self._count_once(run.uid) and end >= self._since
        if is_new and active:
            self._metrics.record_run(
                labels,
                outcome=outcome,
                seconds=(end - (_status_time(run, "startTime") or end)).total_seconds(),
                devices=devices,
                reasons=_known_reasons(run.status.get("failureReasons", {})),
            )
        if not devices or run.spec.window.end > end:
            return
        if (reported := _reported_window(run)) is not None:
            self._metrics.health.record(labels, reported)
        if schedule and outcome in ("Complete", "Failed"):
            without_model = run.status.get("withoutModel", {}).get("count", 0)
            self._metrics.record_ended_window(
                labels, end=run.spec.window.end, devices=devices, without_model=without_model
            )
        if outcome == "Complete":
            results = run.status.get("results", {})
            self._metrics.record_complete_window(
                labels,
                end=run.spec.window.end,
                anomalies=results.get("anomalies", 0),
                anomalous=results.get("anomalousDevices", 0),
            )

    def _count_once(self, uid: str) -> bool:
        """Return True if a run was not counted before, and remember it."""
        is_new = uid not in self._counted
        self._counted[uid] = None
        if len(self._counted) > MAX_COUNTED_RUNS:
            del self._counted[next(iter(self._counted))]
        return is_new

    def set_load(self, runs: Iterable[RunLoad]) -> None:
        """Publish the number of active Jobs and of queued, stalled and waiting runs, by fleet and namespace."""
        active: Counter[tuple[str, ...]] = Counter()
        queued: Counter[tuple[str, ...]] = Counter()
        stalled: Counter[tuple[str, ...]] = Counter()
        for run in runs:
            where = (run.fleet if run.fleet in self._fleets else "", run.namespace)
            active[where] += run.active
            queued[where] += run.queued
            if run.stalled_reason:
                stalled[*where, run.stalled_reason] += 1
        self._metrics.set_load(active=active, queued=queued, stalled=stalled)


def _outcome(run: ScoringRun) -> str:
    if true_condition(run.status, "Complete"):
        return "Complete"
    failed = true_condition(run.status, "Failed")
    return failed.reason if failed and failed.reason in _NOT_FAILURES else "Failed"


def _known_reasons(counts: Mapping[str, int]) -> Counter[str]:
    """Return the failed devices by a reason of the closed list; progress that a user edited may have others."""
    found: Counter[str] = Counter()
    for reason, count in counts.items():
        found[reason if reason in REASONS else "Other"] += count
    return found


def _reported_window(run: ScoringRun) -> ReportedWindow | None:
    """Return the figures of the report of a run; None if the report has not ended or has no figures."""
    condition, end, status = find_condition(run.status, "Reported"), run.spec.window.end, run.status
    if condition is not None and condition.status == "False":
        return ReportedWindow(end)
    report, incidents = status.get("report", {}), status.get("incidents", {})
    if condition is None or condition.status != "True" or not incidents:
        return None
    return ReportedWindow(
        end,
        report=report.get("url") or report.get("path", ""),
        incidents=known(incidents.get("causes", {}), CAUSES),
        opened=incidents.get("openedUnmuted", 0),
        sensors=known(status.get("sensors", {}), FLAGS),
        notify_problems=report.get("notifyProblems", 0),
    )


def _status_time(run: ScoringRun, key: str) -> datetime | None:
    text = run.status.get(key)
    return datetime.fromisoformat(text) if text else None
