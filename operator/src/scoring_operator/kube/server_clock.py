"""The API server's time, as its answers tell it. Deadlines are set against the server's timestamps, never our clock."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class ServerClock:
    """Our monotonic clock, plus an offset that every answer's Date header keeps true.

    The header counts whole seconds, so an answer bounds the offset from both sides; the offset moves only when it is
    out of bounds. Thus many answers make it exact to the length of a round trip, and a server whose clock is set (in
    either direction) is followed at once.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # until the first answer: better than nothing
        self._header = ""
        self._date = 0.0

    def observe(self, header: str, sent: float, received: float) -> None:
        """Take in the Date header of an answer.

        Args:
            header: Such as "Tue, 24 Nov 2026 07:46:30 GMT"; an unreadable one is passed over.
            sent: Monotonic time at which the request went out, in seconds.
            received: Monotonic time at which its answer began.
        """
        if header != self._header:
            try:
                self._date = parsedate_to_datetime(header).timestamp()
            except ValueError:
                return
            self._header = header
        self._offset = min(max(self._offset, self._date - received), self._date + 1 - sent)

    def now(self) -> datetime:
        """Give the server's time of this moment, in UTC."""
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)
