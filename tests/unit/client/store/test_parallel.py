"""Concurrent calls in threads with results in order."""

from itertools import count, islice

import pytest

from fleetscore.store.parallel import map_in_order


def test_results_have_the_order_of_the_items() -> None:
    assert list(map_in_order(lambda item: item * 2, range(100))) == list(range(0, 200, 2))


def test_items_are_taken_at_most_the_limit_ahead() -> None:
    taken: list[int] = []

    def items() -> "count[int]":
        return count()

    source = (taken.append(one) or one for one in items())  # type: ignore[func-returns-value]
    assert list(islice(map_in_order(lambda item: item, source), 3)) == [0, 1, 2]
    assert len(taken) <= 16 + 3


def test_error_of_an_item_is_raised_in_its_place() -> None:
    found = map_in_order(lambda item: 1 // item, [1, 0])
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
