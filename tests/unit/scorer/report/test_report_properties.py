"""Reports in any order, repeated, lost, at once and stopped after any write: equal histories, and no lost incident."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from device_scorer.contract.digest import SensorFlag
from device_scorer.contract.run_state import DeviceOutcome
from device_scorer.health.settings import IncidentSettings
from device_scorer.notify.delivery import Delivery
from device_scorer.notify.outbox import Entry
from device_scorer.notify.receivers import Receiver, Receivers
from device_scorer.report.fleet_health import FleetHealth, incidents_csv
from device_scorer.report.health_keeper import HealthKeeper
from device_scorer.report.history_store import HistoryStore
from device_scorer.report.notifier import Notifier
from device_scorer.report.statistics import DeviceFigures, FlaggedSensor, TagStatistics
from device_scorer.report.summary import AnomalyRule, Comparison, DeviceRow, Summary, build_row
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, Store
from device_scorer.window import Window

DEVICES = ("press-1", "press-7", "press-9")
START = datetime(2018, 8, 26, 20, tzinfo=UTC)  # four hours before a week ends
HOUR = timedelta(hours=1)
SETTINGS = IncidentSettings("plant")
ALERTS = Receiver("alerts", "alertmanager", "http://x")
HOOK = Receiver("hook", "webhook", "http://x")
OUTCOMES = {"F": "failed", "E": "empty", "P": "partial", "-": "notRun"}
LAST = 9
COLUMN = st.text("NNNAAASEFP-?", min_size=len(DEVICES), max_size=len(DEVICES))


class Stopped(Exception):  # noqa: N818  it names a state
    """The process of a report was stopped."""


@dataclass
class MemoryStore:
    """A store in memory that can stop after a number of writes, and calls a function before each write."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    etags: Iterator[int] = field(default_factory=count)
    writes_left: int | None = None
    before_write: Callable[[], None] = lambda: None

    def read(self, _container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:  # noqa: ARG002  the protocol has it
        return self.blobs.get(name)

    def head(self, _container: str, name: str) -> BlobInfo | None:
        blob = self.blobs.get(name)
        return None if blob is None else BlobInfo(name, len(blob.content), blob.etag)

    def list(self, _container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:  # noqa: ARG002  the protocol has it
        return (
            BlobInfo(name, len(self.blobs[name].content), "") for name in sorted(self.blobs) if name.startswith(prefix)
        )

    def write(
        self,
        _container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        self.before_write()
        known = self.blobs.get(name)
        if not overwrite and (known.etag if known else None) != if_match:
            return None
        blob = self.blobs[name] = Blob(content, str(next(self.etags)), metadata)
        if self.writes_left is not None:
            self.writes_left -= 1
            if not self.writes_left:
                raise Stopped
        return blob.etag

    def history(self) -> dict[str, bytes]:
        return {name: blob.content for name, blob in self.blobs.items() if name.startswith("_history/")}


@dataclass
class Receiving:
    """The receivers: what an Alertmanager and a webhook know after the messages that they got."""

    now: datetime = START
    down: bool = False
    contents: dict[tuple[str, str], str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    open_incidents: dict[str, str] = field(default_factory=dict)

    def __call__(self, entries: Sequence[Entry], _receivers: Sequence[Receiver]) -> Delivery:
        if self.down:
            return Delivery((), ("hook: HTTP 503",))
        for entry in entries:
            text = json.dumps(entry.body, sort_keys=True)
            assert self.contents.setdefault(entry.key, text) == text, "an id has two contents"
            self._take(entry)
        return Delivery(tuple(entry.key for entry in entries))

    def _take(self, entry: Entry) -> None:
        body = entry.body
        if entry.receiver == "alerts":
            self.alerts[json.dumps([body["labels"]["device"], body["labels"]["cause"]])] = body["endsAt"]
        elif body["type"].endswith("opened"):
            assert body["data"]["incident"] not in self.open_incidents or entry.key in self.contents
            self.open_incidents[body["data"]["incident"]] = body["data"]["device"]
        else:
            self.open_incidents.pop(body["data"]["incident"], None)

    def active(self) -> set[tuple[str, str]]:
        now = f"{self.now:%FT%TZ}"
        return {cast("tuple[str, str]", tuple(json.loads(key))) for key, end in self.alerts.items() if end > now}


def window_at(index: int) -> Window:
    return Window(START + index * HOUR, START + (index + 1) * HOUR)


def a_row(device: str, letter: str, window: Window) -> DeviceRow:
    tags = {"temp": TagStatistics(240, 9)} if letter == "A" else {}
    flagged = (FlaggedSensor("temp", 240, SensorFlag("stuck")),) if letter == "S" else ()
    figures = DeviceFigures(240, 9 * len(tags), int(window.end.timestamp()), tags, flagged)
    return build_row(device, DeviceOutcome(OUTCOMES.get(letter, "scored")), figures, window, AnomalyRule())


def assess(store: MemoryStore, index: int, letters: str) -> FleetHealth:
    window = window_at(index)
    rows = [a_row(device, letter, window) for device, letter in zip(DEVICES, letters, strict=True) if letter != "?"]
    summary = Summary(window, AnomalyRule(), rows, Comparison(window, has_previous=False))
    without_sleep = lambda opened: HistoryStore(opened, sleep=lambda _: None)  # noqa: E731
    health = HealthKeeper(cast("Store", store), SETTINGS, window, without_sleep).assess(summary)
    store.write("predictions", f"{window.slug}/_incidents.csv", incidents_csv(health), overwrite=True)
    return health


def report(store: MemoryStore, receiving: Receiving, index: int, letters: str) -> FleetHealth:
    """Write the report of a window, as the command does."""
    health = assess(store, index, letters)
    receiving.now = max(receiving.now, window_at(index).end + HOUR / 12)
    notifier = Notifier(
        cast("Store", store), "plant", Receivers((ALERTS, HOOK)), send=receiving, now=lambda: receiving.now
    )
    notifier.notify(health, window_at(index))
    return health


@settings(deadline=None, max_examples=60)
@given(st.lists(COLUMN, min_size=LAST, max_size=LAST), st.data())
def test_reports_in_any_order_and_at_once_end_in_equal_histories(columns: list[str], data: st.DataObject) -> None:
    in_order, mixed = MemoryStore(), MemoryStore()
    for index, letters in enumerate(columns):
        expected = assess(in_order, index, letters)
    windows = range(LAST)
    order = [*data.draw(st.lists(st.sampled_from(windows), max_size=9)), *data.draw(st.permutations(windows))]
    at_once = data.draw(st.sets(st.sampled_from(range(len(order))), max_size=4))
    for position, index in enumerate(order):
        other = order[position - 1]

        def another_report(other: int = other) -> None:
            mixed.before_write = lambda: None
            assess(mixed, other, columns[other])

        if position in at_once:
            mixed.before_write = another_report
        assess(mixed, index, columns[index])
        mixed.before_write = lambda: None
    repeated = assess(mixed, LAST - 1, columns[-1])
    assert mixed.history() == in_order.history()
    assert incidents_csv(repeated) == incidents_csv(expected)


STEP = st.tuples(st.integers(0, LAST), COLUMN, st.booleans(), st.none() | st.integers(1, 4))
ALL_A = "A" * len(DEVICES)


@settings(deadline=None, max_examples=150)
@given(st.lists(STEP, max_size=2 * LAST), COLUMN)
@example([(7, ALL_A, False, None), (8, ALL_A, False, 1)], ALL_A)  # the report of the opening window is lost
@example([(4, "A??", False, None), (5, "A??", False, None), (4, "N??", False, None)], "A??")  # its begin changes
@example([(8, ALL_A, False, None), (9, ALL_A, False, None), (9, "NNN", False, None)], ALL_A)  # it opens twice
def test_receivers_know_the_open_incidents_however_reports_end(steps: list[Any], last: str) -> None:
    store, receiving = MemoryStore(), Receiving()
    for index, letters, down, writes in steps:
        receiving.down, store.writes_left = down, writes
        with suppress(Stopped):
            report(store, receiving, index, letters)
    receiving.down, store.writes_left = False, None
    health = report(store, receiving, LAST, last)
    current = [row.incident for row in health.incidents if row.incident.state != "closed"]
    assert sorted(receiving.open_incidents.values()) == sorted(one.device for one in current)
    # An incident that may be older than the known history keeps the id that its receiver knows.
    renamed = {one.device for one in current if one.may_be_older}
    known = {id_ for id_, device in receiving.open_incidents.items() if device not in renamed}
    assert known == {one.id for one in current if one.device not in renamed}
    assert receiving.active() == {(one.device, one.cause) for one in current}


@settings(deadline=None, max_examples=40)
@given(st.lists(COLUMN, min_size=6, max_size=6), st.integers(0, 5), st.integers(1, 4))
def test_stopped_report_that_is_repeated_ends_as_one_that_was_not(
    columns: list[str], stopped: int, writes: int
) -> None:
    stores, receivings = (MemoryStore(), MemoryStore()), (Receiving(), Receiving())
    for index, letters in enumerate(columns):
        for number, (store, receiving) in enumerate(zip(stores, receivings, strict=True)):
            store.writes_left = writes if number and index == stopped else None
            try:
                report(store, receiving, index, letters)
            except Stopped:
                store.writes_left = None
                report(store, receiving, index, letters)
    names = [name for name in stores[0].blobs if not name.startswith("_outbox/")]
    assert [stores[0].blobs[name].content for name in names] == [stores[1].blobs[name].content for name in names]
    assert receivings[0].contents == receivings[1].contents
