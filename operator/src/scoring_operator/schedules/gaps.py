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

from scoring_operator.api.formatting import stamp
from scoring_operator.api.scoringrun import SCHEDULE_LABEL, Spec, Window
from scoring_operator.api.views import ConditionView
from scoring_operator.errors import SettingsInvalid
from scoring_operator.schedules.windows import EPOCH, Schedule, schedule_run

BACKFILL_LABEL = "fleetscore.dev/backfill"
MOST_WINDOWS = 10_000
_LONGEST_NAME = 50


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Conditions(msgspec.Struct, frozen=True):
    conditions: tuple[ConditionView, ...] = ()


class ListedRun(msgspec.Struct, frozen=True):
    """A ScoringRun, only as far as it is looked at here; one whose spec cannot be read has none."""

    metadata: _Named
    spec: Spec | None = None
    status: _Conditions = _Conditions()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.metadata.name

    @property
    def end(self) -> str:
        """How it ended: Complete, or the reason of Failed; '' while it has not."""
        for one in self.status.conditions:
            if one.status == "True" and one.type in ("Complete", "Failed"):
                return "Complete" if one.type == "Complete" else one.reason
        return ""


class _OnlyNamed(msgspec.Struct, frozen=True):
    metadata: _Named


_decode = msgspec.json.Decoder(ListedRun).decode
_decode_name = msgspec.json.Decoder(_OnlyNamed).decode


def read_run(content: bytes | msgspec.Raw) -> ListedRun:
    """Read the JSON of a ScoringRun."""
    try:
        return _decode(content)
    except msgspec.ValidationError:
        return ListedRun(_decode_name(content).metadata)


@dataclass
class Survey:
    """Windows by what became of them; each stands in one of the lists, oldest first."""

    complete: list[Window] = field(default_factory=list)
    active: list[Window] = field(default_factory=list)
    failed: list[Window] = field(default_factory=list)
    missing: list[Window] = field(default_factory=list)

    def lacking(self, *, gaps_only: bool) -> list[Window]:
        """The windows that need a run: those without any, and unless `gaps_only` those whose runs all failed."""
        return self.missing if gaps_only else sorted(self.missing + self.failed, key=lambda window: window.start)


def windows_between(start: datetime, end: datetime, length: timedelta) -> list[Window]:
    """Give the windows that lie wholly in [start, end), oldest first.

    Raises:
        SettingsInvalid: There are none, or more than 10,000.
    """
    first, last = -((EPOCH - start) // length), (end - EPOCH) // length
    if last <= first:
        raise SettingsInvalid(f"no whole window of {length} lies between {stamp(start)} and {stamp(end)}")
    if last - first > MOST_WINDOWS:
        raise SettingsInvalid(f"{last - first:,} windows are more than {MOST_WINDOWS:,}: bring --from and --to closer")
    return [Window(EPOCH + at * length, EPOCH + (at + 1) * length) for at in range(first, last)]


def survey(schedule: Schedule, windows: Iterable[Window], runs: Iterable[ListedRun]) -> Survey:
    """Sort windows by the runs that stand for them: one complete run is enough, whatever became of others.

    Raises:
        SettingsInvalid: The schedule's `run` is no spec of a ScoringRun.
    """
    try:
        asked = msgspec.convert(
            {"window": {"start": EPOCH, "end": EPOCH}, "fleet": schedule.fleet} | schedule.run, Spec
        )
    except msgspec.ValidationError as error:
        raise SettingsInvalid(f"schedule {schedule.name!r}: run: {error}") from None
    ends: dict[Window, set[str]] = {}
    for run in runs:
        spec = run.spec
        if spec and (spec.fleet, spec.devices, spec.tags) == (asked.fleet, asked.devices, asked.tags):
            ends.setdefault(spec.window, set()).add(run.end)
    found = Survey()
    for window in windows:
        ended = ends.get(window, set())
        fate = found.complete if "Complete" in ended else found.active if "" in ended else found.failed
        (fate if ended else found.missing).append(window)
    return found


def backfill_run(schedule: Schedule, window: Window, *, namespace: str, taken: Collection[str]) -> Mapping[str, Any]:
    """Build the run that makes up for a window.

    It is named as the schedule's own would be, so that a firing that comes late finds it; where an earlier run has that
    name, with the first free number behind it.
    """
    body = schedule_run(schedule, window, namespace=namespace)
    meta = body["metadata"]
    name, attempt = meta["name"], 1
    while name in taken:
        attempt += 1
        tail = f"{meta['name'][len(schedule.name) :]}-{attempt}"
        name = f"{schedule.name[: _LONGEST_NAME - len(tail)].rstrip('-')}{tail}"
    labels = {key: value for key, value in meta["labels"].items() if key != SCHEDULE_LABEL}
    return body | {"metadata": meta | {"name": name, "labels": labels | {BACKFILL_LABEL: schedule.name}}}
