"""Patterns of device ids, as in a shell: `*`, `?` and `[...]`. Case matters.

An id with such characters also matches itself.
"""

import re
from fnmatch import translate

MAX_GLOB_CHARS = 256


class DeviceGlob:
    """A pattern of device ids.

    Args:
        text: The pattern, with at most MAX_GLOB_CHARS characters.
    """

    __slots__ = ("_match", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        plain = not any(mark in text for mark in "*?[")
        self._match = None if plain else re.compile(translate(text)).match

    def matches(self, device: str) -> bool:
        """Return True if the pattern matches the whole id."""
        return device == self.text or (self._match is not None and self._match(device) is not None)
