"""An API server and garbage collector in memory, spoken to as an aiohttp session is, with faults on the way to it.

The operator's own transport, cluster and mirror talk to it. It knows what a real one knows of the few kinds that are
needed here: versions, conflicts, generations, status subresources, selectors, watches. A request is done some time
after it was sent and answered some time after that, whether the one who sent it lives or not.
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

EPOCH = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "scoring"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
RUNS = f"/apis/fleetscore.dev/v1alpha1/namespaces/{NAMESPACE}/scoringruns"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
COLLECTIONS = (JOBS, PODS, RUNS, CONFIG_MAPS, EVENTS)
SLOWEST = 0.2  # seconds from the sending of a request to its being done, and from there to its answer

Object = dict[str, Any]


@dataclass
class Answer:
    """An answer, as much of aiohttp's as the operator's transport uses."""

    status: int
    body: bytes
    headers: dict[str, str]
    method: str
    lines: Callable[[], AsyncIterator[bytes]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self) -> bytes:
        return self.body

    def release(self) -> None:
        """A connection would be free again."""

    @property
    def content(self) -> "Answer":
        return self

    def iter_any(self) -> AsyncIterator[bytes]:
        assert self.lines
        return self.lines()


@dataclass
class Write:
    """A write of the operator that was done."""

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
    """The server. `writes` has what the operator wrote; `faults` what becomes of its next requests, one by one."""

    def __init__(self, luck: random.Random, now: Callable[[], float]) -> None:
        self.luck = luck
        self.objects: dict[str, dict[str, Object]] = {collection: {} for collection in COLLECTIONS}
        self.writes: list[Write] = []
        self.requests = 0
        self.failures = 0  # requests that a fault befell
        self.lists: Counter[str] = Counter()  # by collection
        self.on_write: list[Callable[[Write], None]] = []
        self.faults: deque[str] = deque()
        self.clock_off = 0.0
        self.slow: dict[str, float] = {}  # seconds more for a request to a collection
        self.under_way: set[str] = set()  # names of objects whose creation was sent and is not done yet, '' aside
        self.losses: deque[str] = deque()  # what becomes of the next watch events: drop, delay, double
        self._now = now
        self._began = now()
        self._version = 10
        self._oldest = 0
        self._history: list[tuple[int, str, bytes]] = []
        self._watchers: list[Watcher] = []

    def now(self) -> datetime:
        """Its clock."""
        return EPOCH + timedelta(seconds=self._now() - self._began + self.clock_off)

    def stamp(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    # What others than the operator do, and what it does once its request has arrived.

    def put(self, collection: str, item: Object) -> Object:
        """Store a new or changed object and tell the watchers."""
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        name = item["metadata"]["name"]
        kind = "MODIFIED" if name in self.objects[collection] else "ADDED"
        self.objects[collection][name] = item
        self._tell(kind, collection, item)
        return item

    def create(self, collection: str, item: Object) -> Object:
        meta = item["metadata"]
        uid = f"{self.luck.getrandbits(64):016x}"
        item["metadata"] = meta | {
            "uid": uid,
            "generation": 1,
            "creationTimestamp": self.stamp(),
            "namespace": NAMESPACE,
        }
        return self.put(collection, item)

    def change(self, collection: str, name: str, patch: Object) -> Object:
        """Apply a merge patch; another spec is another generation."""
        old = self.objects[collection][name]
        item = _merged(copy.deepcopy(old), patch)
        if item.get("spec") != old.get("spec"):
            item["metadata"]["generation"] = old["metadata"]["generation"] + 1
        return self.put(collection, item) if item != old else old

    def remove(self, collection: str, name: str) -> None:
        """Delete an object, and all that it owns."""
        item = self.objects[collection].pop(name)
        self._version += 1
        gone = copy.deepcopy(item)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._tell("DELETED", collection, gone)
        for other in COLLECTIONS:
            for child in [c for c in self.objects[other].values() if _owned(c, item["metadata"]["uid"])]:
                self.remove(other, child["metadata"]["name"])

    def _tell(self, kind: str, collection: str, item: Object) -> None:
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        self._history.append((self._version, collection, line))
        for watcher in self._watchers:
            if watcher.collection == collection:
                self._send(watcher, line)

    def _send(self, watcher: Watcher, line: bytes) -> None:
        fate = self.losses.popleft() if self.losses else ""
        later = asyncio.get_event_loop().call_later
        if fate != "drop":
            later(self.luck.uniform(0, 5.0 if fate == "delay" else 0.1), watcher.queue.put_nowait, line)
        if fate == "double":
            later(self.luck.uniform(0, 10.0), watcher.queue.put_nowait, line)

    def close_watches(self, how: str) -> None:
        """End all open watches: cleanly, with the history forgotten, or without a word."""
        if how == "compact":
            self._oldest = self._version
        for watcher in self._watchers:
            watcher.silent = how == "silence"
            if how == "compact":
                error = {"kind": "Status", "code": 410, "message": "too old"}
                watcher.queue.put_nowait(json.dumps({"type": "ERROR", "object": error}).encode() + b"\n")
            if how != "silence":
                watcher.queue.put_nowait(None)

    # The way from the operator to here.

    async def exchange(self, method: str, url: URL, data: bytes | None, silence: float | None) -> Answer:
        """Answer one request, some time after it was done."""
        self.requests += 1
        watching = url.query.get("watch") == "true"
        fate = "" if watching or not self.faults else self.faults.popleft()
        self.failures += bool(fate)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        created = str(json.loads(data)["metadata"]["name"]) if method == "POST" and data else ""

        def arrive() -> None:
            self.under_way.discard(created)
            answer = self._refused(fate, method) or self._do(method, url, data)
            loop.call_later(self.luck.uniform(0, SLOWEST), reply, answer)

        def reply(answer: Answer) -> None:
            if not done.done():  # the one who asked may have been killed meanwhile
                done.set_result(answer)

        if fate == "reset":
            raise ConnectionResetError("cut before it was sent")
        self.under_way.add(created)
        loop.call_later(self.luck.uniform(0, SLOWEST) + self.slow.get(url.path, 0), arrive)
        if fate == "silence":
            await asyncio.sleep(30)
            raise TimeoutError
        answer = await done
        if fate == "lost":
            raise ConnectionResetError("cut before the answer came")
        if watching and answer.status < 300:
            answer.lines = lambda: self._lines(url, silence or 75.0)
        return answer

    def _refused(self, fate: str, method: str) -> Answer | None:
        codes = {"500": 500, "503": 503, "429": 429, "403": 403}
        if fate not in codes:
            return None
        answer = self._answer(codes[fate], {"message": f"refused with {fate}"}, method)
        answer.headers |= {"Retry-After": "1"} if fate == "429" else {}
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
        if method != "POST" and not before:
            return self._answer(404, {"message": "not there"}, method)
        expected = (body.get("preconditions", {}).get("uid"), body.get("metadata", {}).get("resourceVersion"))
        if before and not _same(before, *expected):
            return self._answer(409, {"message": "another one", "reason": "Conflict"}, method)
        after = self._write(method, collection, name, body, status=status)
        write = Write(method, collection, name or body["metadata"]["name"], before, copy.deepcopy(after))
        self.writes.append(write)
        for told in self.on_write:
            told(write)
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
                if following is None:
                    return
                yield following
        finally:
            self._watchers.remove(watcher)

    async def _next(self, watcher: Watcher) -> bytes | None:
        """The next line, or a bookmark when there was none for a minute."""
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
    """One process's connections; a dead one's requests are answered to nobody."""

    api: Api
    dead: bool = False

    async def request(
        self,
        method: str,
        url: URL,
        *,
        data: bytes | None,
        timeout: Any,  # noqa: ASYNC109  # aiohttp's word
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
    """As far as the operator selects: pods by run or Job, and by phase."""
    if collection != PODS:
        return True
    labels, phase = item["metadata"]["labels"], item["status"]["phase"]
    fields, wanted = url.query.get("fieldSelector", ""), url.query.get("labelSelector", "")
    jobs = re.search(r"job-name in \(([^)]*)\)", wanted)
    mine = labels["batch.kubernetes.io/job-name"] in jobs[1].split(",") if jobs else True
    return mine and ((phase == "Pending") == (fields == "status.phase=Pending"))
