"""The notices that a receiver gets in a window, and the incidents that it then knows to be open.

The choice compares the incidents of the window with those that were announced to the receiver. So an incident whose
report was lost is announced by a later report, and an incident that late readings undo is closed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from device_scorer.notify.notices import MORE, OPEN, Notice, clean
from device_scorer.notify.receivers import ALERTMANAGER, CLOSED, OPENED, RUN_FAILED, Receiver
from device_scorer.plurals import counted

MAX_ANNOUNCED = 1000
"""Number of incidents of a receiver that are announced at a time. More open incidents are only counted."""


@dataclass(frozen=True, slots=True)
class Announced:
    """An incident that a receiver knows to be open.

    Attributes:
        id: The id of the incident.
        device: The device; empty for the fleet.
        cause: The cause as announced.
        since: The start of its first window, in seconds since the epoch.
        owner: The owner as announced.
        contact: The owner's contact.
        counted: True if the incident was only counted, because the window had more notices than the receiver takes.
    """

    id: str
    device: str
    cause: str
    since: int
    owner: str = ""
    contact: str = ""
    counted: bool = False

    def closing(self, fleet: str, window_end: datetime, report: str) -> Notice:
        """Return the notice that the incident is closed. The end of its last bad window is unknown.

        Args:
            fleet: The fleet's name.
            window_end: The end of the window in which it is closed, in UTC.
            report: The address or the blob name of the report.
        """
        return Notice(
            event=CLOSED,
            id=self.id,
            fleet=fleet,
            cause=self.cause,
            window_end=window_end,
            since=datetime.fromtimestamp(self.since, UTC),
            device=self.device,
            owner=self.owner,
            contact=self.contact,
            report=report,
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The notices that a receiver gets, in their order, and the incidents that it then knows to be open."""

    notices: tuple[Notice, ...] = ()
    announced: tuple[Announced, ...] = ()


def select(notices: Iterable[Notice], receiver: Receiver, announced: Iterable[Announced] = ()) -> Selection:
    """Return the notices of a window that a receiver gets, the most important first, with the others counted.

    News is limited by `max_per_window`. The end of an incident that the receiver knows has no limit, because otherwise
    a ticket of the receiver would stay open. An Alertmanager also gets each announced incident again while it is open,
    because otherwise it would resolve the alert, and its end when it is muted. These have no limit either.

    A receiver of `opened` gets the end of no other incident. One that is over before a report has announced it, such as
    after a lost report, is opened and closed at once. An incident that was only counted is not closed.

    Args:
        notices: The notices of one window: all incidents that are open or closed in it.
        receiver: The receiver.
        announced: The incidents that the receiver knows to be open.
    """
    choice = _Choice(receiver, {one.id: one for one in announced})
    for notice in notices:
        choice.add(notice)
    return choice.finish()


def continue_announced(notices: Sequence[Notice], announced: Sequence[Announced]) -> list[Notice]:
    """Return the notices; an incident that may be older than its first known window keeps its announced id and begin.

    The report reads a part of the history. The first known window of a long incident moves with that part, and the id
    with it. It is the incident that the receiver knows: a device has one at a time.

    Args:
        notices: The notices of one window.
        announced: The incidents that the receiver knows to be open.
    """
    current = {notice.id for notice in notices}
    earlier = {one.device: one for one in announced if one.device and one.id not in current}
    return [_continue(notice, earlier.get(clean(notice.device))) for notice in notices]


def _continue(notice: Notice, known: Announced | None) -> Notice:
    if known is None or not notice.may_be_older or known.since > notice.since.timestamp():
        return notice
    return replace(notice, id=known.id, since=datetime.fromtimestamp(known.since, UTC))


class _Choice:
    def __init__(self, receiver: Receiver, known: dict[str, Announced]) -> None:
        self._receiver, self._known = receiver, known
        self._repeats = receiver.type == ALERTMANAGER
        self._ended: list[Notice] = []
        self._news: list[Notice] = []
        self._repeated: list[Notice] = []
        self._over: dict[str, Notice] = {}
        self._old: set[str] = set()

    def add(self, notice: Notice) -> None:
        receiver, before = self._receiver, self._known.get(notice.id)
        wanted = notice.cause in receiver.causes and notice.windows >= receiver.min_windows
        if notice.event == OPEN and notice.windows > receiver.min_windows:
            self._old.add(notice.id)
        if notice.event == RUN_FAILED:
            self._news += [notice] * (RUN_FAILED in receiver.events)
        elif notice.event == CLOSED and not notice.muted:
            self._close(notice, before, wanted=wanted)
        elif notice.event != CLOSED and before is None:
            self._news += [replace(notice, event=OPENED)] * (wanted and not notice.muted and OPENED in receiver.events)
        elif notice.event != CLOSED and before is not None and self._repeats:
            self._repeat(notice, before, wanted=wanted)

    def _repeat(self, notice: Notice, before: Announced, *, wanted: bool) -> None:
        """Send an open alert again, or end it if it is muted, not wanted any more, or has other labels now."""
        lasts = wanted and not notice.muted
        other_labels = (before.cause, before.owner) != (clean(notice.cause), clean(notice.owner))
        if not lasts or other_labels:
            self._close(before.closing(notice.fleet, notice.window_end, notice.report), before, wanted=True)
        if lasts:
            self._known[notice.id] = _announced(notice, counted=before.counted)
            self._repeated += [replace(notice, event=OPENED if other_labels else OPEN)] * (not before.counted)

    def finish(self) -> Selection:
        self._news.sort(key=lambda one: (one.event != RUN_FAILED, one.cause != "fleet", one.device, one.id))
        self._repeated.sort(key=lambda one: (one.device, one.id))
        kept: list[Notice] = []
        rest: list[Notice] = []
        for notice in self._news:
            over = notice.id in self._over
            full = notice.event == OPENED and not over and len(self._known) >= MAX_ANNOUNCED
            if full and notice.id in self._old:
                continue  # an earlier window has counted it
            counted = full or len(kept) >= self._receiver.max_per_window
            (rest if counted else kept).append(notice)
            if notice.event == OPENED and not full and not over:
                self._known[notice.id] = _announced(notice, counted=counted)
        more = [_more(rest)] if rest else []
        ends = [self._over[notice.id] for notice in kept if notice.event == OPENED and notice.id in self._over]
        return Selection((*self._ended, *kept, *ends, *more, *self._repeated), tuple(self._known.values()))

    def _close(self, notice: Notice, before: Announced | None, *, wanted: bool) -> None:
        """Send the end of an incident that the receiver knows, and begin and end of one that no report announced."""
        self._known.pop(notice.id, None)
        if CLOSED not in self._receiver.events:
            return
        if before is not None:  # the receiver knows the incident by its announcement
            known_as = replace(notice, cause=before.cause, owner=before.owner, contact=before.contact)
            self._ended += [known_as] * (not before.counted)
        elif wanted and OPENED in self._receiver.events and not self._repeats:
            self._news.append(replace(notice, event=OPENED, until=None))
            self._over[notice.id] = notice
        elif wanted:
            self._news.append(notice)


def _announced(notice: Notice, *, counted: bool = False) -> Announced:
    return Announced(
        id=notice.id,
        device=clean(notice.device),
        cause=clean(notice.cause),
        since=int(notice.since.timestamp()),
        owner=clean(notice.owner),
        contact=clean(notice.contact),
        counted=counted,
    )


_MORE = ("more notice of this window is not sent", "more notices of this window are not sent")


def _more(rest: Sequence[Notice]) -> Notice:
    first = rest[0]
    return Notice(
        event=MORE,
        id=hashlib.sha256("\0".join(one.event_id for one in rest).encode()).hexdigest()[:32],
        fleet=first.fleet,
        cause="fleet",
        window_end=first.window_end,
        since=min(one.since for one in rest),
        detail=f"{counted(len(rest), *_MORE)}; the report lists all",
        report=first.report,
    )
