"""The command line: `scoring-operator run`, `create-run` and `backfill`."""

import argparse
import sys
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

from scoring_operator.errors import InvalidSettings

EXIT_USAGE = 64  # exit code for settings and arguments that cannot be used
COMMANDS = {
    "run": ("scoring_operator.cli.run", "watch ScoringRuns and score fleets, until a signal comes"),
    "create-run": (
        "scoring_operator.cli.create_run",
        "create the ScoringRun that a schedule asks for now (in a CronJob)",
    ),
    "backfill": ("scoring_operator.cli.backfill", "create the runs that past windows of a schedule lack"),
    "check": ("scoring_operator.cli.check", "score one made-up device and say how it went (`helm test`)"),
}


class _Parser(argparse.ArgumentParser):
    """argparse, with the exit code that a CronJob's failure policy knows for wrong usage."""

    def error(self, message: str) -> NoReturn:
        raise InvalidSettings(f"{message}\n{self.format_usage().strip()}")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors of usage and configuration are a line or two and exit code 64."""
    argv = sys.argv[1:] if arguments is None else arguments
    parser = _Parser(prog="scoring-operator", description="Scores a fleet of devices, one Job each.")
    parser.add_argument("--version", action="version", version=version("scoring-operator"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in argv[:1]:
            import_module(module).add_arguments(command)
    try:
        parsed = parser.parse_args(argv)
        return int(import_module(COMMANDS[parsed.command][0]).run(parsed))
    except InvalidSettings as error:
        print(f"scoring-operator: {error}", file=sys.stderr)
        return EXIT_USAGE
