"""The command `device-scorer inspect`: its arguments, its output and its exit code."""

import argparse
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from device_scorer.errors import ModelInvalid, UsageInvalid
from device_scorer.models.inspection import TagDescription, describe_bundle
from device_scorer.settings import read_limits

DESCRIPTION = """\
Describe a bundle, the file with the models of one device. For each tag the command prints the detector, the version of
scikit-learn that fitted it, and how `score` evaluates it: in closed form, or by scikit-learn, whose import costs a
second. A tag that cannot be used has the reason in place of that.

The command runs no code of the file, unless FLEETSCORE_MODELS_TRUST=any is set or --trust any is given.

exit codes: 0 every tag can be used; 65 a tag or the whole bundle cannot be used; 64 wrong usage; 75 the output
cannot be written

example:
  device-scorer inspect ./folder/models/press-1.joblib"""

HEADINGS = ("tag", "detector", "scikit-learn", "evaluated by")
MAX_WIDTH = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the file")
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        help="json: a list with an object per tag, with the settings and fitted numbers of its steps",
    )
    parser.add_argument(
        "--trust",
        choices=("allowlist", "any"),
        default=os.environ.get("FLEETSCORE_MODELS_TRUST") or "allowlist",
        help="any: run the code of a file that names classes outside the allow-list",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the description; return 65 if a tag cannot be used.

    Raises:
        UsageInvalid: The file cannot be read.
        PermanentError: The whole bundle cannot be used.
    """
    limits = read_limits(os.environ)
    content = _read_file(arguments.bundle, limits.max_model_bytes)
    described = describe_bundle(
        content, max_unpacked_bytes=limits.max_model_unpacked_bytes, trust_any=arguments.trust == "any"
    )
    unusable = sum(bool(tag.problem) for tag in described)
    if arguments.output == "json":
        print(json.dumps([_document(tag) for tag in described], indent=2))
        return 65 if unusable else 0
    print(f"{arguments.bundle}: {len(content):,} bytes, tags: {len(described):,}, unusable: {unusable:,}\n")
    print("\n".join(format_table(described)))
    return 65 if unusable else 0


def format_table(described: Sequence[TagDescription]) -> list[str]:
    """Return the lines of a table, whose columns have the width of their longest text.

    Args:
        described: The descriptions of the tags.
    """
    rows = [HEADINGS, *(_cells(tag) for tag in described)]
    widths = [min(MAX_WIDTH, max(len(row[column]) for row in rows)) for column in range(3)]
    return [
        "  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]


def _read_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file. A read of another kind of file may wait, or has no end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageInvalid(f"{path} cannot be read: it is not a regular file; name a file")
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise UsageInvalid(f"{path} cannot be read: {error.strerror}; name a file") from error
    if len(content) > max_bytes:
        text = f"{path} has more than the {max_bytes:,} bytes that are allowed"
        raise ModelInvalid(f"{text}; raise FLEETSCORE_MAX_MODEL_BYTES to allow it")
    return content


def _document(tag: TagDescription) -> dict[str, object]:
    """Return the description of a tag as a JSON object."""
    return {
        "tag": tag.tag,
        "detector": tag.detector,
        "sklearn": tag.sklearn_version,
        "evaluatedBy": tag.evaluated_by,
        "problem": tag.problem,
        "parameters": tag.parameters,
    }


def _cells(tag: TagDescription) -> tuple[str, str, str, str]:
    shown = tag.tag if tag.tag.isprintable() else repr(tag.tag)
    return shown, tag.detector or "-", tag.sklearn_version, tag.problem or tag.evaluated_by
