"""Runs many devices in one process: a few threads whose waiting overlaps, each device with its own deadline.

A device that overruns is given up: its thread is left behind (it can write nothing any more) and another takes its
place, so that only that device fails. When storage or identity has failed several devices in a row, the others are not
tried: the Job comes again. Told to stop, the crew returns what is finished.
"""

import gc
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from device_scorer import log
from device_scorer.contract.outcome_message import FAILED, TRANSIENT, Outcome
from device_scorer.errors import DeviceError, TransientError
from device_scorer.scoring.context import DeviceDeadline

THREADS = 4
_DEADLINE_GRACE_SECONDS = 2.0
"""Seconds after a deadline in which the device's own, better word is still heard."""

_MAX_CONSECUTIVE_TRANSIENT = 2 * THREADS
_DEVICES_PER_COLLECTION = 32
_MAX_MESSAGE_CHARS = 500

ScoreFunction = Callable[[str, DeviceDeadline], Outcome]
OutcomeCallback = Callable[[int, Outcome], None]


class WorkerPool:
    """Scores devices; one use only."""

    def __init__(
        self, score: ScoreFunction, devices: Sequence[str], *, deadline_seconds: float, on_outcome: OutcomeCallback
    ) -> None:
        self._score, self._devices, self._deadline_seconds, self._on_outcome = (
            score,
            devices,
            deadline_seconds,
            on_outcome,
        )
        self._results: SimpleQueue[tuple[int, Outcome] | None] = SimpleQueue()
        self._next_index = itertools.count()
        self._running_deadlines: dict[int, DeviceDeadline] = {}
        self._consecutive_transient: list[Outcome] = []
        self._stopped = False

    def stop(self) -> None:
        """End now, with what is finished. Safe to call from a signal handler."""
        self._stopped = True
        self._results.put(None)

    def run(self) -> dict[int, Outcome]:
        """Score all devices; returns the outcomes by index, fewer than all only if stopped."""
        outcomes: dict[int, Outcome] = {}
        for _ in range(min(THREADS, len(self._devices))):
            self._start_worker()
        while len(outcomes) < len(self._devices) and not self._stopped:
            try:
                result = self._results.get(timeout=self._seconds_to_deadline())
            except Empty:
                result = self._abandon_overdue()
            if result is None:
                continue
            index, outcome = result
            self._running_deadlines.pop(index, None)
            if index not in outcomes:  # one that was given up may still speak
                outcomes[index] = outcome
                self._on_outcome(index, outcome)
            if not gc.isenabled() and len(outcomes) % _DEVICES_PER_COLLECTION == 0:
                gc.collect()  # the process has turned the collector off; the SDK leaves cycles behind
        for deadline in list(self._running_deadlines.values()):
            deadline.abandon()
        return outcomes

    def _start_worker(self) -> None:
        threading.Thread(target=self._run_worker, daemon=True).start()

    def _run_worker(self) -> None:
        while not self._stopped and (index := next(self._next_index)) < len(self._devices):
            if len(self._consecutive_transient) >= _MAX_CONSECUTIVE_TRANSIENT:
                self._results.put((index, self._consecutive_transient[-1]))
                continue
            deadline = self._running_deadlines[index] = DeviceDeadline(self._deadline_seconds)
            outcome = score_safely(self._score, self._devices[index], deadline)
            self._track_transient(outcome)
            self._results.put((index, outcome))
            if deadline.abandoned:  # another thread has taken this one's place
                return

    def _track_transient(self, outcome: Outcome) -> None:
        if outcome.kind == TRANSIENT:
            self._consecutive_transient.append(outcome)
        else:
            self._consecutive_transient.clear()

    def _seconds_to_deadline(self) -> float:
        ends_at = min(
            (deadline.ends_at for deadline in list(self._running_deadlines.values())), default=time.monotonic() + 1
        )
        return max(0.01, ends_at + _DEADLINE_GRACE_SECONDS - time.monotonic())

    def _abandon_overdue(self) -> tuple[int, Outcome] | None:
        now = time.monotonic()
        for index, deadline in list(self._running_deadlines.items()):
            if now >= deadline.ends_at + _DEADLINE_GRACE_SECONDS:
                waiting_for_storage = deadline.waits_for_storage
                deadline.abandon()
                self._start_worker()
                if waiting_for_storage:
                    return index, Outcome(TRANSIENT, "StorageUnavailable", "storage did not answer before the deadline")
                text = f"the device did not end within its {self._deadline_seconds:g} seconds and was given up"
                return index, Outcome(FAILED, "DeadlineExceeded", text)
        return None


def score_safely(score: ScoreFunction, device: str, deadline: DeviceDeadline) -> Outcome:
    """Score a device; every error becomes its outcome, with a sentence and never a traceback."""
    try:
        return score(device, deadline)
    except DeviceError as error:
        kind = TRANSIENT if isinstance(error, TransientError) else FAILED
        return Outcome(kind, error.reason, log.redact(str(error))[:_MAX_MESSAGE_CHARS])
    except MemoryError:
        return Outcome(FAILED, "DataTooLarge", "the device's readings or models do not fit into memory")
    except Exception as error:  # noqa: BLE001  whatever it is, it is this device's alone
        log.error("unexpected error", device=device, traceback=traceback.format_exc())
        return Outcome(FAILED, "Unknown", log.redact(f"{type(error).__name__}: {error}")[:_MAX_MESSAGE_CHARS])
