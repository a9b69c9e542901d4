"""Tasks in parallel within a time limit."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from fleetscore.doctor.findings import Result, Unseen
from fleetscore.errors import DataInvalid, FleetscoreError

MAX_THREADS = 16
Task = Callable[[], Any]


def run_tasks(tasks: Mapping[Any, Task], seconds: float) -> dict[Any, Any]:
    """Run tasks in parallel and return their results by key.

    Args:
        tasks: The tasks by key.
        seconds: The time limit of all tasks together. A task that is late is not waited for.

    Returns:
        The result of each task; Unseen for a task that is late or fails with an error of the client.
    """
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    finished: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    for item in tasks.items():
        waiting.put(item)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                key, task = waiting.get_nowait()
                finished.put((key, _result(task)))

    for _ in range(min(MAX_THREADS, len(tasks))):
        threading.Thread(target=work, daemon=True).start()  # a daemon: a late task does not delay the end
    late = Unseen(f"there was no answer in {seconds:g} s", "check the network, and try again", is_late=True)
    results = dict.fromkeys(tasks, late)
    deadline = time.monotonic() + seconds
    for _ in tasks:
        try:
            key, result = finished.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[key] = result
    return results


def _result(task: Task) -> Any:
    try:
        return task()
    except FleetscoreError as error:
        return unseen_error(error)
    except Exception as error:  # noqa: BLE001  one broken object must not hide the other findings
        return Unseen(f"the check failed: {type(error).__name__}: {error}"[:300], "report it as an issue")


def unseen_error(error: FleetscoreError) -> Unseen:
    """Return the fact that an error prevented; the text of an error ends with its next step after a semicolon."""
    reason, _, cure = str(error).rpartition("; ")
    result = Result.PROBLEM if isinstance(error, DataInvalid) else Result.UNKNOWN
    return Unseen(reason or str(error), cure if reason else "try again", result)
