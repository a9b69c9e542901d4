"""Tests of both stores on Azure on a fake blob server that is busy, silent or broken, or loses responses."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from device_scorer.errors import BlobTooLarge, ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.settings import read_settings
from device_scorer.store.base import Store
from device_scorer.store.factory import open_scoring_store, open_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy, call_with_retry
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.waiting import shortest, until

BLOB = "/account/predictions/p.csv"
SHORT_READS = RetryPolicy(read_timeout_seconds=0.3)
SHORT = RetryPolicy(read_timeout_seconds=0.3, max_retry_seconds=1.0, max_unreachable_seconds=0.5)


class PauseClock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self._now = time.monotonic()

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float, /) -> None:
        self._now += seconds


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as running:
        yield running


@pytest.fixture(params=["sdk", "obstore"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(server: BlobServer, library: str) -> Iterator[Store]:
    opened = open_on(server.url, library)
    yield opened
    opened.close()


@pytest.fixture
def hasty_store(server: BlobServer, library: str) -> Iterator[Store]:
    """Return a store that soon repeats a request without a response."""
    opened = open_on(server.url, library, SHORT_READS)
    yield opened
    opened.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses of this thread, in seconds."""
    sleep, thread, found = time.sleep, threading.current_thread(), []

    def record(seconds: float) -> None:
        if threading.current_thread() is thread:
            found.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", record)
    return found


@pytest.fixture
def sdk_store(server: BlobServer) -> Iterator[Store]:
    opened = open_on(server.url, "sdk")
    yield opened
    opened.close()


def open_on(url: str, library: str, policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Store:
    environment = {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": url, "AZURE_STORAGE_SAS_TOKEN": SAS}
    opener = {"sdk": open_store, "obstore": open_scoring_store}[library]
    return opener(read_settings(environment), policy)


@pytest.mark.parametrize(("excepted", "proxied"), [("", True), ("storage.invalid", False)])
def test_proxy_of_the_environment_is_used_unless_the_host_is_excepted(
    server: BlobServer, library: str, monkeypatch: pytest.MonkeyPatch, excepted: str, *, proxied: bool
) -> None:
    server.put(BLOB, b"content")
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/account"))
    monkeypatch.setenv("no_proxy", excepted)
    opened = open_on("http://storage.invalid/account", library, DEFAULT_RETRY_POLICY if proxied else SHORT)
    try:
        blob = opened.read("predictions", "p.csv")
    except StorageUnavailable:
        blob = None
    finally:
        opened.close()
    assert (blob is not None) == proxied
    assert any(path.startswith("http://storage.invalid/") for _, path, _ in server.requests) == proxied


@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_one_busy_response_costs_less_than_three_seconds(
    server: BlobServer, store: Store, status: int, record_measurement: RecordMeasurement
) -> None:
    server.put(BLOB, b"content")

    def seconds_to_read() -> float:
        server.fail("status", status=status)
        began = time.monotonic()
        blob = store.read("predictions", "p.csv")
        assert blob is not None
        assert blob.content == b"content"
        return time.monotonic() - began

    took = shortest(seconds_to_read, 3)
    assert took < 3
    record_measurement(f"one {status} costs {took:.1f} s")


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["reset", "silent", "truncate", "slow"])
def test_broken_read_is_retried_and_returns_the_whole_blob(server: BlobServer, hasty_store: Store, kind: str) -> None:
    server.put(BLOB, b"0123456789" * 1000)
    server.fail(kind, method="GET")
    blob = hasty_store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"0123456789" * 1000


@pytest.mark.fault("F27")
def test_damaged_read_of_the_sdk_is_retried(server: BlobServer, sdk_store: Store) -> None:
    server.put(BLOB, b"0123456789" * 1000)
    server.fail("damage", method="GET")
    blob = sdk_store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"0123456789" * 1000


@pytest.mark.fault("F27")
def test_blob_that_is_damaged_three_times_is_an_error(server: BlobServer, store: Store) -> None:
    # obstore compares the checksum that the scorer has written.
    store.write("predictions", "p.csv", b"0123456789", metadata={"window": "w", "complete": "true"})
    server.requests.clear()
    server.fail("damage", times=10)
    with pytest.raises(StorageUnavailable, match="is damaged: its content does not match its length or"):
        store.read("predictions", "p.csv")
    assert len(server.requests) == 3


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_the_server_is_honoured_by_the_sdk(
    server: BlobServer, sdk_store: Store, pauses: list[float], status: int
) -> None:
    server.put(BLOB, b"content")
    server.fail("status", status=status, retry_after="1")
    sdk_store.read("predictions", "p.csv")
    first, second = server.times_of("GET")
    assert second - first >= 1.0
    assert [1.0 <= seconds <= 1.25 for seconds in pauses] == [True]


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", ["", "0", "1", "600"])
def test_obstore_backs_off_exponentially_whatever_retry_after_says(
    server: BlobServer, pauses: list[float], status: int, retry_after: str
) -> None:
    server.put(BLOB, b"content")
    store = open_on(server.url, "obstore")
    server.fail("status", status=status, retry_after=retry_after, times=2)
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"content"
    first, second, third = server.times_of("GET")
    assert second - first >= 0.7 * 0.3
    assert third - second >= 0.7 * 0.6
    assert pauses == [pytest.approx(mean, rel=0.3 + 1e-9) for mean in (0.3, 0.6)]


@pytest.mark.fault("F27")
@pytest.mark.parametrize("retry_after", ["0", "1"])
def test_server_that_stays_busy_gets_few_requests_whatever_it_asks_for(
    server: BlobServer, store: Store, monkeypatch: pytest.MonkeyPatch, retry_after: str
) -> None:
    monkeypatch.setitem(cast("dict[str, Any]", call_with_retry.__kwdefaults__), "clock", PauseClock())
    server.fail("status", retry_after=retry_after, times=10_000)
    with pytest.raises(StorageUnavailable, match=r"storage returned 503 ServerBusy .* \(\d+ attempts in"):
        store.read("predictions", "p.csv")
    assert 8 <= len(server.requests) <= 16


@pytest.mark.fault("F27")
def test_retry_after_beyond_the_deadline_ends_the_call_at_once(
    server: BlobServer, sdk_store: Store, pauses: list[float]
) -> None:
    server.fail("status", status=429, retry_after="600")
    with pytest.raises(StorageUnavailable, match="storage returned 429 ServerBusy"):
        sdk_store.with_deadline(time.monotonic() + 60).head("predictions", "p.csv")
    assert (pauses, len(server.requests)) == ([], 1)


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["status", "silent", "reset"])
def test_lasting_fault_ends_the_call_by_the_deadline(server: BlobServer, hasty_store: Store, kind: str) -> None:
    server.fail(kind, times=100)

    def seconds_to_end() -> float:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable, match="attempt") as raised:
            hasty_store.with_deadline(began + 1.5).head("predictions", "p.csv")
        # A machine that stalls leaves time for one attempt only.
        return time.monotonic() - began if "attempts" in str(raised.value) else math.inf

    assert shortest(seconds_to_end, 2.5) < 2.5


@pytest.mark.fault("F27")
def test_timeout_of_a_silent_server_does_not_exceed_the_deadline(server: BlobServer, library: str) -> None:
    server.fail("silent", times=100)
    store = open_on(server.url, library)

    def seconds_to_end() -> float:
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as raised:
            store.with_deadline(began + 0.5).head("predictions", "p.csv")
        return time.monotonic() - began if "timed out" in str(raised.value) else math.inf

    assert shortest(seconds_to_end, 2) < 2
    store.close()


@pytest.mark.parametrize("code", ["ContainerBeingDeleted", "AccountBeingCreated"])
def test_operation_in_progress_is_retried(server: BlobServer, store: Store, code: str) -> None:
    server.fail("status", status=409, code=code)
    assert store.write("predictions", "p.csv", b"mine") is not None


@pytest.mark.fault("F27")
def test_rejected_connection_ends_the_call_within_seconds(library: str) -> None:
    dead = open_on("http://127.0.0.1:9/account", library, RetryPolicy(max_unreachable_seconds=0.5))
    # The pauses before the second and the third attempt have more than half a second together.
    with pytest.raises(StorageUnavailable, match=r"cannot be reached .* Connection refused.* \([12] attempts? in "):
        dead.head("predictions", "p.csv")
    dead.close()


def test_view_is_in_a_call_only_while_it_waits_for_the_server(server: BlobServer, store: Store) -> None:
    view, other = store.with_deadline(time.monotonic() + 600), store.with_deadline(time.monotonic() + 600)
    states: list[tuple[bool, bool, bool]] = []
    server.before = lambda *_: states.append((view.in_call, other.in_call, store.in_call))
    assert not view.in_call
    view.head("predictions", "p.csv")
    assert states == [(True, False, False)]
    assert not view.in_call


@pytest.mark.fault("F27")
def test_view_that_waits_between_attempts_is_in_a_call(server: BlobServer, store: Store) -> None:
    server.fail("status", times=1000)
    view = store.with_deadline(time.monotonic() + 600)
    thread = threading.Thread(target=view.head, args=("predictions", "p.csv"))
    thread.start()
    until(lambda: server.requests, "the first attempt")
    assert view.in_call
    server.faults.clear()
    thread.join()
    assert not view.in_call


def test_view_whose_call_has_failed_is_not_in_a_call(server: BlobServer, store: Store) -> None:
    server.fail("status", status=400, code="InvalidUri")
    view = store.with_deadline(time.monotonic() + 600)
    with pytest.raises(ConfigurationInvalid):
        view.head("predictions", "p.csv")
    assert not view.in_call


@pytest.mark.fault("F28")
@pytest.mark.parametrize("kind", ["lost", "reset", "status"])
def test_write_whose_response_was_lost_counts_as_written_once(server: BlobServer, store: Store, kind: str) -> None:
    server.fail(kind, method="PUT")
    etag = store.write("predictions", "p.csv", b"mine", metadata={"runuid": "u"})
    assert etag == server.blobs[BLOB].etag.strip('"')
    assert server.blobs[BLOB].content == b"mine"


@pytest.mark.fault("F28")
def test_write_whose_response_stalls_counts_as_written_once(server: BlobServer, hasty_store: Store) -> None:
    server.fail("slow", method="PUT")
    etag = hasty_store.write("predictions", "p.csv", b"mine", metadata={"runuid": "u"})
    assert etag == server.blobs[BLOB].etag.strip('"')
    assert server.accepted == [BLOB]


@pytest.mark.fault("F27")
def test_listing_that_stalls_has_not_failed_to_reach_the_server(server: BlobServer, library: str) -> None:
    server.put(BLOB, b"content")
    server.fail("slow", times=100)
    store = open_on(server.url, library, SHORT)
    with pytest.raises(StorageUnavailable, match="storage closed the connection or timed out for predictions"):
        list(store.list("predictions", "", with_metadata=False))
    store.close()


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "theirs", [{"content": b"theirs", "x-ms-meta-runuid": "u"}, {"content": b"mine", "x-ms-meta-runuid": "other"}]
)
def test_blob_of_another_client_after_a_lost_response_is_not_ours(
    server: BlobServer, store: Store, theirs: dict[str, Any]
) -> None:
    def write_first(method: str, _path: str) -> None:
        if method == "PUT":
            server.put(BLOB, **theirs)

    server.before = write_first
    server.fail("reset", method="PUT")
    assert store.write("predictions", "p.csv", b"mine", metadata={"runuid": "u"}) is None
    assert server.blobs[BLOB].content == theirs["content"]


@pytest.mark.fault("F28")
def test_replacement_whose_response_was_lost_counts_as_written(server: BlobServer, store: Store) -> None:
    etag = server.put(BLOB, b"old").strip('"')
    server.fail("lost", method="PUT")
    assert store.write("predictions", "p.csv", b"new", metadata={"rows": "1"}, if_match=etag)
    assert server.blobs[BLOB].content == b"new"


@pytest.mark.parametrize(
    ("status", "code", "error", "cure"),
    [
        (403, "AuthorizationPermissionMismatch", IdentityUnavailable, "role Storage Blob Data Contributor"),
        (403, "AuthenticationFailed", IdentityUnavailable, "renew the Secret"),
        (403, "AuthorizationFailure", IdentityUnavailable, "firewall"),
        (403, "KeyBasedAuthenticationNotPermitted", IdentityUnavailable, "workload identity"),
        (403, "InsufficientAccountPermissions", ConfigurationInvalid, "read-only"),
        (403, "AccountIsDisabled", ConfigurationInvalid, "enable"),
        (401, "NoAuthenticationInformation", IdentityUnavailable, "no credential"),
        (404, "ContainerNotFound", ConfigurationInvalid, "create the container"),
        (400, "InvalidUri", ConfigurationInvalid, "correct the account URL"),
        (412, "LeaseIdMissing", ConfigurationInvalid, "release the lease"),
        (409, "BlobImmutableDueToPolicy", ConfigurationInvalid, "legal hold"),
        (409, "BlobArchived", ConfigurationInvalid, "rehydrate or delete it"),
        (409, "BlobBeingRehydrated", ConfigurationInvalid, "takes hours"),
        (409, "InvalidBlobType", ConfigurationInvalid, "delete that blob"),
        (409, "SomeNewCode", ConfigurationInvalid, "SomeNewCode"),
        (405, "UnsupportedHttpVerb", ConfigurationInvalid, "UnsupportedHttpVerb"),
    ],
)
def test_permanent_rejection_is_not_retried(
    server: BlobServer, store: Store, status: int, code: str, error: type[Exception], cure: str
) -> None:
    server.fail("status", status=status, code=code, times=3)
    with pytest.raises(error, match=f"predictions/p.csv: {status} {code}") as rejected:
        store.write("predictions", "p.csv", b"x")
    assert cure in str(rejected.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(416, ""), (416, "InvalidRange"), (404, "BlobNotFound")])
def test_rejected_write_without_a_conflict_is_an_error(
    server: BlobServer, store: Store, status: int, code: str
) -> None:
    server.fail("status", status=status, code=code)
    with pytest.raises(ConfigurationInvalid, match=f"storage rejected predictions/p.csv: {status}"):
        store.write("predictions", "p.csv", b"mine")


def test_listing_that_is_answered_by_a_missing_blob_is_an_error(server: BlobServer, store: Store) -> None:
    server.fail("status", status=404, code="BlobNotFound")
    with pytest.raises(ConfigurationInvalid, match="storage rejected predictions: 404 BlobNotFound"):
        list(store.list("predictions", "", with_metadata=False))


def test_not_found_of_another_server_is_not_a_missing_blob(server: BlobServer, store: Store) -> None:
    server.fail("status", status=404, code="", times=3)
    with pytest.raises(ConfigurationInvalid, match="404; check the account URL and the proxy"):
        store.read("predictions", "p.csv")


@pytest.mark.fault("T13")
@pytest.mark.parametrize("status", [302, 307])
def test_redirect_to_another_server_sends_no_credential_there(server: BlobServer, store: Store, status: int) -> None:
    with serving() as other:
        other.fail("status", status=404, code="", times=100)
        server.fail("redirect", status=status, location=f"{other.url}/elsewhere", times=100)
        with pytest.raises((ConfigurationInvalid, StorageUnavailable)):
            store.with_deadline(time.monotonic() + 1).read("predictions", "p.csv")
        assert all(CANARY not in path for _, path, _ in other.requests)


def test_redirect_without_an_end_is_an_error_of_the_configuration(server: BlobServer) -> None:
    server.fail("redirect", status=307, location=server.url, times=100)
    store = open_on(server.url, "obstore")
    with pytest.raises(ConfigurationInvalid, match="the server redirects the request"):
        store.read("predictions", "p.csv")


def test_store_on_an_ipv6_address_reads_and_writes(library: str) -> None:
    with serving(host="::1") as server:
        store = open_on(server.url, library)
        assert server.url.startswith("http://[::1]:")
        assert store.write("predictions", "p.csv", b"x") is not None
        assert store.read("predictions", "p.csv") is not None
        store.close()


def test_account_without_a_path_is_used_through_a_proxy(
    server: BlobServer, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/account"))
    monkeypatch.delenv("no_proxy", raising=False)
    store = open_on("http://acc.blob.core.windows.net", library)
    assert store.write("predictions", "w/p.csv", b"x") is not None
    assert store.read("predictions", "w/p.csv") is not None
    assert store.head("predictions", "w/p.csv") is not None
    assert [info.name for info in store.list("predictions", "w/", with_metadata=False)] == ["w/p.csv"]
    assert all(path.startswith("http://acc.blob.core.windows.net/predictions") for _, path, _ in server.requests)
    store.close()


@pytest.mark.fault("D6", "T15")
def test_blob_above_the_limit_is_rejected_by_its_length_before_it_is_read(server: BlobServer, store: Store) -> None:
    server.put(BLOB, bytes(8 * 2**20), claims=str(2**30))
    with pytest.raises(BlobTooLarge, match="1,073,741,824 bytes"):
        store.read("predictions", "p.csv", max_bytes=128 * 2**20)
    assert server.sent < 5 * 2**20
