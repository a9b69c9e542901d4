"""An in-memory API server and garbage collector with the interface of an aiohttp session, and faults on the way.

The operator's own transport, client and informer use it. It implements what the operator needs of the few resources:
versions, conflicts, generations, status subresources, selectors and watches. A request is applied some time after it
was sent, and its response arrives some time later, whether the client is alive or not.
"""

import asyncio
import copy
import json
import random
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Self

from yarl import URL

from scoring_operator.api.formatting import format_time

EPOCH = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "scoring"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
RUNS = f"/apis/fleetscore.dev/v1alpha1/namespaces/{NAMESPACE}/scoringruns"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
COLLECTIONS = (JOBS, PODS, RUNS, CONFIG_MAPS, EVENTS)
SLOWEST = 0.2  # seconds from sending a request to applying it, and from there to its response

Object = dict[str, Any]


@dataclass
class Answer:
    """A response, with the part of aiohttp's interface that the operator's transport uses."""

    status: int
    body: bytes
    headers: dict[str, str]
    method: str
    lines: Callable[[], AsyncIterator[bytes]] | None = None
    connection: None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self) -> bytes:
        return self.body

    def release(self) -> None:
        """Do nothing: there is no connection to release."""

    @property
    def content(self) -> "Answer":
        return self

    def iter_any(self) -> AsyncIterator[bytes]:
        return self.lines() if self.lines else self._whole()

    async def _whole(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class Write:
    """A write of the operator that was applied."""

    verb: str
    collection: str
    name: str
    before: Object | None
    after: Object | None


@dataclass(eq=False)
class Watcher:
    """One open watch."""

    collection: str
    queue: "asyncio.Queue[bytes | None]" = field(default_factory=asyncio.Queue)
    silent: bool = False


class Api:
    """The API server.

    Attributes:
        rng: The source of all random decisions.
        objects: The stored objects, by collection and name.
        writes: The writes of the operator.
        requests: The number of requests.
        failures: The number of requests with a fault.
        lists: The number of lists, by collection.
        on_write: The functions that are called after each write.
        faults: The faults of the next requests; empty for none.
        clock_off: The error of its clock, in seconds.
        slow: The additional seconds of a request, by path.
        lag: The additional seconds until a write is applied.
        on_request: The functions that are called before each request.
        in_flight: The names of objects whose creation was sent and is not applied yet.
        losses: The faults of the next watch events: drop, delay, double.
        rejection: Returns the message with which admission rejects a new object of a collection; empty to admit it.
    """

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self.rng = rng
        self.objects: dict[str, dict[str, Object]] = {collection: {} for collection in COLLECTIONS}
        self.writes: list[Write] = []
        self.requests = 0
        self.failures = 0
        self.lists: Counter[str] = Counter()
        self.on_write: list[Callable[[Write], None]] = []
        self.faults: deque[str] = deque()
        self.clock_off = 0.0
        self.slow: dict[str, float] = {}
        self.lag = 0.0
        self.on_request: list[Callable[[], None]] = []
        self.in_flight: set[str] = set()
        self.losses: deque[str] = deque()
        self.rejection: Callable[[str, Object], str] = lambda _collection, _item: ""
        self._now = now
        self._began = now()
        self._version = 10
        self._oldest = 0
        self._history: list[tuple[int, str, bytes]] = []
        self._watchers: list[Watcher] = []

    def now(self) -> datetime:
        """Return the time of its clock."""
        return EPOCH + timedelta(seconds=self._now() - self._began + self.clock_off)

    # Writes, of the operator and of others.

    def put(self, collection: str, item: Object) -> Object:
        """Store a new or changed object, and notify the watchers."""
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[collection] else "ADDED"
        self.objects[collection][name] = item
        self._notify(kind, collection, item)
        return item

    def create(self, collection: str, item: Object) -> Object:
        meta = item["metadata"]
        uid = f"{self.rng.getrandbits(64):016x}"
        item["metadata"] = meta | {
            "uid": uid,
            "generation": 1,
            "creationTimestamp": format_time(self.now()),
            "namespace": NAMESPACE,
        }
        return self.put(collection, item)

    def change(self, collection: str, name: str, patch: Object) -> Object:
        """Apply a merge patch; a change of the spec increments the generation."""
        old = self.objects[collection][name]
        item = _merged(copy.deepcopy(old), patch)
        if item.get("spec") != old.get("spec"):
            item["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self.put(collection, item) if item != old else old

    def remove(self, collection: str, name: str) -> None:
        """Delete an object and all objects that it owns."""
        item = self.objects[collection].pop(name)
        self._version += 1
        gone = copy.deepcopy(item)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._notify("DELETED", collection, gone)
        for other in COLLECTIONS:
            for child in [c for c in self.objects[other].values() if _owned(c, item["metadata"]["uid"])]:
                self.remove(other, child["metadata"]["name"])

    def _notify(self, kind: str, collection: str, item: Object) -> None:
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        self._history.append((self._version, collection, line))
        for watcher in self._watchers:
            if watcher.collection == collection:
                self._send(watcher, line)

    def _send(self, watcher: Watcher, line: bytes) -> None:
        fault = self.losses.popleft() if self.losses else ""
        later = asyncio.get_event_loop().call_later
        if fault != "drop":
            later(self.rng.uniform(0, 5.0 if fault == "delay" else 0.1), watcher.queue.put_nowait, line)
        if fault == "double":
            later(self.rng.uniform(0, 10.0), watcher.queue.put_nowait, line)

    def close_watches(self, how: str) -> None:
        """End all open watches: close them, compact their history, or silence them."""
        if how == "compact":
            self._oldest = self._version
        for watcher in self._watchers:
            watcher.silent = how == "silence"
            if how == "compact":
                error = {"kind": "Status", "code": 410, "message": "too old"}
                watcher.queue.put_nowait(json.dumps({"type": "ERROR", "object": error}).encode() + b"\n")
            if how != "silence":
                watcher.queue.put_nowait(None)

    # Requests of the operator.

    async def exchange(self, method: str, url: URL, data: bytes | None, silence: float | None) -> Answer:
        """Return the response to one request, some time after the request was applied."""
        self.requests += 1
        for listener in self.on_request:
            listener()
        watching = url.query.get("watch") == "true"
        fault = "" if watching or not self.faults else self.faults.popleft()
        self.failures += bool(fault)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        created = str(json.loads(data)["metadata"]["name"]) if method == "POST" and data else ""

        def arrive() -> None:
            self.in_flight.discard(created)
            answer = self._refused(fault, method) or self._do(method, url, data)
            loop.call_later(self.rng.uniform(0, SLOWEST), reply, answer)

        def reply(answer: Answer) -> None:
            if not done.done():  # the client may have been killed meanwhile
                done.set_result(answer)

        if fault == "reset":
            raise ConnectionResetError("cut before it was sent")
        self.in_flight.add(created)
        delay = self.slow.get(url.path, 0) + (self.lag if method != "GET" else 0)
        loop.call_later(self.rng.uniform(0, SLOWEST) + delay, arrive)
        answer = await self._arrived(done, fault)
        if watching and answer.status < 300:
            answer.lines = lambda: self._lines(url, silence or 75.0)
        return answer

    async def _arrived(self, done: "asyncio.Future[Answer]", fault: str) -> Answer:
        if fault == "silence":
            await asyncio.sleep(30)
            raise TimeoutError
        answer = await done
        if fault == "lost":
            raise ConnectionResetError("cut before the answer came")
        return answer

    def _refused(self, fault: str, method: str) -> Answer | None:
        codes = {"500": 500, "503": 503, "429": 429, "403": 403}
        if fault not in codes:
            return None
        answer = self._answer(codes[fault], {"message": f"refused with {fault}"}, method)
        answer.headers |= {"Retry-After": "1"} if fault == "429" else {}
        return answer

    def _answer(self, status: int, document: Object, method: str) -> Answer:
        headers = {"Date": format_datetime(self.now(), usegmt=True)}
        return Answer(status, json.dumps(document).encode(), headers, method)

    def _do(self, method: str, url: URL, data: bytes | None) -> Answer:
        found = re.fullmatch(rf"({'|'.join(map(re.escape, COLLECTIONS))})(?:/([^/]+))?(/status)?", url.path)
        assert found, url
        collection, name, status = found[1], found[2], bool(found[3])
        body = json.loads(data) if data else {}
        if method == "GET":
            return self._read(collection, name, url)
        before = self.objects[collection].get(name or body["metadata"]["name"])
        if method == "POST" and before:
            return self._answer(409, {"message": "it exists", "reason": "AlreadyExists"}, method)
        if method == "POST" and (message := self.rejection(collection, body)):
            return self._answer(403, {"message": message, "reason": "Forbidden"}, method)
        if method != "POST" and not before:
            return self._answer(404, {"message": "not there"}, method)
        expected = (body.get("preconditions", {}).get("uid"), body.get("metadata", {}).get("resourceVersion"))
        if before and not _same(before, *expected):
            return self._answer(409, {"message": "another one", "reason": "Conflict"}, method)
        after = self._write(method, collection, name, body, status=status)
        write = Write(method, collection, name or body["metadata"]["name"], before, copy.deepcopy(after))
        self.writes.append(write)
        for listener in self.on_write:
            listener(write)
        return self._answer(201 if method == "POST" else 200, after or {}, method)

    def _write(self, method: str, collection: str, name: str, body: Object, *, status: bool) -> Object | None:
        if method == "POST":
            return self.create(collection, body)
        if method == "DELETE":
            self.remove(collection, name)
            return None
        if method == "PUT":
            old = self.objects[collection][name]["metadata"]
            body["metadata"] = old | body["metadata"]
            return self.put(collection, body)
        return self.change(collection, name, {"status": body["status"]} if status else body)

    def _read(self, collection: str, name: str | None, url: URL) -> Answer:
        if name:
            item = self.objects[collection].get(name)
            return self._answer(200, item, "GET") if item else self._answer(404, {"message": "not there"}, "GET")
        if url.query.get("watch") == "true" and int(url.query["resourceVersion"]) < self._oldest:
            return self._answer(410, {"message": "too old", "reason": "Expired"}, "GET")
        self.lists[collection] += url.query.get("watch") != "true"
        items = [item for item in self.objects[collection].values() if _selected(item, collection, url)]
        return self._answer(200, {"metadata": {"resourceVersion": str(self._version)}, "items": items}, "GET")

    async def _lines(self, url: URL, silence: float) -> AsyncIterator[bytes]:
        watcher = Watcher(url.path)
        since = int(url.query["resourceVersion"])
        for version, collection, line in self._history:
            if collection == url.path and version > since:
                self._send(watcher, line)
        self._watchers.append(watcher)
        seconds = float(url.query["timeoutSeconds"])
        asyncio.get_running_loop().call_later(seconds, watcher.queue.put_nowait, None)
        try:
            while True:
                async with asyncio.timeout(silence):
                    following = await self._next(watcher)
                chunk = b""
                while following is not None:  # as from a socket: everything that has arrived since the last read
                    chunk += following
                    if watcher.queue.empty() or watcher.silent:
                        break
                    following = watcher.queue.get_nowait()
                if chunk:
                    yield chunk
                if following is None:
                    return
        finally:
            self._watchers.remove(watcher)

    async def _next(self, watcher: Watcher) -> bytes | None:
        """Return the next line, or a bookmark after a minute without one."""
        line: bytes | None
        while True:
            try:
                async with asyncio.timeout(60):
                    line = await watcher.queue.get()
            except TimeoutError:
                mark = {"metadata": {"resourceVersion": str(self._version)}}
                line = json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n"
            if not watcher.silent:
                return line


@dataclass
class Session:
    """The connections of one process. The requests of a dead process get no response."""

    api: Api
    dead: bool = False

    async def request(
        self,
        method: str,
        url: URL,
        *,
        data: bytes | None,
        timeout: Any,  # noqa: ASYNC109  # the name in aiohttp
        **_: Any,
    ) -> Answer:
        answer = await self.api.exchange(method, url, data, timeout.sock_read)
        if self.dead:
            await asyncio.get_running_loop().create_future()
        return answer


def _merged(item: Object, patch: Object) -> Object:
    for key, value in patch.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict) and isinstance(item.get(key), dict):
            _merged(item[key], value)
        else:
            item[key] = value
    return item


def _same(item: Object, uid: str | None, version: str | None) -> bool:
    meta = item["metadata"]
    return (uid is None or uid == meta["uid"]) and (version is None or version == meta["resourceVersion"])


def _owned(item: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", ()))


def _selected(item: Object, collection: str, url: URL) -> bool:
    """Return True if the selectors match, of those that the operator uses: pods by run or Job, and by phase."""
    if collection != PODS:
        return True
    labels, phase = item["metadata"]["labels"], item["status"]["phase"]
    fields, wanted = url.query.get("fieldSelector", ""), url.query.get("labelSelector", "")
    jobs = re.search(r"job-name in \(([^)]*)\)", wanted)
    mine = labels["batch.kubernetes.io/job-name"] in jobs[1].split(",") if jobs else True
    return mine and ((phase == "Pending") == (fields == "status.phase=Pending"))
