"""Incidents of a fleet in a window: a function of its history and of the settings, without a memory of its own.

An incident of a device is an open spell. An incident of the fleet begins when many devices turn from normal to the same
bad state in one window. Many are at least `suspicious_share` of all, and at least MIN_FLEET_DEVICES. Their spells are
parts of it. It lasts while at least half of these devices are in their spells. Spells that last longer become incidents
of their devices. The spell of a device that has left the fleet ends after its last known state.
"""

import hashlib
import math
from base64 import b32encode
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from device_scorer.contract.causes import DATA, FLEET, MACHINE, SENSOR_CAUSE
from device_scorer.health.history import ANOMALOUS, EMPTY, FAILED, NOT_RUN, SENSOR, UNKNOWN
from device_scorer.health.settings import IncidentSettings
from device_scorer.health.spells import Spell, find_live_spells, find_spells, is_settled

MIN_FLEET_DEVICES = 10
OPENED, OPEN, CLOSED = "opened", "open", "closed"
_CAUSE_OF_STATE = {ANOMALOUS: MACHINE, SENSOR: SENSOR_CAUSE, EMPTY: DATA, FAILED: DATA}
_NO_DEVICE = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """A device, or the fleet, that is not well. Indexes are windows of the history.

    Attributes:
        id: A text that depends on the fleet, the device, and the start and length of the first window only.
        device: The device; empty for an incident of the fleet.
        cause: One of CAUSES.
        state: OPENED, OPEN or CLOSED in the last window of the history.
        letter: The state of the device in its last bad window.
        first: The first window.
        end: The window in which it closed; None if it lasts.
        windows: The number of bad windows; for the fleet, the windows since the first one.
        devices: The devices of an incident of the fleet.
        recovered: The window after the last bad one; None if the incident lasts.
        may_be_older: True if the known history does not show when the incident began.
    """

    id: str
    device: str
    cause: str
    state: str
    letter: str
    first: int
    end: int | None
    windows: int
    devices: Sequence[str] = ()
    recovered: int | None = None
    may_be_older: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """The history of a fleet up to a window.

    Attributes:
        states: The letters of each device; all have the same length, and the last one is of the window.
        first_start: The start of the first window, in seconds since the epoch.
        length: The length of a window, in seconds.
        truncated: True if earlier windows exist that may change incidents and are not read.
    """

    states: Mapping[str, str]
    first_start: int
    length: int
    truncated: bool = False

    def start_of(self, index: int) -> int:
        """Return the start of a window, in seconds since the epoch."""
        return self.first_start + index * self.length


@dataclass(frozen=True, slots=True)
class _FleetSpell:
    first: int
    letter: str
    members: Mapping[str, Spell]
    end: int | None


def find_incidents(
    history: History, settings: IncidentSettings, devices: Collection[str] | None = None
) -> list[Incident]:
    """Return the incidents that opened, are open or closed in the last window, those of the fleet first.

    Args:
        history: The history up to the window.
        settings: The rules.
        devices: The devices of the last window; None for all devices of the history. A device that is not one of them
            has left the fleet: it has no incident, and is not ill in that of the fleet.
    """
    devices = history.states.keys() if devices is None else devices
    last = max((len(states) for states in history.states.values()), default=0) - 1
    spells = {
        device: found
        for device, states in history.states.items()
        if (found := find_live_spells(states, settings.open_after, settings.close_after))
    }
    fleet_spells = _find_fleet_spells(history, spells, settings, last, devices)
    parts: dict[tuple[str, int], _FleetSpell] = {
        (device, spell.first): one for one in fleet_spells for device, spell in one.members.items()
    }
    incidents = [
        _fleet_incident(history, settings, one, last) for one in fleet_spells if one.end is None or one.end == last
    ]
    for device in sorted(spells.keys() & devices):
        for spell in spells[device]:
            incident = _device_incident(history, settings, device, spell, parts.get((device, spell.first)), last)
            if incident is not None:
                incidents.append(incident)
    return incidents


def _device_incident(
    history: History, settings: IncidentSettings, device: str, spell: Spell, fleet: _FleetSpell | None, last: int
) -> Incident | None:
    """Return the incident of a spell in the last window, or None if it is over, not open, or a part of the fleet's."""
    if spell.opened is None or (spell.end is not None and spell.end < last):
        return None
    opened = spell.opened
    if fleet is not None:
        if fleet.end is None or spell.end == fleet.end or (spell.end is not None and spell.end < fleet.end):
            return None
        opened = max(opened, fleet.end)
    states = history.states[device]
    letter = states[spell.last]
    return Incident(
        id=_incident_id(settings.fleet, device, history, spell.first),
        device=device,
        cause=_CAUSE_OF_STATE[letter],
        state=_state(opened, spell.end, last),
        letter=letter,
        first=spell.first,
        end=spell.end,
        windows=spell.bad_windows,
        recovered=None if spell.end is None else spell.last + 1,
        may_be_older=_may_be_older(history, states[: spell.first + 1], settings.close_after),
    )


def _may_be_older(history: History, states: str, close_after: int) -> bool:
    """Return True if the spell of the last state may have begun in windows that are not read, or are deleted."""
    return (history.truncated or states[0] != UNKNOWN) and not is_settled(states[:-1], close_after)


def _fleet_incident(history: History, settings: IncidentSettings, fleet: _FleetSpell, last: int) -> Incident:
    end = fleet.end
    over = [one.last for one in fleet.members.values() if end is not None and one.end is not None and one.end <= end]
    return Incident(
        id=_incident_id(settings.fleet, f"{_NO_DEVICE}/{fleet.letter}", history, fleet.first),
        device=_NO_DEVICE,
        cause=FLEET,
        state=_state(fleet.first, fleet.end, last),
        letter=fleet.letter,
        first=fleet.first,
        end=fleet.end,
        windows=(last if fleet.end is None else fleet.end) - fleet.first + (fleet.end is None),
        devices=sorted(fleet.members),
        recovered=max(over) + 1 if over else None,
    )


def _find_fleet_spells(
    history: History,
    spells: Mapping[str, Iterable[Spell]],
    settings: IncidentSettings,
    last: int,
    devices: Collection[str],
) -> list[_FleetSpell]:
    """Return the fleet's spells in the order of their windows."""
    # At least half of the members are in spells that last or ended in the last window, or the fleet's spell is over.
    candidates = Counter(
        (spell.first, history.states[device][spell.first])
        for device, found in spells.items()
        for spell in found
        if spell.after_normal
    )
    result = []
    for first, letter in sorted(key for key, count in candidates.items() if count * 2 >= MIN_FLEET_DEVICES):
        column = Counter(states[first] for states in history.states.values())
        needed = _needed_devices(column.total() - column[NOT_RUN] - column[UNKNOWN], settings.suspicious_share)
        if column[letter] < needed:
            continue
        members = {
            device: spell if device in devices else _end_with_record(spell, states)
            for device, states in history.states.items()
            if states[first] == letter and (spell := _spell_from(states, first, settings)) is not None
        }
        if len(members) >= needed:
            result.append(_FleetSpell(first, letter, members, _end_of_fleet_spell(history, members, last)))
    return result


def _needed_devices(count: int, share: float) -> int:
    """Return the number of devices from which a share of devices is reached, at least MIN_FLEET_DEVICES."""
    # A share has at most 8 decimal places. The others are an error of binary numbers: 100 * 0.55 is more than 55.
    return max(math.ceil(round(count * share, 8)), MIN_FLEET_DEVICES)


def _spell_from(states: str, first: int, settings: IncidentSettings) -> Spell | None:
    """Return the spell that begins in a window after a normal one."""
    for spell in find_spells(states, settings.open_after, settings.close_after, first):
        if spell.first >= first:
            return spell if spell.first == first and spell.after_normal else None
    return None


def _end_with_record(spell: Spell, states: str) -> Spell:
    """Return the spell of a device that has left the fleet: it ends in the window after the last known state."""
    return spell if spell.end is not None else replace(spell, end=len(states.rstrip(UNKNOWN)))


def _end_of_fleet_spell(history: History, members: Mapping[str, Spell], last: int) -> int | None:
    """Return the first window with a record in which fewer than half of the devices are in their spells."""
    ended = Counter(spell.end for spell in members.values() if spell.end is not None)
    left = len(members)
    for window in sorted(ended):
        left -= ended[window]
        if left * 2 < len(members) and window <= last:
            known = (at for at in range(window, last) if any(one[at] != UNKNOWN for one in history.states.values()))
            return next(known, last)
    return None


def _state(opened: int, end: int | None, last: int) -> str:
    if end is not None:
        return CLOSED
    return OPENED if opened == last else OPEN


def _incident_id(fleet: str, device: str, history: History, first: int) -> str:
    text = f"{fleet}\0{device}\0{history.start_of(first)}\0{history.length}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return b32encode(digest)[:16].decode().lower()
