"""Arguments that several commands have, and the schedules file that two of them name."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

import yaml

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.yaml_loader import text_loader
from scoring_operator.schedules.windows import Schedule, select_schedule


def add_namespace_argument(parser: argparse.ArgumentParser, description: str) -> None:
    """Add `--namespace`, with the environment's POD_NAMESPACE as its default.

    Args:
        parser: The parser of the command.
        description: The objects in the namespace, such as "the run".
    """
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE"),
        metavar="NAME",
        help=f"namespace of {description} (default: the environment's POD_NAMESPACE)",
    )


def add_schedule_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select a schedule and its namespace."""
    parser.add_argument(
        "--schedules-file",
        type=Path,
        default=Path("/etc/fleetscore/schedules.yaml"),
        metavar="FILE",
        help="YAML file of the schedules (default: %(default)s)",
    )
    parser.add_argument("--schedule", required=True, metavar="NAME", help="name of the schedule in the file")
    add_namespace_argument(parser, "the schedule and its runs")


def parse_positive_int(text: str) -> int:
    """Return the whole number of an argument.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: It is not a whole number from 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1")
    return int(text)


def require(args: argparse.Namespace, *names: str) -> None:
    """Check that arguments with a default from the environment have a value.

    Args:
        args: The parsed arguments.
        names: The names of the arguments, without dashes.

    Raises:
        InvalidSettings: An argument has no value.
    """
    for name in names:
        if not getattr(args, name):
            raise InvalidSettings(f"no {name} is given; use --{name}, or set it in the pod from the downward API")


# Helm writes texts such as `2026-02-30`, `=`, `<<`, `0x_` and `1e400` without quotes, and numbers such as `1e-05`.
_Loader = text_loader("timestamp", "value", "merge", "int", "float")
_INT_PATTERN = re.compile(r"-?(0|[1-9][0-9]{0,19})\Z")
_FLOAT_PATTERN = re.compile(r"-?([0-9]{1,20}[.][0-9]+|[0-9]([.][0-9]+)?e(-[0-9]{2,3}|[+][0-2]?[0-9]{2}))\Z")
for _type, _pattern in (("int", _INT_PATTERN), ("float", _FLOAT_PATTERN)):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_type}", _pattern, list("-0123456789"))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not YAML; the text is one line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:  # from a constructor, too
        raise ValueError(" ".join(str(error).split())) from error


def read_schedule(path: Path, name: str) -> Schedule:
    """Return one schedule of a file.

    Args:
        path: The YAML file of the schedules.
        name: The name of the schedule.

    Raises:
        InvalidSettings: The file is missing or is not YAML, or has no valid schedule of this name.
    """
    try:
        document = read_yaml(path)
    except OSError as error:
        raise InvalidSettings(f"schedules file {path}: {error.strerror}") from None
    except ValueError as error:
        raise InvalidSettings(f"schedules file {path} is not YAML: {error}") from None
    return select_schedule(document, name)
