import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleetscore.console.cache import Cached


def test_value_is_read_again_only_when_it_is_old() -> None:
    now = [0.0]
    cached = Cached(itertools.count().__next__, 10, lambda: now[0])
    assert [cached.get(), cached.get()] == [0, 0]
    now[0] = 10.0
    assert cached.get() == 1


def test_error_of_a_read_is_not_kept() -> None:
    results: list[ValueError | int] = [ValueError("no"), 5]

    def read() -> int:
        found = results.pop(0)
        if isinstance(found, ValueError):
            raise found
        return found

    cached = Cached(read, 10)
    with pytest.raises(ValueError, match="no"):
        cached.get()
    assert cached.get() == 5


def test_requests_that_wait_for_a_failing_read_share_its_error() -> None:
    reads: list[None] = []
    begun, go_on = threading.Event(), threading.Event()
    asked = threading.Semaphore(0)
    times = itertools.count()

    def monotonic() -> float:
        asked.release()
        return float(next(times))

    def read() -> int:
        reads.append(None)
        begun.set()
        assert go_on.wait(120)
        raise ValueError("storage is down")

    cached = Cached(read, 10, monotonic)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cached.get)
        assert begun.wait(120)
        others = [pool.submit(cached.get) for _ in range(3)]
        for _ in range(2 + 3):  # two by the first request, and one by each other one on its arrival
            assert asked.acquire(timeout=120)
        go_on.set()
        for future in (first, *others):
            with pytest.raises(ValueError, match="storage is down"):
                future.result(120)
    assert len(reads) == 1
