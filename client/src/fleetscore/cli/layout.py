"""The layout of a table on a terminal: the widths of its columns, and its lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP = 2
"""Spaces between two columns."""

_CONSOLE = Console()
MIN_TEXT_WIDTH = 16
"""Characters of a column of texts, below which it is hard to read."""

MAX_WORD_WIDTH = 24
"""Characters of a word of a sentence, such as an address, above which it may be broken."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a table.

    Attributes:
        widths: The width of each column; without the first one if it has lines of its own.
        own_line: True if the first column of each row, which is its name, has a line of its own above the others.
    """

    widths: Sequence[int]
    own_line: bool = False


def layout(rows: Sequence[Sequence[str]], width: int) -> Layout:
    """Return a layout that splits a name, a number or a time only if the terminal is too narrow for the others.

    Args:
        rows: The cells of each row; those of the first one are the titles.
        width: The columns of the terminal.
    """
    columns = list(zip(*rows, strict=True))
    natural = [max(map(cell_len, cells)) for cells in columns]
    least = [
        max(_longest_word(cells), min(whole, MIN_TEXT_WIDTH)) for cells, whole in zip(columns, natural, strict=True)
    ]
    if _total(least) <= width or len(columns) == 1:
        return Layout(_shrunk(natural, least, width))
    return Layout(_shrunk(natural[1:], least[1:], width - GAP), own_line=True)


def row_lines(row: Sequence[str], found: Layout, is_right: Sequence[bool], width: int) -> Iterator[str]:
    """Yield the lines of a row.

    Args:
        row: The cells.
        found: The layout of the table.
        is_right: True for each column that is aligned at the right.
        width: The columns of the terminal.
    """
    first = int(found.own_line)
    if first:
        yield from _folded(row[0], width)
    parts = [_folded(cell, size) for cell, size in zip(row[first:], found.widths, strict=True)]
    for line in zip_longest(*parts, fillvalue=""):
        cells = (_aligned(*one) for one in zip(line, found.widths, is_right[first:], strict=True))
        yield (" " * GAP * first + (" " * GAP).join(cells)).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return [line.plain.rstrip() for line in Text(cell).wrap(_CONSOLE, width, overflow="fold")]


def _aligned(text: str, width: int, is_right: bool) -> str:  # noqa: FBT001  called with one item of each sequence
    return " " * (width - cell_len(text)) + text if is_right else set_cell_size(text, width)


def _longest_word(cells: Sequence[str]) -> int:
    return max(
        min(cell_len(word), MAX_WORD_WIDTH if " " in cell else cell_len(cell))
        for cell in cells
        for word in cell.split() or [""]
    )


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shrunk(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Return widths that fit: the widest columns are narrowed to their least width, and then further if they must."""
    widths = list(natural)
    for floor in (least, [1] * len(widths)):
        while _total(widths) > width:
            wide = [index for index, found in enumerate(widths) if found > floor[index]]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths
