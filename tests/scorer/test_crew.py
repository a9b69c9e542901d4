"""Many devices in one process: overlap, deadlines, what hangs, what breaks, being told to stop."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from device_scorer.contract.outcome_message import FAILED, SCORED, TRANSIENT, Outcome
from device_scorer.errors import DataInvalid, StorageUnavailable
from device_scorer.scoring import worker_pool
from device_scorer.scoring.context import DeviceDeadline
from device_scorer.scoring.worker_pool import THREADS, WorkerPool, score_safely

DONE = Outcome(SCORED)
Score = Callable[[str, DeviceDeadline], Outcome]


def work(score: Score, devices: Sequence[str], *, deadline: float = 30.0) -> tuple[dict[int, Outcome], list[int]]:
    told: list[int] = []
    outcomes = WorkerPool(
        score, devices, deadline_seconds=deadline, on_outcome=lambda index, _: told.append(index)
    ).run()
    return outcomes, told


@pytest.fixture
def graceless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_DEADLINE_GRACE_SECONDS", 0.1)


def test_every_device_is_scored_once() -> None:
    seen: list[str] = []

    def score(device: str, _: DeviceDeadline) -> Outcome:
        seen.append(device)
        return DONE

    devices = [str(number) for number in range(300)]
    outcomes, told = work(score, devices)
    assert sorted(outcomes) == sorted(told) == list(range(300))
    assert sorted(seen) == sorted(devices)


def test_devices_wait_for_storage_at_the_same_time() -> None:
    together = threading.Barrier(THREADS)

    def score(_device: str, _: DeviceDeadline) -> Outcome:
        together.wait(10)
        return DONE

    assert len(work(score, ["d"] * THREADS)[0]) == THREADS


def test_a_result_is_told_before_the_last_device_is_done() -> None:
    first_told = threading.Event()

    def score(device: str, _: DeviceDeadline) -> Outcome:
        if device == "last":
            assert first_told.wait(10)
        return DONE

    outcomes = WorkerPool(score, ["first", "last"], deadline_seconds=30, on_outcome=lambda *_: first_told.set()).run()
    assert [outcome.kind for outcome in outcomes.values()] == [SCORED, SCORED]


@pytest.mark.fault("F32")
@pytest.mark.usefixtures("graceless")
def test_devices_that_hang_fail_alone_and_may_write_no_more() -> None:
    free, guards = threading.Event(), []

    def score(device: str, guard: DeviceDeadline) -> Outcome:
        if device.startswith("hangs"):
            guards.append(guard)
            free.wait(30)
        return DONE

    devices = [f"hangs-{number}" for number in range(THREADS + 1)] + [f"good-{number}" for number in range(20)]
    began = time.monotonic()
    outcomes, _ = work(score, devices, deadline=0.3)
    free.set()
    assert time.monotonic() - began < 5
    hung = [outcomes[index] for index in range(THREADS + 1)]
    assert {(outcome.kind, outcome.reason) for outcome in hung} == {(FAILED, "DeadlineExceeded")}
    assert all(outcomes[index] is DONE for index in range(THREADS + 1, len(devices)))
    assert all(guard.abandoned for guard in guards)


@pytest.mark.fault("F32")
@pytest.mark.usefixtures("graceless")
def test_a_device_given_up_while_it_waits_for_storage_is_passing() -> None:
    free = threading.Event()

    class Waiting:
        in_call = True

    def score(_: str, guard: DeviceDeadline) -> Outcome:
        guard.store = Waiting()  # type: ignore[assignment]  # all that is looked at
        free.wait(30)
        return DONE

    outcomes, _ = work(score, ["d"], deadline=0.1)
    free.set()
    assert (outcomes[0].kind, outcomes[0].reason) == (TRANSIENT, "StorageUnavailable")


def test_after_some_passing_ones_in_a_row_the_rest_is_not_tried() -> None:
    tried: list[str] = []

    def score(device: str, _: DeviceDeadline) -> Outcome:
        tried.append(device)
        raise StorageUnavailable("down")

    outcomes, _ = work(score, [str(number) for number in range(500)])
    assert {outcome.reason for outcome in outcomes.values()} == {"StorageUnavailable"}
    assert len(outcomes) == 500
    assert len(tried) < 50


def test_a_single_passing_device_stops_no_other() -> None:
    def score(device: str, _: DeviceDeadline) -> Outcome:
        if int(device) % 3 == 0:
            raise StorageUnavailable("now and then")
        return DONE

    outcomes, _ = work(score, [str(number) for number in range(90)])
    assert sum(outcome is DONE for outcome in outcomes.values()) == 60


def test_told_to_stop_it_returns_what_is_finished_and_lets_no_one_write() -> None:
    free, guards = threading.Event(), []
    made: list[WorkerPool] = []

    def score(device: str, guard: DeviceDeadline) -> Outcome:
        if device == "slow":
            guards.append(guard)
            free.wait(30)
        return DONE

    def on_outcome(_index: int, _outcome: Outcome) -> None:
        made[0].stop()

    made.append(WorkerPool(score, ["slow", "quick", "slow"], deadline_seconds=30, on_outcome=on_outcome))
    outcomes = made[0].run()
    free.set()
    assert outcomes == {1: DONE}
    assert guards
    assert all(guard.abandoned for guard in guards)


def raising(error: BaseException) -> Score:
    def score(_device: str, _guard: DeviceDeadline) -> Outcome:
        raise error

    return score


@pytest.mark.fault("F32", "T13")
def test_every_error_becomes_an_outcome_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    guard = DeviceDeadline(1)
    assert score_safely(raising(DataInvalid("no header")), "d", guard) == Outcome(FAILED, "DataInvalid", "no header")
    assert score_safely(raising(StorageUnavailable("busy")), "d", guard) == Outcome(
        TRANSIENT, "StorageUnavailable", "busy"
    )
    assert score_safely(raising(MemoryError()), "d", guard).reason == "DataTooLarge"
    unknown = score_safely(raising(ZeroDivisionError("by zero, sig=secret")), "d", guard)
    assert unknown == Outcome(FAILED, "Unknown", "ZeroDivisionError: by zero, sig=***")
    logged = capsys.readouterr().err
    assert "ZeroDivisionError" in logged
    assert "secret" not in logged
