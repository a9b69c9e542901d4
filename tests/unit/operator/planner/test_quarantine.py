import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.fleets import Quarantine
from scoring_operator.errors import InvalidHistory
from scoring_operator.planner.quarantine import Suspects

RULE = Quarantine(after=3, retry_every=4)


def read(tiles: Sequence[str], after: int = 3) -> tuple[bool, int]:
    """Return whether a device is found, and how many tiles were read; the latest tile comes first."""
    suspects = Suspects(Quarantine(after=after), {"press-1": 0})
    for count, letters in enumerate(tiles, start=1):
        suspects = suspects.with_tile([("press-1", letters)] if letters else [], len(letters))
        if suspects.settled:
            return bool(suspects.found), count
    return bool(suspects.found), len(tiles)


@pytest.mark.parametrize(
    ("letters", "found"),
    [
        ("FFF", True),
        ("NNFFF", True),
        ("FF", False),
        ("FFFN", False),
        ("FFNFF", False),
        ("FEF", False),
        ("FFF---", True),
        ("F-F?-F-", True),
        ("FFFP", False),
        ("FFFE", False),
        ("???", False),
        ("", False),
    ],
)
def test_device_is_found_if_its_last_known_windows_failed(letters: str, *, found: bool) -> None:
    assert read([letters])[0] is found


@pytest.mark.parametrize(
    ("tiles", "found", "count"),
    [
        (["N", "FFF"], False, 1),
        (["FFF", "N"], True, 1),
        (["?F", "FF?"], True, 2),
        (["", "FFF"], True, 2),
        (["", "", "FFF"], False, 2),
        (["F", "", "-", "FF"], True, 4),
        (["F", "", "NF"], False, 3),
    ],
)
def test_older_tiles_are_read_until_they_change_nothing(tiles: list[str], count: int, *, found: bool) -> None:
    assert read(tiles) == (found, count)


@given(st.lists(st.text("FEPSAN-?", min_size=1, max_size=5), max_size=6), st.integers(1, 6))
def test_device_is_found_as_in_one_text_of_all_states(tiles: list[str], after: int) -> None:
    known = "".join(reversed(tiles)).replace("-", "").replace("?", "")
    latest = "".join(reversed(tiles[:2])).replace("-", "").replace("?", "")
    expected = len(known) - len(known.rstrip("F")) >= after and bool(latest)
    assert read(tiles, after)[0] is expected


@given(st.integers(0, 10**6), st.integers(2, 50), st.text("abc-0123", min_size=1))
def test_device_runs_in_one_of_as_many_windows_as_the_rule_says(turn: int, every: int, device: str) -> None:
    suspects = Suspects(Quarantine(retry_every=every), {}, frozenset([device]))
    left_out = [suspects.decide(number, 100).devices for number in range(turn * every, (turn + 1) * every)]
    assert left_out.count(frozenset()) == 1


@pytest.mark.parametrize("step", [1, 2, 6, 8, 24, 25, 168])
def test_schedule_of_some_windows_runs_each_device_in_its_share_of_them(step: int) -> None:
    devices = frozenset(f"press-{number}" for number in range(9))
    suspects = Suspects(Quarantine(), {}, devices)
    left_out = [suspects.decide(3 + number * step, 100).devices for number in range(2400)]
    runs = {device: sum(device not in devices_ for devices_ in left_out) for device in devices}
    assert all(60 <= count <= 150 for count in runs.values())  # 100 of 2,400 on average


def test_device_that_never_works_costs_one_job_in_24_windows_for_any_time() -> None:
    rng, states, jobs = random.Random(1), "F" * 24, []  # noqa: S311  # a game of chance, no secret
    for number in range(24, 24 + 1200):
        suspects = Suspects(Quarantine(), {"press-1": 0})
        for end in range(len(states), 0, -168):
            suspects = suspects.with_tile([("press-1", states[max(0, end - 168) : end])], 168)
        left_out = "press-1" in suspects.decide(number, 10).devices
        jobs.append(not left_out)
        states += "-" if left_out else rng.choice("FFF-")  # now and then the Job has no result
    assert sum(jobs) == 1200 / 24


def test_tile_with_a_device_twice_is_rejected() -> None:
    with pytest.raises(InvalidHistory):
        Suspects(RULE, {"press-1": 0}).with_tile([("press-1", "FFF"), ("press-1", "FFF")], 3)


def test_device_that_works_again_leaves_quarantine_at_once() -> None:
    assert not Suspects(RULE, {"press-1": 0}).with_tile([("press-1", "FFF----N")], 8).found


def test_cause_that_most_devices_share_puts_none_in_quarantine() -> None:
    found = frozenset(f"press-{number}" for number in range(11))
    many = Suspects(RULE, {}, found).decide(0, 21)
    assert not many.devices
    assert many.problem == (
        "11 of 21 devices failed in each of their last 3 windows; the cause is common, so none of them is in quarantine"
    )
    assert not Suspects(RULE, {}, found).decide(0, 22).problem
    ten = frozenset(f"press-{number}" for number in range(10))
    assert Suspects(RULE, {}, ten).decide(0, 10).problem
    assert not Suspects(RULE, {}, ten - {"press-0"}).decide(0, 9).problem
    few = Suspects(Quarantine(after=3, retry_every=10_080), {}, frozenset(["press-1"])).decide(1, 1)
    assert (few.devices, few.problem) == (frozenset(["press-1"]), "")
