"""Lists of a collection, within limits: other users may create any number of objects of any size.

A page has at most 8 MiB. A list that is held in memory has limits of number, bytes and time, and a namespace has at
most four such lists at once. So the objects of one namespace neither fill the memory nor delay other namespaces.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from scoring_operator.errors import ResponseTooLarge
from scoring_operator.kube.transport import Request

T = TypeVar("T")
Page = tuple[list[msgspec.Raw], str]  # items and resource version


@dataclass(frozen=True, slots=True)
class ListLimits:
    """The limits of pages and lists.

    Attributes:
        max_page_bytes: The size of a page. One object has at most 1.5 MiB in etcd.
        max_bytes: The size of a list, after which no further page is read. The pods of 100 Jobs have about 1 MiB.
        max_items: The number of items of a list, after which no further page is read.
        max_seconds: The time of a list, after which no further page is read.
        max_lists: The number of lists of one namespace at once.
    """

    max_page_bytes: int = 8 * 1024 * 1024
    max_bytes: int = 8 * 1024 * 1024
    max_items: int = 10_000
    max_seconds: float = 30.0
    max_lists: int = 4


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A collection, or its first part.

    Attributes:
        items: The items.
        complete: Whether these are all items; False if a limit was reached.
    """

    items: list[T]
    complete: bool = True


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


async def read_pages(
    send: Callable[[Request], Awaitable[bytes]], request: Request, size: int, limits: ListLimits
) -> AsyncGenerator[Page, None]:
    """Yield a collection page by page.

    A page of more than 8 MiB is read again with fewer objects. A continue token holds the version of the list and the
    last key, so the number of objects may differ between pages.

    Args:
        send: The function that sends a request and returns the content of the response.
        request: The request of the list, with its selectors.
        size: The largest number of objects in a page.
        limits: The limits of pages.

    Yields:
        The undecoded items of a page, and the resource version of the list.

    Raises:
        Gone: The resource version of the list expired between two pages.
        ApiError: The request failed; the type says why.
    """
    query, limit = request.query, size
    while True:
        try:
            content = await send(replace(request, query={"limit": str(limit)} | query, max_bytes=limits.max_page_bytes))
        except ResponseTooLarge:
            if limit == 1:
                raise
            limit = max(limit // 4, 1)
            continue
        page = _decode_page(content)
        yield page.items or [], page.metadata.resource_version
        if not page.metadata.continue_:
            return
        query = query | {"continue": page.metadata.continue_}
        if len(content) < limits.max_page_bytes // 4:
            limit = min(2 * limit, size)


async def read_list(
    pages: AsyncGenerator[Page, None],
    decode: Callable[[msgspec.Raw], T],
    limits: ListLimits,
    *,
    max_items: int | None = None,
) -> Listing[T]:
    """Return the items of pages; no further page is read when a limit is reached.

    Args:
        pages: The pages, which are closed.
        decode: The function that decodes an item.
        limits: The limits of lists.
        max_items: The number of items after which no further page is read. The default is that of the limits.
    """
    items: list[T] = []
    left, deadline = limits.max_bytes, time.monotonic() + limits.max_seconds
    async with aclosing(pages):
        async for page, _ in pages:
            items.extend(map(decode, page))
            left -= sum(len(memoryview(item)) for item in page)
            if left <= 0 or len(items) >= (max_items or limits.max_items) or time.monotonic() > deadline:
                return Listing(items, complete=False)
    return Listing(items)
