"""The outbox of a fleet: notices that no receiver has accepted yet, and the ids of delivered ones. Pure.

The blob is `_outbox/FLEET.json` in the container of predictions. A damaged outbox counts as empty: the caller sets it
aside. Its size is bounded; the oldest entries are kept until they are delivered, and the newest are dropped.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from device_scorer.errors import DataInvalid

FORMAT_VERSION = 1
MAX_PENDING = 2000
MAX_DELIVERED = 20_000
MAX_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """A message for one receiver.

    Attributes:
        receiver: The receiver's name.
        id: The id of the event.
        body: The message in the receiver's format, as JSON.
    """

    receiver: str
    id: str
    body: dict[str, Any] = field(hash=False)

    @property
    def key(self) -> tuple[str, str]:
        """The identity of the entry: an event is sent once to a receiver."""
        return self.receiver, self.id


@dataclass(frozen=True, slots=True)
class Outbox:
    """Pending entries, the oldest first, the keys of delivered ones, and the number of dropped entries."""

    pending: tuple[Entry, ...] = ()
    delivered: tuple[tuple[str, str], ...] = ()
    dropped: int = 0

    def with_entries(self, entries: Iterable[Entry]) -> "Outbox":
        """Return the outbox with new entries. An event that is pending or delivered keeps its first content."""
        known = {*self.delivered, *(entry.key for entry in self.pending)}
        new: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            if entry.key not in known:
                new.setdefault(entry.key, entry)
        pending = (*self.pending, *new.values())
        return replace(self, pending=pending[:MAX_PENDING], dropped=self.dropped + max(0, len(pending) - MAX_PENDING))

    def without(self, delivered: Sequence[tuple[str, str]]) -> "Outbox":
        """Return the outbox after the delivery of entries."""
        keys = set(delivered)
        pending = tuple(entry for entry in self.pending if entry.key not in keys)
        return replace(self, pending=pending, delivered=(*self.delivered, *delivered)[-MAX_DELIVERED:])

    def only_for(self, receivers: Iterable[str]) -> "Outbox":
        """Return the outbox without entries of receivers that the fleet does not have any more."""
        names = set(receivers)
        return replace(self, pending=tuple(entry for entry in self.pending if entry.receiver in names))


def encode_outbox(outbox: Outbox) -> bytes:
    """Return the content of the blob; equal outboxes have equal bytes."""
    document = {
        "v": FORMAT_VERSION,
        "pending": [[entry.receiver, entry.id, entry.body] for entry in outbox.pending],
        "delivered": [list(key) for key in outbox.delivered],
        "dropped": outbox.dropped,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def decode_outbox(content: bytes) -> Outbox:
    """Return the outbox of a blob.

    Raises:
        DataInvalid: The content is not an outbox; the text has the reason.
    """
    if len(content) > MAX_BYTES:
        raise DataInvalid(f"the outbox is invalid: it has more than {MAX_BYTES:,} bytes")
    try:
        document = json.loads(content)
        if document["v"] != FORMAT_VERSION:
            raise DataInvalid("the outbox is invalid: it has another format")
        pending = tuple(Entry(_text(name), _text(id_), _body(body)) for name, id_, body in document["pending"])
        delivered = tuple((_text(name), _text(id_)) for name, id_ in document["delivered"])
        dropped = document["dropped"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataInvalid(f"the outbox is invalid: {type(error).__name__}") from error
    if len(pending) > MAX_PENDING or len(delivered) > MAX_DELIVERED or not isinstance(dropped, int) or dropped < 0:
        raise DataInvalid("the outbox is invalid: it has too many entries")
    return Outbox(pending, delivered, dropped)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 63:
        raise TypeError(value)
    return value


def _body(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value
