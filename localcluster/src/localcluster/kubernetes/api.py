"""The few calls to the API server that setting a cluster up needs; everything else is kubectl's business."""

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localcluster.errors import ClusterError


class ApiError(ClusterError):
    """The API server refused a request: `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiClient:
    """Requests to one API server as the owner of a client certificate.

    Args:
        server: its URL.
        ca: the authority that vouches for it.
        certificate: the client's certificate.
        key: the client's key.
    """

    def __init__(self, server: str, *, ca: Path, certificate: Path, key: Path) -> None:
        self._address = urlsplit(server).netloc
        self._context = ssl.create_default_context(cafile=str(ca))
        self._context.load_cert_chain(certificate, key)

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_seconds: float = 30
    ) -> dict[str, Any]:
        """Send a request and return the answer's JSON (an empty mapping where it has none).

        Raises:
            ApiError: the server's answer is an error.
            OSError: there was no answer within `seconds`.
        """
        connection = http.client.HTTPSConnection(self._address, timeout=timeout_seconds, context=self._context)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
        if response.status >= 400:
            raise ApiError(response.status, f"{method} {path}: {response.status} {text.strip()}")
        return json.loads(text) if text.startswith("{") else {}

    def create(self, path: str, body: Mapping[str, Any]) -> None:
        """Create an object in a collection; one that exists already is left as it is."""
        try:
            self.request("POST", path, body)
        except ApiError as error:
            if error.status != http.client.CONFLICT:
                raise

    def responds(self, path: str) -> bool:
        """Whether a GET succeeds now."""
        try:
            self.request("GET", path, timeout_seconds=5)
        except (ApiError, OSError):
            return False
        return True
