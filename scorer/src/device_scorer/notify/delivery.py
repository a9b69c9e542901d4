"""Delivery of messages over HTTP: no redirects, bounded in time and size, and no secret in any text.

A receiver that fails gets no further messages in the same report, so that a slow receiver costs one timeout.
"""

import hashlib
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from device_scorer.notify.notices import (
    OPEN,
    SIGNATURE_HEADER,
    Notice,
    clean,
    format_time,
    signature,
    to_alert,
    to_cloud_event,
)
from device_scorer.notify.outbox import Entry
from device_scorer.notify.receivers import ALERTMANAGER, OPENED, Receiver

TIMEOUT_SECONDS = 10.0
TOTAL_SECONDS = 120.0
BATCH_SIZE = 50
MAX_RESPONSE_BYTES = 2048
MAX_REASON_CHARS = 200
CLOUD_EVENTS_TYPE = "application/cloudevents-batch+json"
ALERTS_PATH = "/api/v2/alerts"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of a delivery: the keys of accepted entries, and a sentence for each receiver that failed."""

    delivered: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()


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
    delivered: list[tuple[str, str]] = []
    failures: list[str] = []
    deadline = monotonic() + TOTAL_SECONDS
    for receiver in receivers:
        mine = [entry for entry in entries if entry.receiver == receiver.name]
        for batch in _batches(mine):
            if monotonic() > deadline:
                failures.append(f"{receiver.name}: the time for notifications of {TOTAL_SECONDS:g} s is used up")
                break
            reason = post(*_request(receiver, batch))
            if reason:
                failures.append(f"{receiver.name}: {reason}")
                break
            delivered += [entry.key for entry in batch]
    return Delivery(tuple(delivered), tuple(failures))


def post_over_http(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Post a body and return the reason of a failure, or '' for a 2xx answer. The reason has no part of the URL.

    Args:
        url: The address.
        body: The body.
        headers: The headers.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310  http(s) by receivers
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as response:
            response.read(MAX_RESPONSE_BYTES)
            return ""
    except urllib.error.HTTPError as error:
        with error:
            wait = clean(error.headers.get("Retry-After", ""))[:40] if error.headers else ""
            answer = _read_safely(error)
        retry = f", Retry-After {wait}" if wait else ""
        redirect = "; redirects are not followed, set the final URL" if 300 <= error.code < 400 else ""
        return f"HTTP {error.code}{retry}{redirect}{f': {answer}' if answer else ''}"[:MAX_REASON_CHARS]
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        text = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
        if isinstance(cause, ssl.SSLCertVerificationError):
            text = f"its certificate is rejected: {cause.verify_message}; set SSL_CERT_FILE to its authority"
        if isinstance(cause, TimeoutError):
            text = f"no answer after {TIMEOUT_SECONDS:g} s"
        return clean(str(text))[:MAX_REASON_CHARS]


def _alert_id(notice: Notice, labels: Mapping[str, str]) -> str:
    """Return the identity of what Alertmanager gets: an alert with its labels opens, lasts or ends in a window."""
    event = OPENED if notice.event == OPEN else notice.event
    parts = [notice.id, event, format_time(notice.window_end), labels]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A handler that reports a redirect as an error: a redirect could send a message to another party."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Follow no redirect."""


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
        return clean(error.read(MAX_RESPONSE_BYTES).decode("utf-8", "replace"))[:80]
    except (OSError, http.client.HTTPException):
        return ""
