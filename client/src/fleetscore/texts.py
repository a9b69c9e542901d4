"""Texts of other parties in a form that can be printed."""

MAX_TEXT_CHARS = 500


def printable(value: object, *, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return a value as one line without control characters; other parties write ids and messages."""
    text = "" if value is None else str(value)
    line = " ".join(text.split())[:max_chars]  # before the characters are checked: a text may have megabytes
    return "".join(one if one.isprintable() else "?" for one in line)
