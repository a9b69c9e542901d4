"""The windows of a schedule without a complete run, and the runs that fill these gaps.

A run belongs to a window of a schedule if it has the same fleet, devices and tags as the schedule's own runs. The
creator and the name of the run do not matter. Runs of `backfill` have a label of their own instead of the schedule's.
So they do not block the schedule's next run, and several of them may be active at once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from scoring_operator.api.conditions import Condition, first_true
from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import SCHEDULE_LABEL, TERMINAL_CONDITIONS, Spec, Window
from scoring_operator.errors import InvalidSettings
from scoring_operator.schedules.windows import EPOCH, Schedule, build_run

BACKFILL_LABEL = "fleetscore.dev/backfill"
MAX_WINDOWS = 10_000
_MAX_NAME_LENGTH = 50


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...] = ()


class ListedRun(msgspec.Struct, frozen=True):
    """A ScoringRun in a list; the spec is None if this operator cannot read it."""

    metadata: _Metadata
    spec: Spec | None = None
    status: _Status = _Status()

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.metadata.name

    @property
    def result(self) -> str:
        """The result of the run: Complete, the reason of Failed, or '' while the run is active."""
        end = first_true(self.status.conditions, *TERMINAL_CONDITIONS)
        if end is None:
            return ""
        return "Complete" if end.type == "Complete" else end.reason


class _MetadataOnly(msgspec.Struct, frozen=True):
    metadata: _Metadata


_decode = msgspec.json.Decoder(ListedRun).decode
_decode_metadata = msgspec.json.Decoder(_MetadataOnly).decode


def read_run(content: bytes | msgspec.Raw) -> ListedRun:
    """Parse the JSON of a ScoringRun."""
    try:
        return _decode(content)
    except msgspec.ValidationError:
        return ListedRun(_decode_metadata(content).metadata)


@dataclass
class WindowStates:
    """Windows by the results of their runs, oldest first; each window is in one list."""

    complete: list[Window] = field(default_factory=list)
    active: list[Window] = field(default_factory=list)
    failed: list[Window] = field(default_factory=list)
    missing: list[Window] = field(default_factory=list)

    def to_backfill(self, *, gaps_only: bool) -> list[Window]:
        """Return the windows that need a run.

        Args:
            gaps_only: Whether to leave out the windows whose runs failed.
        """
        return self.missing if gaps_only else sorted(self.missing + self.failed, key=lambda window: window.start)


def windows_between(start: datetime, end: datetime, length: timedelta) -> list[Window]:
    """Return the windows that are entirely in [start, end), oldest first.

    Raises:
        InvalidSettings: The range has no window, or more than 10,000.
    """
    first, last = -((EPOCH - start) // length), (end - EPOCH) // length
    if last <= first:
        raise InvalidSettings(f"no complete window of {length} is between {format_time(start)} and {format_time(end)}")
    if last - first > MAX_WINDOWS:
        raise InvalidSettings(f"{last - first:,} windows are more than {MAX_WINDOWS:,}; choose a shorter range")
    return [Window(EPOCH + at * length, EPOCH + (at + 1) * length) for at in range(first, last)]


def classify_windows(schedule: Schedule, windows: Iterable[Window], runs: Iterable[ListedRun]) -> WindowStates:
    """Classify windows by the results of their runs; one complete run completes a window.

    Args:
        schedule: The schedule.
        windows: The windows, oldest first.
        runs: The runs of the namespace.

    Raises:
        InvalidSettings: The schedule's `run` is not the spec of a ScoringRun.
    """
    try:
        expected = msgspec.convert(
            {"window": {"start": EPOCH, "end": EPOCH}, "fleet": schedule.fleet} | schedule.run, Spec
        )
    except msgspec.ValidationError as error:
        raise InvalidSettings(f"schedule {schedule.name!r}: run: {error}") from None
    results_by_window: dict[Window, set[str]] = {}
    for run in runs:
        spec = run.spec
        if spec and (spec.fleet, spec.devices, spec.tags) == (expected.fleet, expected.devices, expected.tags):
            results_by_window.setdefault(spec.window, set()).add(run.result)
    states = WindowStates()
    for window in windows:
        results = results_by_window.get(window, set())
        windows_of_state = (
            states.complete if "Complete" in results else states.active if "" in results else states.failed
        )
        (windows_of_state if results else states.missing).append(window)
    return states


def build_backfill_run(
    schedule: Schedule, window: Window, *, namespace: str, existing_names: Collection[str]
) -> Mapping[str, Any]:
    """Return the run that fills a gap.

    The run has the name of the schedule's own run, so that a late firing finds it. If the name is taken, the first
    free number is appended.

    Args:
        schedule: The schedule.
        window: The window.
        namespace: The namespace of the run.
        existing_names: The names of the runs in the namespace.
    """
    body = build_run(schedule, window, namespace=namespace)
    meta = body["metadata"]
    name, attempt = meta["name"], 1
    while name in existing_names:
        attempt += 1
        tail = f"{meta['name'][len(schedule.name) :]}-{attempt}"
        name = f"{schedule.name[: _MAX_NAME_LENGTH - len(tail)].rstrip('-')}{tail}"
    labels = {key: value for key, value in meta["labels"].items() if key != SCHEDULE_LABEL}
    return body | {"metadata": meta | {"name": name, "labels": labels | {BACKFILL_LABEL: schedule.name}}}
