"""The outbox of a fleet: notices that no receiver has accepted yet, and what the receivers know.

The blob is `_outbox/FLEET.json` in the container of predictions. A damaged outbox counts as empty: the caller sets it
aside. Its size is bounded; the oldest entries are kept until they are delivered. The newest entries of the receiver
with the most entries are dropped, so that a receiver that is down for weeks takes no notice from the others.

A series is the windows of one length and offset, which have a history of their own.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from device_scorer.errors import DataInvalid
from device_scorer.notify.notices import CLOUD_EVENT_TYPES, MAX_TEXT_CHARS
from device_scorer.notify.receivers import ALERTMANAGER, MAX_RECEIVERS, OPENED, Receiver
from device_scorer.notify.selection import MAX_ANNOUNCED, Announced

FORMAT_VERSION = 1
MAX_PENDING = 2000
MAX_DELIVERED = 20_000
MAX_BYTES = 8 * 2**20
MAX_SERIES = 100
MAX_NAME_CHARS = 63
TURN_SECONDS = 150
"""Time after which another report sends the notices of one that was stopped: longer than a delivery."""

MAX_TIME = 10**12
"""Bound of seconds since the epoch."""


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

    @property
    def incident(self) -> object:
        """The id of the incident of a CloudEvent; None for another message."""
        data = self.body.get("data")
        return data.get("incident") if isinstance(data, dict) else None

    @property
    def opens(self) -> bool:
        """True for a CloudEvent that an incident is open."""
        return self.body.get("type") == CLOUD_EVENT_TYPES[OPENED]

    @property
    def alert(self) -> str | None:
        """The identity of an alert, which its labels are; None for another message."""
        return json.dumps([self.receiver, self.body["labels"]], sort_keys=True) if "labels" in self.body else None

    def with_new_id(self, known: Collection[tuple[str, str]]) -> "Entry":
        """Return the entry with a key that is not known, for an incident that opens or closes twice in one window.

        Args:
            known: The keys of the entries that are pending or delivered.
        """
        found, number = self, 1
        while found.key in known:
            number += 1
            id_ = f"{self.id}-{number}"
            found = Entry(self.receiver, id_, {**self.body, "id": id_} if "id" in self.body else self.body)
        return found


@dataclass(frozen=True, slots=True)
class Outbox:
    """The state of the notifications of a fleet.

    Attributes:
        pending: The entries that are not delivered, the oldest first.
        delivered: The keys of delivered entries.
        dropped: The number of entries that were dropped because the outbox was full.
        announced: The incidents that a receiver knows to be open, by receiver and series.
        windows: The end of the newest window whose notices were selected, by series, in seconds since the epoch.
        addresses: The address of each receiver; see `Receiver.address`.
        sender: The report that sends the pending entries; an empty text if none does.
        turn_end: The time at which the turn of the sender ends, in seconds since the epoch.
    """

    pending: tuple[Entry, ...] = ()
    delivered: tuple[tuple[str, str], ...] = ()
    dropped: int = 0
    announced: Mapping[tuple[str, str], tuple[Announced, ...]] = field(default_factory=dict, hash=False)
    windows: Mapping[str, int] = field(default_factory=dict, hash=False)
    addresses: Mapping[str, str] = field(default_factory=dict, hash=False)
    sender: str = ""
    turn_end: int = 0

    def with_entries(self, entries: Iterable[Entry]) -> "Outbox":
        """Return the outbox with new entries.

        An event that is pending or delivered keeps its first content. An alert replaces a pending one with its labels:
        Alertmanager would only keep the newer one.
        """
        known = self.known
        new: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            if entry.key not in known:
                new.setdefault(entry.key, entry)
        replaced = {entry.alert for entry in new.values()} - {None}
        pending = (*(entry for entry in self.pending if entry.alert not in replaced), *new.values())
        return self._with_pending(pending, [1] * len(pending), MAX_PENDING)

    @property
    def known(self) -> set[tuple[str, str]]:
        """The keys of the entries that are pending or delivered."""
        return {*self.delivered, *(entry.key for entry in self.pending)}

    def with_announced(self, receiver: str, series: str, announced: tuple[Announced, ...]) -> "Outbox":
        """Return the outbox with other incidents that a receiver knows to be open."""
        others = {key: value for key, value in self.announced.items() if key != (receiver, series)}
        return replace(self, announced={**others, (receiver, series): announced} if announced else others)

    def with_window(self, series: str, end: int) -> "Outbox":
        """Return the outbox with another newest window of a series; the series with the oldest windows are left out."""
        windows = sorted({**self.windows, series: end}.items(), key=lambda entry: entry[1])
        return replace(self, windows=dict(windows[-MAX_SERIES:]))

    def without(self, delivered: Sequence[tuple[str, str]]) -> "Outbox":
        """Return the outbox after the delivery of entries."""
        keys = set(delivered)
        pending = tuple(entry for entry in self.pending if entry.key not in keys)
        return replace(self, pending=pending, delivered=(*self.delivered, *delivered)[-MAX_DELIVERED:])

    def with_turn_of(self, sender: str, now: int) -> "Outbox":
        """Return the outbox with the report as its sender, if entries are pending and no other report sends.

        Args:
            sender: The report.
            now: The time, in seconds since the epoch.
        """
        taken = self.sender not in ("", sender) and now < self.turn_end <= now + 2 * TURN_SECONDS
        if taken or not self.pending:
            return self
        return replace(self, sender=sender, turn_end=now + TURN_SECONDS)

    def without_turn_of(self, sender: str) -> "Outbox":
        """Return the outbox after the delivery by a report, if it is still the sender."""
        return replace(self, sender="", turn_end=0) if self.sender == sender else self

    def only_for(self, receivers: Sequence[Receiver], waiting_names: Collection[str] = ()) -> "Outbox":
        """Return the outbox without what belongs to receivers that the fleet does not have any more.

        A receiver at another address knows no incident, except by messages that are pending. A message in the format of
        another type is left out.

        Args:
            receivers: The receivers that can be used.
            waiting_names: The names of receivers that cannot be used at present, such as without their Secret.
        """
        alerts = {one.name: one.type == ALERTMANAGER for one in receivers}
        pending = tuple(
            one
            for one in self.pending
            if one.receiver in waiting_names
            or (one.receiver in alerts and (one.alert is not None) == alerts[one.receiver])
        )
        waiting = {(one.receiver, one.incident) for one in pending}
        moved = {one.name for one in receivers if self.addresses.get(one.name, one.address) != one.address}
        announced = {
            (name, series): tuple(one for one in incidents if name not in moved or (name, one.id) in waiting)
            for (name, series), incidents in self.announced.items()
            if name in alerts or name in waiting_names
        }
        kept = {name: address for name, address in self.addresses.items() if name in waiting_names}
        addresses = kept | {one.name: one.address for one in receivers}
        return replace(
            self,
            pending=pending,
            announced={key: incidents for key, incidents in announced.items() if incidents},
            addresses=addresses,
        )

    def fitted(self) -> "Outbox":
        """Return the outbox without some of its newest entries if it is larger than MAX_BYTES."""
        if len(encode_outbox(self)) <= MAX_BYTES:
            return self
        sizes = [len(json.dumps(_entry_fields(one), **_COMPACT)) + 1 for one in self.pending]
        others = len(encode_outbox(replace(self, pending=())))
        outbox = self._with_pending(self.pending, sizes, MAX_BYTES - others)
        return outbox if others <= MAX_BYTES else replace(outbox, announced={})

    def _with_pending(self, pending: Sequence[Entry], sizes: Sequence[int], limit: int) -> "Outbox":
        """Return the outbox with pending entries, whose sizes are at most the limit together.

        Args:
            pending: The entries, the oldest first.
            sizes: The size of each entry.
            limit: The limit of all sizes.
        """
        totals: Counter[str] = Counter()
        newest: dict[str, list[int]] = {}
        for at, entry in enumerate(pending):
            totals[entry.receiver] += sizes[at]
            newest.setdefault(entry.receiver, []).append(at)
        dropped: set[int] = set()
        while totals.total() > limit and any(newest.values()):
            largest = max(totals, key=totals.__getitem__)
            at = newest[largest].pop()
            totals[largest] -= sizes[at]
            dropped.add(at)
        kept = tuple(entry for at, entry in enumerate(pending) if at not in dropped)
        unsent = {(one.receiver, one.incident) for at, one in enumerate(pending) if at in dropped and one.opens}
        announced = {
            (name, series): tuple(replace(one, counted=True) if (name, one.id) in unsent else one for one in incidents)
            for (name, series), incidents in self.announced.items()
        }
        return replace(self, pending=kept, dropped=self.dropped + len(dropped), announced=announced)


_COMPACT: dict[str, Any] = {"separators": (",", ":"), "sort_keys": True}


def encode_outbox(outbox: Outbox) -> bytes:
    """Return the content of the blob; equal outboxes have equal bytes."""
    document = {
        "v": FORMAT_VERSION,
        "pending": [_entry_fields(entry) for entry in outbox.pending],
        "delivered": [list(key) for key in outbox.delivered],
        "dropped": outbox.dropped,
        "announced": [
            [receiver, series, [list(astuple(one)) for one in announced]]
            for (receiver, series), announced in sorted(outbox.announced.items())
        ],
        "windows": dict(outbox.windows),
        "addresses": dict(outbox.addresses),
        "turn": [outbox.sender, outbox.turn_end],
    }
    return json.dumps(document, **_COMPACT).encode()


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
        dropped = _number(document["dropped"], 0)
        announced = {
            (_text(receiver), _series(series)): tuple(map(_announced, incidents))
            for receiver, series, incidents in document["announced"]
        }
        windows = {_series(series): _number(end) for series, end in document["windows"].items()}
        addresses = {_text(name): _text(value) for name, value in document.get("addresses", {}).items()}
        sender, turn_end = document.get("turn", ("", 0))
        sender, turn_end = _series(sender), _number(turn_end)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataInvalid(f"the outbox is invalid: {type(error).__name__}") from error
    too_long = any(len(incidents) > MAX_ANNOUNCED for incidents in announced.values())
    too_many = len(windows) > MAX_SERIES or len(addresses) > MAX_RECEIVERS
    if len(pending) > MAX_PENDING or len(delivered) > MAX_DELIVERED or too_many or too_long:
        raise DataInvalid("the outbox is invalid: it has too many entries")
    return Outbox(pending, delivered, dropped, announced, windows, addresses, sender, turn_end)


def _entry_fields(entry: Entry) -> list[Any]:
    return [entry.receiver, entry.id, entry.body]


def _announced(fields: Any) -> Announced:
    id_, device, cause, since, owner, contact, counted = fields
    texts = (device, cause, owner, contact)
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT_CHARS for text in texts) or type(counted) is not bool:
        raise TypeError(fields)
    return Announced(_text(id_), device, cause, _number(since), owner, contact, counted)


def _number(value: Any, lowest: int = -MAX_TIME) -> int:
    if type(value) is not int or not lowest <= value <= MAX_TIME:
        raise TypeError(value)
    return value


def _series(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARS:
        raise TypeError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS:
        raise TypeError(value)
    return value


def _body(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value
