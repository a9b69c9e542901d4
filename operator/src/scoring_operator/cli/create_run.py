"""The command `create-run` of a schedule's CronJob: read the Job of this pod and create one ScoringRun.

`schedules.windows` decides on the window and the run.
"""

import argparse
import asyncio
import os
from datetime import datetime

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION
from scoring_operator.cli.arguments import add_schedule_arguments, read_schedule, require
from scoring_operator.cli.exit_codes import run_to_exit_code
from scoring_operator.errors import AlreadyExists, InvalidSettings, NotFound, Unavailable
from scoring_operator.kube.client import KubeClient
from scoring_operator.schedules.windows import build_run, last_complete_window, scheduled_time

MAX_WAIT_SECONDS = 60.0  # the maximum that a firing may be early


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `create-run` to its parser."""
    parser.description = (
        "Create the ScoringRun of a schedule for the window of its CronJob's scheduled time. "
        "A run that exists already is a success. Exit codes: 0 the run exists, 64 invalid arguments or schedule, "
        "65 the API server rejects the run, 75 a retry may succeed."
    )
    add_schedule_arguments(parser)
    parser.add_argument(
        "--job",
        default=os.environ.get("JOB_NAME"),
        metavar="NAME",
        help="Job with the scheduled time in its annotation, or else its creation time (default: the environment's "
        "JOB_NAME)",
    )


def run(args: argparse.Namespace) -> int:
    """Create the run, print it, and return the exit code (see `add_arguments`)."""
    return run_to_exit_code("create-run", _create(args))


async def _create(args: argparse.Namespace) -> int:
    require(args, "job", "namespace")
    schedule = read_schedule(args.schedules_file, args.schedule)
    async with KubeClient.connect() as client:
        try:
            job = await client.get(f"/apis/batch/v1/namespaces/{args.namespace}/jobs/{args.job}")
        except NotFound:
            raise InvalidSettings(
                f"Job {args.namespace}/{args.job} does not exist; --job must be the Job of this pod"
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
    """Wait until a window's readings are complete, in case the clock of the CronJob controller is fast.

    A run that starts too early finds no or too few readings, and its predictions are not replaced later.

    Args:
        due: The time when the readings are complete.
        client: The client with the API server's time.

    Raises:
        Unavailable: The wait would be longer than `MAX_WAIT_SECONDS`.
    """
    ahead = (due - client.now()).total_seconds()
    if ahead > MAX_WAIT_SECONDS:
        raise Unavailable(
            f"readings are due at {format_time(due)}, {ahead:.0f} s after the API server's time; "
            "check the clock of the controller manager's node"
        )
    if ahead > 0:
        await asyncio.sleep(ahead)
