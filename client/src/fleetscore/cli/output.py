"""Output of commands: tables for people, and JSON, YAML and names for programs."""

import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from fleetscore.cli.layout import layout, row_lines
from fleetscore.cli.next_steps import with_place
from fleetscore.texts import printable

__all__ = ["Column", "Format", "Table", "columns", "console", "keyed", "print_documents", "print_table", "printable"]

PIPE_WIDTH = 4096
"""Characters of a line that is not printed to a terminal: no table is wider, so no line is folded."""


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that YAML 1.2 reads as numbers, too, such as the id `1e5`: PyYAML knows YAML 1.1 alone."""


for _type, _pattern in (("float", r"[-+]?([.][0-9]+|[0-9]+([.][0-9]*)?)(e[-+]?[0-9]+)?"), ("int", "0o[0-7]+")):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_type}", re.compile(rf"({_pattern})\Z", re.IGNORECASE), list("-+.0123456789")
    )


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


class _Console(Console):
    """A console for texts of other parties: it has no markup and no emoji codes, and names the program as it runs."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects."""
        super().print(*(with_program(one) if isinstance(one, str) else one for one in objects), **options)


def console(*, error: bool = False) -> Console:
    """Return the console of standard output or standard error; only a terminal has colours and folded lines."""
    file = sys.stderr if error else sys.stdout
    width = None if file.isatty() else PIPE_WIDTH
    return _Console(file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def program() -> str:
    """Return the name of the program as the user started it; krew installs only the plugin of kubectl."""
    return "kubectl fleetscore" if Path(sys.argv[0]).name.startswith("kubectl-") else "fleetscore"


def with_program(text: str) -> str:
    """Return a text whose commands begin with the program as the user started it, and name the place asked of."""
    return with_place(text).replace("`fleetscore ", f"`{program()} ")


def prepare_streams() -> None:
    """Make the streams print any text: a character that the locale lacks is escaped, a closed stream discards."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  until the end of the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish_output() -> OSError | None:
    """Write the rest of standard output, and return the error if that fails; the rest is then discarded."""
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # otherwise the interpreter tries it again, and prints an error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        return error
    return None


def print_lines(lines: Iterable[str], output: Console | None = None) -> None:
    """Print sentences; a terminal folds long ones between words, and indents the continuation.

    Args:
        lines: The sentences, each on a line.
        output: The console; None for standard output.
    """
    target = output or console()
    for line in map(with_program, lines):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        parts = textwrap.wrap(line, target.width, subsequent_indent=indent, break_on_hyphens=False)
        target.print("\n".join(parts), markup=False)


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
    is_unicode = str(sys.stdout.encoding).lower().startswith("utf")  # otherwise a text keeps its characters as escapes
    plain = _plain(document)
    if format_ is Format.JSON:
        print(json.dumps(plain, indent=2, ensure_ascii=not is_unicode))
    else:
        print(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=is_unicode), end="")


def _print_rows(table: Table, *, wide: bool) -> None:
    columns = [column for column in table.columns if wide or not column.wide]
    cells = [[with_program(printable(column.value(row))) for column in columns] for row in table.rows]
    titles = [column.title for column in columns]
    output = console()
    found = layout([titles, *cells], output.width)
    is_right = [column.right for column in columns]
    head, *body = ("\n".join(row_lines(row, found, is_right, output.width)) for row in (titles, *cells))
    output.print(Text(head, style="bold"), soft_wrap=True)
    print("\n".join(body))


def _plain(document: object) -> object:
    """Return a document with only the types that YAML and JSON share; numbers that are not finite are null."""
    return json.loads(json.dumps(document, default=str), parse_constant=lambda _: None)


def keyed(key: str) -> Callable[[Mapping[str, Any]], object]:
    """Return a function that returns a row's value of a key."""
    return lambda row: row.get(key, "")


def columns(*titles: str) -> Iterable[Column]:
    """Yield a column for each key: `Device` is a column of the table, `Device+` only of `-o wide`, `Rows#` a number."""
    for title in titles:
        key = title.rstrip("+#")
        yield Column(key.upper(), keyed(key), wide="+" in title, right="#" in title)
