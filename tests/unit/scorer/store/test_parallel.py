"""Tests of concurrent calls with results in order."""

import threading
import time
from collections.abc import Iterator

import pytest

from device_scorer.store import parallel
from device_scorer.store.parallel import map_in_order


def test_limits_are_8_threads_and_32_mib() -> None:
    assert (parallel.MAX_WORKERS, parallel.MAX_HELD_BYTES) == (8, 33_554_432)


def test_results_are_in_the_order_of_the_items() -> None:
    def double(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return 2 * number

    assert list(map_in_order(range(50), double, size_of=lambda _: 1)) == [(number, 2 * number) for number in range(50)]


def test_calls_run_concurrently() -> None:
    barrier = threading.Barrier(8, timeout=120)
    assert len([*map_in_order(range(8), lambda _: barrier.wait(), size_of=lambda _: 1)]) == 8


@pytest.mark.parametrize(
    ("size", "most"), [(1, 16), (100, 10), (600, 1), (5000, 1)], ids=["number", "bytes", "half", "too large"]
)
def test_items_in_progress_are_bounded_by_number_and_bytes(size: int, most: int) -> None:
    received, in_progress = 0, []

    def items() -> Iterator[int]:
        for number in range(40):
            in_progress.append(number - received)
            yield number

    for _ in map_in_order(items(), lambda _: None, size_of=lambda _: size, max_held_bytes=1000):
        received += 1
    assert received == 40
    assert in_progress == [min(number, most) for number in range(40)]


def test_error_of_a_call_is_raised_in_its_place() -> None:
    def fail_at_three(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = map_in_order(range(5), fail_at_three, size_of=lambda _: 1)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(ValueError, match="three"):
        next(results)
