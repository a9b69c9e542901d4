"""The selection of notices for a receiver, and what the receiver then knows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from device_scorer.notify.notices import Notice, to_alert, to_cloud_event
from device_scorer.notify.receivers import Receiver
from device_scorer.notify.selection import MAX_ANNOUNCED, Announced, continue_announced, select

SINCE, END = datetime(2018, 8, 28, 21, tzinfo=UTC), datetime(2018, 8, 28, 23, tzinfo=UTC)
OPENED = Notice("opened", "i1", "plant", "machine", END, SINCE, device="press-7", windows=2, owner="hall3")
STILL = replace(OPENED, event="open", windows=3, window_end=END + timedelta(hours=1))
CLOSED = replace(OPENED, event="closed", until=END)
ALERTS = Receiver("alerts", "alertmanager", "http://x")
HOOK = Receiver("hook", "webhook", "http://x")
KNOWN = Announced("i1", "press-7", "machine", int(SINCE.timestamp()), "hall3")


def events(
    notices: Sequence[Notice], receiver: Receiver = HOOK, announced: Sequence[Announced] = ()
) -> list[tuple[str, str]]:
    return [(one.event, one.id) for one in select(notices, receiver, announced).notices]


def test_muted_notice_goes_to_no_receiver() -> None:
    assert events([replace(OPENED, muted=True)], ALERTS) == events([replace(OPENED, muted=True)], HOOK) == []


def test_open_incident_is_repeated_for_alertmanager_only() -> None:
    assert select([STILL], ALERTS, [KNOWN]).notices == (STILL,)
    assert select([STILL], HOOK, [KNOWN]).notices == ()


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        (replace(HOOK, causes=frozenset({"data"})), []),
        (replace(HOOK, min_windows=3), []),
        (replace(HOOK, min_windows=2), ["i1"]),
        (replace(HOOK, events=frozenset({"closed"})), []),
    ],
)
def test_receiver_gets_its_events_causes_and_durations(receiver: Receiver, expected: list[str]) -> None:
    assert [id_ for _, id_ in events([OPENED], receiver)] == expected


def test_notices_above_the_limit_are_counted_in_one_more() -> None:
    many = [replace(OPENED, id=f"i{number}", device=f"press-{number}") for number in range(8)]
    kept = select(many, replace(HOOK, max_per_window=3)).notices
    assert [one.event for one in kept] == ["opened"] * 3 + ["more"]
    assert kept[-1].detail == "5 more notices of this window are not sent; the report lists all"
    assert to_cloud_event(kept[-1])["type"] == "dev.fleetscore.incident.more"
    assert select(many[::-1], replace(HOOK, max_per_window=3)).notices == kept


def test_incident_of_the_fleet_goes_before_those_of_devices() -> None:
    fleet = replace(OPENED, id="f", cause="fleet", device="")
    assert select([OPENED, fleet], replace(HOOK, max_per_window=1)).notices[0].id == "f"


@pytest.mark.parametrize("receiver", [ALERTS, HOOK], ids=["alertmanager", "webhook"])
def test_open_incident_that_was_not_announced_is_announced_late(receiver: Receiver) -> None:
    first = select([STILL], receiver)
    assert [(one.event, one.id) for one in first.notices] == [("opened", "i1")]
    assert first.announced == (KNOWN,)


def test_incident_is_announced_when_it_has_lasted_long_enough() -> None:
    receiver = replace(HOOK, min_windows=3)
    assert events([OPENED], receiver) == []
    assert events([STILL], receiver) == [("opened", "i1")]


def test_receiver_without_opened_events_gets_no_open_alert() -> None:
    only_runs = replace(ALERTS, events=frozenset({"runFailed"}))
    assert events([OPENED, STILL], only_runs) == []


def test_closed_incident_is_closed_as_it_was_announced() -> None:
    changed = replace(CLOSED, cause="sensor", owner="other", windows=1)
    for receiver in (ALERTS, replace(HOOK, causes=frozenset({"machine"}), min_windows=2)):
        (notice,) = select([changed], receiver, [KNOWN]).notices
        assert (notice.event, notice.cause, notice.owner) == ("closed", "machine", "hall3")


def test_alert_with_another_cause_ends_and_the_new_one_begins() -> None:
    found = select([replace(STILL, cause="sensor")], ALERTS, [KNOWN])
    assert [(one.event, one.cause) for one in found.notices] == [("closed", "machine"), ("opened", "sensor")]
    assert [one.cause for one in found.announced] == ["sensor"]


@pytest.mark.parametrize("change", [{"muted": True}, {"cause": "data"}], ids=["muted", "another cause"])
def test_alert_that_a_receiver_must_not_have_ends_and_a_webhook_waits(change: dict[str, object]) -> None:
    now, machines = replace(STILL, **change), frozenset({"machine"})  # type: ignore[arg-type]
    alerts = select([now], replace(ALERTS, causes=machines), [KNOWN])
    assert [one.event for one in alerts.notices] == ["closed"]
    assert alerts.announced == ()
    hook = select([now], replace(HOOK, causes=machines), [KNOWN])
    assert (hook.notices, hook.announced) == ((), (KNOWN,))


def test_muted_incident_that_closes_stays_announced_until_the_mute_ends() -> None:
    assert select([replace(CLOSED, muted=True)], HOOK, [KNOWN]).announced == (KNOWN,)


def test_counted_incident_is_not_announced_later_and_not_closed_as_an_alert() -> None:
    first = select([OPENED, replace(OPENED, id="i2", device="press-8")], replace(ALERTS, max_per_window=1))
    assert [one.counted for one in first.announced] == [False, True]
    assert events([replace(STILL, id="i2")], ALERTS, first.announced) == []
    assert events([replace(CLOSED, id="i2")], ALERTS, first.announced) == []
    assert events([replace(CLOSED, id="i2")], HOOK, first.announced) == []


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        (HOOK, ["opened", "closed"]),
        (replace(HOOK, max_per_window=1), ["opened", "closed"]),
        (replace(HOOK, max_per_window=0), ["more"]),
        (replace(HOOK, min_windows=3), []),
        (replace(HOOK, causes=frozenset({"data"})), []),
        (replace(HOOK, events=frozenset({"closed"})), ["closed"]),
        (replace(HOOK, events=frozenset({"opened"})), []),
        (ALERTS, ["closed"]),
    ],
)
def test_incident_that_is_over_before_its_announcement_opens_and_closes(
    receiver: Receiver, expected: list[str]
) -> None:
    found = select([CLOSED], receiver)
    assert [one.event for one in found.notices] == expected
    assert found.announced == ()
    assert [one.until for one in found.notices if one.event == "opened"] == [None] * expected.count("opened")


def test_limit_of_a_window_ends_no_alert_and_keeps_none_open() -> None:
    receiver = replace(ALERTS, max_per_window=1)
    known = [replace(KNOWN, id=f"i{number}", device=f"press-{number}") for number in range(9)]
    still = [replace(STILL, id=one.id, device=one.device) for one in known]
    assert events(still, receiver, known) == [("open", one.id) for one in known]
    closed = [replace(CLOSED, id=one.id, device=one.device) for one in known]
    assert events(closed, receiver, known) == [("closed", one.id) for one in known]


def test_end_of_known_incidents_of_a_webhook_has_no_limit() -> None:
    known = [replace(KNOWN, id=f"i{number}", device=f"press-{number}") for number in range(9)]
    closed = [replace(CLOSED, id=one.id, device=one.device) for one in known]
    found = select(closed, replace(HOOK, max_per_window=1), known)
    assert [(one.event, one.id) for one in found.notices] == [("closed", one.id) for one in known]
    assert found.announced == ()


@pytest.mark.parametrize(
    ("change", "continued"),
    [
        ({}, True),
        ({"event": "closed"}, True),
        ({"may_be_older": False}, False),
        ({"device": "press-8"}, False),
        ({"since": SINCE - timedelta(hours=1)}, False),
    ],
    ids=["open", "closed", "begin is known", "another device", "older than announced"],
)
def test_incident_whose_begin_is_forgotten_keeps_its_id(change: dict[str, Any], *, continued: bool) -> None:
    later = replace(STILL, id="i2", since=SINCE + timedelta(days=7), may_be_older=True)
    (found,) = continue_announced([replace(later, **change)], [KNOWN])
    assert ((found.id, found.since) == ("i1", SINCE)) is continued
    assert continue_announced([later, STILL], [KNOWN]) == [later, STILL]


def test_number_of_announced_incidents_is_bounded() -> None:
    assert MAX_ANNOUNCED == 1000
    many = [replace(OPENED, id=f"i{number}", device=f"{number:05}") for number in range(1003)]
    found = select(many, replace(HOOK, max_per_window=1000))
    assert len(found.announced) == 1000
    assert found.notices[-1].detail.startswith("3 more")
    assert select([replace(one, event="open") for one in many], HOOK, found.announced).notices == ()


def test_closing_notice_has_the_labels_of_the_announced_alert() -> None:
    (known,) = select([OPENED], ALERTS).announced
    assert to_alert(known.closing("plant", END, ""), ends_at=None)["labels"] == to_alert(OPENED, ends_at=None)["labels"]
