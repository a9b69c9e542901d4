"""Texts of other parties in a form that can be printed."""

import shlex

MAX_TEXT_CHARS = 500


def printable(value: object, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return a value as one line without control characters; other parties write ids and messages."""
    text = "" if value is None else str(value)
    line = " ".join(text.split())[:max_chars]  # before the characters are checked: a text may have megabytes
    return "".join(one if one.isprintable() else "?" for one in line)


def device_command(command: str, device: str, options: str = "") -> str:
    """Return a command of the client about a device, between backticks; an id may begin as an option does.

    Args:
        command: The name of the command.
        device: The id or glob.
        options: The options, each after a space.
    """
    words = f"{options} -- {shlex.quote(device)}" if device.startswith("-") else f" {shlex.quote(device)}{options}"
    return f"`fleetscore {command}{words}`"
