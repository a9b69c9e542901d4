"""Building blocks of the report's HTML. Every text from outside is escaped here."""

from collections.abc import Iterable, Sequence
from html import escape

MAX_LISTED = 100
"""Number of entries of a list that the page shows."""


def device_badges(title: str, devices: Sequence[str]) -> str:
    """Return a list of device ids under its length and title.

    Args:
        title: The title, as HTML.
        devices: The ids, of which MAX_LISTED are shown.
    """
    drawn = "".join(f"<span>{escape(device)}</span>" for device in devices[:MAX_LISTED])
    more = f"<span>and {len(devices) - MAX_LISTED:,} more</span>" if len(devices) > MAX_LISTED else ""
    return f'<h3>{len(devices):,} {title}</h3><div class="badges">{drawn}{more}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: set[int], total: int) -> str:
    """Return a table, or a placeholder if there are no rows.

    Args:
        headers: The titles of the columns, as HTML.
        rows: The rows to show, each a text per column.
        numbers: The indexes of columns of numbers.
        total: The number of rows, including those that are not shown.
    """
    classes = [
        ' class="n"' if index in numbers else ' class="id"' if index == 0 else "" for index in range(len(headers))
    ]
    head = "".join(f"<th{classes[index]}>{name}</th>" for index, name in enumerate(headers))
    body = "".join(
        f"<tr>{''.join(f'<td{classes[index]}>{escape(text)}</td>' for index, text in enumerate(row))}</tr>"
        for row in rows
    )
    if not body:
        return placeholder("none")
    more = f'<p class="note">and {total - MAX_LISTED:,} more</p>' if total > MAX_LISTED else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def columns(first: str, second: str) -> str:
    """Return two sections next to each other on wide screens; both are HTML."""
    return f'<div class="side-by-side">{first}{second}</div>'


def section(title: str, content: str) -> str:
    """Return a section with a title; `content` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def placeholder(text: str) -> str:
    """Return a line that replaces an empty list."""
    return f'<p class="placeholder">{escape(text)}</p>'
