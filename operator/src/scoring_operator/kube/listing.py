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

MAX_PAGE_BYTES = 8 * 1024 * 1024  # one object has at most 1.5 MiB in etcd
MAX_LIST_BYTES = 8 * 1024 * 1024  # the pods of 100 Jobs have about 1 MiB
MAX_LIST_ITEMS = 10_000
MAX_LIST_SECONDS = 30.0  # after which no further page is read
MAX_LISTS = 4  # of a namespace at once


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
    send: Callable[[Request], Awaitable[bytes]], request: Request, size: int
) -> AsyncGenerator[Page, None]:
    """Yield a collection page by page.

    A page of more than 8 MiB is read again with fewer objects. A continue token holds the version of the list and the
    last key, so the number of objects may differ between pages.

    Args:
        send: The function that sends a request and returns the content of the response.
        request: The request of the list, with its selectors.
        size: The largest number of objects in a page.

    Yields:
        The undecoded items of a page, and the resource version of the list.

    Raises:
        Gone: The resource version of the list expired between two pages.
        ApiError: The request failed; the type says why.
    """
    query, limit = request.query, size
    while True:
        try:
            content = await send(replace(request, query={"limit": str(limit)} | query, max_bytes=MAX_PAGE_BYTES))
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
        if len(content) < MAX_PAGE_BYTES // 4:
            limit = min(2 * limit, size)


async def read_list(
    pages: AsyncGenerator[Page, None], decode: Callable[[msgspec.Raw], T], *, max_items: int | None = None
) -> Listing[T]:
    """Return the items of pages; no further page is read when a limit is reached.

    Args:
        pages: The pages, which are closed.
        decode: The function that decodes an item.
        max_items: The number of items after which no further page is read. The default is 10,000.
    """
    items: list[T] = []
    left, deadline = MAX_LIST_BYTES, time.monotonic() + MAX_LIST_SECONDS
    async with aclosing(pages):
        async for page, _ in pages:
            items.extend(map(decode, page))
            left -= sum(len(memoryview(item)) for item in page)
            if left <= 0 or len(items) >= (max_items or MAX_LIST_ITEMS) or time.monotonic() > deadline:
                return Listing(items, complete=False)
    return Listing(items)
