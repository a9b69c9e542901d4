"""The outbox of a fleet in storage: changes that no other report undoes, and the turn of a report to send.

Reports of one fleet may run at the same time. If two of them sent the same notices, the second `opened` could arrive
after the `closed` of a third one. So one report sends at a time, all pending notices in their order, and the others
wait for it. The turn of a report that was stopped ends with its time.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from device_scorer.contract.blob_paths import encode_id
from device_scorer.errors import BlobUnreadable, DataInvalid
from device_scorer.notify.outbox import MAX_BYTES, Outbox, decode_outbox, encode_outbox
from device_scorer.store.base import Store, md5_hex
from device_scorer.store.conditional_write import write_if_unchanged

MAX_WAIT_SECONDS = 160.0
"""Time for which a report waits for its turn: longer than the turn of a report that was stopped."""

_MAX_POLL_SECONDS = 5.0


def process_name() -> str:
    """Return a text that no other process has at the same time: a pod's host name is its own."""
    return md5_hex(f"{socket.gethostname()}/{os.getpid()}".encode())[:16]


@dataclass(frozen=True)
class OutboxStore:
    """The outbox of a fleet in a store.

    Attributes:
        store: The store.
        fleet: The fleet's name.
        sender: A text that no other report has at the same time.
        problems: Receives a sentence for a damaged outbox.
        now: The clock of turns.
        sleep: A function that waits, for a number of seconds.
    """

    store: Store
    fleet: str
    sender: str = field(default_factory=process_name)
    problems: list[str] = field(default_factory=list)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sleep: Callable[[float], None] = time.sleep

    @property
    def name(self) -> str:
        """The name of the outbox's blob."""
        return f"_outbox/{encode_id(self.fleet)}.json"

    def update(self, change: Callable[[Outbox], Outbox]) -> Outbox:
        """Change the outbox if it is unchanged since it was read, and return it.

        Args:
            change: A function that returns the changed outbox. It is called again with what another report has written.

        Raises:
            StorageUnavailable: Other reports changed the outbox too often.
        """

        def change_once() -> tuple[Outbox, bytes | None, str | None]:
            outbox, etag = self._read()
            changed = change(outbox).fitted()
            return changed, None if changed == outbox else encode_outbox(changed), etag

        return write_if_unchanged(self.store, self.name, change_once, sleep=self.sleep)

    def begin_turn(self, change: Callable[[Outbox], Outbox]) -> Outbox:
        """Change the outbox, wait for the turn to send while notices are pending, and return the outbox.

        The report may send if the outbox has its name as the sender. Otherwise nothing is pending, or the wait of
        MAX_WAIT_SECONDS was too short.

        Args:
            change: See `update`.
        """
        outbox = self.update(lambda box: self._with_turn(change(box)))
        waited, pause = 0.0, 0.1
        while outbox.pending and outbox.sender != self.sender and waited < MAX_WAIT_SECONDS:
            self.sleep(pause)
            waited, pause = waited + pause, min(_MAX_POLL_SECONDS, pause * 1.5)
            outbox = self.update(self._with_turn)
        return outbox

    def _with_turn(self, outbox: Outbox) -> Outbox:
        return outbox.with_turn_of(self.sender, int(self.now().timestamp()))

    def _read(self) -> tuple[Outbox, str | None]:
        """Return the outbox and its ETag. A damaged outbox is stored under another name and is empty."""
        try:
            blob = self.store.read("predictions", self.name, max_bytes=MAX_BYTES)
            return (Outbox(), None) if blob is None else (decode_outbox(blob.content), blob.etag)
        except DataInvalid as error:
            assert blob is not None  # noqa: S101  only its content can be invalid
            name = f"{self.name.removesuffix('.json')}.damaged-{md5_hex(blob.content)[:12]}.json"
            self.store.write("predictions", name, blob.content)
            self._add_problem(f"{error}; it is stored as {name}, and a new outbox begins")
            return Outbox(), blob.etag
        except BlobUnreadable as error:
            info = self.store.head("predictions", self.name)
            self._add_problem(f"{error}; a new outbox begins")
            return Outbox(), None if info is None else info.etag

    def _add_problem(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
