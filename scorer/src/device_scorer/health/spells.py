"""Spells: the times in which a device is not well, as a function of its states.

A spell begins with the first bad window (A, S, E, F). It opens after `open_after` consecutive bad windows. It ends
after `close_after` normal windows, or with the first normal window if it was not open. Windows that were not run,
unknown or partial change nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from device_scorer.health.history import ANOMALOUS, EMPTY, FAILED, NORMAL, SENSOR

BAD = frozenset({ANOMALOUS, SENSOR, EMPTY, FAILED})
_BAD_PATTERN = re.compile(f"[{''.join(sorted(BAD))}]")


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a device is not well. Indexes are windows of the states.

    Attributes:
        first: The first bad window.
        opened: The window in which the spell opened; None if it did not.
        last: The last bad window.
        end: The window in which the spell ended; None if it lasts.
        bad_windows: The number of bad windows.
        after_normal: True if the last known window before the spell was normal.
    """

    first: int
    opened: int | None
    last: int
    end: int | None
    bad_windows: int
    after_normal: bool


def find_spells(states: str, open_after: int, close_after: int, before: int = 0) -> Iterator[Spell]:
    """Yield the spells in the order of time.

    Args:
        states: A letter per window.
        open_after: The number of consecutive bad windows that open a spell.
        close_after: The number of consecutive normal windows that end an open spell.
        before: The window before which spells that have ended may be left out.
    """
    start = states.rfind(NORMAL * close_after, 0, before) if before > 0 else 0
    match = _BAD_PATTERN.search(states, max(0, start))
    while match is not None:
        first = match.start()
        spell = _follow(states, first, open_after, close_after)
        yield spell
        match = None if spell.end is None else _BAD_PATTERN.search(states, spell.end + 1)


def find_live_spells(states: str, open_after: int, close_after: int) -> list[Spell]:
    """Return the spells that last, or that ended in the last window.

    Args:
        states: A letter per window.
        open_after: The number of consecutive bad windows that open a spell.
        close_after: The number of consecutive normal windows that end an open spell.
    """
    last = len(states) - 1
    return [one for one in find_spells(states, open_after, close_after, last) if one.end is None or one.end == last]


def is_settled(states: str, close_after: int) -> bool:
    """Return True if `close_after` normal windows in a row end every spell that earlier windows may have begun.

    Args:
        states: A letter per window.
        close_after: The number of consecutive normal windows that end an open spell.
    """
    if NORMAL * close_after in states:
        return True
    normal = 0
    for letter in states:
        if letter == NORMAL:
            normal += 1
            if normal >= close_after:
                return True
        elif letter in BAD:
            normal = 0
    return False


def _follow(states: str, first: int, open_after: int, close_after: int) -> Spell:
    opened: int | None = None
    consecutive = bad = normal = 0
    last, end = first, None
    for index in range(first, len(states)):
        letter = states[index]
        if letter in BAD:
            consecutive, bad, normal, last = consecutive + 1, bad + 1, 0, index
            if opened is None and consecutive >= open_after:
                opened = index
        elif letter == NORMAL:
            normal += 1
            if opened is None or normal >= close_after:
                end = index
                break
    return Spell(first, opened, last, end, bad, _is_after_normal(states, first))


def _is_after_normal(states: str, first: int) -> bool:
    for index in range(first - 1, -1, -1):
        if states[index] == NORMAL:
            return True
        if states[index] in BAD:
            return False
    return False
