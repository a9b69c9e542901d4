"""Incidents as a function of the history."""

import random
from typing import Any

import pytest

from device_scorer.contract.causes import CAUSES
from device_scorer.health.incidents import MIN_FLEET_DEVICES, History, Incident, find_incidents
from device_scorer.health.settings import IncidentSettings

DEFAULT = IncidentSettings(fleet="plant")


def incidents(settings: IncidentSettings = DEFAULT, /, **states: str) -> list[Incident]:
    return find_incidents(History(states, 1_535_328_000, 3600), settings)


def shown(found: list[Incident]) -> list[tuple[Any, ...]]:
    return [(one.device, one.cause, one.state, one.first, one.end, one.windows) for one in found]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("NNA", []),
        ("NAA", [("d", "machine", "opened", 1, None, 2)]),
        ("NAAA", [("d", "machine", "open", 1, None, 3)]),
        ("NAAN", [("d", "machine", "open", 1, None, 2)]),
        ("NAANN", [("d", "machine", "closed", 1, 4, 2)]),
        ("NAANNN", []),
        ("NSS", [("d", "sensor", "opened", 1, None, 2)]),
        ("NEE", [("d", "data", "opened", 1, None, 2)]),
        ("NAF", [("d", "data", "opened", 1, None, 2)]),
        ("NAAP", [("d", "machine", "open", 1, None, 2)]),
        ("NAA?", [("d", "machine", "open", 1, None, 2)]),
    ],
)
def test_open_spell_of_a_device_is_an_incident_with_its_cause(states: str, expected: list[tuple[Any, ...]]) -> None:
    assert shown(incidents(d=states)) == expected


def test_id_depends_on_fleet_device_and_first_window_only() -> None:
    (first,), (later,) = incidents(d="NAA"), incidents(d="NAAAA")
    (other_device,), (other_fleet,) = incidents(e="NAA"), incidents(IncidentSettings(fleet="other"), d="NAA")
    assert first.id == later.id
    assert len({first.id, other_device.id, other_fleet.id}) == 3
    (other_length,) = find_incidents(History({"d": "NAA"}, 1_535_328_000, 86_400), DEFAULT)
    assert other_length.id != first.id
    assert len(first.id) == 16


@pytest.mark.parametrize(("states", "known"), [("NNAA", True), ("NAA", False), ("AA", False), ("??AA", True)])
def test_begin_is_known_after_normal_windows_in_a_row(states: str, *, known: bool) -> None:
    assert [one.may_be_older for one in incidents(d=states)] == [not known]
    truncated = find_incidents(History({"d": states}, 0, 3600, truncated=True), DEFAULT)
    assert [one.may_be_older for one in truncated] == [states != "NNAA"]


def hall(size: int, letters: str, others: int = 0) -> dict[str, str]:
    return {f"d{number:03}": letters for number in range(size)} | {
        f"x{number:03}": "N" * len(letters) for number in range(others)
    }


def test_hall_that_turns_at_once_is_one_incident() -> None:
    (one,) = incidents(**hall(30, "NNE", 70))
    assert (one.device, one.cause, one.state, one.letter, len(one.devices)) == ("", "fleet", "opened", "E", 30)
    assert shown(incidents(**hall(30, "NNEE", 70))) == [("", "fleet", "open", 2, None, 2)]
    assert shown(incidents(**hall(30, "NNEENN", 70))) == [("", "fleet", "closed", 2, 5, 3)]
    assert incidents(**hall(30, "NNEENNN", 70)) == []


@pytest.mark.parametrize(("size", "others"), [(9, 0), (29, 71)])
def test_few_devices_are_incidents_of_their_own(size: int, others: int) -> None:
    assert MIN_FLEET_DEVICES == 10
    assert [one.device for one in incidents(**hall(size, "NEE", others))] == [f"d{number:03}" for number in range(size)]


@pytest.mark.parametrize(
    ("share", "count", "needed"),
    [(0.55, 100, 55), (0.14, 100, 14), (0.28, 50, 14), (0.3, 100, 30), (0.30000001, 100, 31), (0.07, 1000, 70)],
)
def test_share_of_devices_that_is_reached_exactly_is_one_incident(share: float, count: int, needed: int) -> None:
    settings = IncidentSettings(fleet="plant", suspicious_share=share)
    assert [one.cause for one in incidents(settings, **hall(needed, "NEE", count - needed))] == ["fleet"]
    fewer = incidents(settings, **hall(needed - 1, "NEE", count - needed + 1))
    assert {one.cause for one in fewer} == {"data"}


def test_devices_that_do_not_recover_with_the_fleet_become_incidents() -> None:
    states = hall(20, "NEENN", 10) | {"d000": "NEEEE"}
    assert shown(incidents(**states)) == [("", "fleet", "closed", 1, 4, 3), ("d000", "data", "opened", 1, None, 4)]
    states = {device: text + text[-1] for device, text in states.items()}
    assert shown(incidents(**states)) == [("d000", "data", "open", 1, None, 5)]


def fleet_of(states: dict[str, str], *left: str) -> list[Incident]:
    """Return the incidents of a window whose devices are all but those that left the fleet."""
    return find_incidents(History(states, 1_535_328_000, 3600), DEFAULT, states.keys() - set(left))


def test_incident_of_a_fleet_whose_devices_leave_closes_once() -> None:
    gone = [f"d{number:03}" for number in range(20)]
    states = hall(20, "NEE", 10)
    assert shown(fleet_of(states)) == [("", "fleet", "open", 1, None, 2)]
    for missing in ("", "?"):  # a window without any record ends nothing
        later = {device: f"{text}{missing}{'?' if device in gone else 'N'}" for device, text in states.items()}
        end = 3 + len(missing)
        assert shown(fleet_of(later, *gone)) == [("", "fleet", "closed", 1, end, end - 1)]
        assert fleet_of(later, *gone)[0].recovered == 3
        assert fleet_of({device: text + text[-1] for device, text in later.items()}, *gone) == []
    assert shown(fleet_of({device: f"{text}?" for device, text in states.items()})) == [
        ("", "fleet", "open", 1, None, 3)
    ]


def test_ill_devices_of_a_fleet_whose_others_leave_become_incidents() -> None:
    gone = [f"d{number:03}" for number in range(10)]
    states = hall(20, "NEENN", 10) | dict.fromkeys(gone, "NEE??") | {"d019": "NEEEE"}
    assert shown(fleet_of(states, *gone)) == [("", "fleet", "closed", 1, 4, 3), ("d019", "data", "opened", 1, None, 4)]
    states = {device: text + text[-1] for device, text in states.items()}
    assert shown(fleet_of(states, *gone)) == [("d019", "data", "open", 1, None, 5)]


def test_fleet_of_which_few_devices_leave_keeps_its_incident() -> None:
    gone = ["d000", "d001"]
    states = hall(20, "NEEE", 10) | dict.fromkeys(gone, "NEE?")
    assert shown(fleet_of(states, *gone)) == [("", "fleet", "open", 1, None, 3)]


def test_device_that_left_the_fleet_has_no_incident() -> None:
    assert fleet_of({"d": "NAA?", "e": "NNNN"}, "d") == []


def test_devices_that_turn_to_different_states_are_not_one_incident() -> None:
    states = {f"d{number:03}": "NA" if number % 2 else "NE" for number in range(18)}
    assert incidents(**states) == []


def test_incidents_do_not_depend_on_the_order_of_devices() -> None:
    dice = random.Random(3)  # noqa: S311  simulated states
    states = {f"d{number}": "".join(dice.choices("NNNNNASEFP-?", k=40)) for number in range(60)}
    entries = list(states.items())
    before = incidents(**states)
    dice.shuffle(entries)
    assert incidents(**dict(entries)) == before
    assert {one.cause for one in before} <= set(CAUSES)


def test_every_incident_opens_once_and_closes_once() -> None:
    dice = random.Random(5)  # noqa: S311  simulated states
    states = {f"d{number}": "".join(dice.choices("NNNNNASEFP-?", k=40)) for number in range(9)}
    seen: dict[str, list[str]] = {}
    for window in range(1, 41):
        for one in incidents(**{device: text[:window] for device, text in states.items()}):
            seen.setdefault(one.id, []).append(one.state)
    assert seen
    for events in seen.values():
        assert events[0] == "opened"
        assert set(events[1:-1]) <= {"open"}
        assert events[-1] in ("opened", "open", "closed")


def test_history_without_devices_has_no_incident() -> None:
    assert incidents() == []
