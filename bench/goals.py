"""Comparison of measurements with goals, and progress messages."""

import sys


class Goals:
    """The goals of a table; `all_met` is False after a missed one."""

    def __init__(self) -> None:
        self.all_met = True

    def check_goal(self, value: float, *, at_most: float | None = None, at_least: float | None = None) -> str:
        """Return the goal of a measurement and whether it is missed, or '' without a goal."""
        if at_most is None and at_least is None:
            return ""
        reached = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        self.all_met = self.all_met and reached
        goal = f">= {at_least:g}" if at_most is None else f"<= {at_most:g}"
        return goal if reached else f"{goal}, MISSED"

    def format_cell(self, value: float, digits: int, *, at_most: float | None = None) -> str:
        """Return a table's cell, with the goal if `at_most` is given."""
        text, verdict = f"{value:,.{digits}f}", self.check_goal(value, at_most=at_most)
        return f"{text} ({verdict})" if verdict else text


def print_progress(text: str) -> None:
    """Print a progress message to standard error."""
    print(text, file=sys.stderr, flush=True)
