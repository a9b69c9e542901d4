"""What `device-scorer score` was asked to do: arguments -> frozen Task. Pure.

The same line stands in a Job's manifest and in a laptop's shell.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from device_scorer.contract.blob_paths import outcome_name
from device_scorer.errors import UsageInvalid
from device_scorer.settings import add_store_argument
from device_scorer.window import Window, parse_instant

WRITE_POLICIES = ("CreateOnly", "IfChanged", "Overwrite")
ENGINES = ("auto", "sklearn")
MAX_TAG_CHARS = 256

_DESCRIPTION = """\
Score the readings of a window: for each DEVICE read its readings and its models, label every reading (0 normal,
1 anomaly) and write one predictions CSV. The window is half-open: [start, end), whole seconds, UTC.

  device-scorer score --store ./folder \\
      --window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z -- press-1 press-2

reads folder/models/press-1.joblib and folder/data/20180828T2300Z/press-1.csv (columns TS,Device,Tag,Value) and writes
folder/predictions/20180828T230000Z_20180829T000000Z/press-1.csv (columns TS,Device,Tag,Val,Prediction,Score)."""

_EXIT_CODES = """\
exit codes:
  0   every device has its final outcome (scored, partial, empty, already scored; some may have failed)
  64  wrong arguments or configuration
  65  no device could be scored, and trying again would not help
  75  storage or identity was unavailable, or it was told to stop: run it again, finished devices are skipped"""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One call of score: which devices, which window, under which rules."""

    devices: tuple[str, ...]
    window: Window
    tags: frozenset[str] | None = None
    write_policy: str = "CreateOnly"
    run_uid: str = ""
    job_name: str = ""
    device_deadline_seconds: float = 300.0
    engine: str = "auto"
    termination_log: Path | None = None

    @property
    def record_name(self) -> str | None:
        """Where the Job's outcome record is written; None outside a run."""
        return outcome_name(self.run_uid, self.job_name) if self.run_uid and self.job_name else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of score."""
    parser.description, parser.epilog = _DESCRIPTION, _EXIT_CODES
    parser.add_argument("devices", nargs="+", metavar="DEVICE", help="device ids, after --")
    parser.add_argument("--window-start", required=True, metavar="TIME", help="first second of the window")
    parser.add_argument("--window-end", required=True, metavar="TIME", help="first second after the window")
    parser.add_argument(
        "--tag", action="append", metavar="T", help="only this tag (repeatable; default: every modelled)"
    )
    parser.add_argument(
        "--write-policy",
        choices=WRITE_POLICIES,
        default=WRITE_POLICIES[0],
        help="where complete predictions exist: keep them, replace them if data or model changed, or replace them",
    )
    parser.add_argument("--run-uid", default="", metavar="UID", help="the ScoringRun's uid, kept with the predictions")
    parser.add_argument(
        "--job-name", default="", metavar="NAME", help="with --run-uid: write an outcome record to storage"
    )
    parser.add_argument("--device-deadline-seconds", type=float, default=300.0, metavar="S", help="per device (300)")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="auto: closed form where it is exact")
    parser.add_argument(
        "--termination-log", metavar="PATH", help="where to write the Job's message (/dev/termination-log)"
    )
    add_store_argument(parser)


def parse_request(arguments: argparse.Namespace, environment: Mapping[str, str]) -> ScoreRequest:
    """The task that the arguments describe. Raises UsageInvalid."""
    if bool(arguments.run_uid) != bool(arguments.job_name):
        raise UsageInvalid("--run-uid and --job-name belong together: give both or neither")
    if not 0 < arguments.device_deadline_seconds <= 7 * 86_400:
        raise UsageInvalid("--device-deadline-seconds must be more than 0 and at most a week")
    termination_log = arguments.termination_log or environment.get("FLEETSCORE_TERMINATION_LOG") or ""
    request = ScoreRequest(
        devices=tuple(_reject_duplicates("device", arguments.devices)),
        window=Window(parse_instant(arguments.window_start), parse_instant(arguments.window_end)),
        tags=frozenset(_validate_tags(arguments.tag)) if arguments.tag else None,
        write_policy=arguments.write_policy,
        run_uid=arguments.run_uid,
        job_name=arguments.job_name,
        device_deadline_seconds=arguments.device_deadline_seconds,
        engine=arguments.engine,
        termination_log=Path(termination_log) if termination_log else None,
    )
    if request.run_uid:
        outcome_name(request.run_uid, request.job_name)
    return request


def _reject_duplicates(kind: str, ids: Sequence[str]) -> Sequence[str]:
    if len(set(ids)) != len(ids):
        twice = next(name for index, name in enumerate(ids) if name in ids[:index])
        raise UsageInvalid(f"{kind} {twice!r} is given twice: name each once")
    return ids


def _validate_tags(tags: Sequence[str]) -> Sequence[str]:
    for tag in tags:
        if not 0 < len(tag) <= MAX_TAG_CHARS or not tag.isprintable():
            raise UsageInvalid(f"--tag {tag[:40]!r}: a tag has 1 to {MAX_TAG_CHARS} printable characters")
    return tags
