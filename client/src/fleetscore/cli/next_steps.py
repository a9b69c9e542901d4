"""The commands that are printed as next steps: they work as printed for the place that the command was asked of.

A text has a command of the client as `fleetscore COMMAND ...` between backticks, without the options of the place.
`with_place` adds them when the text is printed.
"""

import re
import shlex
import textwrap
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from fleetscore.contract.windows import Window, format_time

_NO_BREAK_SPACE = "\xa0"
_QUOTED = re.compile(r"`[^`]+`")
_COMMAND = re.compile(r"`fleetscore ([^`]+)`")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of the place.

    Attributes:
        names: All names of the option, the one to print first.
        value: Its value; None for an option without one.
    """

    names: tuple[str, ...]
    value: str | None = None

    @property
    def text(self) -> str:
        """The option as a shell reads it."""
        return self.names[0] if self.value is None else f"{self.names[0]} {shlex.quote(self.value)}"

    def is_in(self, words: Sequence[str]) -> bool:
        """Return True if the words of a command have the option already."""
        return any(word == name or word.startswith(f"{name}=") for word in words for name in self.names)


_place: ContextVar[tuple[Option, ...]] = ContextVar("place", default=())


def set_place(options: Sequence[Option] = ()) -> None:
    """Set the options that a command was given for its place; none for the defaults."""
    _place.set(tuple(options))


def with_place(text: str) -> str:
    """Return a text whose commands of the client have the options of the place that they lack."""
    return _COMMAND.sub(lambda match: f"`fleetscore {_complete(match[1])}`", text) if _place.get() else text


def _complete(command: str) -> str:
    ids = re.search(r" -- '?-", command)
    end = ids.start() if ids else len(command)
    words = command[:end].split()
    return " ".join([command[:end], *(one.text for one in _place.get() if not one.is_in(words))]) + command[end:]


def fold_text(text: str, width: int, indent: str) -> list[str]:
    """Return a text as lines of at most a width; a command between backticks is not broken, nor is a long word.

    Args:
        text: The text.
        width: The largest number of characters.
        indent: The spaces before each line except the first one.
    """
    whole = _QUOTED.sub(lambda match: match[0].replace(" ", _NO_BREAK_SPACE), text)
    parts = textwrap.wrap(whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [part.replace(_NO_BREAK_SPACE, " ") for part in parts]


def score_again(store: Path | None, window: Window, device: str, write_policy: str = "") -> str:
    """Return the commands that score a device in a window.

    Args:
        store: The folder of the fleet, which has no runs; None for a fleet of a cluster.
        window: The window.
        device: The device's id.
        write_policy: The value of --write-policy; empty for the default.
    """
    if store is None:
        return run_again(window, write_policy, f" -d {shlex.quote(device)}")
    policy = f" --write-policy {write_policy}" if write_policy else ""
    place = _scorer_place(store, window)
    return f"`device-scorer score {place}{policy} -- {shlex.quote(device)}`, then `device-scorer report {place}`"


def run_again(window: Window, write_policy: str = "", options: str = "") -> str:
    """Return the command that creates a run of a window.

    Args:
        window: The window.
        write_policy: The value of --write-policy; empty for the default.
        options: The other options, each after a space.
    """
    policy = f" --write-policy {write_policy}" if write_policy else ""
    return f"`fleetscore run --window {option_of(window)}{options}{policy}`"


def report_again(store: Path | None, window: Window) -> str:
    """Return the command after which the report of a window is written; in a cluster a run makes it."""
    return f"`device-scorer report {_scorer_place(store, window)}`" if store else run_again(window)


def option_of(window: Window) -> str:
    """Return the value of --window for a window; a window of an hour has only its start."""
    text = window.column
    if Window.parse(text) != window:  # it begins or ends within a minute
        return f"{format_time(window.start)}/{format_time(window.end)}"
    return text.removesuffix("/1h")


def _scorer_place(store: Path, window: Window) -> str:
    span = f"--window-start {format_time(window.start)} --window-end {format_time(window.end)}"
    return f"--store {shlex.quote(str(store))} {span}"
