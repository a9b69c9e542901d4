"""The client of Azure's SDK for a storage account."""

import errno
import logging
import os
import ssl
import time
import weakref
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from azure.core.exceptions import DecodeError
from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobServiceClient
from requests.exceptions import ChunkedEncodingError
from requests.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ProtocolError

from device_scorer.store import listing
from device_scorer.store.account import Account
from device_scorer.store.base import BlobInfo
from device_scorer.store.rejections import invalid_ca_bundle
from device_scorer.store.retry import RetryPolicy

CHUNK_BYTES = 4 * 2**20
"""The size of one range of a download. One range costs one request."""

MAX_SINGLE_PUT_BYTES = 512 * 2**20
"""The size up to which an upload is one Put Blob request, which is atomic (Azure allows 5,000 MiB)."""

MAX_BODY_BYTES = 64 * 2**20
"""The size of a response's body. A page of a listing has at most 18 MB, see `listing.PAGE_SIZE`."""

MAX_ERROR_BYTES = 64 * 1024
"""The part of the body of an error response that is read. Blob Storage sends about a thousand bytes."""

MAX_BODY_SECONDS = 600
"""The time of a response's body. The read timeout is that of one part."""


def create_service(
    account: Account, retry_policy: RetryPolicy, *, max_body_seconds: float = MAX_BODY_SECONDS
) -> BlobServiceClient:
    """Return a client that does not retry. The function sends no request.

    Args:
        account: The storage account.
        retry_policy: The timeouts of a request.
        max_body_seconds: The time of a response's body.

    Raises:
        UsageInvalid: The CA bundle that the environment names cannot be read.
    """
    for name in ("azure", "msal", "urllib3"):  # their debug lines contain the SAS and tokens, and no line is JSON
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    single_attempt: dict[str, Any] = {  # the SDK must not retry: see retry.py
        "retry_total": 0,
        "retry_connect": 0,
        "retry_read": 0,
        "retry_status": 0,
        "retry_to_secondary": False,
        "permit_redirects": False,  # Blob Storage does not redirect, and another server could get what a request has
        "connection_timeout": retry_policy.connect_timeout_seconds,
        "read_timeout": retry_policy.read_timeout_seconds,
    }
    options: dict[str, Any] = {
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
        "max_single_put_size": MAX_SINGLE_PUT_BYTES,
    }
    encrypted = account.endpoint.startswith("https:")
    transport = RequestsTransport(use_env_settings=False, connection_verify=_ca_bundle() if encrypted else True)
    credential: Any = {"account_name": account.name, "account_key": account.key} if account.key else account.sas_token
    if identity := account.identity:
        from azure.identity import WorkloadIdentityCredential  # noqa: PLC0415  the import takes 0.1 s, which only this case needs

        credential = WorkloadIdentityCredential(
            tenant_id=identity.tenant_id,
            client_id=identity.client_id,
            token_file_path=identity.token_file,
            authority=identity.authority_host,
            **single_attempt,
        )
    service = BlobServiceClient(
        account.endpoint, credential=credential, transport=transport, **single_attempt, **options
    )
    transport.open()
    transport.session.proxies = get_environ_proxies(service.url)
    transport.session.hooks["response"] = [partial(_limit_body, max_seconds=max_body_seconds)]
    return service


def take_page(response: PipelineResponse[Any, Any]) -> list[BlobInfo]:
    """Return the blobs of a response that lists blobs, and remove them from it. See `listing`.

    Args:
        response: The response.

    Raises:
        DecodeError: The response is not a page of a listing.
    """
    if response.http_response.status_code != HTTPStatus.OK:
        return []
    try:
        infos, rest = listing.parse_page(response.http_response.body())
    except ValueError as error:
        raise DecodeError(str(error), response=response.http_response) from error
    response.http_response = listing.ReducedResponse(response.http_response, rest)
    return infos


def _limit_body(response: requests.Response, *, max_seconds: float, **_: Any) -> None:
    """Limit the body of a response, which is not read yet, in size and time.

    Raises:
        ChunkedEncodingError: The response states a size above the limit.
    """
    size = response.headers.get("Content-Length", "")
    if response.request.method != "HEAD" and size.isdecimal() and float(size) > MAX_BODY_BYTES:
        response.close()
        raise ChunkedEncodingError from _too_large()
    parts = _error_parts if response.status_code >= 400 else _limited_parts
    raw: Any = weakref.proxy(response.raw)  # an unread response is closed as soon as it is dropped
    response.raw.stream = partial(parts, raw, max_seconds)


def _error_parts(
    raw: BaseHTTPResponse,
    max_seconds: float,
    size: int,
    decode_content: bool | None = None,  # noqa: FBT001  the signature of urllib3
) -> Iterator[bytes]:
    """Yield the beginning of an error's body. The parser of the SDK needs seconds for a large one."""
    left = MAX_ERROR_BYTES
    for part in _limited_parts(raw, max_seconds, min(size, left), decode_content):
        yield part[:left]
        left -= len(part)
        if left <= 0:
            raw.close()
            return


def _limited_parts(
    raw: BaseHTTPResponse,
    max_seconds: float,
    size: int,
    decode_content: bool | None = None,  # noqa: FBT001  as above
) -> Iterator[bytes]:
    """Yield the parts of a body as they arrive.

    Args:
        raw: The response.
        max_seconds: The time of the body.
        size: The largest size of a part.
        decode_content: True to decode the Content-Encoding.

    Raises:
        ProtocolError: The body is larger than MAX_BODY_BYTES, or takes longer than its time.
    """
    ends_at, left = time.monotonic() + max_seconds, MAX_BODY_BYTES
    if getattr(raw, "chunked", False):
        parts = raw.__class__.stream(raw, size, decode_content)  # type() is that of the weak reference
    else:
        parts = iter(partial(raw.read1, size, decode_content), b"")
    for part in parts:
        left -= len(part)
        if left < 0 or time.monotonic() > ends_at:
            raw.close()
            slow = OSError(errno.ETIME, f"the response takes more than {max_seconds:g} s")
            raise ProtocolError from _too_large() if left < 0 else slow
        yield part


def _too_large() -> OSError:
    return OSError(errno.EFBIG, f"the response has more than {MAX_BODY_BYTES:,} bytes")


def _ca_bundle() -> str | bool:
    """Return the CA bundle that the environment names, by the rules of the library requests. It can be read."""
    path = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not path:
        return True
    is_folder = Path(path).is_dir()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**{"capath" if is_folder else "cafile": path})
    except OSError as error:
        raise invalid_ca_bundle(path, str(getattr(error, "reason", "") or error.strerror)) from error
    return path
