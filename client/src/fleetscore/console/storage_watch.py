"""A thread that writes a fault of storage into the log of a console, also while no page is open."""

import sys
import threading
from collections.abc import Callable

from fleetscore.contract.console_log import FAULT_PREFIX, READABLE
from fleetscore.errors import FleetscoreError
from fleetscore.store.base import Store
from fleetscore.texts import printable

POLL_SECONDS = 60.0
ROLES = ("predictions", "models")
"""The containers that the pages read."""

PROBE_NAME = "_fleetscore-console"
"""The name of a blob that does not exist: reading it shows whether its container can be read."""


def start_watch(store: Store) -> None:
    """Watch storage until the process ends. See watch_storage."""
    never = threading.Event()

    def work() -> None:
        watch_storage(store, lambda line: print(line, file=sys.stderr, flush=True), never.wait)

    threading.Thread(target=work, name="storage-watch", daemon=True).start()


def watch_storage(store: Store, write: Callable[[str], None], wait: Callable[[float], bool]) -> None:
    """Write the fault of storage at each check, and one line after the last fault.

    Args:
        store: The fleet's storage.
        write: The function that writes a line.
        wait: The function that waits for some seconds, and returns True to end the watch.
    """
    fault = ""
    while True:
        before, fault = fault, _fault(store)
        if fault:
            write(f"{FAULT_PREFIX}{fault}")
        elif before:
            write(READABLE)
        if wait(POLL_SECONDS):
            return


def _fault(store: Store) -> str:
    """Return the reason that a container cannot be read, with the next step; empty without one."""
    for role in ROLES:
        try:
            store.read(role, PROBE_NAME)
        except FleetscoreError as error:
            return printable(error)
    return ""
