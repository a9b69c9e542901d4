"""The outbox: each event once per receiver, bounded, and never believed if it is damaged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.errors import DataInvalid
from device_scorer.notify.outbox import MAX_BYTES, Entry, Outbox, decode_outbox, encode_outbox


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
    assert MAX_BYTES == 8 * 1024 * 1024


def test_entries_of_a_removed_receiver_leave_the_outbox() -> None:
    assert Outbox().with_entries([entry(1), entry(2, "old")]).only_for(["hook"]).pending == (entry(1),)


def test_outbox_is_the_same_after_a_round_trip() -> None:
    outbox = Outbox((entry(1), entry(2, text="ü\n")), (("hook", "id-0"),), 4)
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
