"""`scoring-operator backfill`: creates the runs of a schedule's past windows that lack a complete one. The edge.

It keeps nothing between looks: what it does next follows from the runs that are there. So it may be interrupted at any
time, and the same command goes on. Which windows lack a run is decided in `gaps`.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from scoring_operator.api.formatting import format_time, parse_duration
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, Window
from scoring_operator.cli.create_run import add_schedule_arguments, read_schedule, run_to_exit_code
from scoring_operator.errors import AlreadyExists, Forbidden, InvalidSettings
from scoring_operator.kube.client import KubeClient
from scoring_operator.schedules.gaps import (
    ListedRun,
    WindowStates,
    build_backfill_run,
    classify_windows,
    read_run,
    windows_between,
)
from scoring_operator.schedules.windows import Schedule

EXIT_INCOMPLETE, EXIT_INTERRUPTED = 1, 130
POLL_INTERVAL_SECONDS = 3.0  # seconds between looks at the runs
PROGRESS_INTERVAL_SECONDS = 30.0  # seconds without news after which it says what it waits for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `backfill` to its parser."""
    parser.description = (
        "Create a ScoringRun for each past window of a schedule that has no complete one, oldest first, and wait for "
        "them. It may be interrupted: the runs go on, and the same command takes up what is left. Devices whose "
        "predictions are there already are not scored again (unless the schedule's writePolicy says so)."
    )
    parser.epilog = (
        "Exit codes: 0 every run that was created is complete, 1 some are not, 64 wrong usage or schedule, "
        "65 the API server will never accept the run, 75 try again."
    )
    add_schedule_arguments(parser)
    parser.add_argument(
        "--from",
        dest="start",
        type=parse_time,
        required=True,
        metavar="TIME",
        help="2018-08-28 or 2018-08-28T13:00:00Z",
    )
    parser.add_argument(
        "--to", dest="end", type=parse_time, required=True, metavar="TIME", help="only windows that end by this time"
    )
    parser.add_argument(
        "--gaps-only", action="store_true", help="leave windows alone that have a run, even if it failed"
    )
    parser.add_argument(
        "--max-concurrent",
        type=_parse_positive_int,
        default=1,
        metavar="N",
        help="so many windows at a time (default 1); they share the operator's Jobs with the schedule's own runs",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which windows lack a run")


def parse_time(text: str) -> datetime:
    """Read an argument that is a time: with a zone, or a date, which is its midnight in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2018-08-28T13:00:00Z") from None
    if found.tzinfo is None and len(text) > len("2018-08-28"):
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone: put a Z behind it for UTC")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _parse_positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Fill the gaps and say so; see `add_arguments` for the exit codes."""
    try:
        return run_to_exit_code("backfill", _backfill(args))
    except KeyboardInterrupt:
        print("interrupted; the runs that exist go on, and the same command takes up what is left")
        return EXIT_INTERRUPTED


async def _backfill(args: argparse.Namespace) -> int:
    if not args.namespace:
        raise InvalidSettings("no namespace is given: use --namespace")
    schedule = read_schedule(args.schedules_file, args.schedule)
    async with KubeClient.connect() as client:
        return await _Backfill(args, schedule, client).run()


class _Backfill:
    """One backfill; remembers only which runs it created, to tell of them."""

    def __init__(self, args: argparse.Namespace, schedule: Schedule, client: KubeClient) -> None:
        self._args = args
        self._schedule = schedule
        self._client = client
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}"
        self._created: dict[str, Window] = {}
        self._results: dict[str, str] = {}
        self._last_printed_at = time.monotonic()
        self._planned_count = 0

    async def run(self) -> int:
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
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
            runs = await self._list_runs()
            states = classify_windows(self._schedule, windows, runs.values())
            self._record_results(runs)
        incomplete = sorted(f"{name} ({end})" for name, end in self._results.items() if end != "Complete")
        if incomplete:
            print(f"{len(incomplete)} of {len(self._results)} runs are not complete: {', '.join(incomplete[:20])}")
            print(f"kubectl -n {self._args.namespace} describe sr NAME says why; the same command tries them again")
        return EXIT_INCOMPLETE if incomplete else 0

    def _closed_windows(self) -> list[Window]:
        """The windows asked for whose readings are in by now, as the API server's clock has it."""
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
            what = f"{error.message}; backfill needs list and create on scoringruns there"
            raise Forbidden(what, request=error.request) from error
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
        """Create what may be created now; whether anything is left to wait for."""
        tried = set(self._created.values())
        lacking = [one for one in states.to_backfill(gaps_only=self._args.gaps_only) if one not in tried]
        for window in lacking[: max(0, self._args.max_concurrent - len(states.active))]:
            body = build_backfill_run(
                self._schedule, window, namespace=self._args.namespace, existing_names=runs.keys()
            )
            await self._create(body, window)
        return bool(lacking) or len(self._results) < len(self._created)

    async def _create(self, body: Mapping[str, Any], window: Window) -> None:
        name = body["metadata"]["name"]
        try:
            await self._client.create(self._path, dict(body))
        except AlreadyExists:
            return  # made by somebody since the last look: the next one sees it
        self._created[name] = window
        self._print(f"{name} created ({len(self._created)} of {self._planned_count})")

    def _record_results(self, runs: Mapping[str, ListedRun]) -> None:
        """Tell which of the created runs have ended since the last look."""
        for name in self._created.keys() - self._results.keys():
            end = runs[name].result if name in runs else "it was deleted"
            if end:
                self._results[name] = end
                self._print(f"{name} ended: {end} ({len(self._results)} of {self._planned_count})")
        if time.monotonic() - self._last_printed_at > PROGRESS_INTERVAL_SECONDS:
            waiting = ", ".join(sorted(self._created.keys() - self._results.keys())) or "a run of somebody else's"
            self._print(f"{len(self._results)} of {self._planned_count} ended; waiting for {waiting}")

    def _print(self, text: str) -> None:
        self._last_printed_at = time.monotonic()
        print(text, flush=True)
