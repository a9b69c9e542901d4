"""The notices of a report: each event once, none lost, and the outbox never believed if it is damaged."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from device_scorer.health.globs import DeviceGlob
from device_scorer.health.incidents import Incident
from device_scorer.health.mutes import parse_mutes
from device_scorer.health.settings import Owner
from device_scorer.notify.delivery import Delivery
from device_scorer.notify.outbox import Entry, Outbox, decode_outbox, encode_outbox
from device_scorer.notify.receivers import Receiver, Receivers
from device_scorer.report.fleet_health import FleetHealth, IncidentRow
from device_scorer.report.notifier import Notifier
from device_scorer.store.folder import FolderStore
from device_scorer.window import Window

START = datetime(2018, 8, 28, 23, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=1))
NOW = datetime(2018, 8, 29, 0, 5, tzinfo=UTC)
INCIDENT = Incident("i1", "press-7", "machine", "opened", "A", 0, None, 2)
HALL_3 = Owner(DeviceGlob("press-*"), "Hall 3", "hall3@x")
ROW = IncidentRow(INCIDENT, START - timedelta(hours=1), None, ["temp (30 anomalies)"], "-0.5", HALL_3)
HEALTH = FleetHealth([ROW])
STILL = FleetHealth([replace(ROW, incident=replace(INCIDENT, state="open", windows=3))])
LATER = Window(WINDOW.end, WINDOW.end + timedelta(hours=1))
ALERTS = Receiver("alerts", "alertmanager", "http://x")
HOOK = Receiver("hook", "webhook", "http://x")


class Sent:
    """A delivery that keeps what it gets; it accepts nothing while `down` is true."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.down = False

    def __call__(self, entries: Sequence[Entry], _receivers: Sequence[Receiver]) -> Delivery:
        if self.down:
            return Delivery((), ("hook: HTTP 500",))
        self.entries += entries
        return Delivery(tuple(entry.key for entry in entries))


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def notifier(tmp_path: Path, sent: Sent) -> Notifier:
    store = FolderStore(tmp_path)
    return Notifier(store, "plant", Receivers((ALERTS, HOOK)), "https://acc/predictions", send=sent, now=lambda: NOW)


def notify(
    notifier: Notifier, health: FleetHealth = HEALTH, window: Window = WINDOW, run_failure: str = ""
) -> list[str]:
    return notifier.notify(health, window, run_failure=run_failure)


def outbox(notifier: Notifier) -> Outbox:
    blob = notifier.store.read("predictions", "_outbox/plant.json")
    assert blob is not None
    return decode_outbox(blob.content)


def test_opened_incident_reaches_both_receivers_with_owner_and_report(notifier: Notifier, sent: Sent) -> None:
    assert notify(notifier) == []
    alert, event = (entry.body for entry in sent.entries)
    assert alert["labels"] == {
        "alertname": "FleetscoreIncident", "fleet": "plant", "device": "press-7", "cause": "machine", "owner": "Hall 3",
    }  # fmt: skip
    assert alert["annotations"]["report"] == "https://acc/predictions/20180828T230000Z_20180829T000000Z/report.html"
    assert alert["annotations"]["description"] == "2 windows; temp (30 anomalies)"
    assert alert["endsAt"] == "2018-08-29T03:05:00Z"
    assert (event["type"], event["data"]["contact"]) == ("dev.fleetscore.incident.opened", "hall3@x")


def test_owner_with_angle_brackets_in_the_name_is_sent_unchanged(notifier: Notifier, sent: Sent) -> None:
    owner = Owner(DeviceGlob("*"), "Line <3> crew", "a <b@x>")
    notify(notifier, FleetHealth([replace(ROW, owner=owner)]))
    alert, event = (entry.body for entry in sent.entries)
    assert alert["labels"]["owner"] == event["data"]["owner"] == "Line <3> crew"
    assert event["data"]["contact"] == "a <b@x>"


def test_repeated_report_sends_no_event_again(notifier: Notifier, sent: Sent) -> None:
    notify(notifier)
    changed = FleetHealth([replace(ROW, tags=["other"])])
    assert notify(notifier, changed) == []
    assert len(sent.entries) == 2


def test_open_incident_is_repeated_to_alertmanager_in_each_window(notifier: Notifier, sent: Sent) -> None:
    notify(notifier)
    notify(notifier, STILL, LATER)
    notify(notifier, STILL, LATER)
    assert [entry.receiver for entry in sent.entries] == ["alerts", "hook", "alerts"]


def test_undelivered_notice_is_sent_by_the_next_report_with_the_same_content(notifier: Notifier, sent: Sent) -> None:
    sent.down = True
    assert notify(notifier) == ["a notice is not delivered: hook: HTTP 500"]
    kept = outbox(notifier)
    sent.down = False
    notify(notifier, STILL, LATER)
    assert [entry for entry in sent.entries if entry.receiver == "hook"] == [kept.pending[1]]
    (alert,) = (entry.body for entry in sent.entries if entry.receiver == "alerts")
    assert alert["labels"] == kept.pending[0].body["labels"]
    assert alert["annotations"]["windows"] == "3"


def test_crash_before_the_delivery_loses_no_notice(notifier: Notifier, sent: Sent) -> None:
    class Crash(Exception):  # noqa: N818
        pass

    def crash(*_: Any) -> Delivery:
        raise Crash

    with pytest.raises(Crash):
        notify(replace(notifier, send=crash))
    notify(notifier)
    assert len(sent.entries) == 2


def test_older_window_gives_no_new_notice_and_delivers_pending_ones(notifier: Notifier, sent: Sent) -> None:
    notify(notifier, replace(HEALTH, newest=False))
    assert sent.entries == []
    sent.down = True
    notify(notifier)
    sent.down = False
    notify(notifier, replace(HEALTH, newest=False))
    assert len(sent.entries) == 2


def test_report_that_ends_after_that_of_a_later_window_closes_nothing(notifier: Notifier, sent: Sent) -> None:
    then = replace(notifier, now=lambda: LATER.end)
    notify(then, STILL, LATER)
    notify(then, FleetHealth(), WINDOW)
    assert [entry.receiver for entry in sent.entries] == ["alerts", "hook"]
    in_the_future = replace(notifier, now=lambda: WINDOW.end)
    notify(in_the_future, FleetHealth(), WINDOW)
    assert len(sent.entries) == 4


def test_windows_of_another_length_close_neither_incident_nor_alert(notifier: Notifier, sent: Sent) -> None:
    notify(notifier, replace(HEALTH, series="PT3600S"))
    of_day = replace(ROW, incident=replace(INCIDENT, id="i2"))
    notify(notifier, FleetHealth([of_day], series="PT86400S"))
    assert [entry.body["data"]["incident"] for entry in sent.entries if entry.receiver == "hook"] == ["i1", "i2"]
    notify(notifier, FleetHealth(series="PT86400S"), LATER)
    assert [entry.receiver for entry in sent.entries].count("alerts") == 2
    notify(notifier, FleetHealth(series="PT3600S"), LATER)
    assert sent.entries[-2].body["endsAt"] == "2018-08-29T01:00:00Z"


@pytest.mark.parametrize("receiver", [ALERTS, HOOK], ids=["alertmanager", "webhook"])
def test_mute_ends_an_alert_and_delays_the_end_of_a_webhook(notifier: Notifier, sent: Sent, receiver: Receiver) -> None:
    only = replace(notifier, receivers=Receivers((receiver,)))
    notify(only)
    mutes = parse_mutes(b"press-*,,,repair,\n", LATER)
    muted = FleetHealth([replace(STILL.incidents[0], muted="repair")], mutes=mutes)
    notify(only, muted, LATER)
    assert len(sent.entries) == (2 if receiver is ALERTS else 1)
    notify(only, FleetHealth(mutes=mutes), Window(LATER.end, LATER.end + timedelta(hours=1)))
    assert len(sent.entries) == (2 if receiver is ALERTS else 1)
    notify(only, FleetHealth(), Window(LATER.end, LATER.end + timedelta(hours=2)))
    assert len(sent.entries) == 2


def test_mute_of_all_devices_delays_the_end_of_an_incident_of_the_fleet(notifier: Notifier, sent: Sent) -> None:
    only = replace(notifier, receivers=Receivers((HOOK,)))
    notify(only, FleetHealth([replace(ROW, incident=replace(INCIDENT, device="", cause="fleet"))]))
    vanished = FleetHealth(mutes=parse_mutes(b"press-*,,,stop,\n", LATER), devices=["press-6", "press-7"])
    notify(only, vanished, LATER)
    assert len(sent.entries) == 1
    notify(only, replace(vanished, devices=["press-6", "saw-1"]), Window(LATER.end, LATER.end + timedelta(hours=1)))
    assert [entry.body["type"].rpartition(".")[2] for entry in sent.entries] == ["opened", "closed"]


def test_full_outbox_is_a_problem_of_the_reports_in_which_it_is_full(notifier: Notifier, sent: Sent) -> None:
    sent.down = True
    hook = replace(HOOK, max_per_window=1000)
    many = replace(notifier, receivers=Receivers((hook, replace(hook, name="b"), replace(hook, name="c"))))
    rows = [replace(ROW, incident=replace(INCIDENT, id=f"i{number}")) for number in range(1000)]
    assert "the outbox is full: 1,000 notices are dropped; check the receivers" in notify(many, FleetHealth(rows))
    assert notify(many, FleetHealth(rows)) == ["a notice is not delivered: hook: HTTP 500"]


def test_muted_incident_is_sent_to_no_receiver(notifier: Notifier, sent: Sent) -> None:
    notify(notifier, FleetHealth([replace(ROW, muted="maintenance")]))
    assert sent.entries == []


def test_failed_run_is_sent_to_receivers_that_want_it(notifier: Notifier, sent: Sent) -> None:
    wanting = replace(HOOK, events=frozenset({"runFailed"}))
    notify(replace(notifier, receivers=Receivers((wanting,))), run_failure="TooManyFailures: 9 of 10 devices failed")
    assert [entry.body["data"]["detail"] for entry in sent.entries] == ["TooManyFailures: 9 of 10 devices failed"]


def over(window: Window) -> FleetHealth:
    """Return the health in which the incident closes."""
    incident = replace(INCIDENT, state="closed", end=3, recovered=2)
    return FleetHealth([replace(ROW, incident=incident, until=window.start)])


FOUR_WINDOWS = [
    Window(START + index * timedelta(hours=1), WINDOW.end + index * timedelta(hours=1)) for index in range(4)
]
FOUR_REPORTS = [*zip([HEALTH, STILL, STILL], FOUR_WINDOWS, strict=False), (over(FOUR_WINDOWS[3]), FOUR_WINDOWS[3])]


@pytest.mark.parametrize("order", [*permutations(range(4))], ids=lambda order: "".join(map(str, order)))
def test_reports_of_four_windows_in_any_order_open_the_incident_and_close_it(
    notifier: Notifier, sent: Sent, order: Sequence[int]
) -> None:
    hook = replace(notifier, receivers=Receivers((HOOK,)), now=lambda: FOUR_WINDOWS[3].end)
    for index in [*order, 3, 3]:
        notify(hook, *FOUR_REPORTS[index])
    events = [entry.body["type"].rpartition(".")[2] for entry in sent.entries]
    assert events == ["opened", "closed"]


def test_incident_that_is_over_before_its_announcement_survives_an_outage(notifier: Notifier, sent: Sent) -> None:
    hook, sent.down = replace(notifier, receivers=Receivers((HOOK,))), True
    notify(hook, over(LATER), LATER)
    sent.down = False
    notify(hook, over(LATER), LATER)
    assert [entry.body["type"].rpartition(".")[2] for entry in sent.entries] == ["opened", "closed"]


def test_report_that_sends_slowly_repeats_nothing_after_a_later_report(notifier: Notifier, sent: Sent) -> None:
    sending, later_waits = Event(), Event()

    def send_slowly(entries: Sequence[Entry], receivers: Sequence[Receiver]) -> Delivery:
        sending.set()
        assert later_waits.wait(60)
        return sent(entries, receivers)

    def wait(_seconds: float) -> None:
        later_waits.set()
        slow.join(60)

    slow = Thread(target=notify, args=(replace(notifier, send=send_slowly, sender="slow"),))
    slow.start()
    assert sending.wait(60)
    assert notify(replace(notifier, sender="later", sleep=wait), over(LATER), LATER) == []
    later_waits.set()
    slow.join(60)
    assert [one.body["endsAt"] for one in sent.entries if one.receiver == "alerts"] == [
        "2018-08-29T03:05:00Z",
        "2018-08-29T01:00:00Z",
    ]
    assert [one.body["type"].rpartition(".")[2] for one in sent.entries if one.receiver == "hook"] == [
        "opened",
        "closed",
    ]


def test_report_whose_turn_does_not_come_leaves_its_notices_to_the_next(notifier: Notifier, sent: Sent) -> None:
    busy = Outbox((Entry("hook", "x", {"type": "t"}),), sender="other", turn_end=int(NOW.timestamp()) + 100)
    notifier.store.write("predictions", "_outbox/plant.json", encode_outbox(busy))
    (problem,) = notify(replace(notifier, sleep=lambda _: None))
    assert problem == "a notice is not delivered: other reports send all the time; the next report sends it"
    assert sent.entries == []
    notify(replace(notifier, now=lambda: NOW + timedelta(seconds=100)), STILL, LATER)
    assert len(sent.entries) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 9_000_000], ids=["empty", "object", "large"])
def test_damaged_outbox_is_reported_and_begun_again(notifier: Notifier, sent: Sent, content: bytes) -> None:
    notifier.store.write("predictions", "_outbox/plant.json", content)
    problems = notify(notifier)
    assert len(problems) == 1
    assert "a new outbox begins" in problems[0]
    assert len(sent.entries) == 2
    names = [info.name for info in notifier.store.list("predictions", "_outbox/")]
    assert len(names) == (1 if len(content) > 8 * 2**20 else 2)


def test_removed_receiver_leaves_the_outbox(notifier: Notifier, sent: Sent) -> None:
    sent.down = True
    notify(notifier)
    sent.down = False
    notify(replace(notifier, receivers=Receivers((ALERTS,))), FleetHealth())
    assert [entry.receiver for entry in sent.entries] == ["alerts"]


def test_receiver_without_its_secret_gets_its_notices_later(notifier: Notifier, sent: Sent) -> None:
    sent.down = True
    notify(notifier)
    sent.down = False
    waiting = Receivers((ALERTS,), ("receiver 'hook' cannot be used: no URL",), frozenset({"hook"}))
    notify(replace(notifier, receivers=waiting), STILL, LATER)
    notify(notifier, STILL, Window(LATER.end, LATER.end + timedelta(hours=1)))
    hooks = [entry.body for entry in sent.entries if entry.receiver == "hook"]
    assert [(body["type"], body["time"]) for body in hooks] == [
        ("dev.fleetscore.incident.opened", "2018-08-29T00:00:00Z")
    ]


def test_incident_whose_begin_leaves_the_history_opens_once(notifier: Notifier, sent: Sent) -> None:
    notify(notifier)
    later = replace(INCIDENT, id="i2", state="open", may_be_older=True)
    notify(notifier, FleetHealth([replace(ROW, incident=later, since=START)]), LATER)
    alerts = [entry.body for entry in sent.entries if entry.receiver == "alerts"]
    assert len(sent.entries) == 3
    assert [alert["startsAt"] for alert in alerts] == ["2018-08-28T22:00:00Z"] * 2
    closed = FleetHealth([replace(ROW, incident=replace(later, state="closed"), since=START, until=LATER.end)])
    notify(notifier, closed, Window(LATER.end, LATER.end + timedelta(hours=1)))
    assert [entry.body["data"]["incident"] for entry in sent.entries if entry.receiver == "hook"] == ["i1", "i1"]


def test_receiver_that_cannot_be_used_is_a_problem(notifier: Notifier) -> None:
    broken = replace(notifier, receivers=Receivers((), ("receiver 'a' cannot be used: no URL",)))
    assert notify(broken) == ["receiver 'a' cannot be used: no URL"]


def test_outbox_of_two_reports_at_once_keeps_the_notices_of_both(notifier: Notifier, sent: Sent) -> None:
    other = FleetHealth([replace(ROW, incident=replace(INCIDENT, id="i2", device="press-8"))])
    first = True

    def during(*_: Any) -> Delivery:
        nonlocal first
        if first:
            first = False
            notify(notifier, other)
        return Delivery((), ("hook: down",))

    notify(replace(notifier, send=during))
    assert outbox(notifier).pending == ()
    assert {entry.body["labels"]["device"] for entry in sent.entries if entry.receiver == "alerts"} == {
        "press-7",
        "press-8",
    }


def test_rejected_notice_is_not_sent_again(notifier: Notifier, sent: Sent) -> None:
    rejecting = lambda entries, _: Delivery((entries[0].key,), ("hook: 1 notice is rejected",), (entries[1].key,))  # noqa: E731
    assert notify(replace(notifier, send=rejecting)) == ["a notice is not delivered: hook: 1 notice is rejected"]
    notify(notifier)
    assert (sent.entries, outbox(notifier).pending) == ([], ())


def test_incident_whose_end_was_muted_has_no_invented_end(notifier: Notifier, sent: Sent) -> None:
    notify(notifier)
    notify(notifier, FleetHealth(), LATER)
    closed = sent.entries[-1].body["data"]
    assert "until" not in closed
    assert closed["summary"].endswith("is closed")
