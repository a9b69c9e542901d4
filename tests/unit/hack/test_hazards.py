import pytest
from hack.hazards import FAULTS, INPUTS, THREATS, hazards


@pytest.mark.parametrize(("letter", "group"), [("F", FAULTS), ("T", THREATS), ("D", INPUTS)])
def test_numbers_of_a_group_have_no_gap(letter: str, group: dict[str, str]) -> None:
    assert list(group) == [f"{letter}{number}" for number in range(1, len(group) + 1)]


def test_every_hazard_is_listed_once() -> None:
    assert sorted(hazards()) == sorted({*FAULTS, *THREATS, *INPUTS})
