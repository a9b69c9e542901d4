# ruff: noqa: ARG002  # every fault has the parameters of the base class, whether it uses them or not
"""The faults between operator and API server, for the proxy."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from tests.testkit.conditions import true_conditions
from tests.testkit.fault_proxy import Call, Fault, Reset, Response, error_response


class Dropped(Fault):
    """A share of the events of watches never arrives; later events do."""

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        if b'"BOOKMARK"' in line[:40] or self.is_spared():
            return [(0.0, line)]
        self.count += 1
        return []

    def measurement(self) -> str:
        return f"{self.count} events dropped"


class Shuffled(Fault):
    """Each event arrives up to three times, with delays of up to `seconds`: doubled, out of order, replayed."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        if b'"BOOKMARK"' in line[:40]:
            return [(0.0, line)]
        times = self._random.randint(1, 3)
        self.count += times
        return [(self._random.uniform(0, self._seconds), line) for _ in range(times)]

    def measurement(self) -> str:
        return f"{self.count} events doubled, delayed, out of order"


class Silent(Fault):
    """Watches stay open and deliver no events until one of their resource is opened again after a lost event."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._lost: set[str] = set()
        self._blind: dict[str, float] = {}

    async def before(self, call: Call) -> Response | None:
        if call.verb == "WATCH" and call.resource in self._lost:
            self._blind.setdefault(call.resource, time.monotonic() - self._began)
        return None

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        if call.resource in self._blind:
            return [(0.0, line)]
        self.count += 1
        self._lost.add(call.resource)
        return []

    def measurement(self) -> str:
        longest = max(self._blind.values(), default=float("inf"))
        return f"{len(self._blind)} watches silent, {self.count} events lost; opened again after {longest:.1f} s"


class Closing(Fault):
    """Watches end as a server ends them when they are `seconds` old."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def close(self, call: Call, age: float) -> bool:
        self.count += (closing := age > self._seconds)
        return closing

    def measurement(self) -> str:
        return f"{self.count} watches closed"


class TooOld(Fault):
    """Watches are rejected with 410, or begun and ended by an ERROR event with a code."""

    def __init__(self, *, every: int = 1, code: int = 410, as_event: bool = False) -> None:
        super().__init__()
        self._every, self._code, self._as_event = every, code, as_event
        self._seen = 0
        self.lists = 0

    async def before(self, call: Call) -> Response | None:
        self.lists += call.verb == "LIST"
        if call.verb != "WATCH" or self._as_event:
            return None
        self._seen += 1
        if self._seen % self._every:
            return None
        self.count += 1
        return error_response(self._code, "Expired")

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        self._seen += self._as_event
        if not self._as_event or self._seen % self._every:
            return [(0.0, line)]
        self.count += 1
        error = {"kind": "Status", "code": self._code, "reason": "Expired", "message": "by the fault proxy"}
        return [(0.0, json.dumps({"type": "ERROR", "object": error}).encode() + b"\n")]

    def close(self, call: Call, age: float) -> bool:
        return not self._as_event  # those that were open when it began: it lets none begin

    def measurement(self) -> str:
        return f"{self.count} times, {self.lists} lists"


class Refused(Fault):
    """A share of requests, or of writes only, gets a response with a status."""

    def __init__(self, status: int, *, share: float, writes_only: bool = False, only: Collection[str] = ()) -> None:
        super().__init__(share)
        self._status, self._writes_only, self._only = status, writes_only, only

    async def before(self, call: Call) -> Response | None:
        meant = (call.is_write or not self._writes_only) and (not self._only or call.resource in self._only)
        if not meant or self.is_spared():
            return None
        self.count += 1
        return error_response(self._status, "Fault")

    def measurement(self) -> str:
        return f"{self.count} answers {self._status}"


class Throttling(Fault):
    """A share of writes is rejected with 429 and Retry-After; the fault measures whether the operator obeys."""

    def __init__(self, *, share: float, retry_after: int = 1) -> None:
        super().__init__(share)
        self._after = retry_after
        self._sent: dict[tuple[str, str, bytes], float] = {}
        self.early = 0
        self.retries = 0

    async def before(self, call: Call) -> Response | None:
        if not call.is_write or call.is_renewal:
            return None
        now, key = time.monotonic(), (call.verb, call.path, call.body)
        sent_at = self._sent.pop(key, None)
        if sent_at is not None:
            self.retries += 1
            self.early += now - sent_at < self._after
        if self.is_spared():
            return None
        self.count += 1
        self._sent[key] = now
        return error_response(429, "TooManyRequests", **{"Retry-After": str(self._after)})

    def measurement(self) -> str:
        return f"{self.count} writes turned away, {self.retries} came again, {self.early} of them before Retry-After"


class Cut(Fault):
    """A share of requests loses its connection before the server receives the request."""

    async def before(self, call: Call) -> Response | None:
        if self.is_spared():
            return None
        self.count += 1
        raise Reset

    def measurement(self) -> str:
        return f"{self.count} connections cut"


class AnswerLost(Fault):
    """A share of writes is done, and the response never arrives: the connection is cut, or silent until the timeout."""

    def __init__(self, *, share: float, silent: bool = False) -> None:
        super().__init__(share)
        self._silent = silent

    async def after(self, call: Call, response: Response) -> Response:
        if not call.is_write or call.is_renewal or self.is_spared():
            return response
        self.count += response.status < 300
        if self._silent:
            await asyncio.Event().wait()
        raise Reset

    def measurement(self) -> str:
        return f"{self.count} writes done without an answer"


class Slow(Fault):
    """Each response is delayed by up to N seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def before(self, call: Call) -> Response | None:
        self.count += 1
        await asyncio.sleep(self._random.uniform(0, self._seconds))
        return None

    def measurement(self) -> str:
        return f"{self.count} answers late"


class Overtaken(Fault):
    """Each status write with a resource version reaches the server only after another client has written again.

    Args:
        writes: The function that returns the number of the other client's writes.
    """

    def __init__(self, writes: Callable[[], int]) -> None:
        super().__init__()
        self._writes = writes

    async def before(self, call: Call) -> Response | None:
        if call.verb == "PATCH" and call.path.endswith("/status") and b'"resourceVersion"' in call.body:
            self.count += 1
            begun = self._writes() + 1  # the one that is under way may be in the version that the operator has seen
            while self._writes() <= begun:  # noqa: ASYNC110  the other counts in a thread of its own
                await asyncio.sleep(0.01)
        return None

    def measurement(self) -> str:
        return f"{self.count} status writes overtaken"


class Stale(Fault):
    """Lists have an earlier state, and the watches that continue from there are late."""

    def __init__(self, lists: Mapping[str, Mapping[str, Any]], delay: float) -> None:
        super().__init__()
        self._lists, self._delay = lists, delay

    async def before(self, call: Call) -> Response | None:
        if call.verb != "LIST" or call.path not in self._lists:
            return None
        self.count += 1
        return Response(200, json.dumps(self._lists[call.path]).encode(), {"Content-Type": "application/json"})

    def event(self, call: Call, line: bytes) -> list[tuple[float, bytes]]:
        return [(self._delay, line)]

    def measurement(self) -> str:
        return f"{self.count} stale lists"


class ShiftedDate(Fault):
    """The API server's clock, as in its responses, is off by N seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def after(self, call: Call, response: Response) -> Response:
        self.count += 1
        date = parsedate_to_datetime(response.headers["Date"]) + timedelta(seconds=self._seconds)
        return Response(response.status, response.body, response.headers | {"Date": format_datetime(date, usegmt=True)})

    def measurement(self) -> str:
        return f"{self.count} answers with a date {self._seconds:+.0f} s off"


def regressions(statuses: list[tuple[int, dict[str, Any]]]) -> list[str]:
    """Return the counters and conditions of a run that a later status took back, in the order of the server."""
    found = []
    ordered = [status for _, status in sorted(statuses, key=lambda entry: entry[0])]
    for before, after in itertools.pairwise(ordered):
        for outcome in ("scored", "partial", "empty", "failed", "notRun", "alreadyScored"):
            was, now = (one.get("devices", {}).get(outcome, 0) for one in (before, after))
            found += [f"{outcome} {was} -> {now}"] if now < was else []
        was, now = true_conditions(before), true_conditions(after)
        found += [f"{kind} reverted" for kind in (was - now) & {"Complete", "Failed"}]
    return found
