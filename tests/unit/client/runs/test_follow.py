"""Following a run, and its pace."""

from collections.abc import Iterator
from typing import Any

import pytest

from fleetscore.errors import ClusterUnavailable
from fleetscore.runs.follow import Pace, follow

RUNNING: dict[str, Any] = {"metadata": {"name": "a"}, "status": {"phase": "Running"}}
ENDED: dict[str, Any] = {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}


class Clock:
    """A clock that only waiting advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


def followed(answers: Iterator[Any], timeout: float = 0) -> list[dict[str, Any]]:
    clock = Clock()

    def get() -> dict[str, Any]:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return dict(found)

    return list(follow(get, timeout_seconds=timeout, sleep=clock.sleep, monotonic=clock.monotonic))


def test_run_is_followed_to_its_end() -> None:
    assert followed(iter([RUNNING, RUNNING, ENDED, RUNNING])) == [RUNNING, RUNNING, ENDED]


def test_run_is_not_followed_beyond_the_timeout() -> None:
    assert followed(iter([RUNNING] * 9), timeout=5) == [RUNNING] * 4


def test_api_server_that_fails_for_a_moment_does_not_end_the_following() -> None:
    error = ClusterUnavailable("away")
    assert followed(iter([RUNNING, error, error, ENDED])) == [RUNNING, ENDED]
    assert followed(iter([RUNNING, *[error] * 4, ENDED])) == [RUNNING, ENDED]
    with pytest.raises(ClusterUnavailable):
        followed(iter([RUNNING, *[error] * 5]))
    with pytest.raises(ClusterUnavailable):
        followed(iter([error, RUNNING]))


def test_pace_gives_the_time_left() -> None:
    pace = Pace()
    assert pace.seconds_left(100) is None
    for second in range(0, 11, 2):
        pace.add(second, second * 3)
    assert pace.devices_per_second == 3
    assert pace.seconds_left(90) == 20


def test_pace_is_that_of_the_last_two_minutes() -> None:
    pace = Pace()
    for at, done in [(0, 0), (100, 1000), (200, 1000), (300, 1000), (400, 1000)]:
        pace.add(at, done)
    assert pace.devices_per_second == 0
    assert pace.seconds_left(2000) is None


def test_pace_begins_again_when_the_operator_rebuilds_progress() -> None:
    pace = Pace()
    for at, done in [(0, 50), (10, 100), (20, 10), (30, 30)]:
        pace.add(at, done)
    assert pace.devices_per_second == 2
