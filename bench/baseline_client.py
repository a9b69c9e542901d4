"""The baseline of the operator and the scorer: a plain aiohttp client of the API server that runs Jobs.

The client does the minimum: it creates Jobs and watches them. It does not read pods and does not record results.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from localcluster.toolchain import images
from scoring_operator.api.fleets import Fleet
from scoring_operator.api.intervals import Positions
from scoring_operator.api.scoringrun import parse_run
from scoring_operator.api.views import JobView
from scoring_operator.kube.credentials import Credentials
from scoring_operator.planner.progress import Batch
from scoring_operator.resources.jobs import ScorerImage, build_job

T = TypeVar("T")


class MeasurementError(Exception):
    """A measured program or Job failed."""


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    metadata: _Meta
    items: list[msgspec.Raw] = []


class _Object(msgspec.Struct):
    metadata: _Meta


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class BaselineClient:
    """A client of one API server, created by `connect`."""

    def __init__(self, session: aiohttp.ClientSession, account: Credentials) -> None:
        self._session = session
        self._account = account

    async def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request, retry it after status 429, and return the body of the response.

        Raises:
            MeasurementError: The response is an error.
        """
        while True:
            async with self._session.request(method, self._url(path), data=body) as answer:
                content = await answer.read()
            if answer.status < 400:
                return content
            if answer.status != 429:
                raise MeasurementError(f"{method} {path}: {answer.status} {content.decode()[:300]}")
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))

    async def get(self, path: str, type_: type[T]) -> T:
        """Return an object, or a collection in one response."""
        return msgspec.json.decode(await self.request("GET", path), type=type_)

    async def create(self, path: str, body: Any) -> None:
        """Create an object in a collection."""
        await self.request("POST", path, body if isinstance(body, bytes) else msgspec.json.encode(body))

    async def watch(self, path: str, type_: type[T], selector: str = "") -> AsyncIterator[tuple[T, bool]]:
        """Yield the objects of a collection, then each change (True: the object was deleted), without end."""
        decode = msgspec.json.Decoder(type_).decode
        query = {"labelSelector": selector} if selector else {}
        page = msgspec.json.decode(await self.request("GET", _with_query(path, query)), type=_List)
        version = page.metadata.resource_version
        for item in page.items:
            yield decode(item), False
        while True:  # the server closes watches, under load several times a minute
            wanted = query | {"watch": "true", "resourceVersion": version, "timeoutSeconds": "600"}
            async with self._session.get(self._url(_with_query(path, wanted))) as answer:
                pending = b""
                async for chunk in answer.content.iter_any():
                    *lines, pending = (pending + chunk).split(b"\n")
                    for event in (msgspec.json.decode(line, type=_Event) for line in lines):
                        if event.type == "ERROR":
                            raise MeasurementError(f"watch of {path}: {bytes(event.object).decode()}")
                        version = msgspec.json.decode(event.object, type=_Object).metadata.resource_version
                        yield decode(event.object), event.type == "DELETED"

    def _url(self, path: str) -> URL:
        return URL(f"{self._account.server}{path}", encoded=True)


@asynccontextmanager
async def connect(account: Credentials) -> AsyncIterator[BaselineClient]:
    """Open a client for the duration of the body."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if token := account.bearer_token():
        headers["Authorization"] = f"Bearer {token}"
    connector = aiohttp.TCPConnector(limit=0, ssl=account.ssl_context())
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        yield BaselineClient(session, account)


def build_manifest(
    fleet: Fleet, namespace: str, window: Mapping[str, str], *, label: str, number: int, devices: Sequence[str]
) -> dict[str, Any]:
    """Return the operator's manifest of a Job, without an owner and with the label `bench`.

    Args:
        fleet: The fleet with the settings of the Job.
        namespace: The namespace of the Job.
        window: The start and the end, as in a ScoringRun.
        label: The value of the label `bench`, one per batch of Jobs.
        number: The number of the Job in its batch.
        devices: The ids of the devices to score.
    """
    meta = {"name": label, "namespace": namespace, "uid": label, "creationTimestamp": window["start"]}
    run = parse_run({"metadata": meta, "spec": {"window": window}})
    batch, image = Batch(Positions.range_to(len(devices))), ScorerImage(images.image_reference("scorer"))
    built = build_job(run, fleet, image, name=f"{label}-{number}", batch=batch, devices=devices)
    del built["metadata"]["ownerReferences"]
    built["metadata"]["labels"]["bench"] = label
    return built


async def run_jobs(
    client: BaselineClient, namespace: str, jobs: Sequence[dict[str, Any]], *, max_in_flight: int
) -> float:
    """Create Jobs and return the seconds until the last one is Complete.

    Args:
        client: The client that sends the requests.
        namespace: The namespace of the Jobs.
        jobs: The manifests, all with the same value of the label `bench`.
        max_in_flight: The maximum number of Jobs that are created and not Complete.

    Raises:
        MeasurementError: A Job failed, or a request was rejected.
    """
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    bodies = {job["metadata"]["name"]: msgspec.json.encode(job) for job in jobs}
    label = jobs[0]["metadata"]["labels"]["bench"]
    left, room = set(bodies), asyncio.Semaphore(max_in_flight)

    async def wait_for_completion() -> None:
        async for job, _ in client.watch(path, JobView, f"bench={label}"):
            if failed := job.true_condition("Failed"):
                raise MeasurementError(f"Job {job.name}: {failed.reason} {failed.message}")
            if job.name in left and job.true_condition("Complete"):
                left.remove(job.name)
                room.release()
                if not left:
                    return

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(wait_for_completion())
        for body in bodies.values():
            await room.acquire()
            group.create_task(client.create(path, body))
    return time.monotonic() - began


def _with_query(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query, quote_via=quote)}" if query else path
