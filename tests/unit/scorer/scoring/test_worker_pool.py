"""Many devices in one process: overlap, deadlines, devices that hang or fail, and stopping."""

import gc
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from device_scorer.contract.outcome_message import FAILED, SCORED, TRANSIENT, Outcome
from device_scorer.errors import DataInvalid, StorageUnavailable
from device_scorer.scoring.context import DeviceDeadline
from device_scorer.scoring.worker_pool import (
    DEVICES_PER_COLLECTION,
    GRACE_SECONDS,
    MAX_CONSECUTIVE_TRANSIENT,
    MAX_MESSAGE_CHARS,
    THREADS,
    WorkerPool,
    score_safely,
)
from device_scorer.store.base import Store
from device_scorer.store.folder import FolderStore
from tests.testkit.waiting import until

DONE = Outcome(SCORED)
Score = Callable[[str, DeviceDeadline], Outcome]


STORE = FolderStore(Path("unused"))
GRACE = 0.1


def work(
    score: Score, devices: Sequence[str], *, deadline: float = 600.0, store: Store = STORE
) -> tuple[dict[int, Outcome], list[int]]:
    """Run a pool and return its outcomes, and the indexes in the order in which they were reported."""
    reported: list[int] = []
    outcomes = WorkerPool(
        score,
        devices,
        store=store,
        deadline_seconds=deadline,
        on_outcome=lambda index, _: reported.append(index),
        grace_seconds=GRACE,
    ).run()
    return outcomes, reported


def test_pool_has_4_threads_and_stops_after_8_transient_errors_in_sequence() -> None:
    assert (THREADS, GRACE_SECONDS, MAX_CONSECUTIVE_TRANSIENT) == (4, 2.0, 8)
    assert (DEVICES_PER_COLLECTION, MAX_MESSAGE_CHARS) == (32, 500)


def raising(error: BaseException) -> Score:
    def score(_device: str, _deadline: DeviceDeadline) -> Outcome:
        raise error

    return score


def test_every_device_is_scored_once() -> None:
    seen: list[str] = []

    def score(device: str, _: DeviceDeadline) -> Outcome:
        seen.append(device)
        return DONE

    devices = [str(number) for number in range(300)]
    outcomes, reported = work(score, devices)
    assert sorted(outcomes) == sorted(reported) == list(range(300))
    assert sorted(seen) == sorted(devices)


def test_devices_wait_for_storage_at_the_same_time() -> None:
    barrier = threading.Barrier(THREADS)

    def score(_device: str, _: DeviceDeadline) -> Outcome:
        barrier.wait(120)
        return DONE

    assert len(work(score, ["d"] * THREADS)[0]) == THREADS


def test_outcomes_are_reported_before_the_last_device_is_finished() -> None:
    first_reported = threading.Event()

    def score(device: str, _: DeviceDeadline) -> Outcome:
        if device == "last":
            assert first_reported.wait(120)
        return DONE

    outcomes = WorkerPool(
        score, ["first", "last"], store=STORE, deadline_seconds=600, on_outcome=lambda *_: first_reported.set()
    ).run()
    assert [outcome.kind for outcome in outcomes.values()] == [SCORED, SCORED]


@pytest.mark.fault("F32")
def test_devices_that_hang_fail_alone_and_lose_the_permission_to_write() -> None:
    free, deadlines = threading.Event(), []
    made: list[WorkerPool] = []

    def score(device: str, deadline: DeviceDeadline) -> Outcome:
        if device.startswith("hangs"):
            deadlines.append(deadline)
            deadline._ends_at = time.monotonic()  # the good devices have their ten minutes, on a slow machine too
            made[0]._results.put(None)  # the pool checks the deadlines again
            free.wait(120)
        return DONE

    devices = [f"hangs-{number}" for number in range(THREADS + 1)] + [f"good-{number}" for number in range(20)]
    pool = WorkerPool(
        score, devices, store=STORE, deadline_seconds=600, on_outcome=lambda *_: None, grace_seconds=GRACE
    )
    made.append(pool)
    began = time.monotonic()
    outcomes = pool.run()
    free.set()
    assert time.monotonic() - began < 60  # far less than the devices hang
    hung = [outcomes[index] for index in range(THREADS + 1)]
    assert {(outcome.kind, outcome.reason) for outcome in hung} == {(FAILED, "DeadlineExceeded")}
    assert all(outcomes[index] is DONE for index in range(THREADS + 1, len(devices)))
    assert all(deadline.abandoned for deadline in deadlines)


@pytest.mark.fault("F32")
def test_device_abandoned_during_a_store_call_is_transient() -> None:
    free = threading.Event()

    class Waiting(FolderStore):
        """A store whose calls never return."""

        @property
        def in_call(self) -> bool:
            return True

    def score(_device: str, _deadline: DeviceDeadline) -> Outcome:
        free.wait(120)
        return DONE

    outcomes, _ = work(score, ["d"], deadline=0.1, store=Waiting(Path("unused")))
    free.set()
    assert (outcomes[0].kind, outcomes[0].reason) == (TRANSIENT, "StorageUnavailable")


def test_eight_transient_errors_in_a_row_end_the_scoring_of_other_devices() -> None:
    tried: list[str] = []

    def score(device: str, _: DeviceDeadline) -> Outcome:
        tried.append(device)
        raise StorageUnavailable("down")

    outcomes, _ = work(score, [str(number) for number in range(500)])
    assert {outcome.reason for outcome in outcomes.values()} == {"StorageUnavailable"}
    assert len(outcomes) == 500
    assert 8 <= len(tried) < 8 + THREADS


def test_scattered_transient_errors_do_not_stop_other_devices() -> None:
    def score(device: str, _: DeviceDeadline) -> Outcome:
        if int(device) % 3 == 0:
            raise StorageUnavailable("now and then")
        return DONE

    outcomes, _ = work(score, [str(number) for number in range(90)])
    assert sum(outcome is DONE for outcome in outcomes.values()) == 60


def test_stopped_pool_returns_finished_outcomes_and_withdraws_write_permission() -> None:
    free, deadlines = threading.Event(), []
    started = threading.Barrier(3)
    made: list[WorkerPool] = []

    def score(device: str, deadline: DeviceDeadline) -> Outcome:
        if device == "slow":
            deadlines.append(deadline)
        started.wait(120)
        if device == "slow":
            free.wait(120)
        return DONE

    def on_outcome(_index: int, _outcome: Outcome) -> None:
        made[0].stop()

    made.append(WorkerPool(score, ["slow", "quick", "slow"], store=STORE, deadline_seconds=600, on_outcome=on_outcome))
    outcomes = made[0].run()
    free.set()
    assert outcomes == {1: DONE}
    assert len(deadlines) == 2
    assert all(deadline.abandoned for deadline in deadlines)


@pytest.mark.fault("F32", "T13")
def test_every_error_becomes_an_outcome_with_a_redacted_message(capsys: pytest.CaptureFixture[str]) -> None:
    deadline = DeviceDeadline(STORE, 60)
    assert score_safely(raising(DataInvalid("no header")), "d", deadline) == Outcome(FAILED, "DataInvalid", "no header")
    assert score_safely(raising(StorageUnavailable("busy")), "d", deadline) == Outcome(
        TRANSIENT, "StorageUnavailable", "busy"
    )
    assert score_safely(raising(MemoryError()), "d", deadline).reason == "DataTooLarge"
    unknown = score_safely(raising(ZeroDivisionError("by zero, sig=secret")), "d", deadline)
    assert unknown == Outcome(FAILED, "Unknown", "ZeroDivisionError: by zero, sig=***")
    logged = capsys.readouterr().err
    assert "ZeroDivisionError" in logged
    assert "secret" not in logged


def test_last_of_eight_transient_errors_is_the_outcome_of_the_unscored_devices() -> None:
    scored: list[str] = []

    def score(device: str, _: DeviceDeadline) -> Outcome:
        scored.append(device)
        return Outcome(TRANSIENT, "IdentityUnavailable", "no token")

    outcomes, _ = work(score, [str(number) for number in range(100)])
    assert set(outcomes.values()) == {Outcome(TRANSIENT, "IdentityUnavailable", "no token")}
    assert len(scored) < 100


def test_long_error_message_is_cut() -> None:
    outcome = score_safely(raising(DataInvalid("x" * 2000)), "d", DeviceDeadline(STORE, 60))
    assert outcome.message == "x" * 500


def test_abandoned_device_outside_a_store_call_has_exceeded_its_deadline() -> None:
    free = threading.Event()

    def score(_device: str, _deadline: DeviceDeadline) -> Outcome:
        free.wait(120)
        return DONE

    outcomes, _ = work(score, ["d"], deadline=0.1)
    free.set()
    assert outcomes[0].reason == "DeadlineExceeded"
    assert outcomes[0].message == "the device did not finish within 0.1 seconds and was abandoned"


def test_secret_in_the_message_of_a_device_error_is_redacted() -> None:
    outcome = score_safely(raising(StorageUnavailable("GET ?sig=secret failed")), "d", DeviceDeadline(STORE, 60))
    assert outcome.message == "GET ?sig=*** failed"


def test_abandoned_device_is_reported_once_and_its_thread_scores_no_other_device() -> None:
    threads: dict[str, threading.Thread] = {}  # not their idents, which a later thread may get again

    def score(device: str, deadline: DeviceDeadline) -> Outcome:
        threads[device] = threading.current_thread()
        if device == "hangs":
            until(lambda: deadline.abandoned, "the device is abandoned")
        else:
            time.sleep(0.05)
        return DONE

    _, reported = work(score, ["hangs", *(str(number) for number in range(60))], deadline=0.2)
    assert reported.count(0) == 1
    until(lambda: len(threads) == 61, "every device has had a thread")
    hanging = threads.pop("hangs")
    assert hanging not in threads.values()


def test_garbage_is_collected_every_32_devices_while_the_collector_is_off() -> None:
    collections: list[str] = []

    def count(phase: str, _info: dict[str, int]) -> None:
        collections.append(phase)

    gc.callbacks.append(count)
    gc.disable()
    try:
        work(lambda *_: DONE, ["d"] * 96)
    finally:
        gc.enable()
        gc.callbacks.remove(count)
    assert collections.count("start") == 3
