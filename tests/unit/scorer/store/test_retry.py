"""Tests of retries, with a clock that moves only while a call waits."""

from collections.abc import Callable

import pytest

from device_scorer.errors import IdentityUnavailable, StorageUnavailable
from device_scorer.store.retry import (
    DEFAULT_RETRY_POLICY,
    MAX_DAMAGED_READS,
    MIN_TIMEOUT_SECONDS,
    RetryableFailure,
    RetryPolicy,
    call_with_retry,
)


def test_damaged_blob_is_read_3_times_and_a_timeout_is_at_least_200_ms() -> None:
    assert (MAX_DAMAGED_READS, MIN_TIMEOUT_SECONDS) == (3, 0.2)


class FakeClock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


class FailingCall:
    """A call that fails, and the times of its attempts.

    Args:
        clock: The clock.
        failures: The number of attempts that fail.
    """

    def __init__(self, clock: FakeClock, failures: int = 10**6) -> None:
        self.attempts: list[float] = []
        self._clock, self._failures = clock, failures

    def __call__(self) -> str:
        self.attempts.append(self._clock.now)
        if len(self.attempts) <= self._failures:
            raise ConnectionError
        return "result"

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in zip(self.attempts, self.attempts[1:], strict=False)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def failure(**options: object) -> Callable[[Exception], RetryableFailure]:
    return lambda _: RetryableFailure(StorageUnavailable("busy"), **options)  # type: ignore[arg-type]  # fields of it


def test_default_policy_retries_for_60_s_and_an_unreachable_host_for_5_s() -> None:
    assert DEFAULT_RETRY_POLICY._asdict() == {
        "max_retry_seconds": 60.0,
        "max_unreachable_seconds": 5.0,
        "initial_backoff_seconds": 0.3,
        "max_backoff_seconds": 8.0,
        "connect_timeout_seconds": 5.0,
        "read_timeout_seconds": 20.0,
    }


def test_result_is_returned_after_failed_attempts(clock: FakeClock) -> None:
    call, applied = FailingCall(clock, failures=3), []
    result = call_with_retry(
        call, failure(), deadline=300.0, clock=clock, on_maybe_applied=lambda: applied.append(clock.now)
    )
    assert result == "result"
    assert applied == call.attempts[:3]


def test_backoff_doubles_up_to_8_seconds_with_30_percent_jitter(clock: FakeClock) -> None:
    call = FailingCall(clock)
    with pytest.raises(StorageUnavailable):
        call_with_retry(call, failure(), deadline=300.0, clock=clock)
    expected = [0.3, 0.6, 1.2, 2.4, 4.8, 8.0, 8.0]
    for pause, mean in zip(call.pauses, expected, strict=False):
        assert 0.7 * mean <= pause <= 1.3 * mean + 1e-9
    assert len(call.pauses) >= len(expected)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 17.0])
def test_pause_is_at_least_the_one_that_the_server_requests(clock: FakeClock, seconds: float) -> None:
    call = FailingCall(clock, failures=2)
    call_with_retry(call, failure(retry_after_seconds=seconds), deadline=300.0, clock=clock)
    for pause, backoff in zip(call.pauses, [0.3, 0.6], strict=True):
        assert max(seconds, 0.7 * backoff) <= pause <= max(1.25 * seconds, 1.3 * backoff) + 1e-9


@pytest.mark.fault("F27")
@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_server_that_requests_short_pauses_gets_few_requests(clock: FakeClock, seconds: float) -> None:
    call = FailingCall(clock)
    with pytest.raises(StorageUnavailable):
        call_with_retry(call, failure(retry_after_seconds=seconds), deadline=300.0, clock=clock)
    assert 8 <= len(call.attempts) <= 16
    assert call.attempts[-1] <= 60.0


def test_pauses_that_the_server_requests_are_spread(clock: FakeClock) -> None:
    call = FailingCall(clock, failures=20)
    call_with_retry(
        call,
        failure(retry_after_seconds=17.0),
        deadline=3000.0,
        policy=RetryPolicy(max_retry_seconds=3000.0),
        clock=clock,
    )
    assert len(set(call.pauses)) == 20


@pytest.mark.fault("F30", "F27")
@pytest.mark.parametrize(("maybe_applied", "seconds"), [(True, 60.0), (False, 5.0)], ids=["busy", "unreachable"])
def test_busy_host_is_retried_for_60_seconds_and_unreachable_one_for_5(
    clock: FakeClock, *, maybe_applied: bool, seconds: float
) -> None:
    call = FailingCall(clock)
    with pytest.raises(IdentityUnavailable):
        call_with_retry(
            call,
            lambda _: RetryableFailure(IdentityUnavailable("no token"), maybe_applied=maybe_applied),
            deadline=300.0,
            clock=clock,
        )
    assert seconds / 3 < call.attempts[-1] <= seconds  # it ends if the next pause, with its jitter, is too long
    assert len(call.attempts) >= 4


def test_host_that_becomes_unreachable_ends_the_call_within_5_seconds(clock: FakeClock) -> None:
    call = FailingCall(clock)
    with pytest.raises(StorageUnavailable):
        call_with_retry(
            call,
            lambda _: RetryableFailure(StorageUnavailable("away"), maybe_applied=clock.now < 10),
            deadline=300.0,
            clock=clock,
        )
    assert 10 < call.attempts[-1] < 26


def test_response_restarts_the_time_of_an_unreachable_host(clock: FakeClock) -> None:
    applied = iter([False, True, False, False])
    call = FailingCall(clock, failures=4)
    result = call_with_retry(
        call,
        lambda _: RetryableFailure(StorageUnavailable("away"), maybe_applied=next(applied), retry_after_seconds=1.9),
        deadline=300.0,
        policy=RetryPolicy(initial_backoff_seconds=0.01),
        clock=clock,
    )
    assert result == "result"
    assert clock.now >= 7.6


def test_deadline_ends_the_call_before_a_pause_beyond_it(clock: FakeClock) -> None:
    call = FailingCall(clock)
    with pytest.raises(StorageUnavailable, match=r"^busy \(1 attempt in 0 s\)$"):
        call_with_retry(call, failure(retry_after_seconds=5.0), deadline=5.0, clock=clock)
    assert clock.now == 0.0
    with pytest.raises(StorageUnavailable, match=r"^busy \(2 attempts in [56] s\)$"):
        call_with_retry(call, failure(retry_after_seconds=5.0), deadline=10.0, clock=clock)


def test_policy_sets_the_limits(clock: FakeClock) -> None:
    call = FailingCall(clock)
    policy = RetryPolicy(max_retry_seconds=2.0, initial_backoff_seconds=0.1, max_backoff_seconds=0.1)
    with pytest.raises(StorageUnavailable):
        call_with_retry(call, failure(), deadline=300.0, policy=policy, clock=clock)
    assert 1.8 < clock.now < 2.0
    assert max(call.pauses) <= 0.13 + 1e-9


def test_error_of_a_permanent_failure_is_raised_at_once(clock: FakeClock) -> None:
    def classify(error: Exception) -> RetryableFailure:
        raise error

    call = FailingCall(clock)
    with pytest.raises(ConnectionError):
        call_with_retry(call, classify, deadline=300.0, clock=clock)
    assert call.attempts == [0.0]
