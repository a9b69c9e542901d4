"""A small client of the API server, for the start of a cluster; other requests use kubectl."""

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localcluster.errors import ClusterError


class ApiError(ClusterError):
    """An error response of the API server; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiClient:
    """A client of one API server that authenticates with a client certificate.

    Args:
        server: The URL of the API server.
        ca: The file with the certificate of the server's authority.
        certificate: The file with the client's certificate.
        key: The file with the client's key.
    """

    def __init__(self, server: str, *, ca: Path, certificate: Path, key: Path) -> None:
        self._address = urlsplit(server).netloc
        self._context = ssl.create_default_context(cafile=str(ca))
        self._context.load_cert_chain(certificate, key)

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_seconds: float = 30
    ) -> dict[str, Any]:
        """Send a request and return the JSON of the response, or an empty mapping if it has none.

        Args:
            method: The HTTP method.
            path: The path, with a query if needed.
            body: The object to send as JSON.
            timeout_seconds: The time limit of each network operation, in seconds.

        Raises:
            ApiError: The response is an error.
            OSError: The connection failed, or the time limit passed.
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
        """Create an object in a collection; keep an object that exists."""
        try:
            self.request("POST", path, body)
        except ApiError as error:
            if error.status != http.client.CONFLICT:
                raise

    def responds(self, path: str) -> bool:
        """Return True if a GET succeeds now."""
        try:
            self.request("GET", path, timeout_seconds=5)
        except (ApiError, OSError):
            return False
        return True
