import itertools

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
