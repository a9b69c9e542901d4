"""Responses that no blob service sends, as faults of the fake blob server."""

from collections.abc import Mapping
from typing import Any

from tests.testkit.blob_server import CANARY, MODIFIED
from tests.testkit.http_server import NO_HEADERS

CHUNK = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"


Headers = Mapping[str, str | None]


def response(status: str = "200 OK", body: bytes = b"", headers: Headers = NO_HEADERS) -> bytes:
    """Return a response with the headers of a blob, of which others replace some, or None leaves them out."""
    usual = {
        "Content-Length": str(len(body)),
        "ETag": '"0x1"',
        "Last-Modified": MODIFIED,
        "x-ms-blob-type": "BlockBlob",
    }
    lines = [f"{name}: {value}" for name, value in {**usual, **headers}.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines]).encode("latin-1") + b"\r\n\r\n" + body


def part(headers: Headers = NO_HEADERS) -> bytes:
    """Return a response with a whole blob of three bytes, as the response to a request for a range."""
    return response("206 Partial Content", b"abc", {"Content-Range": "bytes 0-2/3", **headers})


def entities(count: int) -> bytes:
    """Return an error whose code has a number of bytes that doubles with each of its entities."""
    nested = "".join(f'<!ENTITY e{at} "&e{at - 1};&e{at - 1};">' for at in range(1, count))
    text = f'<!DOCTYPE x [<!ENTITY e0 "{"a" * 100_000}">{nested}]><Error><Code>&e{count - 1};</Code></Error>'
    return f'<?xml version="1.0"?>{text}'.encode()


ENDLESS = {"Content-Length": None, "Transfer-Encoding": "chunked"}
PETABYTE = str(10**15)
XML = {"Content-Type": "application/xml"}
PAGE = b"<html>log in</html>"
PORTAL: Headers = {"Content-Type": "text/html", "ETag": None, "Last-Modified": None, "x-ms-blob-type": None}

HOSTILE: dict[str, dict[str, Any]] = {
    "endless body": {"raw": response(headers=ENDLESS), "repeat": CHUNK},
    "endless body with a length": {"raw": response(headers={**ENDLESS, "Content-Length": "5"}), "repeat": CHUNK},
    "endless part": {"raw": part(ENDLESS), "repeat": CHUNK},
    "petabyte": {"raw": response(headers={"Content-Length": PETABYTE}), "repeat": CHUNK},
    "part of a petabyte": {
        "raw": part({"Content-Length": PETABYTE, "Content-Range": f"bytes 0-{int(PETABYTE) - 1}/{PETABYTE}"}),
        "repeat": CHUNK,
    },
    "length without an end": {"raw": response(headers={"Content-Length": "9" * 40})},
    "negative length": {"raw": response(headers={"Content-Length": "-1"})},
    "length that is text": {"raw": response(body=b"x", headers={"Content-Length": "many"})},
    "two lengths": {"raw": response(body=b"abcdef", headers={"Content-Length": "5\r\nContent-Length: 6"})},
    "not modified": {"raw": response("304 Not Modified")},
    "half of the blob": {"raw": part({"Content-Range": "bytes 0-2/6"})},
    "another range": {"raw": part({"Content-Range": "bytes 5-7/10"})},
    "part without a range": {"raw": part({"Content-Range": None})},
    "range that is text": {"raw": part({"Content-Range": "bytes a-b/c"})},
    "range without an end": {"raw": part({"Content-Range": f"bytes 0-2/{'9' * 40}"})},
    "processing": {"raw": response("102 Processing")},
    "many headers": {"raw": b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 5000 + b"\r\n"},
    "long header": {"raw": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 2_000_000 + b"\r\n\r\n"},
    "no etag": {"raw": part({"ETag": None})},
    "etag that cannot be text": {"raw": part({"ETag": '"\xff\xfe"'})},
    "no date": {"raw": part({"Last-Modified": None})},
    "date that is text": {"raw": part({"Last-Modified": "tomorrow"})},
    "checksums that are text": {"raw": part({"x-ms-blob-content-md5": "!!!", "Content-MD5": "%%%"})},
    "properties that are text": {
        "raw": part({"x-ms-creation-time": "odd", "x-ms-tag-count": "a", "x-ms-blob-sequence-number": "b"})
    },
    "metadata that is not ASCII": {"raw": part({"x-ms-meta-owner": "\xe4\xff"})},
    "page of a portal": {"raw": response(body=PAGE, headers={"Content-Type": "text/html"})},
    "page of a portal without an etag": {"raw": response(body=PAGE, headers=PORTAL)},
    "page of a portal in chunks": {
        "raw": response(body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE), headers={**PORTAL, **ENDLESS})
    },
    "blob in chunks": {"raw": response(body=b"3\r\nabc\r\n0\r\n\r\n", headers=ENDLESS)},
    "xml that is none": {"raw": response(body=b"<html>log in", headers=XML)},
    "garbage": {"raw": b"\x00\x01\x02garbage\r\n\r\n"},
    "status that is text": {"raw": b"HTTP/1.1 2xx OK\r\n\r\n"},
    "status 999": {"raw": response("999 Odd")},
    "nothing": {"raw": b""},
    "error with entities": {"raw": response("403 Forbidden", entities(9), headers=XML)},
    "deep error": {"raw": response("403 Forbidden", b"<a>" * 100_000, headers=XML)},
    "deep json": {"raw": response("403 Forbidden", b"[" * 100_000, headers={"Content-Type": "application/json"})},
    "error in no encoding": {
        "raw": response("403 Forbidden", b"\xff<Code>A", headers={"Content-Type": "text/xml; charset=odd"})
    },
    "secret as the code": {
        "raw": response("403 Forbidden", f"<Error><Code>{CANARY}</Code></Error>".encode(), headers=XML)
    },
    "redirect to another server": {
        "raw": response("307 Temporary Redirect", headers={"Location": "http://127.0.0.1:9/metadata"})
    },
    "redirect without a target": {"raw": response("302 Found")},
    "redirect to a file": {"raw": response("302 Found", headers={"Location": "file:///etc/passwd"})},
    "negative wait": {"raw": response("503 Busy", headers={"Retry-After": "-5"})},
    "long wait": {"raw": response("503 Busy", headers={"Retry-After": "99999"})},
}
"""The hostile response of each kind, for every request."""

CUT: dict[str, dict[str, Any]] = {
    "before the headers": {"raw": b""},
    "in the headers": {"raw": b'HTTP/1.1 206 Partial Content\r\nETag: "0x1"\r\nConte'},
    "behind the headers": {"raw": part({"Content-Length": "10", "Content-Range": "bytes 0-9/10"}).removesuffix(b"abc")},
    "in the body": {"raw": part({"Content-Length": "10", "Content-Range": "bytes 0-9/10"})},
}
"""The beginnings of a response to a request for a range, by the place of their end."""

SLOW: dict[str, dict[str, Any]] = {
    "byte by byte": {"raw": response(headers={"Content-Length": "9999"}), "repeat": b"a", "pause": 0.1},
    "part byte by byte": {
        "raw": part({"Content-Length": "9999", "Content-Range": "bytes 0-9998/9999"}),
        "repeat": b"a",
        "pause": 0.1,
    },
    "headers without an end": {"raw": b"HTTP/1.1 200 OK\r\n", "repeat": b"x", "pause": 0.1},
    "continue for ever": {"raw": b"", "repeat": b"HTTP/1.1 100 Continue\r\n\r\n", "pause": 0.01},
}
"""The responses that never end and always send something, by kind."""
