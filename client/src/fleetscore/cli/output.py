"""Output of commands: tables for people, and JSON, YAML and names for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import yaml
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fleetscore.runs.state import printable

__all__ = ["Column", "Format", "Table", "columns", "console", "keyed", "print_documents", "print_table", "printable"]

PIPE_WIDTH = 4096
"""Characters of a line that is not printed to a terminal: no table is wider, so no line is folded."""
MIN_COLUMN_WIDTH = 6
"""Characters of a folded column with its gap."""


class Format(StrEnum):
    """The value of --output."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: The heading, in capitals.
        value: The function from a row to its cell.
        wide: True if only `-o wide` shows the column.
        right: True for numbers, which are aligned at the right.
    """

    title: str
    value: Callable[[Mapping[str, Any]], object]
    wide: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The result of a command.

    Attributes:
        columns: The columns of the table.
        rows: The rows, as JSON objects; `-o json` and `-o yaml` print them unchanged.
        name: The key of a row that `-o name` prints.
        empty: The sentence that replaces a table without rows.
    """

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    name: str
    empty: str


def console(*, error: bool = False) -> Console:
    """Return the console of standard output or standard error; only a terminal has colours and folded lines."""
    file = sys.stderr if error else sys.stdout
    return Console(file=file, width=None if file.isatty() else PIPE_WIDTH, highlight=False, soft_wrap=False)


def print_table(table: Table, format_: Format) -> None:
    """Print the result of a command in a format."""
    if format_ in (Format.JSON, Format.YAML):
        print_documents(list(table.rows), format_)
    elif format_ is Format.NAME:
        for row in table.rows:
            print(row[table.name])
    elif not table.rows:
        console(error=True).print(table.empty)
    else:
        _print_rows(table, wide=format_ is Format.WIDE)


def print_documents(document: object, format_: Format) -> None:
    """Print an object as JSON or YAML."""
    if format_ is Format.JSON:
        print(json.dumps(document, indent=2, default=str, ensure_ascii=False))
    else:
        print(yaml.safe_dump(_plain(document), sort_keys=False, allow_unicode=True), end="")


def _print_rows(table: Table, *, wide: bool) -> None:
    columns = [column for column in table.columns if wide or not column.wide]
    cells = [[printable(column.value(row)) for column in columns] for row in table.rows]
    output = console()
    whole = _whole_columns(columns, cells, output.width)
    shown = RichTable(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        shown.add_column(column.title, justify=justify, overflow="fold", no_wrap=index in whole)
    for row in cells:
        shown.add_row(*map(Text, row))
    output.print(shown)


def _whole_columns(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> set[int]:
    """Return the columns whose cells stay on one line: the name and the numbers, if the others have room.

    A column that is too wide for that is folded, because an unfolded cell would lose its end.
    """
    whole = {index for index, column in enumerate(columns) if index == 0 or column.right}
    used = sum(max(len(columns[index].title), *(cell_len(row[index]) for row in cells)) + 2 for index in whole)
    return whole if used + (len(columns) - len(whole)) * MIN_COLUMN_WIDTH <= width + 2 else set()


def _plain(document: object) -> object:
    """Return a document with only the types that YAML and JSON share."""
    return json.loads(json.dumps(document, default=str))


def keyed(key: str) -> Callable[[Mapping[str, Any]], object]:
    """Return a function that returns a row's value of a key."""
    return lambda row: row.get(key, "")


def columns(*titles: str) -> Iterable[Column]:
    """Yield a column for each key: `Device` is a column of the table, `Device+` only of `-o wide`, `Rows#` a number."""
    for title in titles:
        key = title.rstrip("+#")
        yield Column(key.upper(), keyed(key), wide="+" in title, right="#" in title)
