"""Figures held against goals, and what goes on meanwhile."""

import sys


class Goals:
    """Keeps in mind whether every goal was reached."""

    def __init__(self) -> None:
        self.met = True

    def cell(self, value: float, digits: int, *, most: float | None = None) -> str:
        """A table's cell; with `most`, the value must not be above it."""
        text = f"{value:,.{digits}f}"
        if most is None:
            return text
        reached = value <= most
        self.met = self.met and reached
        return f"{text} (<= {most:g}{'' if reached else ', MISSED'})"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
