"""A fake client of the API server, with the objects in memory."""

import copy
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec

from scoring_operator.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.listing import Listing, ListLimits, Page
from tests.testkit.builders import NOW

Object = dict[str, Any]


class InMemoryClient(KubeClient):
    """Objects by path. It knows versions, uids and status subresources, and nothing of watches.

    Attributes:
        objects: The stored objects, by path.
        lists: The items that a list returns, by the path of the collection.
        requests: The verb and the path of each request, in order.
        failures: The errors of requests, by verb and path; each is raised once.
        rejected: The errors of requests, by verb and a part of the path; each is raised until it is removed.
        time: The API server's time.
        on_request: Called at each request, for what happens meanwhile.
        urgent: Whether the next response lets another request be sent.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.lists: dict[str, list[Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.failures: dict[tuple[str, str], ApiError] = {}
        self.rejected: dict[tuple[str, str], ApiError] = {}
        self.time = NOW
        self.on_request: Callable[[], object] = lambda: None
        self.urgent = False
        self._version = 0

    @property
    def next_response_is_urgent(self) -> bool:
        return self.urgent

    def now(self) -> datetime:
        return self.time

    async def get(self, path: str) -> Object:
        return copy.deepcopy(self._find("GET", path))

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        max_items: int | None = None,
        type: type[Any],  # noqa: A002  # as in the client
    ) -> Any:
        self._request("LIST", f"{path}?{label_selector}&{field_selector}")
        found = self.lists.get(path, [])
        return Listing(
            [msgspec.convert(item, type) for item in found[:max_items]],
            complete=len(found) <= (max_items or ListLimits().max_items),
        )

    async def pages(
        self, path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncGenerator[Page, None]:
        self._request("LIST", f"{path}?{label_selector}&{field_selector}")
        yield [msgspec.Raw(msgspec.json.encode(item)) for item in self.lists.get(path, [])], "1"

    async def create(self, path: str, body: Object | bytes) -> Object:
        item = msgspec.json.decode(body) if isinstance(body, bytes) else copy.deepcopy(body)
        name = f"{path}/{item['metadata']['name']}"
        self._request("POST", name)
        if name in self.objects:
            raise AlreadyExists("it exists")
        return self._store(name, item)

    async def replace(self, path: str, body: Object) -> Object:
        old = self._find("PUT", path)
        if old["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("another version")
        return self._store(path, copy.deepcopy(body))

    async def patch(
        self, path: str, body: Object, *, resource_version: str | None = None, subresource: str = ""
    ) -> Object:
        item = copy.deepcopy(self._find("PATCH", path))
        if resource_version not in (None, item["metadata"].get("resourceVersion")):
            raise Conflict("another version")
        for key in [subresource] if subresource else body:
            item[key] = item.get(key, {}) | body[key]
        return self._store(path, item)

    async def json_patch(self, path: str, operations: Sequence[Object], *, subresource: str = "") -> Object:
        *tests, change = operations
        item = copy.deepcopy(self._find("PATCH", path))
        for test in tests:
            found = reduce(lambda value, key: value.get(key) or {}, test["path"].strip("/").split("/"), item)
            if (found or None) != test["value"]:
                raise Invalid("the server rejected our request due to an error in our request")
        return self._store(path, item | {subresource: change["value"]})

    async def delete(self, path: str, *, uid: str | None = None, resource_version: str | None = None) -> None:
        if uid not in (None, self._find("DELETE", path)["metadata"].get("uid")):
            raise Conflict("another object")
        if resource_version not in (None, self.objects[path]["metadata"].get("resourceVersion")):
            raise Conflict("another version")
        del self.objects[path]

    def edit(self, path: str, **spec: Any) -> Object:
        """Change an object's spec as a user does, and return the object: its version and its generation grow."""
        item = copy.deepcopy(self.objects[path])
        item["spec"] |= spec
        item["metadata"]["generation"] = item["metadata"].get("generation", 1) + 1
        return self._store(path, item)

    def count(self, verb: str) -> int:
        """Return the number of requests with a verb."""
        return sum(1 for request in self.requests if request[0] == verb)

    def _request(self, verb: str, path: str) -> None:
        self.requests.append((verb, path))
        self.on_request()
        if failure := self.failures.pop((verb, path), None):
            raise failure
        for (rejected, part), error in self.rejected.items():
            if verb == rejected and part in path:
                raise error

    def _find(self, verb: str, path: str) -> Object:
        self._request(verb, path)
        if path not in self.objects:
            raise NotFound("it does not exist")
        return self.objects[path]

    def _store(self, path: str, item: Object) -> Object:
        self._version += 1
        item["metadata"] = item["metadata"] | {"resourceVersion": str(self._version)}
        self.objects[path] = item
        return copy.deepcopy(item)
