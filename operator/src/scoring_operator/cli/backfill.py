"""The command `backfill`: create runs for the past windows of a schedule that have no complete run.

The command has no state of its own: each step derives from the existing runs. So it may be interrupted at any time, and
the same command continues. `schedules.gaps` decides which windows need a run.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, Window
from scoring_operator.cli.arguments import add_schedule_arguments, parse_positive_int, read_schedule, require
from scoring_operator.cli.exit_codes import EXIT_INTERRUPTED, run_to_exit_code
from scoring_operator.errors import AlreadyExists, Forbidden
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.credential_sources import load_credentials
from scoring_operator.schedules.gaps import (
    ListedRun,
    WindowStates,
    build_backfill_run,
    classify_windows,
    read_run,
    windows_between,
)
from scoring_operator.schedules.windows import Schedule

EXIT_INCOMPLETE = 1
POLL_INTERVAL_SECONDS = 3.0  # between two lists of the runs
PROGRESS_INTERVAL_SECONDS = 30.0  # without output, after which the pending runs are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `backfill` to its parser."""
    parser.description = (
        "Create a ScoringRun for each past window of a schedule that has no complete one, oldest first, and wait for "
        "them. The command may be interrupted: the runs continue, and the same command creates the remaining ones. "
        "Devices with predictions are not scored again, unless the schedule's writePolicy demands it."
    )
    parser.epilog = (
        "Exit codes: 0 every created run is complete, 1 some are not, 64 invalid arguments or schedule, "
        "65 the API server rejects a run, 75 a retry may succeed, 130 Ctrl-C."
    )
    add_schedule_arguments(parser)
    parser.add_argument(
        "--from",
        dest="start",
        type=parse_time,
        required=True,
        metavar="TIME",
        help="start of the first window, as 2018-08-28 or 2018-08-28T13:00:00Z",
    )
    parser.add_argument(
        "--to", dest="end", type=parse_time, required=True, metavar="TIME", help="latest end of a window"
    )
    parser.add_argument("--gaps-only", action="store_true", help="skip windows that have a run, even a failed one")
    parser.add_argument(
        "--max-concurrent",
        type=parse_positive_int,
        default=1,
        metavar="N",
        help="maximum number of active runs (default 1); they share the operator's Jobs with the schedule's runs",
    )
    parser.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="context of KUBECONFIG or ~/.kube/config (default: the current one); its namespace is a default, too",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the windows without a complete run")


def parse_time(text: str) -> datetime:
    """Parse a time with a zone, or a date, which means midnight UTC."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and len(text) > len("2018-08-28"):
            raise argparse.ArgumentTypeError(f"{text!r} has no time zone; append Z for UTC")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2018-08-28T13:00:00Z") from None


def run(args: argparse.Namespace, poll_interval: float = POLL_INTERVAL_SECONDS) -> int:
    """Create the missing runs, print progress, and return the exit code (see `add_arguments`)."""
    try:
        return run_to_exit_code("backfill", _backfill(args, poll_interval))
    except KeyboardInterrupt:
        print("interrupted; existing runs continue, and the same command creates the remaining ones")
        return EXIT_INTERRUPTED


async def _backfill(args: argparse.Namespace, poll_interval: float) -> int:
    account = load_credentials(os.environ, context=args.context)
    args.namespace = args.namespace or account.namespace
    require(args, "namespace")
    schedule = read_schedule(args.schedules_file, args.schedule)
    async with KubeClient.connect(account) as client:
        return await _Backfill(args, schedule, client, poll_interval).run()


class _Backfill:
    """One backfill, with the runs that it created and their results, for the output.

    Args:
        args: The parsed arguments.
        schedule: The schedule.
        client: The client of the API server.
        poll_interval: Seconds between two lists of the runs.
    """

    def __init__(self, args: argparse.Namespace, schedule: Schedule, client: KubeClient, poll_interval: float) -> None:
        self._args = args
        self._schedule = schedule
        self._client = client
        self._poll_interval = poll_interval
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}"
        self._created: dict[str, Window] = {}
        self._results: dict[str, str] = {}
        self._last_printed_at = time.monotonic()
        self._planned_count = 0

    async def run(self) -> int:
        """Create runs until every window has one, and return the exit code."""
        runs = await self._list_runs()
        windows = self._closed_windows()
        states = classify_windows(self._schedule, windows, runs.values())
        self._planned_count = len(states.to_backfill(gaps_only=self._args.gaps_only))
        self._print(self._summary(windows, states))
        if self._args.dry_run:
            for window in states.to_backfill(gaps_only=self._args.gaps_only):
                print(f"  {format_time(window.start)} to {format_time(window.end)}")
            return 0
        while await self._create_next(states, runs):
            await asyncio.sleep(self._poll_interval)
            runs = await self._list_runs()
            states = classify_windows(self._schedule, windows, runs.values())
            self._record_results(runs)
        incomplete = sorted(f"{name} ({end})" for name, end in self._results.items() if end != "Complete")
        if incomplete:
            print(f"{len(incomplete)} of {len(self._results)} runs are not complete: {', '.join(incomplete[:20])}")
            print(f"kubectl -n {self._args.namespace} describe sr NAME shows the reason; the same command retries them")
        return EXIT_INCOMPLETE if incomplete else 0

    def _closed_windows(self) -> list[Window]:
        """Return the requested windows whose readings are complete, by the API server's time."""
        closed = self._client.now() - parse_duration(self._schedule.delay)
        if closed < self._args.end:
            self._print(f"windows that end after {format_time(closed)} are left to the schedule")
        return windows_between(self._args.start, min(self._args.end, closed), parse_duration(self._schedule.window))

    async def _list_runs(self) -> Mapping[str, ListedRun]:
        runs: list[ListedRun] = []
        try:
            async with aclosing(self._client.pages(self._path)) as pages:
                async for page, _version in pages:
                    runs += map(read_run, page)
        except Forbidden as error:
            message = f"{error.message}; backfill needs list and create on scoringruns there"
            raise Forbidden(message, request=error.request) from error
        return {run.name: run for run in runs}

    def _summary(self, windows: list[Window], states: WindowStates) -> str:
        counts = (
            f"{len(states.complete)} complete, {len(states.active)} under way, {len(states.failed)} without a complete"
        )
        span = f"{format_time(windows[0].start)} to {format_time(windows[-1].end)}"
        return (
            f"{len(windows)} windows from {span}: {counts} run, {len(states.missing)} without any; "
            f"{self._planned_count} runs to create"
        )

    async def _create_next(self, states: WindowStates, runs: Mapping[str, ListedRun]) -> bool:
        """Create the runs that are allowed now, and return True if runs are missing or not finished."""
        tried = set(self._created.values())
        missing = [one for one in states.to_backfill(gaps_only=self._args.gaps_only) if one not in tried]
        for window in missing[: max(0, self._args.max_concurrent - len(states.active))]:
            body = build_backfill_run(
                self._schedule, window, namespace=self._args.namespace, existing_names=runs.keys()
            )
            await self._create(body, window)
        return bool(missing) or len(self._results) < len(self._created)

    async def _create(self, body: Mapping[str, Any], window: Window) -> None:
        name = body["metadata"]["name"]
        try:
            await self._client.create(self._path, dict(body))
        except AlreadyExists:
            return  # another client created the run since the last list; the next list has it
        self._created[name] = window
        self._print(f"{name} created ({len(self._created)} of {self._planned_count})")

    def _record_results(self, runs: Mapping[str, ListedRun]) -> None:
        """Record and print the created runs that have ended since the last list."""
        for name in self._created.keys() - self._results.keys():
            end = runs[name].result if name in runs else "it was deleted"
            if end:
                self._results[name] = end
                self._print(f"{name} ended: {end} ({len(self._results)} of {self._planned_count})")
        if time.monotonic() - self._last_printed_at > PROGRESS_INTERVAL_SECONDS:
            waiting = ", ".join(sorted(self._created.keys() - self._results.keys())) or "a run of another client"
            self._print(f"{len(self._results)} of {self._planned_count} ended; waiting for {waiting}")

    def _print(self, text: str) -> None:
        self._last_printed_at = time.monotonic()
        print(text, flush=True)
