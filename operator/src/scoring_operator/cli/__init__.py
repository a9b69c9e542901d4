"""The command line: `scoring-operator run`, `create-run`, `backfill` and `check`, with one module per command.

Decisions of the commands live in the packages below.
"""

import argparse
import signal
import sys
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

from scoring_operator.cli.exit_codes import EXIT_INTERRUPTED, EXIT_USAGE
from scoring_operator.errors import InvalidSettings

COMMANDS = {
    "run": ("scoring_operator.cli.run", "watch ScoringRuns and score fleets until a signal arrives"),
    "create-run": (
        "scoring_operator.cli.create_run",
        "create the ScoringRun of a schedule's current window (the command of a CronJob)",
    ),
    "backfill": ("scoring_operator.cli.backfill", "create the missing runs of a schedule's past windows"),
    "check": (
        "scoring_operator.cli.check",
        "score one simulated device and print the result (the command of `helm test`)",
    ),
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors lead to exit code 64, which the pod failure policy of a CronJob's Jobs names."""

    def error(self, message: str) -> NoReturn:
        raise InvalidSettings(f"{message}\n{self.format_usage().strip()}")


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; an invalid argument or setting is printed, with exit code 64.

    Args:
        arguments: The arguments without the program's name. The default is `sys.argv`.
    """
    argv = sys.argv[1:] if arguments is None else arguments
    parser = _Parser(prog="scoring-operator", description="Score fleets of devices with Kubernetes Jobs.")
    parser.add_argument("--version", action="version", version=version("scoring-operator"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in argv[:1]:
            import_module(module).add_arguments(command)
    try:
        parsed = parser.parse_args(argv)
        if arguments is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on a command may have to clean up
        return int(import_module(COMMANDS[parsed.command][0]).run(parsed))
    except InvalidSettings as error:
        print(f"scoring-operator: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
