"""`scoring-operator create-run`: what a schedule's CronJob runs. It reads its own Job and creates one ScoringRun.

What the window is and what the run looks like is decided in `windows`; here is only the edge.
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import yaml

from scoring_operator.cluster import Cluster
from scoring_operator.errors import AlreadyExists, ApiError, Invalid, NotFound, SettingsInvalid
from scoring_operator.scoringrun import GROUP, PLURAL, VERSION
from scoring_operator.windows import (
    Schedule,
    find_schedule,
    parse_duration,
    schedule_run,
    scheduled_time,
    stamp,
    window_before,
)

USAGE, REFUSED, TRY_AGAIN = 64, 65, 75  # the CronJob's Job gives up at once on the first two


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `create-run` to its parser."""
    parser.description = (
        "Create the ScoringRun of a schedule for the window that its CronJob's Job was scheduled for. "
        "A run that exists already is success. Exit codes: 0 the run is there, 64 wrong usage or schedule, "
        "65 the API server will never accept the run, 75 try again."
    )
    parser.add_argument("--schedules-file", type=Path, required=True, metavar="FILE", help="YAML file of the schedules")
    parser.add_argument("--schedule", required=True, metavar="NAME", help="which of them")
    parser.add_argument(
        "--job",
        default=os.environ.get("JOB_NAME"),
        metavar="NAME",
        help="Job whose annotation or creation says the scheduled time (default: the environment's JOB_NAME)",
    )
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE"),
        metavar="NAME",
        help="namespace of the Job and of the run (default: the environment's POD_NAMESPACE)",
    )


def run(args: argparse.Namespace) -> int:
    """Create the run and say so; see `add_arguments` for the exit codes."""
    try:
        print(asyncio.run(_create(args)))
    except SettingsInvalid as error:
        return _complain(str(error), USAGE)
    except Invalid as error:
        return _complain(f"the API server refuses the run: {error}", REFUSED)
    except ApiError as error:
        return _complain(f"{error}; trying again may help", TRY_AGAIN)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"create-run: {message}", file=sys.stderr)
    return code


async def _create(args: argparse.Namespace) -> str:
    for name in ("job", "namespace"):
        if not getattr(args, name):
            raise SettingsInvalid(f"no {name} is given: use --{name}, or set it in the pod from the downward API")
    schedule = _read(args.schedules_file, args.schedule)
    async with Cluster.connect() as cluster:
        try:
            job = await cluster.get(f"/apis/batch/v1/namespaces/{args.namespace}/jobs/{args.job}")
        except NotFound:
            raise SettingsInvalid(
                f"there is no Job {args.namespace}/{args.job}; --job must name this pod's own"
            ) from None
        try:
            moment = scheduled_time(job)
        except ValueError as error:
            raise SettingsInvalid(f"Job {args.namespace}/{args.job}: scheduled time {error}") from None
        window = window_before(moment, length=parse_duration(schedule.window), delay=parse_duration(schedule.delay))
        body = schedule_run(schedule, window, namespace=args.namespace)
        name = f"ScoringRun {args.namespace}/{body['metadata']['name']}"
        span = f"window {stamp(window.start)} to {stamp(window.end)}, scheduled for {stamp(moment)}"
        try:
            await cluster.create(f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}", body)
        except AlreadyExists:
            return f"{name} exists already: nothing to do ({span})"
        return f"{name} created: fleet {schedule.fleet}, {span}, delay {schedule.delay}"


def _read(path: Path, name: str) -> Schedule:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"schedules file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"schedules file {path} is no YAML: {error}") from None
    return find_schedule(document, name)
