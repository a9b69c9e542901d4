"""A small fake API server in the test's process, with a queue of faults, one per request."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from scoring_operator.kube.credentials import Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Responds instead of the server, or returns None to let the server respond."""


class FaultServer:
    """A server with one collection per path. Each request takes one of `faults`, each watch one of `watch_faults`."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}  # by collection path and name
        self.history: list[tuple[int, str, dict[str, Any]]] = []  # version, path, event
        self.faults: deque[Handler] = deque()
        self.watch_faults: deque[Handler] = deque()
        self.broken: dict[str, Handler] = {}  # by path, until it is removed
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.tokens: list[str] = []
        self.watchers = 0
        self.silent = False
        self._changed = asyncio.Condition()
        self._closing = 0
        self.server: TestServer

    @property
    def credentials(self) -> Credentials:
        return Credentials(server=str(self.server.make_url("")).rstrip("/"))

    async def put(self, path: str, name: str, **extra: Any) -> None:
        """Create or change an object and notify the watches."""
        kind = "MODIFIED" if (path, name) in self.objects else "ADDED"
        self.version += 1
        self.objects[path, name] = self.body(name, self.version, **extra)
        await self.emit(path, kind, self.objects[path, name])

    async def remove(self, path: str, name: str, *, notify: bool = True) -> None:
        self.version += 1
        body = self.objects.pop((path, name))
        body = self.body(name, self.version)
        if notify:
            await self.emit(path, "DELETED", body)

    @staticmethod
    def body(name: str, version: int, **extra: Any) -> dict[str, Any]:
        metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
        return {"metadata": metadata, **extra}

    async def emit(self, path: str, kind: str, body: dict[str, Any]) -> None:
        """Send an event unchanged, even if it is wrong."""
        async with self._changed:
            self.history.append((self.version, path, {"type": kind, "object": body}))
            self._changed.notify_all()

    async def close_watches(self) -> None:
        """End all watches as a server does."""
        async with self._changed:
            self._closing += 1
            self._changed.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch") == "true"
        self.requests.append(("WATCH" if watch else request.method, request.path, dict(request.query)))
        self.tokens.append(request.headers.get("Authorization", ""))
        if (broken := self.broken.get(request.path)) and (response := await broken(request)) is not None:
            return response
        queue = self.watch_faults if watch else self.faults
        if queue and (response := await queue.popleft()(request)) is not None:
            return response
        if watch:
            return await self._watch(request)
        if request.method == "GET":
            return self._get(request)
        return await (self._replace(request) if request.method == "PUT" else self._create(request))

    def _get(self, request: web.Request) -> web.Response:
        collection, _, name = request.path.rpartition("/")
        if (collection, name) in self.objects:
            return web.json_response(self.objects[collection, name])
        return self._list(request) if "limit" in request.query else refusal(404, "NotFound")

    async def _replace(self, request: web.Request) -> web.Response:
        collection, _, name = request.path.rpartition("/")
        body = await request.json()
        if body["metadata"]["resourceVersion"] != self.objects[collection, name]["metadata"]["resourceVersion"]:
            return refusal(409, "Conflict")
        await self.put(collection, name, spec=body.get("spec"))
        return web.json_response(self.objects[collection, name])

    def _list(self, request: web.Request) -> web.Response:
        names = sorted(name for path, name in self.objects if path == request.path)
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        more = str(start + limit) if start + limit < len(names) else ""
        items = [self.objects[request.path, name] for name in names[start : start + limit]]
        return web.json_response({"metadata": {"resourceVersion": str(self.version), "continue": more}, "items": items})

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if (request.path, name) in self.objects:
            return refusal(409, "AlreadyExists")
        await self.put(request.path, name, spec=body.get("spec"))
        return web.json_response(self.objects[request.path, name])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.watchers += 1
        seen, closing = int(request.query["resourceVersion"]), self._closing
        position = 0
        try:
            while closing == self._closing:
                for version, path, event in self.history[position:]:
                    if version > seen and path == request.path and not self.silent:
                        await response.write(json.dumps(event).encode() + b"\n")
                position = len(self.history)
                async with self._changed:
                    await self._changed.wait_for(
                        lambda: len(self.history) > position or closing != self._closing  # noqa: B023  # called at once
                    )
        finally:
            self.watchers -= 1
        return response


def refusal(status: int, reason: str = "", message: str = "refused", **headers: str) -> web.Response:
    """Return a Status object as the API server sends it."""
    return web.json_response({"kind": "Status", "reason": reason, "message": message}, status=status, headers=headers)


def refuse(status: int, reason: str = "", message: str = "refused", **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return refusal(status, reason, message, **{key.replace("_", "-"): value for key, value in headers.items()})

    return handler


async def reset(request: web.Request) -> None:
    """Cut the connection before anything was done."""
    assert request.transport is not None
    request.transport.abort()


async def hang(_request: web.Request) -> None:
    """Receive the request and never respond."""
    await asyncio.Event().wait()


@asynccontextmanager
async def fault_server() -> AsyncIterator[FaultServer]:
    fault = FaultServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fault.handle)
    fault.server = TestServer(app)
    await fault.server.start_server(shutdown_timeout=0.1)
    try:
        yield fault
    finally:
        await fault.server.close()
