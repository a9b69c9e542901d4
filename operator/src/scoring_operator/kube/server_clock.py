"""The API server's clock. Deadlines compare timestamps of the server with this clock, never with the local one."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class ServerClock:
    """The local monotonic clock plus an offset, which the Date header of each response corrects.

    The header has whole seconds (RFC 9110, section 6.6.1), so each response gives a lower and an upper bound of the
    offset. The offset changes only if it is out of bounds. After many responses the error is at most a round trip. A
    change of the server's clock, in either direction, takes effect with the next response.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # an estimate until the first response
        self._header = ""
        self._date = 0.0

    def observe(self, header: str, sent: float, received: float) -> None:
        """Correct the offset with the Date header of a response.

        Args:
            header: The header, such as "Tue, 24 Nov 2026 07:46:30 GMT". A malformed one is ignored.
            sent: The monotonic time when the request was sent, in seconds.
            received: The monotonic time when the response began, in seconds.
        """
        if header != self._header:
            try:
                self._date = parsedate_to_datetime(header).timestamp()
            except ValueError:
                return
            self._header = header
        self._offset = min(max(self._offset, self._date - received), self._date + 1 - sent)

    def now(self) -> datetime:
        """Return the server's current time, in UTC."""
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)
