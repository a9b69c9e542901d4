"""Scoring of many devices in one process: threads whose waiting overlaps, and a deadline for each device.

A device that exceeds its deadline is abandoned, and only this device fails. Its thread loses the permission to write,
and a new thread replaces it. After MAX_CONSECUTIVE_TRANSIENT devices in a row with a transient error the other devices
are not scored: the Job is retried. A stopped pool returns the outcomes of finished devices.
"""

import gc
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from device_scorer import log
from device_scorer.contract.outcome_message import FAILED, TRANSIENT, Outcome
from device_scorer.errors import DeviceError, TransientError
from device_scorer.plurals import plural
from device_scorer.scoring.context import DeviceDeadline
from device_scorer.store.base import Store

THREADS = 4
GRACE_SECONDS = 2.0
"""Seconds after a deadline during which the device's own outcome, which has the better message, is still accepted."""

MAX_CONSECUTIVE_TRANSIENT = 8
DEVICES_PER_COLLECTION = 32
"""Number of devices after which garbage is collected, if the process has switched the collector off."""

MAX_MESSAGE_CHARS = 500

ScoreFunction = Callable[[str, DeviceDeadline], Outcome]
OutcomeCallback = Callable[[int, Outcome], None]


class WorkerPool:
    """A pool of threads that scores devices; for one use.

    Args:
        score: The function that scores one device.
        devices: The device ids.
        store: The store; each device uses a view of it that ends at its deadline.
        deadline_seconds: The time for one device.
        on_outcome: A function that receives the index and outcome of each device, in the order in which they finish.
        grace_seconds: The time between a device's deadline and its abandonment.
    """

    def __init__(
        self,
        score: ScoreFunction,
        devices: Sequence[str],
        *,
        store: Store,
        deadline_seconds: float,
        on_outcome: OutcomeCallback,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._score, self._devices, self._store, self._on_outcome = score, devices, store, on_outcome
        self._deadline_seconds, self._grace_seconds = deadline_seconds, grace_seconds
        self._results: SimpleQueue[tuple[int, Outcome] | None] = SimpleQueue()
        self._next_index = itertools.count()
        self._running_deadlines: dict[int, DeviceDeadline] = {}
        self._consecutive_transient: list[Outcome] = []
        self._stopped = False

    def stop(self) -> None:
        """Make `run` return with the outcomes of finished devices. Safe to call from a signal handler."""
        self._stopped = True
        self._results.put(None)

    def run(self) -> dict[int, Outcome]:
        """Score all devices and return their outcomes by index; some are missing only if the pool was stopped."""
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
            if index not in outcomes:  # an abandoned device may finish later
                outcomes[index] = outcome
                self._on_outcome(index, outcome)
            if not gc.isenabled() and len(outcomes) % DEVICES_PER_COLLECTION == 0:
                gc.collect()  # the SDK leaves reference cycles behind
        for deadline in list(self._running_deadlines.values()):
            deadline.abandon()
        return outcomes

    def _start_worker(self) -> None:
        threading.Thread(target=self._run_worker, daemon=True).start()

    def _run_worker(self) -> None:
        while not self._stopped and (index := next(self._next_index)) < len(self._devices):
            if len(self._consecutive_transient) >= MAX_CONSECUTIVE_TRANSIENT:
                self._results.put((index, self._consecutive_transient[-1]))
                continue
            deadline = self._running_deadlines[index] = DeviceDeadline(self._store, self._deadline_seconds)
            outcome = score_safely(self._score, self._devices[index], deadline)
            self._track_transient(outcome)
            self._results.put((index, outcome))
            if deadline.abandoned:  # another thread has replaced this one
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
        return max(0.01, ends_at + self._grace_seconds - time.monotonic())

    def _abandon_overdue(self) -> tuple[int, Outcome] | None:
        """Abandon one device that is overdue and return its outcome, or None if there is none."""
        now = time.monotonic()
        for index, deadline in list(self._running_deadlines.items()):
            if now >= deadline.ends_at + self._grace_seconds:
                waits_for_storage = deadline.waits_for_storage
                deadline.abandon()
                self._start_worker()
                if waits_for_storage:
                    return index, Outcome(
                        TRANSIENT, "StorageUnavailable", "storage did not respond before the deadline"
                    )
                unit = plural(self._deadline_seconds, "second", "seconds")
                text = f"the device did not finish within {self._deadline_seconds:g} {unit} and was abandoned"
                return index, Outcome(FAILED, "DeadlineExceeded", text)
        return None


def score_safely(score: ScoreFunction, device: str, deadline: DeviceDeadline) -> Outcome:
    """Score a device and turn every error into its outcome, with a message of one sentence and without a traceback.

    Args:
        score: The function that scores one device.
        device: The device's id.
        deadline: The device's deadline.
    """
    try:
        return score(device, deadline)
    except DeviceError as error:
        kind = TRANSIENT if isinstance(error, TransientError) else FAILED
        return Outcome(kind, error.reason, log.redact(str(error))[:MAX_MESSAGE_CHARS])
    except MemoryError:
        return Outcome(FAILED, "DataTooLarge", "the device's readings or models do not fit into memory")
    except Exception as error:  # noqa: BLE001  any error belongs to this device alone
        import traceback  # noqa: PLC0415  most processes have no unexpected error

        log.error("unexpected error", device=device, traceback=traceback.format_exc())
        return Outcome(FAILED, "Unknown", log.redact(f"{type(error).__name__}: {error}")[:MAX_MESSAGE_CHARS])
