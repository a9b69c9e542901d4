"""Spells of a device."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.health.spells import BAD, find_spells, is_settled


@pytest.mark.parametrize(
    ("states", "spells"),
    [
        ("NNN", []),
        ("NA", [(1, None, 1, None)]),
        ("NAA", [(1, 2, 2, None)]),
        ("NA?-A", [(1, 4, 4, None)]),
        ("NANA", [(1, None, 1, 2), (3, None, 3, None)]),
        ("NAANA", [(1, 2, 4, None)]),
        ("NAANN", [(1, 2, 2, 4)]),
        ("NAAN?PN", [(1, 2, 2, 6)]),
        ("ASEF", [(0, 1, 3, None)]),
        ("NAP", [(1, None, 1, None)]),
    ],
)
def test_spell_opens_after_2_bad_windows_and_ends_after_2_normal_ones(
    states: str, spells: list[tuple[int, int | None, int, int | None]]
) -> None:
    assert [(one.first, one.opened, one.last, one.end) for one in find_spells(states, 2, 2)] == spells


def test_one_window_opens_and_closes_if_the_fleet_says_so() -> None:
    (spell,) = find_spells("NAN", 1, 1)
    assert (spell.opened, spell.end, spell.bad_windows) == (1, 2, 1)


def test_spell_knows_the_state_before_it() -> None:
    assert [spell.after_normal for spell in find_spells("A?NN?-PA", 1, 2)] == [False, True]


@pytest.mark.parametrize(
    ("states", "settled"), [("", False), ("??", False), ("N", False), ("NN", True), ("N?PN", True), ("NAN", False)]
)
def test_settled_states_have_normal_windows_in_a_row(states: str, *, settled: bool) -> None:
    assert is_settled(states, 2) is settled


STATES = st.text(alphabet="NNNASEFP-?", max_size=20)


@settings(max_examples=500, deadline=None)
@given(STATES, STATES, st.integers(1, 3), st.integers(1, 3))
def test_earlier_windows_do_not_change_spells_after_a_settled_part(
    earlier: str, states: str, open_after: int, close_after: int
) -> None:
    if not is_settled(states[:-1], close_after):
        return
    shift = len(earlier)
    alone = [one for one in find_spells(states, open_after, close_after) if one.end in (None, len(states) - 1)]
    whole = [
        one
        for one in find_spells(earlier + states, open_after, close_after)
        if one.end in (None, shift + len(states) - 1)
    ]
    assert [(one.first + shift, one.bad_windows, one.after_normal) for one in alone] == [
        (one.first, one.bad_windows, one.after_normal) for one in whole
    ]


def test_anomalous_sensor_empty_and_failed_windows_are_bad() -> None:
    assert set("ASEF") == BAD
