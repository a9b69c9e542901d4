"""A fake blob server with a script of faults: enough of the REST interface for one device."""

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from tests.testkit.http_server import NO_HEADERS, RequestHandler, serve
from tests.testkit.tls import Tls

CANARY = "canary0123456789"
MODIFIED = "Thu, 01 Jan 2026 12:00:00 GMT"
CHUNK_BYTES = 64 * 1024
SAS = f"sv=2023-11-03&sig={CANARY}"


@dataclass
class Stored:
    """A blob on the server."""

    content: bytes
    headers: dict[str, str]
    etag: str


@dataclass
class Fault:
    """The fault of the next matching request."""

    kind: str
    method: str = ""
    status: int = 503
    code: str = "ServerBusy"
    retry_after: str = ""
    path: str = ""
    location: str = ""
    raw: bytes = b""
    """The bytes in place of a response."""
    repeat: bytes = b""
    """The bytes that follow `raw` again and again, until the client closes the connection."""
    pause: float = 0.0
    """The seconds before each repetition."""


@dataclass
class BlobServer:
    """The server's state, for tests to set and read."""

    url: str = ""
    blobs: dict[str, Stored] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, float]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _method, _path: None
    count: int = 0
    sent: int = 0
    ranges: bool = True
    """False: each response to a GET has the whole blob."""
    accepted: list[str] = field(default_factory=list)
    """Paths of the uploads that took effect, in order."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Ends the requests that get no response."""

    def fail(self, kind: str, *, times: int = 1, **more: Any) -> None:
        self.faults += [Fault(kind, **more) for _ in range(times)]

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in ("", method) and fault.path in path:
                self.faults.remove(fault)
                return fault
        return None

    def put(self, path: str, content: bytes, **headers: str) -> str:
        self.count += 1
        etag = f'"0x{self.count:X}"'
        checksum = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        self.blobs[path] = Stored(content, {"Content-MD5": checksum, **headers}, etag)
        return etag

    def times_of(self, method: str) -> list[float]:
        return [at for found, _, at in self.requests if found == method]


class _Handler(RequestHandler):
    state: BlobServer

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.state.requests.append((self.command, self.path, time.monotonic()))
        self.state.before(self.command, path)
        body = self.read_body()
        fault = self.state.take(self.command, path)
        if fault is None:
            self._respond_to(path, body)
        elif fault.kind == "status":
            self._reject(fault.status, fault.code, {"Retry-After": fault.retry_after} if fault.retry_after else {})
        elif fault.kind == "redirect":
            self._send(fault.status, headers={"Location": fault.location})
        elif fault.kind == "silent":
            self.state.closing.wait(30)
        elif fault.kind == "raw":
            self._send_raw(fault)
        elif fault.kind in ("truncate", "damage", "slow"):
            self._respond_to(
                path, body, cut=fault.kind == "truncate", damage=fault.kind == "damage", slow=fault.kind == "slow"
            )
        else:
            if fault.kind == "lost":
                self.wfile = Path("/dev/null").open("wb")  # noqa: SIM115  the client receives no response
                self._respond_to(path, body)
            self._reset()

    def _respond_to(
        self, path: str, body: bytes, *, cut: bool = False, damage: bool = False, slow: bool = False
    ) -> None:
        stored = self.state.blobs.get(path)
        query = parse_qs(urlsplit(self.path).query)
        if query.get("comp") == ["list"]:
            self._list(f"{path}/", query.get("prefix", [""])[0], slow=slow)
        elif self.command == "PUT":
            self._put(path, body, stored, slow=slow)
        elif stored is None:
            self._reject(404, "BlobNotFound")
        elif self.command == "DELETE":
            del self.state.blobs[path]
            self._send(202)
        else:
            content = stored.content[::-1] if damage else stored.content
            headers = {**stored.headers, "ETag": stored.etag, "x-ms-blob-type": "BlockBlob", "Last-Modified": MODIFIED}
            asked = self.headers.get("x-ms-range") or self.headers.get("Range") or ""
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked) if self.state.ranges else None
            status = 200
            length = int(headers.pop("claims", len(content)))
            if wanted and content:
                first, last = int(wanted[1]), min(int(wanted[2] or length), length - 1)
                headers |= {"Content-Range": f"bytes {first}-{last}/{length}"}
                headers["x-ms-blob-content-md5"] = headers.pop("Content-MD5")
                content, status, length = content[first : last + 1], 206, last + 1 - first
            elif wanted:
                self._reject(416, "InvalidRange")
                return
            self._send(status, content, {**headers, "Content-Length": str(length)}, cut=cut, slow=slow)

    def _list(self, container: str, prefix: str, *, slow: bool) -> None:
        blobs = ET.Element("Blobs")
        for path, blob in sorted(self.state.blobs.items()):
            if path.startswith(container + prefix):
                one = ET.SubElement(blobs, "Blob")
                ET.SubElement(one, "Name").text = path.removeprefix(container)
                properties, metadata = (ET.SubElement(one, name) for name in ("Properties", "Metadata"))
                listed = {"Etag": blob.etag, "Content-Length": str(len(blob.content)), "BlobType": "BlockBlob"}
                listed |= {"Last-Modified": MODIFIED, "Content-Type": "application/octet-stream"}
                for name, value in {**listed, **blob.headers}.items():
                    meta = name.lower().startswith("x-ms-meta-")
                    ET.SubElement(*((metadata, name[10:]) if meta else (properties, name))).text = value
        results = ET.Element("EnumerationResults")
        results.append(blobs)
        ET.SubElement(results, "NextMarker")
        self._send(200, ET.tostring(results, xml_declaration=True), {"Content-Type": "application/xml"}, slow=slow)

    def _put(self, path: str, body: bytes, stored: Stored | None, *, slow: bool) -> None:
        wanted = self.headers.get("If-Match")
        if self.headers.get("If-None-Match") == "*" and stored:
            self._reject(409, "BlobAlreadyExists")
        elif wanted and (stored is None or stored.etag != wanted):
            self._reject(412, "ConditionNotMet")
        else:
            metadata = {key: value for key, value in self.headers.items() if key.lower().startswith("x-ms-meta-")}
            self.state.accepted.append(path)
            headers = {"ETag": self.state.put(path, body, **metadata)}
            self._send(201, headers=headers | ({"Content-Length": "2"} if slow else {}), slow=slow)

    def _reject(self, status: int, code: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Send an error response as Azure does: the code is in a header and in the body, and HEAD has no body."""
        text = f"<Code>{code}</Code>" if code else ""
        body = f'<?xml version="1.0" encoding="utf-8"?><Error>{text}<Message>A text.</Message></Error>'
        self._send(status, body.encode(), ({"x-ms-error-code": code} if code else {}) | dict(headers))

    def _send(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        cut: bool = False,
        slow: bool = False,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            sent = body[: len(body) // 2] if cut or slow else body
            for start in range(0, len(sent), CHUNK_BYTES):
                try:
                    self.wfile.write(sent[start : start + CHUNK_BYTES])
                except ConnectionError:  # the client does not want the rest
                    self.close_connection = True
                    break
                self.state.sent += len(sent[start : start + CHUNK_BYTES])
        if slow:  # the rest is never sent
            self.wfile.flush()
            self.state.closing.wait(30)
        if cut or slow:
            self._reset()

    def _send_raw(self, fault: Fault) -> None:
        self.close_connection = True
        with suppress(ConnectionError):
            self.wfile.write(fault.raw)
            while fault.repeat and not self.state.closing.wait(fault.pause):
                self.wfile.write(fault.repeat)
                self.state.sent += len(fault.repeat)

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close_connection = True


@contextmanager
def serving(host: str = "127.0.0.1", tls: Tls | None = None) -> Iterator[BlobServer]:
    """Run a server at an address; with TLS if it has a certificate."""
    server = BlobServer()
    with serve(_Handler, host=host, tls=tls, state=server) as url:
        server.url = f"{url}/account"
        try:
            yield server
        finally:
            server.closing.set()
