"""The progress of a listing that a server sends page by page. A listing that does not end is detected."""

from collections.abc import Mapping, Sequence
from typing import Any

MAX_PAGES = 100_000
"""Pages of one listing. A page may be empty, so that only their number is a limit."""


class Markers:
    """The markers of the pages of one listing, each of which has another one."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def add(self, marker: str) -> bool:
        """Add the marker of the next page. Return False if the listing does not end.

        Args:
            marker: The marker.
        """
        if hash(marker) in self._known or len(self._known) >= MAX_PAGES:
            return False
        self._known.add(hash(marker))
        return True


class NamedPages:
    """The pages of one listing whose markers are not known. A retry begins again, so that each page may come twice."""

    def __init__(self) -> None:
        self._last = ""
        self._new = self._repeated = 0

    def take(self, page: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
        """Return the blobs of a page that are not in an earlier one, or None if the listing does not end.

        Args:
            page: The properties of at least one blob, with its name as `path`.
        """
        new = [blob for blob in page if blob["path"] > self._last]
        if new:
            self._last = max(blob["path"] for blob in new)
            self._new, self._repeated = self._new + 1, 0
        else:
            self._repeated += 1
        return new if self._repeated <= self._new else None
