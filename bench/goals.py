"""Figures held against goals, and what goes on meanwhile."""

import sys


class Goals:
    """Keeps in mind whether every goal was reached."""

    def __init__(self) -> None:
        self.met = True

    def verdict(self, value: float, *, most: float | None = None, least: float | None = None) -> str:
        """The goal of a figure, and whether it is missed; '' where there is none."""
        if most is None and least is None:
            return ""
        reached = (most is None or value <= most) and (least is None or value >= least)
        self.met = self.met and reached
        goal = f">= {least:g}" if most is None else f"<= {most:g}"
        return goal if reached else f"{goal}, MISSED"

    def cell(self, value: float, digits: int, *, most: float | None = None) -> str:
        """A table's cell; with `most`, the value must not be above it."""
        text, verdict = f"{value:,.{digits}f}", self.verdict(value, most=most)
        return f"{text} ({verdict})" if verdict else text


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
