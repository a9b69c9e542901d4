"""Parser of a page of Azure's List Blobs, in a tenth of the time of the SDK's deserialisation.

The SDK makes about thirty objects of each blob. The report lists every device several times and needs a few properties.
So the store parses the page itself, and leaves the SDK a page without blobs. Requests, credentials and errors remain
the SDK's. Source of the format: REST API, "List Blobs".
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from device_scorer.store.base import BlobInfo, plain_etag
from device_scorer.store.metadata import own_checksum, split_checksum

PAGE_SIZE = 2000
"""Blobs of a page. With 8 KiB of metadata a blob, a page has 18 MB."""


_CHUNK_BYTES = 64 * 1024


class ReducedResponse:
    """A response of the SDK with another body and without the original, whose page would stay in memory for long.

    Args:
        response: The original response.
        body: The body.
    """

    def __init__(self, response: Any, body: bytes) -> None:
        self.request = response.request
        self.status_code = response.status_code
        self.reason = response.reason
        self.headers = response.headers
        self.content_type = response.content_type
        self._body = body

    def body(self) -> bytes:
        """Return the bytes that replace the response's."""
        return self._body

    def text(self, encoding: str | None = None) -> str:
        """Return the body as text."""
        return self._body.decode(encoding or "utf-8")


def parse_page(body: bytes) -> tuple[list[BlobInfo], bytes]:
    """Return the blobs of a page, and the page without them.

    Directories of accounts with a hierarchical namespace are left out: they are not blobs.

    Args:
        body: The XML of the response.

    Raises:
        ValueError: The body is not a page of a listing.
    """
    marker, root = "", None
    infos: list[BlobInfo] = []
    try:
        for element in _parse_elements(body):
            root = element
            if element.tag == "Blob":
                infos += _read_blob(element)
                element.clear()
            elif element.tag == "NextMarker" and element.text:
                marker = element.text
    except (ET.ParseError, LookupError) as error:  # LookupError: an unknown encoding
        raise ValueError(f"the listing is invalid: it is not XML ({error})") from error
    if root is None or root.tag != "EnumerationResults":
        raise ValueError("the listing is invalid: it has another root element")
    rest = f"<EnumerationResults><Blobs/><NextMarker>{escape(marker)}</NextMarker></EnumerationResults>"
    return infos, rest.encode()


def _parse_elements(body: bytes) -> Iterator[ET.Element]:
    """Yield the elements at their ends, the root last."""
    # iterparse makes a class for each call, and its page stays in memory until the garbage collector runs.
    parser: Any = ET.XMLPullParser(("end",))
    for at in range(0, len(body), _CHUNK_BYTES):
        parser.feed(body[at : at + _CHUNK_BYTES])
        for _, element in parser.read_events():
            yield element
    parser.close()
    for _, element in parser.read_events():
        yield element


def _read_blob(element: ET.Element) -> Iterator[BlobInfo]:
    """Yield the properties of one blob, or nothing for a directory."""
    name, properties = element.find("Name"), element.find("Properties")
    if name is None or properties is None:
        raise ValueError("the listing is invalid: a blob has no name or no properties")
    found = element.find("Metadata")
    own = {} if found is None else {child.tag: child.text or "" for child in found}
    metadata, written_checksum = split_checksum(own)
    if properties.findtext("ResourceType") == "directory" or metadata.get("hdi_isfolder") == "true":
        return
    text = name.text or ""
    size, checksum = properties.findtext("Content-Length") or "0", properties.findtext("Content-MD5") or ""
    try:
        md5 = a2b_base64(checksum).hex()
    except Base64Error:
        md5 = ""
    yield BlobInfo(
        unquote(text) if name.get("Encoded") == "true" else text,
        int(size) if size.isdecimal() and len(size) <= 18 else 0,
        plain_etag(properties.findtext("Etag")),
        metadata,
        md5 or own_checksum(metadata, written_checksum),
    )
