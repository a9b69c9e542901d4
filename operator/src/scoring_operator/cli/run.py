"""The command `run`: start the operator and serve until a signal arrives."""

import argparse
import gc
import logging
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import yaml

from scoring_operator.api.fleets import Fleet, parse_fleets
from scoring_operator.errors import InvalidFleets, InvalidSettings
from scoring_operator.kube import credentials
from scoring_operator.observability import logs
from scoring_operator.runtime.settings import Settings, from_environment


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
    handlers = import_module("scoring_operator.runtime.kopf_handlers")  # kopf and all that: only now
    manager = import_module("scoring_operator.runtime.manager").Manager(settings, fleets, account)
    namespaces = ", ".join(settings.watch_namespaces) or "all namespaces"
    logging.getLogger(__name__).info(
        "scoring-operator %s serves fleets %s in %s",
        version("scoring-operator"),
        ", ".join(fleets) or "(none)",
        namespaces,
    )
    gc.freeze()  # what is imported stays: without this a third of a large listing's CPU goes into visiting it
    handlers.run(settings, manager, account)
    return 1 if manager.failed else 0


def read_fleets(settings: Settings) -> Mapping[str, Fleet]:
    """Read the administrator's file.

    Raises:
        SettingsInvalid: It is not there, no YAML, or says something wrong.
    """
    path = settings.fleets_file
    try:
        return parse_fleets(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidSettings(f"fleets file {path}: {error.strerror}; set FLEETSCORE_FLEETS_FILE") from None
    except (yaml.YAMLError, UnicodeDecodeError, InvalidFleets) as error:
        raise InvalidSettings(f"fleets file {path}: {' '.join(str(error).split())}") from None  # YAML's has many lines
