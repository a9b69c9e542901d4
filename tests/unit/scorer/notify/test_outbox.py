"""The outbox: each event once per receiver, bounded, and never believed if it is damaged."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.errors import DataInvalid
from device_scorer.notify.outbox import (
    MAX_BYTES,
    MAX_NAME_CHARS,
    MAX_SERIES,
    MAX_TIME,
    TURN_SECONDS,
    Entry,
    Outbox,
    decode_outbox,
    encode_outbox,
)
from device_scorer.notify.receivers import Receiver
from device_scorer.notify.selection import Announced

HOOK = Receiver("hook", "webhook", "http://x/token")
EMPTY = json.loads(encode_outbox(Outbox()))


def entry(number: int, receiver: str = "hook", **body: Any) -> Entry:
    return Entry(receiver, f"id-{number}", body or {"n": number})


def test_event_that_is_pending_or_delivered_keeps_its_first_content() -> None:
    outbox = Outbox().with_entries([entry(1), entry(1, n=9), entry(1, "other")])
    assert [one.body for one in outbox.pending] == [{"n": 1}, {"n": 1}]
    sent = outbox.without([("hook", "id-1")])
    assert [one.receiver for one in sent.pending] == ["other"]
    assert sent.with_entries([entry(1, n=9)]) == sent


def test_limits_of_the_outbox_are_2000_pending_and_20000_delivered() -> None:
    outbox = Outbox().with_entries(entry(number) for number in range(2003))
    assert len(outbox.pending) == 2000
    assert outbox.dropped == 3
    assert outbox.pending[0].id == "id-0"
    assert len(Outbox().without([("hook", f"id-{number}") for number in range(20_001)]).delivered) == 20_000
    assert (MAX_BYTES, MAX_SERIES, MAX_NAME_CHARS, MAX_TIME) == (8_388_608, 100, 63, 10**12)


@pytest.mark.parametrize(("text", "left"), [("", 2000), ("\u97f3" * 500, 1300)], ids=["count", "bytes"])
def test_receiver_that_is_down_takes_no_room_of_another(text: str, left: int) -> None:
    full = Outbox().with_entries(entry(number, a=text, b=text) for number in range(2000)).fitted()
    both = full.with_entries(entry(number, "other", a=text, b=text) for number in range(50)).fitted()
    counts = Counter(one.receiver for one in both.pending)
    assert counts["other"] == 50
    assert left - 50 <= counts["hook"] == len(full.pending) - (both.dropped - full.dropped)
    assert both.pending[0].id == "id-0"


def test_receiver_that_waits_for_its_secret_keeps_what_it_has() -> None:
    announced = {("hook", "PT3600S"): (Announced("i1", "d", "machine", 1),)}
    outbox = Outbox((entry(1),), announced=announced, addresses={"hook": "0"})
    assert outbox.only_for([], ["hook"]) == outbox
    assert outbox.only_for([]) == Outbox()


def test_outbox_with_long_texts_fits_into_its_blob() -> None:
    text = "\u97f3" * 500
    full = Outbox().with_entries(entry(number, a=text, b=text) for number in range(2000)).fitted()
    assert len(encode_outbox(full)) <= MAX_BYTES < len(encode_outbox(full.with_entries([entry(2001, a=text, b=text)])))
    assert full.dropped == 2000 - len(full.pending) > 0
    assert decode_outbox(encode_outbox(full)) == full


def test_announced_incidents_that_do_not_fit_are_left_out() -> None:
    text = "\u97f3" * 500
    incidents = tuple(Announced(f"i{number}", text, text, 1, text, text) for number in range(1000))
    assert Outbox((), (), 0, {("hook", ""): incidents}).fitted() == Outbox()


def test_newer_alert_replaces_a_pending_one_with_its_labels() -> None:
    first, second = (entry(number, "alerts", labels={"device": "d"}, n=number) for number in (1, 2))
    other = entry(3, "alerts", labels={"device": "e"})
    assert Outbox().with_entries([first, other]).with_entries([second]).pending == (other, second)


def test_incident_whose_dropped_notice_opens_it_counts_as_not_sent() -> None:
    def opened(number: int) -> Entry:
        return entry(number, type="dev.fleetscore.incident.opened", data={"incident": f"i{number}"})

    incidents = tuple(Announced(f"i{number}", f"press-{number}", "machine", 5) for number in range(2001))
    full = Outbox().with_announced("hook", "", incidents).with_entries(map(opened, range(2001)))
    assert [one.id for one in full.announced["hook", ""] if one.counted] == ["i2000"]
    closing = entry(2002, type="dev.fleetscore.incident.closed", data={"incident": "i0"})
    assert full.with_entries([closing]).announced == full.announced


def test_one_report_has_the_turn_until_it_gives_it_back_or_its_time_ends() -> None:
    assert Outbox().with_turn_of("a", 100) == Outbox()
    first = Outbox((entry(1),)).with_turn_of("a", 100)
    assert (first.sender, first.turn_end) == ("a", 250)
    assert first.with_turn_of("b", 249) == first
    assert first.with_turn_of("a", 249).turn_end == 399
    assert first.with_turn_of("b", 250).sender == "b"
    assert first.without_turn_of("b") == first
    assert first.without_turn_of("a") == Outbox((entry(1),))


def test_turn_that_ends_in_the_far_future_is_not_respected() -> None:
    assert Outbox((entry(1),), sender="a", turn_end=10**9).with_turn_of("b", 100).sender == "b"


def test_event_that_happens_twice_in_a_window_has_two_ids() -> None:
    event = Entry("hook", "a", {"id": "a"})
    outbox = Outbox().with_entries([event]).without([event.key])
    assert event.with_new_id(set()) == event
    again = event.with_new_id(outbox.known)
    assert again == Entry("hook", "a-2", {"id": "a-2"})
    assert event.with_new_id(outbox.with_entries([again]).known).id == "a-3"


def test_number_of_series_is_bounded() -> None:
    outbox = Outbox()
    for number in range(MAX_SERIES + 2):
        outbox = outbox.with_window(str(number), number)
    assert (len(outbox.windows), min(outbox.windows.values())) == (100, 2)


def test_entries_of_a_removed_receiver_leave_the_outbox() -> None:
    assert Outbox().with_entries([entry(1), entry(2, "old")]).only_for([HOOK]).pending == (entry(1),)


def test_receiver_at_another_address_knows_only_the_incidents_that_are_pending() -> None:
    incidents = (Announced("i1", "press-7", "machine", 5), Announced("i2", "press-8", "machine", 5))
    key = ("hook", "PT3600S")
    known = Outbox((entry(1, data={"incident": "i2"}),)).with_announced(*key, incidents).only_for([HOOK])
    assert known.only_for([replace(HOOK, url="http://x/other-token")]).announced == {key: incidents}
    assert known.only_for([replace(HOOK, url="http://y/token")]).announced == {key: incidents[1:]}
    other_type = known.only_for([replace(HOOK, type="alertmanager")])
    assert (other_type.pending, other_type.announced) == ((), {})


def test_outbox_of_an_earlier_version_has_no_addresses_and_no_turn() -> None:
    earlier = {key: value for key, value in EMPTY.items() if key not in ("addresses", "turn")}
    assert decode_outbox(json.dumps(earlier).encode()) == Outbox()


def test_outbox_is_the_same_after_a_round_trip() -> None:
    incidents = (Announced("i1", "press-7", "machine", -5, "Ann"), Announced("i2", "", "fleet", 5, counted=True))
    outbox = Outbox(
        (entry(1), entry(2, text="ü\n")),
        (("hook", "id-0"),),
        4,
        {("hook", "PT3600S"): incidents},
        {"PT3600S": 7},
        {"hook": HOOK.address},
        "a",
        250,
    )
    assert decode_outbox(encode_outbox(outbox)) == outbox


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b'{"v":2}', b"[" * 100_000, b"\xff",
        json.dumps({"v": 1, "pending": [["a", "b"]], "delivered": [], "dropped": 0}).encode(),
        json.dumps({"v": 1, "pending": [["a", "b", 1]], "delivered": [], "dropped": 0}).encode(),
        json.dumps({"v": 1, "pending": [], "delivered": [["a" * 64, "b"]], "dropped": 0}).encode(),
        json.dumps({"v": 1, "pending": [], "delivered": [], "dropped": -1}).encode(),
        json.dumps({"v": 1, "pending": [["a", "b", {}]] * 2001, "delivered": [], "dropped": 0}).encode(),
        json.dumps({**EMPTY, "announced": [["a", "b", [["i", "d", "c", 1e9, "", "", False]]]]}).encode(),
        json.dumps({**EMPTY, "announced": [["a", "b", [["i", "d", "c", 1, "", "", 0]]]]}).encode(),
        json.dumps({**EMPTY, "announced": [["a", "b", [["i", "d" * 501, "c", 1, "", "", False]]]]}).encode(),
        json.dumps({**EMPTY, "announced": [["a", "b", [["i", "d", "c", 1, "", "", False]] * 1001]]}).encode(),
        json.dumps({**EMPTY, "windows": {str(number): 1 for number in range(101)}}).encode(),
        json.dumps({**EMPTY, "windows": {"a": 10**13}}).encode(),
        json.dumps({**EMPTY, "windows": []}).encode(),
        json.dumps({**EMPTY, "turn": "a"}).encode(),
        json.dumps({**EMPTY, "turn": ["a", 1.5]}).encode(),
        json.dumps({**EMPTY, "turn": ["a" * 64, 1]}).encode(),
        b" " * (8 * 1024 * 1024 + 1),
    ],
)  # fmt: skip
def test_damaged_outbox_is_rejected(content: bytes) -> None:
    with pytest.raises(DataInvalid, match="the outbox is invalid"):
        decode_outbox(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_outbox_or_rejected(content: bytes) -> None:
    try:
        decode_outbox(content)
    except DataInvalid:
        return


def test_turn_to_send_has_150_seconds() -> None:
    assert TURN_SECONDS == 150
