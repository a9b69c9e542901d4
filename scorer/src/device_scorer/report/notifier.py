"""Notices of a window's incidents: put them into the outbox, deliver them, and keep the ones that are not accepted.

The outbox is written before the first delivery and after the last one. A report that ends in between leaves the notices
to the next report of any window, which sends the same content. Only the newest window of the history gives new notices:
a backfilled window is about the past. The outbox also has the incidents that each receiver knows to be open. So the
report of the newest window also sends the notices of reports that are missing. Reports at the same time send in turns.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from device_scorer.health.incidents import CLOSED, OPENED
from device_scorer.notify import notices, receivers
from device_scorer.notify.delivery import Delivery, deliver, to_entry
from device_scorer.notify.notices import Notice
from device_scorer.notify.outbox import Entry, Outbox
from device_scorer.notify.receivers import Receiver, Receivers
from device_scorer.notify.selection import continue_announced, select
from device_scorer.plurals import counted
from device_scorer.report.files import PAGE_FILE
from device_scorer.report.fleet_health import FleetHealth, IncidentRow
from device_scorer.report.outbox_store import OutboxStore, process_name
from device_scorer.store.base import Store
from device_scorer.window import Window

OPEN_ALERT_WINDOWS = 3
"""Length of windows after which Alertmanager resolves an open alert that no report has repeated."""

_EVENTS = {OPENED: receivers.OPENED, CLOSED: receivers.CLOSED}


@dataclass(frozen=True)
class Notifier:
    """A sender of the notices of one fleet.

    Attributes:
        store: The store with the outbox.
        fleet: The fleet's name.
        receivers: The receivers of the fleet.
        report_base: The URL of the container of predictions, or an empty text.
        send: The function that delivers entries.
        now: The clock for the end of open alerts, and for the turns of reports.
        sender: A text that no other report has at the same time.
        sleep: A function that waits while other reports send, for a number of seconds.
    """

    store: Store
    fleet: str
    receivers: Receivers
    report_base: str = ""
    send: Callable[[Sequence[Entry], Sequence[Receiver]], Delivery] = deliver
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    sender: str = field(default_factory=process_name)
    sleep: Callable[[float], None] = time.sleep

    def notify(self, health: FleetHealth, window: Window, *, run_failure: str = "") -> list[str]:
        """Send the notices of a window and the pending ones, and return a sentence for each problem.

        Args:
            health: The health of the fleet in the window.
            window: The window.
            run_failure: The reason and message of a failed run; empty for a complete one.

        Raises:
            StorageUnavailable: The outbox cannot be read or written.
        """
        problems = list(self.receivers.problems)
        usable = self.receivers.usable
        if not usable:
            return problems
        ends_at = self.now() + OPEN_ALERT_WINDOWS * (window.end - window.start)
        found = list(self._notices(health, window, run_failure)) if health.newest else []

        def add(outbox: Outbox) -> Outbox:
            outbox = replace(outbox.only_for(usable, self.receivers.unusable), dropped=0)
            if not health.newest or self._is_outdated(outbox, health.series, window):
                return outbox
            for receiver in usable:
                outbox = self._add_notices(outbox, receiver, found, health, window, ends_at)
            return outbox.with_window(health.series, int(window.end.timestamp()))

        boxes = OutboxStore(self.store, self.fleet, self.sender, problems, self.now, self.sleep)
        outbox = boxes.begin_turn(add)
        if outbox.sender == self.sender:
            delivery = self.send(outbox.pending, usable)
            problems += [f"a notice is not delivered: {failure}" for failure in delivery.failures]
            done = (*delivery.delivered, *delivery.rejected)
            outbox = boxes.update(lambda box: box.without(done).without_turn_of(self.sender))
        elif outbox.pending:
            problems.append("a notice is not delivered: other reports send all the time; the next report sends it")
        if outbox.dropped:
            dropped = counted(outbox.dropped, "notice is", "notices are")
            problems.append(f"the outbox is full: {dropped} dropped; check the receivers")
        return problems

    def _is_outdated(self, outbox: Outbox, series: str, window: Window) -> bool:
        """Return True if another report has selected the notices of a later window. One in the future is an error."""
        known, end = outbox.windows.get(series), window.end.timestamp()
        return known is not None and end < known <= self.now().timestamp()

    def _add_notices(
        self,
        outbox: Outbox,
        receiver: Receiver,
        found: Sequence[Notice],
        health: FleetHealth,
        window: Window,
        ends_at: datetime,
    ) -> Outbox:
        """Return the outbox with the entries of one receiver, and with what the receiver then knows."""
        announced = outbox.announced.get((receiver.name, health.series), ())
        known = {one.id for one in announced}
        found = continue_announced(found, announced)
        current = {notice.id for notice in found}
        report = self._report_name(window)
        vanished = [
            one.closing(self.fleet, window.end, report)
            for one in announced
            if one.id not in current and health.mute_of(one.device) is None
        ]
        known_keys = outbox.known
        news = [
            notice
            for notice in found
            if notice.event != receivers.CLOSED
            or notice.id in known
            or to_entry(notice, receiver, ends_at=None).key not in known_keys  # a repeated report
        ]
        selection = select([*vanished, *news], receiver, announced)
        shared = _alerts_of_other_series(outbox, receiver, health.series)
        entries = []
        for notice in selection.notices:
            closed = notice.event == receivers.CLOSED
            if closed and (notice.device, notice.cause, notice.owner) in shared:
                continue
            entry = to_entry(notice, receiver, ends_at=None if closed else ends_at)
            changes = notice.event == receivers.OPENED or (closed and notice.id in known)
            entries.append(entry.with_new_id(known_keys) if changes else entry)
        return outbox.with_announced(receiver.name, health.series, selection.announced).with_entries(entries)

    def _report_name(self, window: Window) -> str:
        return f"{self.report_base}/{window.slug}/{PAGE_FILE}".lstrip("/")

    def _notices(self, health: FleetHealth, window: Window, run_failure: str) -> Iterator[Notice]:
        report = self._report_name(window)
        for row in health.incidents:
            yield _incident_notice(row, self.fleet, window, report)
        if run_failure:
            yield Notice(
                event=receivers.RUN_FAILED,
                id=f"{self.fleet}/{window.slug}",
                fleet=self.fleet,
                cause="run",
                window_end=window.end,
                since=window.start,
                detail=run_failure,
                report=report,
            )


def _alerts_of_other_series(outbox: Outbox, receiver: Receiver, series: str) -> set[tuple[str, str, str]]:
    """Return the alerts that windows of another length keep open: they have no label of their own."""
    if receiver.type != receivers.ALERTMANAGER:
        return set()
    return {
        (one.device, one.cause, one.owner)
        for (name, other), incidents in outbox.announced.items()
        if name == receiver.name and other != series
        for one in incidents
    }


def _incident_notice(row: IncidentRow, fleet: str, window: Window, report: str) -> Notice:
    incident = row.incident
    return Notice(
        event=_EVENTS.get(incident.state, notices.OPEN),
        id=incident.id,
        fleet=fleet,
        cause=incident.cause,
        window_end=window.end,
        since=row.since,
        until=row.until,
        device=incident.device,
        tags=row.tags,
        windows=incident.windows,
        detail=_detail(row),
        owner=row.owner.name,
        contact=row.owner.contact,
        report=report,
        muted=row.muted is not None,
        may_be_older=incident.may_be_older,
    )


def _detail(row: IncidentRow) -> str:
    """Return a sentence with the duration and what is known of the worst tags."""
    subject, count = ", ".join(row.tags), row.incident.windows
    lasted = f"{count:,} window{'' if count == 1 else 's'}"
    return f"{lasted}; {subject}" if subject else lasted
