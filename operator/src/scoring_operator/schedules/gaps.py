"""Which windows of a schedule lack a complete run, and which runs would make up for them. Pure: no clock, no I/O.

A run stands for a window if it asks for what the schedule's own would: its fleet, devices and tags. How the run came
about, and what it is called, does not matter. Runs that `backfill` makes carry a label of their own instead of the
schedule's: so they neither hold up the schedule's next run nor make it be skipped, and several may go at a time.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from scoring_operator.api.formatting import format_time
from scoring_operator.api.scoringrun import SCHEDULE_LABEL, Spec, Window
from scoring_operator.api.views import ConditionView
from scoring_operator.errors import InvalidSettings
from scoring_operator.schedules.windows import EPOCH, Schedule, build_run

BACKFILL_LABEL = "fleetscore.dev/backfill"
MAX_WINDOWS = 10_000
_MAX_NAME_LENGTH = 50


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[ConditionView, ...] = ()


class ListedRun(msgspec.Struct, frozen=True):
    """A ScoringRun, only as far as it is looked at here; one whose spec cannot be read has none."""

    metadata: _Metadata
    spec: Spec | None = None
    status: _Status = _Status()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.metadata.name

    @property
    def result(self) -> str:
        """How it ended: Complete, or the reason of Failed; '' while it has not."""
        for one in self.status.conditions:
            if one.status == "True" and one.type in ("Complete", "Failed"):
                return "Complete" if one.type == "Complete" else one.reason
        return ""


class _MetadataOnly(msgspec.Struct, frozen=True):
    metadata: _Metadata


_decode = msgspec.json.Decoder(ListedRun).decode
_decode_metadata = msgspec.json.Decoder(_MetadataOnly).decode


def read_run(content: bytes | msgspec.Raw) -> ListedRun:
    """Read the JSON of a ScoringRun."""
    try:
        return _decode(content)
    except msgspec.ValidationError:
        return ListedRun(_decode_metadata(content).metadata)


@dataclass
class WindowStates:
    """Windows by what became of them; each stands in one of the lists, oldest first."""

    complete: list[Window] = field(default_factory=list)
    active: list[Window] = field(default_factory=list)
    failed: list[Window] = field(default_factory=list)
    missing: list[Window] = field(default_factory=list)

    def to_backfill(self, *, gaps_only: bool) -> list[Window]:
        """The windows that need a run: those without any, and unless `gaps_only` those whose runs all failed."""
        return self.missing if gaps_only else sorted(self.missing + self.failed, key=lambda window: window.start)


def windows_between(start: datetime, end: datetime, length: timedelta) -> list[Window]:
    """Give the windows that lie wholly in [start, end), oldest first.

    Raises:
        SettingsInvalid: There are none, or more than 10,000.
    """
    first, last = -((EPOCH - start) // length), (end - EPOCH) // length
    if last <= first:
        raise InvalidSettings(f"no whole window of {length} lies between {format_time(start)} and {format_time(end)}")
    if last - first > MAX_WINDOWS:
        raise InvalidSettings(f"{last - first:,} windows are more than {MAX_WINDOWS:,}: bring --from and --to closer")
    return [Window(EPOCH + at * length, EPOCH + (at + 1) * length) for at in range(first, last)]


def classify_windows(schedule: Schedule, windows: Iterable[Window], runs: Iterable[ListedRun]) -> WindowStates:
    """Sort windows by the runs that stand for them: one complete run is enough, whatever became of others.

    Raises:
        SettingsInvalid: The schedule's `run` is no spec of a ScoringRun.
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
    """Build the run that makes up for a window.

    It is named as the schedule's own would be, so that a firing that comes late finds it; where an earlier run has that
    name, with the first free number behind it.
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
