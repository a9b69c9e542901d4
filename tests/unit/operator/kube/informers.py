"""A running informer of Jobs, whose objects show a name and a color."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from scoring_operator.kube.client import KubeClient
from scoring_operator.kube.informer import Informer

JOBS = "/apis/batch/v1/namespaces/ns/jobs"


class Meta(msgspec.Struct, rename="camel", eq=False):  # noqa: PLW1641  # it is not hashed
    name: str
    namespace: str
    resource_version: str

    def __eq__(self, other: object) -> bool:
        """Ignore the version, so that equal views may have different versions."""
        return isinstance(other, Meta) and self.name == other.name


class View(msgspec.Struct):
    metadata: Meta
    color: str = ""


@asynccontextmanager
async def running_informer(client: KubeClient, **settings: Any) -> AsyncIterator[Informer[View]]:
    informer = Informer(client, api="apis/batch/v1", plural="jobs", type=View, **({"namespaces": ["ns"]} | settings))
    task = asyncio.create_task(informer.run())
    try:
        await asyncio.wait_for(informer.wait_for_sync(), 5)
        yield informer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def color(view: View | None) -> str | None:
    return view.color if view else None


def names(informer: Informer[View]) -> set[str]:
    return {name for _namespace, name in informer.snapshot()}
