"""A storage account that supports only listings, for fleets too large for Azurite, which takes 10 s for 1,000 blobs.

Responses have the properties of each blob, as Azure's do, so the operator's SDK has its normal cost. Every device has a
model and readings in every window, and no predictions. The pages of the first window are rendered before the
measurement, because rendering is the storage's work, not the operator's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from urllib.parse import parse_qs, urlsplit

from tests.testkit.http_server import RequestHandler, serve

from bench import scorer
from scoring_operator.storage.account import NAMES_PAGE_SIZE

PAGE_SIZE = 5000
PARTITION_PREFIX = f"{scorer.START:%Y%m%dT%H%MZ}/"
NAME_TEMPLATES = {"models": "{device}.joblib", "data": "{prefix}{device}.csv"}
BLOB_TEMPLATE = (
    "<Blob><Name>{}</Name><Properties><Creation-Time>Thu, 01 Jan 2026 12:00:00 GMT</Creation-Time>"
    "<Last-Modified>Thu, 01 Jan 2026 12:00:00 GMT</Last-Modified><Etag>0x8DE4A3B5C6D7E8F</Etag>"
    "<Content-Length>51200</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding />"
    "<Content-Language /><Content-CRC64 /><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5><Cache-Control />"
    "<Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
    "<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
    "<ServerEncrypted>true</ServerEncrypted></Properties><OrMetadata /></Blob>"
)


@contextmanager
def serve_listing(devices: Sequence[str]) -> Iterator[str]:
    """Serve the listing of a fleet's storage and return the connection string."""

    @cache
    def render_page(container: str, prefix: str, start: int, size: int = PAGE_SIZE) -> bytes:
        name = NAME_TEMPLATES.get(container)
        here = devices[start : start + size] if name else []
        blobs = "".join(BLOB_TEMPLATE.format(name.format(prefix=prefix, device=device)) for device in here if name)
        marker = start + size if start + size < len(devices) and name else ""
        asked = f"<Prefix>{prefix}</Prefix><MaxResults>{size}</MaxResults>"
        whole = (
            f"<EnumerationResults>{asked}<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
        return f'<?xml version="1.0" encoding="utf-8"?>{whole}'.encode()

    class Handler(RequestHandler):
        def handle_request(self) -> None:
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            listed = query.get("comp") == "list"
            content = b""
            if listed:
                at, size = int(query.get("marker", "0")), int(query.get("maxresults", str(PAGE_SIZE)))
                content = render_page(url.path.rpartition("/")[2], query.get("prefix", ""), at, size)
            headers = {"x-ms-error-code": "BlobNotFound", "Content-Type": "application/xml"}
            self.respond(200 if listed else 404, content, headers)

    for at in range(0, len(devices), NAMES_PAGE_SIZE):
        render_page("models", "", at, NAMES_PAGE_SIZE)
        render_page("data", PARTITION_PREFIX, at, NAMES_PAGE_SIZE)
    with serve(Handler) as url:
        yield connection_string(url)


def connection_string(url: str) -> str:
    """Return the connection string of an account on a server of the tests.

    Args:
        url: The URL of the server.
    """
    endpoint = f"{url}/devstoreaccount1"
    return f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;BlobEndpoint={endpoint};"
