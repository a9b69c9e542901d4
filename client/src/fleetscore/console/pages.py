"""The content of the pages Fleet and Heat map, from a snapshot of the fleet's health."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from fleetscore.console import charts
from fleetscore.console.history import History
from fleetscore.console.reader import Row, Snapshot
from fleetscore.console.states import BY_LETTER, STATES
from fleetscore.contract.windows import Window
from fleetscore.errors import UsageInvalid

MAX_LISTED = 100
DEVICES_PER_PAGE = 100
MAX_PICTURE_ROWS = 20_000
MAX_GAPS = 50
MAX_KINDS = 20
MAX_OWNERS = 500
OPEN_STATES = ("opened", "open")
_DAY = timedelta(days=1)
_FAULTS = {"F": "failed", "-": "not run", "P": "partly scored"}
"""The states of devices that keep a window from being complete, by letter."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The devices that the heat map shows.

    Attributes:
        state: The letter of the state in the newest window; empty for any.
        pattern: A glob of device ids; empty for any.
        owner: The owner of the device's incident; empty for any.
        page: The page of the list, from 1.
    """

    state: str = ""
    pattern: str = ""
    owner: str = ""
    page: int = 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> "Filters":
        """Return the filters of a query. Raises UsageInvalid if one is invalid."""
        state, page = query.get("state", ""), query.get("page", "1")
        if state and state not in BY_LETTER:
            raise UsageInvalid(f"state {state[:20]!r} is invalid: use one of {', '.join(BY_LETTER)}")
        if not page.isascii() or not page.isdigit() or not 0 < len(page) < 7 or not int(page):
            raise UsageInvalid(f"page {page[:20]!r} is invalid: use a number from 1")
        return cls(state, query.get("pattern", "").strip()[:400], query.get("owner", "")[:400], int(page))

    def query(self, **changes: object) -> str:
        """Return the filters as the query of a URL."""
        values = {"state": self.state, "pattern": self.pattern, "owner": self.owner, **changes}
        return urlencode({key: value for key, value in values.items() if value})


def fleet_context(snapshot: Snapshot) -> dict[str, Any]:
    """Return the values of the page Fleet.

    Args:
        snapshot: The health of the fleet.
    """
    history = snapshot.history
    columns = history.columns
    open_incidents = [row for row in snapshot.incidents if row.get("State") in OPEN_STATES]
    audible = [row for row in open_incidents if not is_muted(row)]
    counts = Counter(columns[-1]) if columns else Counter()
    anomalous = [column.count("A") for column in columns]
    first, last = (_label(history.window(at)) for at in (0, history.count - 1)) if columns else ("", "")
    return {
        "counts": [(state, counts[state.letter]) for state in STATES if counts[state.letter]],
        "coverage": _coverage(history, columns),
        "causes": _most_common(row.get("Cause", "") for row in audible),
        "muted": len(open_incidents) - len(audible),
        "incidents": open_incidents[:MAX_LISTED],
        "more_incidents": max(len(open_incidents) - MAX_LISTED, 0),
        "flags": _most_common(row.get("Flag", "") for row in snapshot.sensors),
        "sensors": snapshot.sensors[:MAX_LISTED],
        "more_sensors": max(len(snapshot.sensors) - MAX_LISTED, 0),
        "trend": charts.column_chart(anomalous, first=first, last=last, label="anomalous devices by window"),
        "anomalous": max(anomalous, default=0),
    }


def heat_map_context(snapshot: Snapshot, filters: Filters) -> dict[str, Any]:
    """Return the values of the page Heat map.

    Args:
        snapshot: The health of the fleet.
        filters: The devices to show.
    """
    selected = select(snapshot, filters)
    pages = max(-(-len(selected) // DEVICES_PER_PAGE), 1)
    page = min(filters.page, pages)
    shown = list(selected.items())[(page - 1) * DEVICES_PER_PAGE : page * DEVICES_PER_PAGE]
    rows = min(len(selected), MAX_PICTURE_ROWS)
    return {
        "filters": filters,
        "states": STATES,
        "owners": sorted(set(snapshot.owners.values()))[:MAX_OWNERS],
        "total": len(selected),
        "shown": shown_history(snapshot, selected),
        "page": page,
        "pages": pages,
        "rows": [(device, BY_LETTER[states[-1]], charts.state_strip(states, cell=3)) for device, states in shown],
        "picture": {"rows": rows, "scale": _scale(rows), "columns": snapshot.history.count},
    }


def select(snapshot: Snapshot, filters: Filters) -> dict[str, str]:
    """Return the states of the devices that the filters select."""
    return snapshot.history.select(
        letter=filters.state, pattern=filters.pattern, owners=snapshot.owners, owner=filters.owner
    )


def shown_history(snapshot: Snapshot, selected: Sized) -> str:
    """Return a text that changes with the rows of a picture: a click must not open the device of another picture."""
    return f"{len(selected)}-{snapshot.window.slug if snapshot.window else ''}"


def is_muted(row: Row) -> bool:
    """Return True if an incident is muted."""
    return row.get("Muted", "").strip().lower() not in ("", "false", "no", "0")


def _most_common(words: Iterable[str]) -> list[tuple[str, int]]:
    """Return the most common words with their counts, in order: another client can write a file with any number."""
    return sorted(Counter(words).most_common(MAX_KINDS))


def _scale(rows: int) -> int:
    """Return the height of a device in pixels: large for few devices."""
    return max(1, min(12, 600 // max(rows, 1)))


def _coverage(history: History, columns: Sequence[str]) -> dict[str, Any]:
    """Return the calendar of windows, their number by kind, and the windows that are not complete."""
    kinds = [_coverage_kind(column) for column in columns]
    rows: list[str] = []
    gaps: list[str] = []
    per_day = max(1, int(_DAY / timedelta(seconds=history.length))) if history.length <= _DAY.total_seconds() else 1
    per_row = min(per_day, 48) if per_day > 1 else 31
    start = history.first % 86_400 // history.length % per_row if per_day > 1 else 0
    cells = [("", "")] * start
    for index, kind in enumerate(kinds):
        window = history.window(index)
        if not rows or len(cells) % per_row == 0:
            rows.append(f"{window.start:%Y-%m-%d}")
        found = [(columns[index].count(letter), word) for letter, word in _FAULTS.items() if kind != "not run"]
        text = ", ".join([f"{window.column}: {kind}", *(f"{count:,} devices {word}" for count, word in found if count)])
        cells.append((kind.replace(" ", "-"), text))
        if kind != "complete":
            gaps.append(text)
    drawn = charts.calendar(cells, columns=per_row, rows=rows) if cells else Markup()
    return {"calendar": drawn, "counts": sorted(Counter(kinds).items()), "gaps": gaps[-MAX_GAPS:][::-1]}


def _coverage_kind(column: str) -> str:
    known = len(column) - column.count("?")
    if not known:
        return "missing"
    if column.count("-") == known:
        return "not run"
    if "F" in column:
        return "with failures"
    return "incomplete" if "-" in column or "P" in column else "complete"


def _label(window: Window) -> str:
    return f"{window.start:%Y-%m-%d %H:%M}"
