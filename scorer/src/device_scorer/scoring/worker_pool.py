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
from device_scorer.contract.outcome_message import FAILED, PASSING, Outcome
from device_scorer.errors import PassingError, ReasonedError
from device_scorer.scoring.context import Guard

THREADS = 4
_GRACE = 2.0
"""Seconds after a deadline in which the device's own, better word is still heard."""

_PASSING_IN_A_ROW = 2 * THREADS
_COLLECT_EVERY = 32
_LONGEST_MESSAGE = 500

Score = Callable[[str, Guard], Outcome]
OnOutcome = Callable[[int, Outcome], None]


class Crew:
    """Scores devices; one use only."""

    def __init__(self, score: Score, devices: Sequence[str], *, deadline: float, on_outcome: OnOutcome) -> None:
        self._score, self._devices, self._deadline, self._on_outcome = score, devices, deadline, on_outcome
        self._results: SimpleQueue[tuple[int, Outcome] | None] = SimpleQueue()
        self._next = itertools.count()
        self._started: dict[int, Guard] = {}
        self._passing: list[Outcome] = []
        self._stopped = False

    def stop(self) -> None:
        """End now, with what is finished. Safe to call from a signal handler."""
        self._stopped = True
        self._results.put(None)

    def run(self) -> dict[int, Outcome]:
        """Score all devices; returns the outcomes by index, fewer than all only if stopped."""
        outcomes: dict[int, Outcome] = {}
        for _ in range(min(THREADS, len(self._devices))):
            self._hire()
        while len(outcomes) < len(self._devices) and not self._stopped:
            try:
                result = self._results.get(timeout=self._patience())
            except Empty:
                result = self._give_up_overdue()
            if result is None:
                continue
            index, outcome = result
            self._started.pop(index, None)
            if index not in outcomes:  # one that was given up may still speak
                outcomes[index] = outcome
                self._on_outcome(index, outcome)
            if not gc.isenabled() and len(outcomes) % _COLLECT_EVERY == 0:
                gc.collect()  # the process has turned the collector off; the SDK leaves cycles behind
        for guard in list(self._started.values()):
            guard.give_up()
        return outcomes

    def _hire(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while not self._stopped and (index := next(self._next)) < len(self._devices):
            if len(self._passing) >= _PASSING_IN_A_ROW:
                self._results.put((index, self._passing[-1]))
                continue
            guard = self._started[index] = Guard(self._deadline)
            outcome = attempt(self._score, self._devices[index], guard)
            self._note(outcome)
            self._results.put((index, outcome))
            if guard.given_up:  # another thread has taken this one's place
                return

    def _note(self, outcome: Outcome) -> None:
        if outcome.kind == PASSING:
            self._passing.append(outcome)
        else:
            self._passing.clear()

    def _patience(self) -> float:
        ends = min((guard.ends for guard in list(self._started.values())), default=time.monotonic() + 1)
        return max(0.01, ends + _GRACE - time.monotonic())

    def _give_up_overdue(self) -> tuple[int, Outcome] | None:
        now = time.monotonic()
        for index, guard in list(self._started.items()):
            if now >= guard.ends + _GRACE:
                waits = guard.waits_for_storage
                guard.give_up()
                self._hire()
                if waits:
                    return index, Outcome(PASSING, "StorageUnavailable", "storage did not answer before the deadline")
                text = f"the device did not end within its {self._deadline:g} seconds and was given up"
                return index, Outcome(FAILED, "DeadlineExceeded", text)
        return None


def attempt(score: Score, device: str, guard: Guard) -> Outcome:
    """Score a device; every error becomes its outcome, with a sentence and never a traceback."""
    try:
        return score(device, guard)
    except ReasonedError as error:
        kind = PASSING if isinstance(error, PassingError) else FAILED
        return Outcome(kind, error.reason, log.redact(str(error))[:_LONGEST_MESSAGE])
    except MemoryError:
        return Outcome(FAILED, "DataTooLarge", "the device's readings or models do not fit into memory")
    except Exception as error:  # noqa: BLE001  whatever it is, it is this device's alone
        log.error("unexpected error", device=device, traceback=traceback.format_exc())
        return Outcome(FAILED, "Unknown", log.redact(f"{type(error).__name__}: {error}")[:_LONGEST_MESSAGE])
