"""Figures held against goals, and what goes on meanwhile."""

import sys


class Goals:
    """Keeps in mind whether every goal was reached."""

    def __init__(self) -> None:
        self.all_met = True

    def check_goal(self, value: float, *, at_most: float | None = None, at_least: float | None = None) -> str:
        """The goal of a figure, and whether it is missed; '' where there is none."""
        if at_most is None and at_least is None:
            return ""
        reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        self.all_met = self.all_met and reached
        goal = f">= {at_least:g}" if at_most is None else f"<= {at_most:g}"
        return goal if reached else f"{goal}, MISSED"

    def format_cell(self, value: float, digits: int, *, at_most: float | None = None) -> str:
        """A table's cell; with `most`, the value must not be above it."""
        text, verdict = f"{value:,.{digits}f}", self.check_goal(value, at_most=at_most)
        return f"{text} ({verdict})" if verdict else text


def print_progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
