import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring_operator.api.intervals import Intervals

SETS = st.sets(st.integers(0, 60))


@given(SETS, SETS)
def test_it_behaves_like_a_set(a: set[int], b: set[int]) -> None:
    left, right = Intervals.from_positions(a), Intervals.from_positions(b)
    assert list(left | right) == sorted(a | b)
    assert list(left - right) == sorted(a - b)
    assert list(left & right) == sorted(a & b)
    assert len(left) == len(a)
    assert [n for n in range(62) if n in left] == sorted(a)


@given(SETS)
def test_its_notation_reads_back_as_the_same_set(a: set[int]) -> None:
    assert Intervals.parse(str(Intervals.from_positions(a))) == Intervals.from_positions(a)


@given(SETS, st.integers(1, 70))
def test_chunks_and_splits_keep_order_and_lose_nothing(a: set[int], size: int) -> None:
    chunks = [list(chunk) for chunk in Intervals.from_positions(a).chunks(size)]
    assert [n for chunk in chunks for n in chunk] == sorted(a)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    head, tail = Intervals.from_positions(a).split(size)
    assert [*head, *tail] == sorted(a)
    assert len(head) == min(size, len(a))


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,1", "5,3", "1-4,4-6", " 1", "1,", "1" * 11, "٣"])
def test_what_is_no_notation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"notation|ascend"):
        Intervals.parse(text)


def test_equal_sets_are_one_key_and_show_as_their_notation() -> None:
    one, other = Intervals.parse("0-1,5"), Intervals.from_positions([5, 0, 1])
    assert {one: "x"}[other] == "x"
    assert repr(one) == "Intervals(0-1,5)"
