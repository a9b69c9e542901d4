"""The client's half of the file of mutes; the scorer reads what it writes."""

from datetime import UTC, datetime, timedelta

import pytest

from device_scorer.health import globs
from device_scorer.health import mutes as scorer_mutes
from device_scorer.window import Window as ScorerWindow
from fleetscore.contract import mutes
from fleetscore.contract.mutes import Mute, add_mute, parse_mutes, remove_mutes
from fleetscore.errors import UsageInvalid

NOW = datetime(2018, 8, 28, 12, tzinfo=UTC)
OTHERS = b'\xef\xbb\xbfDevices,From,Until,Why,Who\r\npress-9,,,,ann\r\nbad line\r\n\xff,,,,\r\n\r\n"press-7",,,a,b'


def a_mute(devices: str = "press-1", *, hours: float = 1, why: str = "oil", who: str = "bob") -> Mute:
    return Mute(0, devices, NOW, NOW + timedelta(hours=hours), why, who)


def test_limits_are_those_of_the_scorer() -> None:
    assert mutes.COLUMNS == scorer_mutes.COLUMNS
    assert (mutes.MAX_MUTES, mutes.MAX_MUTES_BYTES) == (scorer_mutes.MAX_MUTES, scorer_mutes.MAX_MUTES_BYTES)
    assert mutes.MAX_GLOB_CHARS == globs.MAX_GLOB_CHARS


@pytest.mark.parametrize("why", ["oil", 'a "b", c', "two\nlines", "=1+1", ""], ids=range(5))
def test_scorer_reads_what_the_client_writes(why: str) -> None:
    content = add_mute(b"", a_mute("press-*", why=why), NOW)
    read = scorer_mutes.parse_mutes(content, ScorerWindow(NOW, NOW + timedelta(minutes=5)))
    assert not read.problems
    assert read.reason("press-1") == f"{' '.join(why.split())} (bob)"
    assert read.reason("drill-1") is None


def test_lines_of_others_are_kept_byte_for_byte() -> None:
    added = add_mute(OTHERS, a_mute(), NOW)
    assert added == OTHERS + b"\npress-1,2018-08-28T12:00:00Z,2018-08-28T13:00:00Z,oil,bob\n"
    kept, removed = remove_mutes(added, lambda one: one.devices == "press-1")
    assert (kept, [one.who for one in removed]) == (OTHERS + b"\n", ["bob"])
    assert remove_mutes(OTHERS, lambda _: True)[0].count(b"bad line") == 1


def test_bad_lines_are_listed_with_the_reason() -> None:
    found = parse_mutes(OTHERS)
    assert [(one.line, one.devices, one.state(NOW)) for one in found] == [
        (2, "press-9", "active"), (3, "bad line", "invalid"), (4, "\ufffd", "invalid"), (6, "press-7", "active"),
    ]  # fmt: skip
    assert found[1].problem == "it has 1 fields in place of 5"
    assert [bool(one.problem) for one in parse_mutes(b"a,noon,,,\n,,,,\n'a\"',,,,")] == [True, True, False]


@pytest.mark.parametrize(("hours", "state"), [(0, "future"), (1, "active"), (2, "ended")], ids=["0", "1", "2"])
def test_state_follows_from_the_times(hours: int, state: str) -> None:
    found = Mute(1, "a", NOW + timedelta(hours=1), NOW + timedelta(hours=2))
    assert found.state(NOW + timedelta(hours=hours)) == state


@pytest.mark.parametrize("devices", ["", "  ", "a" * 257, "a\nb"], ids=["empty", "spaces", "long", "line"])
def test_invalid_devices_are_rejected(devices: str) -> None:
    with pytest.raises(UsageInvalid, match="write an id or a glob of 1 to 256 characters"):
        add_mute(b"", a_mute(devices), NOW)


def test_mute_that_ends_before_it_starts_is_invalid() -> None:
    (found,) = parse_mutes(b"a,2018-08-29,2018-08-28,,\n")
    assert (found.problem, found.state(NOW)) == ("Until is not after From", "invalid")


def test_mute_that_has_ended_is_rejected() -> None:
    with pytest.raises(UsageInvalid, match="has ended already; change --for or --until"):
        add_mute(b"", a_mute(hours=0), NOW)


def test_file_of_500_mutes_gets_no_further_one() -> None:
    many = b"".join(f"press-{number},,,,\n".encode() for number in range(500))
    with pytest.raises(UsageInvalid, match="has 500 mutes already"):
        add_mute(many, a_mute(), NOW)


def test_file_of_mutes_above_a_mebibyte_is_rejected_with_the_next_step() -> None:
    line = add_mute(b"\n", a_mute(), NOW)
    assert len(add_mute(b"x" * (2**20 - len(line)), a_mute(), NOW)) == 2**20
    with pytest.raises(UsageInvalid, match=r"more than 1,048,576 bytes; .*`fleetscore unmute --ended`"):
        add_mute(b"x" * (2**20 - len(line) + 1), a_mute(), NOW)


@pytest.mark.parametrize(
    ("devices", "device", "covers"),
    [("press-*", "press-1", True), ("press-1", "press-10", False), ("press[1]", "press[1]", True), ("", "a", False)],
)
def test_mute_covers_the_devices_of_its_glob_and_its_own_id(devices: str, device: str, *, covers: bool) -> None:
    assert Mute(1, devices).covers(device) is covers
