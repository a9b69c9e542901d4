"""Delivery of messages over HTTP: no redirects, bounded in time and size, and no secret in any text.

A receiver that fails gets no further messages in the same report, so that a slow receiver costs one timeout. A receiver
that rejects the content of a batch gets its parts, so that one message does not block the others.
"""

import hashlib
import http.client
import json
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import IO
from urllib.parse import unquote, urlsplit

from device_scorer.notify.notices import (
    OPEN,
    SIGNATURE_HEADER,
    Notice,
    clean,
    signature,
    to_alert,
    to_cloud_event,
)
from device_scorer.notify.outbox import Entry
from device_scorer.notify.receivers import ALERTMANAGER, OPENED, Receiver
from device_scorer.window import format_time

TIMEOUT_SECONDS = 10.0
"""Time of one request with its answer, however slowly the receiver sends it."""

TOTAL_SECONDS = 120.0
BATCH_SIZE = 50
MAX_REJECTIONS = 50
"""Number of rejected requests after which a receiver gets no further message in the same report."""

MAX_RESPONSE_BYTES = 2048
MAX_REASON_CHARS = 200
CLOUD_EVENTS_TYPE = "application/cloudevents-batch+json"
ALERTS_PATH = "/api/v2/alerts"
_CONTENT_REJECTED = ("HTTP 400", "HTTP 413", "HTTP 422")
"""Answers to the content of a request (RFC 9110, section 15.5). Other answers do not depend on it."""

_MIN_SECRET_CHARS = 4
_COMPARED_CHARS = 8
_SEPARATORS = re.compile(r"[/?&=;]+")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of a delivery.

    Attributes:
        delivered: The keys of accepted entries.
        failures: A sentence for each receiver that failed.
        rejected: The keys of entries that a receiver rejects, while it accepts others.
    """

    delivered: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()


Post = Callable[[str, bytes, Mapping[str, str]], str]
"""A function that posts a body to a URL and returns the reason of a failure, or '' for a 2xx answer."""


def to_entry(notice: Notice, receiver: Receiver, *, ends_at: datetime | None) -> Entry:
    """Return the message of a notice in the receiver's format.

    Args:
        notice: The notice.
        receiver: The receiver.
        ends_at: The end of an open alert; see `notices.to_alert`.
    """
    if receiver.type == ALERTMANAGER:
        alert = to_alert(notice, ends_at=ends_at)
        return Entry(receiver.name, _alert_id(notice, alert["labels"]), alert)
    return Entry(receiver.name, notice.event_id, to_cloud_event(notice))


def deliver(
    entries: Sequence[Entry],
    receivers: Sequence[Receiver],
    *,
    post: Post | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Delivery:
    """Send entries to their receivers, the oldest first.

    Args:
        entries: The entries, the oldest first.
        receivers: The receivers.
        post: The function that posts; None for HTTP.
        monotonic: The clock of the limit TOTAL_SECONDS.
    """
    post = post or post_over_http
    result = Delivery()
    started = monotonic()
    for number, receiver in enumerate(receivers, 1):
        deadline = started + TOTAL_SECONDS * number / len(receivers)  # a slow receiver leaves the others their share
        mine = [entry for entry in entries if entry.receiver == receiver.name]
        one = _deliver_to(receiver, mine, post, partial(_is_late, monotonic, deadline))
        result = Delivery(
            (*result.delivered, *one.delivered), (*result.failures, *one.failures), (*result.rejected, *one.rejected)
        )
    return result


def _is_late(monotonic: Callable[[], float], deadline: float) -> bool:
    return monotonic() > deadline


def _deliver_to(receiver: Receiver, entries: Sequence[Entry], post: Post, is_late: Callable[[], bool]) -> Delivery:
    """Send the entries of one receiver in batches; a batch whose content is rejected is halved."""
    delivered: list[tuple[str, str]] = []
    rejected: list[tuple[str, str]] = []
    rejections, failure, rejection = 0, "", ""
    batches = deque(_batches(entries))
    while batches and not failure:
        if is_late():
            failure = f"the time for notifications of {TOTAL_SECONDS:g} s is used up"
            break
        batch = batches.popleft()
        reason = post(*_request(receiver, batch))
        if not reason:
            delivered += [entry.key for entry in batch]
        elif not reason.startswith(_CONTENT_REJECTED) or rejections >= MAX_REJECTIONS:
            failure = reason
        elif len(batch) > 1:
            middle = len(batch) // 2
            batches.extendleft((batch[middle:], batch[:middle]))
            rejections += 1
        else:
            rejected.append(batch[0].key)
            rejections, rejection = rejections + 1, rejection or reason
    if rejection and delivered:  # the receiver works, so these messages are the cause
        count = f"{len(rejected):,} {'notice is' if len(rejected) == 1 else 'notices are'}"
        rejection = f"{count} rejected and not sent again, while it accepts others: {rejection}"
    failures = tuple(f"{receiver.name}: {text}" for text in dict.fromkeys((rejection, failure)) if text)
    return Delivery(tuple(delivered), failures, tuple(rejected) if delivered else ())


def post_over_http(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> str:
    """Post a body and return the reason of a failure, or '' for a 2xx answer. The reason has no part of the URL.

    Args:
        url: The address.
        body: The body.
        headers: The headers.
        timeout_seconds: The time of the request with its answer.
    """
    reasons: list[str] = []
    # A socket's timeout ends with each byte of the answer, and the resolver has none.
    thread = threading.Thread(target=lambda: reasons.append(_post(url, body, headers, timeout_seconds)), daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return reasons[0] if reasons else _no_answer(timeout_seconds)


def _post(url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> str:
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310  http(s) by receivers
        with _opener().open(request, timeout=timeout_seconds):
            return ""  # the status is the answer; a receiver may never end the body
    except urllib.error.HTTPError as error:
        with error:
            wait = _without_secrets(url, clean(error.headers.get("Retry-After", "")))[:40] if error.headers else ""
            answer = _without_secrets(url, _read_safely(error))[:80]
        retry = f", Retry-After {wait}" if wait else ""
        redirect = "; redirects are not followed, set the final URL" if 300 <= error.code < 400 else ""
        return f"HTTP {error.code}{retry}{redirect}{f': {answer}' if answer else ''}"[:MAX_REASON_CHARS]
    except (OSError, http.client.HTTPException, ValueError) as error:
        return clean(_describe(getattr(error, "reason", error), timeout_seconds))[:MAX_REASON_CHARS]


def _describe(cause: object, timeout_seconds: float) -> str:
    """Return why a request has no answer, without the text of an error that may contain the URL."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is rejected: {cause.verify_message}; set SSL_CERT_FILE to its authority"
    if isinstance(cause, TimeoutError):
        return _no_answer(timeout_seconds)
    if isinstance(cause, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(cause, http.client.HTTPException):
        return f"its answer is not HTTP ({type(cause).__name__}); check the scheme and the port of the URL"
    if isinstance(cause, OSError):
        return cause.strerror or type(cause).__name__
    return "its URL cannot be used; check its host, and encode other characters than ASCII"


def _no_answer(seconds: float) -> str:
    return f"no answer after {seconds:g} s"


def _without_secrets(url: str, text: str) -> str:
    """Return the receiver's text, or an empty one if it repeats a part of the URL, which may be a secret."""
    parts = urlsplit(url)
    path = f"{parts.path.removesuffix(ALERTS_PATH)}?{parts.query}"
    found = text.lower()
    for part in {*_SEPARATORS.split(path.lower()), *_SEPARATORS.split(unquote(path).lower())}:
        size = min(len(part), _COMPARED_CHARS)
        if size >= _MIN_SECRET_CHARS and any(part[at : at + size] in found for at in range(len(part) - size + 1)):
            return ""
    return text


def _alert_id(notice: Notice, labels: Mapping[str, str]) -> str:
    """Return the identity of what Alertmanager gets: an alert with its labels opens, lasts or ends in a window."""
    event = OPENED if notice.event == OPEN else notice.event
    parts = [notice.id, event, format_time(notice.window_end), labels]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A handler that reports a redirect as an error: a redirect could send a message to another party."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage
    ) -> None:
        """Follow no redirect, and do not read its Location, which may be invalid."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirects())


def _request(receiver: Receiver, batch: Sequence[Entry]) -> tuple[str, bytes, dict[str, str]]:
    body = json.dumps([entry.body for entry in batch], separators=(",", ":"), sort_keys=True).encode()
    if receiver.type == ALERTMANAGER:
        base = receiver.url.rstrip("/")
        url = base if base.endswith(ALERTS_PATH) else base + ALERTS_PATH
        return url, body, {"Content-Type": "application/json"}
    headers = {"Content-Type": CLOUD_EVENTS_TYPE}
    if receiver.key:
        headers[SIGNATURE_HEADER] = signature(body, receiver.key)
    return receiver.url, body, headers


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    left = iter(entries)
    while batch := list(islice(left, BATCH_SIZE)):
        yield batch


def _read_safely(error: urllib.error.HTTPError) -> str:
    """Return the first printable part of an error's body, which the receiver wrote."""
    try:
        return clean(error.read(MAX_RESPONSE_BYTES).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return ""
