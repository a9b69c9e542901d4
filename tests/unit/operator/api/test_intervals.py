import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.intervals import Position, Positions, parse_or_none

SETS = st.sets(st.integers(0, 60).map(Position))


@given(SETS, SETS)
def test_intervals_behave_like_a_set(a: set[Position], b: set[Position]) -> None:
    left, right = Positions.from_positions(a), Positions.from_positions(b)
    assert list(left | right) == sorted(a | b)
    assert list(left - right) == sorted(a - b)
    assert list(left & right) == sorted(a & b)
    assert len(left) == len(a)
    assert [n for n in map(Position, range(62)) if n in left] == sorted(a)


@given(SETS)
def test_notation_parses_to_the_same_set(a: set[Position]) -> None:
    assert Positions.parse(str(Positions.from_positions(a))) == Positions.from_positions(a)


@given(SETS, st.integers(1, 70))
def test_chunks_and_splits_keep_the_order_and_all_elements(a: set[Position], size: int) -> None:
    chunks = [list(chunk) for chunk in Positions.from_positions(a).chunks(size)]
    assert [n for chunk in chunks for n in chunk] == sorted(a)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    head, tail = Positions.from_positions(a).split(size)
    assert [*head, *tail] == sorted(a)
    assert len(head) == min(size, len(a))


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,1", "5,3", "1-4,4-6", " 1", "1,", "1" * 11, "٣"])
def test_text_outside_the_notation_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"notation|ascend"):
        Positions.parse(text)


@pytest.mark.parametrize("text", ["x" * 41, "9" + ",1" * 20])
def test_error_repeats_40_characters_of_an_invalid_text(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{text[:40]}' must"):
        Positions.parse(text)


def test_equal_sets_are_one_key_and_have_one_repr() -> None:
    one, other = Positions.parse("0-1,5"), Positions.from_positions(map(Position, [5, 0, 1]))
    assert {one: "x"}[other] == "x"
    assert repr(one) == "Intervals(0-1,5)"


@pytest.mark.parametrize(("value", "expected"), [("0-1", "0-1"), ("", ""), ("1,0", None), (5, None), (None, None)])
def test_untrusted_value_parses_to_a_set_or_none(value: object, expected: str | None) -> None:
    found = parse_or_none(value)
    assert (None if found is None else str(found)) == expected
