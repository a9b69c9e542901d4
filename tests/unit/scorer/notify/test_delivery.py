"""Delivery over real HTTP to receivers that accept, reject, redirect and close."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device_scorer.notify import delivery
from device_scorer.notify.delivery import Delivery, deliver, post_over_http, to_entry
from device_scorer.notify.notices import Notice, signature
from device_scorer.notify.outbox import Entry
from device_scorer.notify.receivers import Receiver
from tests.testkit.http_server import RequestHandler, serve
from tests.testkit.tls import Tls

END = datetime(2018, 8, 29, tzinfo=UTC)
NOTICE = Notice("opened", "i1", "plant", "machine", END, END, device="press-7")


class Recorder(RequestHandler):
    """A receiver that keeps what it gets and answers as its attributes say."""

    requests: list[tuple[str, dict[str, str], bytes]]
    status = 200
    headers_: dict[str, str] = {}  # noqa: RUF012
    content = b""

    def handle_request(self) -> None:
        self.requests.append((self.path, dict(self.headers), self.read_body()))
        self.respond(self.status, self.content, self.headers_)


def entries(count: int, receiver: str = "hook") -> list[Entry]:
    return [Entry(receiver, f"id-{number}", {"n": number}) for number in range(count)]


def test_alertmanager_gets_a_list_of_alerts_at_its_api() -> None:
    got: list[Any] = []
    with serve(Recorder, requests=got) as url:
        receiver = Receiver("alerts", "alertmanager", url)
        assert deliver([to_entry(NOTICE, receiver, ends_at=None)], [receiver]).failures == ()
    path, headers, body = got[0]
    assert (path, headers["Content-Type"]) == ("/api/v2/alerts", "application/json")
    assert json.loads(body)[0]["labels"]["device"] == "press-7"


def test_webhook_gets_signed_batches_of_50_cloud_events() -> None:
    got: list[Any] = []
    with serve(Recorder, requests=got) as url:
        result = deliver(entries(51), [Receiver("hook", "webhook", f"{url}/in?code=1", key="secret")])
    assert result == Delivery(tuple(("hook", f"id-{number}") for number in range(51)))
    assert [len(json.loads(body)) for _, _, body in got] == [50, 1]
    for path, headers, body in got:
        assert path == "/in?code=1"
        assert headers["Content-Type"] == "application/cloudevents-batch+json"
        assert headers["X-Fleetscore-Signature-256"] == signature(body, "secret")


def test_failed_receiver_gets_no_further_batch_and_the_other_gets_its_own() -> None:
    bad: list[Any] = []
    good: list[Any] = []
    broken = serve(Recorder, requests=bad, status=500, content=b"broken\r\n\x1b[31m")
    with broken as first, serve(Recorder, requests=good) as second:
        receivers = [Receiver("hook", "webhook", first), Receiver("other", "webhook", second)]
        result = deliver([*entries(120), *entries(1, "other")], receivers)
    assert result.delivered == (("other", "id-0"),)
    assert result.failures == ("hook: HTTP 500: broken ?[31m",)
    assert (len(bad), len(good)) == (1, 1)


def test_wait_of_a_throttling_receiver_is_reported() -> None:
    with serve(Recorder, requests=[], status=429, headers_={"Retry-After": "120"}) as url:
        assert post_over_http(url, b"[]", {}) == "HTTP 429, Retry-After 120"


@pytest.mark.fault("T7")
def test_redirect_is_not_followed() -> None:
    got: list[Any] = []
    with (
        serve(Recorder, requests=got) as target,
        serve(Recorder, requests=[], status=302, headers_={"Location": target}) as url,
    ):
        reason = post_over_http(url, b"[]", {})
    assert reason == "HTTP 302; redirects are not followed, set the final URL"
    assert got == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["http://[::1/", "file:///etc/passwd", ""])
def test_redirect_to_an_invalid_location_is_a_redirect(status: int, location: str) -> None:
    with serve(Recorder, requests=[], status=status, headers_={"Location": location}) as url:
        reason = post_over_http(url, b"[]", {})
    assert reason == f"HTTP {status}; redirects are not followed, set the final URL"


@pytest.fixture
def silent() -> Iterator[str]:
    """Run a receiver that accepts connections and never responds."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret-path"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection by a function after its request with the body [] is read, and yield the URL."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve_one() -> None:
            with suppress(OSError), server.accept()[0] as connection:  # a late accept finds the server closed
                request = b""
                while not request.endswith(b"[]"):  # unread bytes would make the end of the connection a reset
                    if not (received := connection.recv(65_536)):
                        return
                    request += received
                answer(connection)

        threading.Thread(target=serve_one, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def send_slowly(connection: socket.socket, text: bytes) -> None:
    """Send a text again and again, until the client closes the connection."""
    while True:
        connection.sendall(text)
        time.sleep(0.02)


@pytest.mark.parametrize("text", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["bytes", "continue"])
def test_answer_that_never_ends_is_left_after_the_timeout(text: bytes) -> None:
    with answering(lambda connection: send_slowly(connection, text)) as url:
        assert post_over_http(url, b"[]", {}, timeout_seconds=0.2) == "no answer after 0.2 s"


def test_accepted_message_counts_although_the_body_of_the_answer_never_ends() -> None:
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n"
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        done.wait(60)

    with answering(answer) as url:
        assert post_over_http(url, b"[]", {}) == ""
        done.set()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "it closed the connection without an answer"),
        (b"SSH-2.0-x\r\n", "its answer is not HTTP (BadStatusLine); check the scheme and the port of the URL"),
    ],
    ids=["closed", "other-protocol"],
)
def test_receiver_that_answers_no_http_is_described(answer: bytes, reason: str) -> None:
    with answering(lambda connection: connection.sendall(answer)) as url:
        assert post_over_http(url, b"[]", {}) == reason


def test_url_with_other_characters_than_ascii_is_described_without_it() -> None:
    reason = post_over_http("http://127.0.0.1:9/s\xe9cret", b"[]", {})
    assert reason == "its URL cannot be used; check its host, and encode other characters than ASCII"


class Echo(RequestHandler):
    """A receiver that rejects each message and repeats the path, as many web frameworks do."""

    status = 404

    def handle_request(self) -> None:
        self.read_body()
        self.respond(self.status, f"Cannot POST {self.path}".encode(), {"Retry-After": self.path})


@pytest.mark.parametrize("path", ["/hooks/T0/Xyz4", "/in?sig=aB%2Bc", "/in;token=0123456789", "/services/abcdefgh"])
def test_answer_that_repeats_a_part_of_the_url_is_not_shown(path: str) -> None:
    with serve(Echo) as url:
        assert post_over_http(url + path, b"[]", {}) == "HTTP 404"


class Choosy(RequestHandler):
    """A receiver that rejects a batch with one of some numbers."""

    bad: frozenset[int]
    sizes: list[int]

    def handle_request(self) -> None:
        numbers = {event["n"] for event in json.loads(self.read_body())}
        self.sizes.append(len(numbers))
        self.respond(422 if numbers & self.bad else 200, b"bad event")


def test_rejected_message_does_not_block_the_others() -> None:
    sizes: list[int] = []
    with serve(Choosy, bad=frozenset({0, 57}), sizes=sizes) as url:
        result = deliver(entries(60), [Receiver("hook", "webhook", url)])
    assert result.rejected == (("hook", "id-0"), ("hook", "id-57"))
    assert sorted(result.delivered + result.rejected) == sorted(entry.key for entry in entries(60))
    assert result.failures == (
        "hook: 2 notices are rejected and not sent again, while it accepts others: HTTP 422: bad event",
    )


def test_receiver_that_rejects_everything_keeps_its_messages() -> None:
    sizes: list[int] = []
    with serve(Choosy, bad=frozenset(range(200)), sizes=sizes) as url:
        result = deliver(entries(200), [Receiver("hook", "webhook", url)])
    assert (result.delivered, result.rejected) == ((), ())
    assert result.failures == ("hook: HTTP 422: bad event",)
    assert len(sizes) <= delivery.MAX_REJECTIONS + 1


def test_silent_receiver_is_left_after_the_timeout(silent: str) -> None:
    assert post_over_http(silent, b"[]", {}, timeout_seconds=0.2) == "no answer after 0.2 s"


def test_closed_port_is_reported_without_the_url() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    reason = post_over_http(f"http://127.0.0.1:{port}/secret-path", b"[]", {})
    assert reason == "Connection refused"


def test_certificate_of_an_unknown_authority_is_rejected_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = Tls.create(tmp_path, "127.0.0.1")
    with serve(Recorder, requests=[], tls=tls) as url:
        assert "set SSL_CERT_FILE to its authority" in post_over_http(url, b"[]", {})
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
        assert post_over_http(url, b"[]", {}) == ""


def test_large_answer_is_not_read_and_not_shown() -> None:
    with serve(Recorder, requests=[], status=400, content=b"x" * 5_000_000) as url:
        assert len(post_over_http(url, b"[]", {})) <= 200


def test_time_of_all_deliveries_is_bounded() -> None:
    times = iter([0.0, 0.0, 121.0, 121.0, 121.0])
    result = deliver(
        entries(120), [Receiver("hook", "webhook", "http://x")], post=lambda *_: "", monotonic=lambda: next(times)
    )
    assert len(result.delivered) == 50
    assert result.failures == ("hook: the time for notifications of 120 s is used up",)


def test_slow_receiver_leaves_the_others_their_time() -> None:
    spent = [0.0]

    def post(url: str, *_: object) -> str:
        spent[0] += 9.0 if url == "http://slow" else 0.1
        return ""

    receivers = [Receiver("hook", "webhook", "http://slow"), Receiver("other", "webhook", "http://x")]
    result = deliver([*entries(2000), *entries(1, "other")], receivers, post=post, monotonic=lambda: spent[0])
    assert ("other", "id-0") in result.delivered
    assert result.failures == ("hook: the time for notifications of 120 s is used up",)


def test_open_alert_is_a_new_entry_in_each_window() -> None:
    receiver = Receiver("alerts", "alertmanager", "http://x")
    still = Notice("open", "i1", "plant", "machine", END, END)
    later = Notice("open", "i1", "plant", "machine", datetime(2018, 8, 29, 1, tzinfo=UTC), END)
    assert to_entry(still, receiver, ends_at=None).id != to_entry(later, receiver, ends_at=None).id


def test_limits_of_delivery_are_10_seconds_120_in_all_and_2048_bytes() -> None:
    assert (delivery.TIMEOUT_SECONDS, delivery.TOTAL_SECONDS, delivery.MAX_RESPONSE_BYTES) == (10.0, 120.0, 2048)
