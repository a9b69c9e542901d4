"""What ScoringRuns, as their own status says, add to the metrics. Decides nothing and keeps no truth of its own.

A run counts once, when it is first seen ended; one that had ended before this process began is no news, and only tells
of its window.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scoring_operator.api.conditions import true_condition
from scoring_operator.api.scoringrun import ScoringRun, parse_run
from scoring_operator.errors import InvalidRun
from scoring_operator.observability.metrics import Metrics

MAX_SCHEDULE_LABELS = 500  # that are told apart: the label is the word of whoever may create runs
_UNFINISHED_STATES = ("total", "pending", "active")
_NOT_FAILURES = ("Cancelled", "Skipped")  # reasons of Failed that are no failure of the run


class RunLoad(NamedTuple):
    """The load of one run.

    Attributes:
        fleet: The run's fleet.
        active: The number of its active Jobs.
        queued: True while another run blocks it.
        stalled_reason: The reason of its true Stalled condition; empty if there is none.
    """

    fleet: str
    active: int
    queued: bool
    stalled_reason: str


class RunMetrics:
    """Feeds the metrics of the active operator.

    Args:
        metrics: To feed.
        since: Runs that ended before are not counted again.
    """

    def __init__(self, metrics: Metrics, since: datetime) -> None:
        self._metrics = metrics
        self._since = since.astimezone(UTC).replace(microsecond=0)
        self._counted: set[str] = set()
        self._schedules: set[str] = set()

    def observe_run(self, body: Mapping[str, Any], *, active: bool) -> None:
        """Take in a ScoringRun as an event has it.

        Args:
            body: The object.
            active: Whether this operator is the active one: only that one counts, but each knows the last window.
        """
        try:
            run = parse_run(body)
            end = _status_time(run, "completionTime")
        except (InvalidRun, ValueError):
            return
        if not run.ended or end is None:
            return
        outcome, schedule = _outcome(run), self._schedule_label(run)
        devices = {key: n for key, n in run.status.get("devices", {}).items() if key not in _UNFINISHED_STATES}
        news = end >= self._since and run.uid not in self._counted
        self._counted.add(run.uid)
        if news and active:
            self._metrics.record_run(
                run.spec.fleet,
                schedule,
                outcome=outcome,
                seconds=(end - (_status_time(run, "startTime") or end)).total_seconds(),
                devices=devices,
                reasons=run.status.get("failureReasons", {}),
            )
        if schedule and outcome in ("Complete", "Failed"):
            self._metrics.record_ended_window(run.spec.fleet, schedule, end=run.spec.window.end, devices=devices)
        if outcome == "Complete":
            results = run.status.get("results", {})
            self._metrics.record_complete_window(
                run.spec.fleet,
                schedule,
                end=run.spec.window.end,
                anomalies=results.get("anomalies", 0),
                anomalous=results.get("anomalousDevices", 0),
            )

    def _schedule_label(self, run: ScoringRun) -> str:
        """The run's schedule; that of a run made by hand where there are too many of them."""
        if len(self._schedules) < MAX_SCHEDULE_LABELS:
            self._schedules.add(run.schedule)
        return run.schedule if run.schedule in self._schedules else ""

    def set_load(self, runs: Iterable[RunLoad]) -> None:
        """Publish the number of active Jobs and of queued and stalled runs, by fleet."""
        active: Counter[str] = Counter()
        queued: Counter[str] = Counter()
        stalled: Counter[tuple[str, str]] = Counter()
        for run in runs:
            active[run.fleet] += run.active
            queued[run.fleet] += run.queued
            if run.stalled_reason:
                stalled[run.fleet, run.stalled_reason] += 1
        self._metrics.set_load(active=active, queued=queued, stalled=stalled)


def _outcome(run: ScoringRun) -> str:
    if true_condition(run.status, "Complete"):
        return "Complete"
    failed = true_condition(run.status, "Failed") or {}
    return failed["reason"] if failed.get("reason") in _NOT_FAILURES else "Failed"


def _status_time(run: ScoringRun, key: str) -> datetime | None:
    text = run.status.get(key)
    return datetime.fromisoformat(text) if text else None
