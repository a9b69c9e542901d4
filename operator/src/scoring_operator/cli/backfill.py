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

from scoring_operator.api.formatting import parse_duration, stamp
from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, Window
from scoring_operator.cli.create_run import add_schedule_arguments, read_schedule, run_to_exit_code
from scoring_operator.errors import AlreadyExists, Forbidden, SettingsInvalid
from scoring_operator.kube.client import Cluster
from scoring_operator.schedules.gaps import ListedRun, Survey, backfill_run, read_run, survey, windows_between
from scoring_operator.schedules.windows import Schedule

NOT_COMPLETE, INTERRUPTED = 1, 130
LOOK_EVERY = 3.0  # seconds between looks at the runs
TELL_EVERY = 30.0  # seconds without news after which it says what it waits for


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
        "--from", dest="start", type=moment, required=True, metavar="TIME", help="2018-08-28 or 2018-08-28T13:00:00Z"
    )
    parser.add_argument(
        "--to", dest="end", type=moment, required=True, metavar="TIME", help="only windows that end by this time"
    )
    parser.add_argument(
        "--gaps-only", action="store_true", help="leave windows alone that have a run, even if it failed"
    )
    parser.add_argument(
        "--max-concurrent",
        type=_positive,
        default=1,
        metavar="N",
        help="so many windows at a time (default 1); they share the operator's Jobs with the schedule's own runs",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which windows lack a run")


def moment(text: str) -> datetime:
    """Read an argument that is a time: with a zone, or a date, which is its midnight in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2018-08-28T13:00:00Z") from None
    if found.tzinfo is None and len(text) > len("2018-08-28"):
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone: put a Z behind it for UTC")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Fill the gaps and say so; see `add_arguments` for the exit codes."""
    try:
        return run_to_exit_code("backfill", _backfill(args))
    except KeyboardInterrupt:
        print("interrupted; the runs that exist go on, and the same command takes up what is left")
        return INTERRUPTED


async def _backfill(args: argparse.Namespace) -> int:
    if not args.namespace:
        raise SettingsInvalid("no namespace is given: use --namespace")
    schedule = read_schedule(args.schedules_file, args.schedule)
    async with Cluster.connect() as cluster:
        return await _Filling(args, schedule, cluster).fill()


class _Filling:
    """One backfill; remembers only which runs it created, to tell of them."""

    def __init__(self, args: argparse.Namespace, schedule: Schedule, cluster: Cluster) -> None:
        self._args = args
        self._schedule = schedule
        self._cluster = cluster
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}"
        self._created: dict[str, Window] = {}
        self._ends: dict[str, str] = {}
        self._told_at = time.monotonic()
        self._planned = 0

    async def fill(self) -> int:
        runs = await self._list()
        windows = self._windows()
        found = survey(self._schedule, windows, runs.values())
        self._planned = len(found.lacking(gaps_only=self._args.gaps_only))
        self._tell(self._overview(windows, found))
        if self._args.dry_run:
            for window in found.lacking(gaps_only=self._args.gaps_only):
                print(f"  {stamp(window.start)} to {stamp(window.end)}")
            return 0
        while await self._go_on(found, runs):
            await asyncio.sleep(LOOK_EVERY)
            runs = await self._list()
            found = survey(self._schedule, windows, runs.values())
            self._follow(runs)
        bad = sorted(f"{name} ({end})" for name, end in self._ends.items() if end != "Complete")
        if bad:
            print(f"{len(bad)} of {len(self._ends)} runs are not complete: {', '.join(bad[:20])}")
            print(f"kubectl -n {self._args.namespace} describe sr NAME says why; the same command tries them again")
        return NOT_COMPLETE if bad else 0

    def _windows(self) -> list[Window]:
        """The windows asked for whose readings are in by now, as the API server's clock has it."""
        closed = self._cluster.now() - parse_duration(self._schedule.delay)
        if closed < self._args.end:
            self._tell(f"windows that end after {stamp(closed)} are left to the schedule")
        return windows_between(self._args.start, min(self._args.end, closed), parse_duration(self._schedule.window))

    async def _list(self) -> Mapping[str, ListedRun]:
        runs: list[ListedRun] = []
        try:
            async with aclosing(self._cluster.pages(self._path)) as pages:
                async for page, _version in pages:
                    runs += map(read_run, page)
        except Forbidden as error:
            what = f"{error.message}; backfill needs list and create on scoringruns there"
            raise Forbidden(what, request=error.request) from error
        return {run.name: run for run in runs}

    def _overview(self, windows: list[Window], found: Survey) -> str:
        counts = (
            f"{len(found.complete)} complete, {len(found.active)} under way, {len(found.failed)} without a complete"
        )
        span = f"{stamp(windows[0].start)} to {stamp(windows[-1].end)}"
        return (
            f"{len(windows)} windows from {span}: {counts} run, {len(found.missing)} without any; "
            f"{self._planned} runs to create"
        )

    async def _go_on(self, found: Survey, runs: Mapping[str, ListedRun]) -> bool:
        """Create what may be created now; whether anything is left to wait for."""
        tried = set(self._created.values())
        lacking = [one for one in found.lacking(gaps_only=self._args.gaps_only) if one not in tried]
        for window in lacking[: max(0, self._args.max_concurrent - len(found.active))]:
            body = backfill_run(self._schedule, window, namespace=self._args.namespace, taken=runs.keys())
            await self._create(body, window)
        return bool(lacking) or len(self._ends) < len(self._created)

    async def _create(self, body: Mapping[str, Any], window: Window) -> None:
        name = body["metadata"]["name"]
        try:
            await self._cluster.create(self._path, dict(body))
        except AlreadyExists:
            return  # made by somebody since the last look: the next one sees it
        self._created[name] = window
        self._tell(f"{name} created ({len(self._created)} of {self._planned})")

    def _follow(self, runs: Mapping[str, ListedRun]) -> None:
        """Tell which of the created runs have ended since the last look."""
        for name in self._created.keys() - self._ends.keys():
            end = runs[name].end if name in runs else "it was deleted"
            if end:
                self._ends[name] = end
                self._tell(f"{name} ended: {end} ({len(self._ends)} of {self._planned})")
        if time.monotonic() - self._told_at > TELL_EVERY:
            waiting = ", ".join(sorted(self._created.keys() - self._ends.keys())) or "a run of somebody else's"
            self._tell(f"{len(self._ends)} of {self._planned} ended; waiting for {waiting}")

    def _tell(self, text: str) -> None:
        self._told_at = time.monotonic()
        print(text, flush=True)
