"""`scoring-operator create-run`: what a schedule's CronJob runs. It reads its own Job and creates one ScoringRun.

What the window is and what the run looks like is decided in `windows`; here is only the edge.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION
from scoring_operator.errors import AlreadyExists, ApiError, Invalid, InvalidSettings, NotFound, Unavailable
from scoring_operator.kube.client import KubeClient
from scoring_operator.schedules.windows import (
    Schedule,
    build_run,
    last_complete_window,
    scheduled_time,
    select_schedule,
)

EXIT_USAGE, EXIT_REJECTED, EXIT_RETRY = 64, 65, 75  # the CronJob's Job gives up at once on the first two
MAX_WAIT_SECONDS = 60.0  # seconds that a firing may be early


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `create-run` to its parser."""
    parser.description = (
        "Create the ScoringRun of a schedule for the window that its CronJob's Job was scheduled for. "
        "A run that exists already is success. Exit codes: 0 the run is there, 64 wrong usage or schedule, "
        "65 the API server will never accept the run, 75 try again."
    )
    add_schedule_arguments(parser)
    parser.add_argument(
        "--job",
        default=os.environ.get("JOB_NAME"),
        metavar="NAME",
        help="Job whose annotation or creation says the scheduled time (default: the environment's JOB_NAME)",
    )


def add_schedule_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which schedule is meant, and where."""
    parser.add_argument(
        "--schedules-file",
        type=Path,
        default=Path("/etc/fleetscore/schedules.yaml"),
        metavar="FILE",
        help="YAML file of the schedules (default: %(default)s)",
    )
    parser.add_argument("--schedule", required=True, metavar="NAME", help="which of them")
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE"),
        metavar="NAME",
        help="namespace of the schedule and its runs (default: the environment's POD_NAMESPACE)",
    )


def run(args: argparse.Namespace) -> int:
    """Create the run and say so; see `add_arguments` for the exit codes."""
    return run_to_exit_code("create-run", _create(args))


def run_to_exit_code(command: str, work: Coroutine[Any, Any, int]) -> int:
    """Do a command's work; what goes wrong is one line and an exit code."""
    try:
        return asyncio.run(work)
    except InvalidSettings as error:
        return _fail(command, str(error), EXIT_USAGE)
    except Invalid as error:
        return _fail(command, f"the API server refuses the run: {error}", EXIT_REJECTED)
    except ApiError as error:
        return _fail(command, f"{error}; trying again may help", EXIT_RETRY)


def _fail(command: str, message: str, code: int) -> int:
    print(f"{command}: {message}", file=sys.stderr)
    return code


async def _create(args: argparse.Namespace) -> int:
    for name in ("job", "namespace"):
        if not getattr(args, name):
            raise InvalidSettings(f"no {name} is given: use --{name}, or set it in the pod from the downward API")
    schedule = read_schedule(args.schedules_file, args.schedule)
    async with KubeClient.connect() as client:
        try:
            job = await client.get(f"/apis/batch/v1/namespaces/{args.namespace}/jobs/{args.job}")
        except NotFound:
            raise InvalidSettings(
                f"there is no Job {args.namespace}/{args.job}; --job must name this pod's own"
            ) from None
        try:
            scheduled = scheduled_time(job)
        except ValueError as error:
            raise InvalidSettings(f"Job {args.namespace}/{args.job}: scheduled time {error}") from None
        delay = parse_duration(schedule.delay)
        window = last_complete_window(scheduled, length=parse_duration(schedule.window), delay=delay)
        await _wait_until(window.end + delay, client)
        body = build_run(schedule, window, namespace=args.namespace)
        name = f"ScoringRun {args.namespace}/{body['metadata']['name']}"
        span = (
            f"window {format_time(window.start)} to {format_time(window.end)}, scheduled for {format_time(scheduled)}"
        )
        try:
            await client.create(f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}", body)
        except AlreadyExists:
            print(f"{name} exists already: nothing to do ({span})")
        else:
            print(f"{name} created: fleet {schedule.fleet}, {span}, delay {schedule.delay}")
        return 0


async def _wait_until(due: datetime, client: KubeClient) -> None:
    """Wait for the time at which a window's readings are in, in case the clock that fired is ahead.

    A run that came before its readings would find none, or a part of them, and its predictions would stand.

    Raises:
        Unavailable: It is too far off.
    """
    ahead = (due - client.now()).total_seconds()
    if ahead > MAX_WAIT_SECONDS:
        what = f"readings are due at {format_time(due)}, {ahead:.0f} s from now by the API server's clock"
        raise Unavailable(f"{what}: is the clock of the controller manager's node right?")
    if ahead > 0:
        await asyncio.sleep(ahead)


def read_schedule(path: Path, name: str) -> Schedule:
    """Read one schedule out of a file.

    Raises:
        SettingsInvalid: The file is not there or no YAML, or has no usable schedule of that name.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidSettings(f"schedules file {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"schedules file {path} is no YAML: {error}") from None
    return select_schedule(document, name)
