"""The command `run`: start the operator and run it until a signal arrives."""

import argparse
import gc
import logging
import os
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from scoring_operator.api.fleets import Fleet, parse_fleets
from scoring_operator.cli.arguments import read_yaml
from scoring_operator.errors import InvalidFleets, InvalidSettings
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.observability import logs
from scoring_operator.runtime.settings import Settings, from_environment

if TYPE_CHECKING:
    from scoring_operator.controller.timings import Timings
    from scoring_operator.kube.transport import Transport
    from scoring_operator.storage.protocol import FleetStorage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `run` to its parser; all other settings come from the environment."""
    parser.add_argument(
        "--log-level",
        metavar="LEVEL",
        help="log level, such as DEBUG (default: the environment's FLEETSCORE_LOG_LEVEL)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the operator until a signal arrives, and return the exit code."""
    return serve(log_level=arguments.log_level)


def serve(
    *,
    log_level: str | None = None,
    storage: "FleetStorage | None" = None,
    timings: "Timings | None" = None,
    transport_type: "type[Transport] | None" = None,
) -> int:
    """Run the operator with the settings of the environment until a signal arrives, and return the exit code.

    Args:
        log_level: The name of the log level; None: that of the environment.
        storage: The Blob Storage of the fleets; None: that of the settings.
        timings: The intervals and limits; None: the defaults.
        transport_type: The type of the connections to the API server; None: the default.
    """
    level = {"FLEETSCORE_LOG_LEVEL": log_level} if log_level else {}
    settings = from_environment(os.environ | level)
    logs.configure(settings.log_level)
    fleets = read_fleets(settings)
    account = load_credentials(os.environ)
    handlers = import_module("scoring_operator.runtime.kopf_handlers")  # kopf is expensive to import
    manager_type = import_module("scoring_operator.runtime.manager").Manager
    manager = manager_type(settings, fleets, account, storage=storage, timings=timings, transport_type=transport_type)
    namespaces = ", ".join(settings.watch_namespaces) or "all namespaces"
    logging.getLogger(__name__).info(
        "scoring-operator %s serves fleets %s in %s",
        version("scoring-operator"),
        ", ".join(fleets) or "(none)",
        namespaces,
    )
    gc.freeze()  # without this, a third of a large listing's CPU time is spent on visiting imported objects
    handlers.run(settings, manager, account)
    return 1 if manager.failed else 0


def read_fleets(settings: Settings) -> Mapping[str, Fleet]:
    """Return the fleets of the administrator's file by name.

    Args:
        settings: The settings with the path of the file.

    Raises:
        InvalidSettings: The file is missing, is not YAML, or has an invalid fleet.
    """
    path = settings.fleets_file
    try:
        return parse_fleets(read_yaml(path))
    except OSError as error:
        raise InvalidSettings(f"fleets file {path}: {error.strerror}; set FLEETSCORE_FLEETS_FILE") from None
    except (ValueError, InvalidFleets) as error:
        raise InvalidSettings(f"fleets file {path}: {' '.join(str(error).split())}") from None
