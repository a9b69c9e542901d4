"""Lists of objects, within limits: other users can create objects of any number and size."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fleetscore.cluster.responses import parse_list
from fleetscore.errors import TooLarge

PAGE_OBJECTS = 500
MAX_OBJECTS = 20_000
MAX_LIST_BYTES = 128 * 2**20

Read = Callable[[Mapping[str, str]], bytes]
"""A function from the parameters of the query to the content of the response. It raises TooLarge for a large one."""


class Page(NamedTuple):
    """A part of a list: its objects, the token of the next part (empty for the last one), and its size in bytes."""

    objects: list[dict[str, Any]]
    token: str
    size: int


def read_page(read: Read, query: Mapping[str, str], server: str) -> Page:
    """Return the first objects of a list; fewer than the query's `limit` if they are large.

    Args:
        read: The function that reads a response.
        query: The parameters of the query, with `limit`.
        server: The URL of the API server, for messages.

    Raises:
        TooLarge: A single object is too large.
    """
    limit = int(query["limit"])
    while True:
        try:
            content = read({**query, "limit": str(limit)})
        except TooLarge:
            if limit == 1:
                raise
            limit = max(1, limit // 8)
        else:
            return Page(*parse_list(content, server), len(content))


def read_list(
    read: Read,
    query: Mapping[str, str],
    server: str,
    action: str,
    *,
    max_objects: int = MAX_OBJECTS,
    max_bytes: int = MAX_LIST_BYTES,
) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list, in the order of their names.

    Args:
        read: The function that reads a response.
        query: The parameters of the query, such as a selector.
        server: The URL of the API server, for messages.
        action: The verb and the objects, for messages.
        max_objects: The largest number of objects.
        max_bytes: The largest size of all objects together, in bytes.

    Raises:
        TooLarge: The list has more objects or bytes.
    """
    token, count, size = "", 0, 0
    for _ in range(max_objects):
        more = {"continue": token} if token else {}
        page = read_page(read, {**query, "limit": str(PAGE_OBJECTS), **more}, server)
        token, count, size = page.token, count + len(page.objects), size + page.size
        if count > max_objects or size > max_bytes:
            break
        yield from page.objects
        if not token:
            return
    text = f"cannot {action}: there are more than {max_objects:,} objects or {max_bytes:,} bytes"
    raise TooLarge(f"{text}; delete those that nothing uses, or name another namespace with -n")
