"""Pieces of the report's HTML. Pure. Whatever comes from outside is escaped here."""

from collections.abc import Iterable, Sequence
from html import escape

MAX_LISTED = 100
"""How many entries of a list are shown."""


def device_badges(name: str, devices: Sequence[str]) -> str:
    """A list of ids under its number and name."""
    drawn = "".join(f"<span>{escape(device)}</span>" for device in devices[:MAX_LISTED])
    more = f"<span>and {len(devices) - MAX_LISTED:,} more</span>" if len(devices) > MAX_LISTED else ""
    return f'<h3>{len(devices):,} {name}</h3><div class="chips">{drawn}{more}</div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: set[int], total: int) -> str:
    """A table; `numbers`: columns of figures, `total`: how many rows there are in all."""
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
    """Two sections side by side where there is room."""
    return f'<div class="two">{first}{second}</div>'


def section(title: str, content: str) -> str:
    """A section; `content` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def placeholder(text: str) -> str:
    """A line in place of a list that is empty."""
    return f'<p class="none">{escape(text)}</p>'
