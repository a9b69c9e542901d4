"""The command line: `scoring-operator run`, `create-run` and `backfill`."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import NoReturn

import yaml

from scoring_operator import credentials, logs
from scoring_operator.errors import SettingsInvalid
from scoring_operator.fleets import Fleet, FleetsInvalidError, parse_fleets
from scoring_operator.settings import Settings, from_environment

USAGE = 64  # exit code for settings and arguments that cannot be used
COMMANDS = {
    "run": ("scoring_operator.__main__", "watch ScoringRuns and score fleets, until a signal comes"),
    "create-run": ("scoring_operator.schedule", "create the ScoringRun that a schedule asks for now (in a CronJob)"),
    "backfill": ("scoring_operator.backfill", "create the runs that past windows of a schedule lack"),
    "check": ("scoring_operator.checking", "score one made-up device and say how it went (`helm test`)"),
}


class _Parser(argparse.ArgumentParser):
    """argparse, with the exit code that a CronJob's failure policy knows for wrong usage."""

    def error(self, message: str) -> NoReturn:
        raise SettingsInvalid(f"{message}\n{self.format_usage().strip()}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`run` takes the rest from its environment."""
    parser.add_argument("--log-level", metavar="LEVEL", help="in the place of FLEETSCORE_LOG_LEVEL, such as DEBUG")


def run(arguments: argparse.Namespace) -> int:
    """Run the operator until a signal ends it."""
    level = {"FLEETSCORE_LOG_LEVEL": arguments.log_level} if arguments.log_level else {}
    settings = from_environment(os.environ | level)
    logs.configure(settings.log_level)
    fleets = read_fleets(settings)
    account = credentials.load(os.environ)
    handlers = import_module("scoring_operator.handlers")  # kopf and all that: only now
    service = import_module("scoring_operator.service").Service(settings, fleets, account)
    where = ", ".join(settings.watch_namespaces) or "all namespaces"
    logging.getLogger(__name__).info(
        "scoring-operator %s serves fleets %s in %s", version("scoring-operator"), ", ".join(fleets) or "(none)", where
    )
    gc.freeze()  # what is imported stays: without this a third of a large listing's CPU goes into visiting it
    handlers.run(settings, service, account)
    return 1 if service.failed else 0


def read_fleets(settings: Settings) -> Mapping[str, Fleet]:
    """Read the administrator's file.

    Raises:
        SettingsInvalid: It is not there, no YAML, or says something wrong.
    """
    path = settings.fleets_file
    try:
        return parse_fleets(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsInvalid(f"fleets file {path}: {error.strerror}; set FLEETSCORE_FLEETS_FILE") from None
    except (yaml.YAMLError, UnicodeDecodeError, FleetsInvalidError) as error:
        raise SettingsInvalid(f"fleets file {path}: {' '.join(str(error).split())}") from None  # YAML's has many lines


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors of usage and configuration are a line or two and exit code 64."""
    wanted = sys.argv[1:] if arguments is None else arguments
    parser = _Parser(prog="scoring-operator", description="Scores a fleet of devices, one Job each.")
    parser.add_argument("--version", action="version", version=version("scoring-operator"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name in wanted[:1]:
            import_module(module).add_arguments(command)
    try:
        parsed = parser.parse_args(wanted)
        return int(import_module(COMMANDS[parsed.command][0]).run(parsed))
    except SettingsInvalid as error:
        print(f"scoring-operator: {error}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
