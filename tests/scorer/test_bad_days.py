"""Storage that is busy, silent, broken, or loses answers: one whole blob or none, in time, and no secret told."""

import base64
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer import settings as scorer_settings
from device_scorer.errors import ConfigurationInvalid, IdentityUnavailable, StorageUnavailable
from device_scorer.store import azure, retry
from device_scorer.store.base import Store
from device_scorer.store.factory import open_store
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, Said, a_model, bundle, readings, scorer

BLOB = "/account/predictions/p.csv"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServer]:
    with serving() as running:
        monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
        monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", running.url)
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
        monkeypatch.setattr(azure, "_READ_TIMEOUT_SECONDS", 0.3)
        yield running


@pytest.fixture
def store(server: BlobServer) -> Iterator[Store]:
    environment = {
        "FLEETSCORE_AUTH": "sas",
        "FLEETSCORE_ACCOUNT_URL": server.url,
        "AZURE_STORAGE_SAS_TOKEN": SAS,
    }
    opened = open_store(scorer_settings.read_settings(environment))
    yield opened
    opened.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience in fractions of a second, where a test must see it end."""
    monkeypatch.setattr(retry, "MAX_RETRY_SECONDS", 1.0)
    monkeypatch.setattr(retry, "MAX_UNREACHABLE_SECONDS", 0.5)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("excepted", "proxied"), [("", True), ("storage.invalid", False)])
def test_storage_is_reached_by_the_proxy_that_the_environment_names_unless_it_is_excepted(
    server: BlobServer, monkeypatch: pytest.MonkeyPatch, excepted: str, *, proxied: bool
) -> None:
    server.put(BLOB, b"content")
    monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", "http://storage.invalid/account")
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/account"))
    monkeypatch.setenv("no_proxy", excepted)
    opened = open_store(scorer_settings.read_settings(os.environ))
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
def test_one_busy_answer_costs_less_than_three_seconds(
    server: BlobServer, store: Store, status: int, record_measurement: RecordMeasurement
) -> None:
    server.put(BLOB, b"content")
    server.fail("status", status=status)
    began = time.monotonic()
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"content"
    took = time.monotonic() - began
    assert took < 3
    record_measurement(f"one {status} costs {took:.1f} s")


@pytest.mark.slow  # a second more than the patience with an unreachable host
@pytest.mark.fault("F27")
def test_a_dead_endpoint_ends_in_75_within_seconds(monkeypatch: pytest.MonkeyPatch, record_measurement: RecordMeasurement) -> None:
    monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
    monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", "http://127.0.0.1:9/account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
    began = time.monotonic()
    said = score("press-1", "press-2")
    took = time.monotonic() - began
    assert (said.code, said.err.count("Connection refused")) == (75, 2)
    assert took < 10
    record_measurement(f"nobody listens: 75 after {took:.1f} s")


@pytest.mark.slow  # as long as the deadline
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["silent", "status"])
def test_an_endpoint_that_says_nothing_of_use_ends_in_75_within_the_deadline(
    server: BlobServer, kind: str, record_measurement: RecordMeasurement
) -> None:
    server.fail(kind, times=1000)
    began = time.monotonic()
    said = score("press-1", words=("--device-deadline-seconds", "3"))
    took = time.monotonic() - began
    assert (said.code, "StorageUnavailable" in said.err) == (75, True)
    assert took < 5
    record_measurement(f"{kind}: 75 after {took:.1f} s of the 3 that a device had")


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["reset", "silent", "truncate", "damage"])
def test_a_read_that_breaks_is_read_again_and_whole(server: BlobServer, store: Store, kind: str) -> None:
    server.put(BLOB, b"0123456789" * 1000)
    server.fail(kind, method="GET")
    blob = store.read("predictions", "p.csv")
    assert blob is not None
    assert blob.content == b"0123456789" * 1000


@pytest.mark.fault("F27")
def test_what_arrives_damaged_every_time_is_never_believed(server: BlobServer, store: Store) -> None:
    server.put(BLOB, b"0123456789")
    server.fail("damage", times=10)
    with pytest.raises(StorageUnavailable, match="damaged"):
        store.read("predictions", "p.csv")


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(server: BlobServer, store: Store, status: int) -> None:
    server.put(BLOB, b"content")
    server.fail("status", status=status, retry_after="1")
    store.read("predictions", "p.csv")
    first, second = server.times_of("GET")
    assert 1.0 <= second - first < 2


@pytest.mark.fault("F27")
def test_a_retry_after_beyond_the_deadline_is_not_waited_for(server: BlobServer, store: Store) -> None:
    server.fail("status", status=429, retry_after="600")
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="answers 429 ServerBusy"):
        store.with_deadline(began + 5).head("predictions", "p.csv")
    assert time.monotonic() - began < 2


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["status", "silent", "reset"])
def test_trouble_that_lasts_ends_by_the_deadline(server: BlobServer, store: Store, kind: str) -> None:
    server.fail(kind, times=100)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="attempts"):
        store.with_deadline(began + 1.5).head("predictions", "p.csv")
    assert time.monotonic() - began < 2.5


@pytest.mark.fault("F27")
@pytest.mark.usefixtures("hasty")
def test_a_refused_connection_is_given_up_in_seconds() -> None:
    environment = {
        "FLEETSCORE_AUTH": "sas",
        "FLEETSCORE_ACCOUNT_URL": "http://127.0.0.1:9/account",
        "AZURE_STORAGE_SAS_TOKEN": SAS,
    }
    dead = open_store(scorer_settings.read_settings(environment))
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match=r"cannot be reached .* Connection refused"):
        dead.head("predictions", "p.csv")
    assert time.monotonic() - began < 1.5
    dead.close()


def test_patience_with_an_unreachable_host_is_seconds_and_with_a_busy_one_a_minute() -> None:
    assert retry.MAX_UNREACHABLE_SECONDS <= 10
    assert retry.MAX_RETRY_SECONDS == 60


@pytest.mark.fault("F28")
@pytest.mark.parametrize("kind", ["lost", "reset", "status"])
def test_an_upload_whose_answer_was_lost_is_ours_once(server: BlobServer, store: Store, kind: str) -> None:
    server.fail(kind, method="PUT")
    etag = store.write("predictions", "p.csv", b"mine", metadata={"runuid": "u"})
    assert etag == server.blobs[BLOB].etag.strip('"')
    assert server.blobs[BLOB].content == b"mine"


@pytest.mark.fault("F28")
def test_after_a_lost_answer_anothers_blob_is_not_taken_for_ours(server: BlobServer, store: Store) -> None:
    def another_first(method: str, _path: str) -> None:
        if method == "PUT":
            server.put(BLOB, b"theirs")

    server.before = another_first
    server.fail("reset", method="PUT")
    assert store.write("predictions", "p.csv", b"mine") is None
    assert server.blobs[BLOB].content == b"theirs"


@pytest.mark.fault("F28")
def test_a_lost_answer_to_a_replacement_is_ours_too(server: BlobServer, store: Store) -> None:
    etag = server.put(BLOB, b"old").strip('"')
    server.fail("lost", method="PUT")
    assert store.write("predictions", "p.csv", b"new", metadata={"rows": "1"}, if_match=etag)
    assert server.blobs[BLOB].content == b"new"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AuthorizationPermissionMismatch", IdentityUnavailable),
        (403, "AuthenticationFailed", IdentityUnavailable),
        (401, "NoAuthenticationInformation", IdentityUnavailable),
        (404, "ContainerNotFound", ConfigurationInvalid),
        (400, "InvalidUri", ConfigurationInvalid),
        (412, "LeaseIdMissing", ConfigurationInvalid),
    ],
)
def test_answers_that_will_not_change_are_not_asked_for_again(
    server: BlobServer, store: Store, status: int, code: str, error: type[Exception]
) -> None:
    server.fail("status", status=status, code=code, times=3)
    with pytest.raises(error, match=code):
        store.write("predictions", "p.csv", b"x")
    assert len(server.requests) == 1


def a_fleet_on(server: BlobServer, *devices: str) -> None:
    for device in devices:
        server.put(f"/account/models/{device}.joblib", bundle({"1": a_model()}))
        server.put(f"/account/data/20180828T2300Z/{device}.csv", readings(device))


def score(*devices: str, words: tuple[str, ...] = ()) -> Said:
    return scorer("score", "--window-start", START, "--window-end", END, *words, "--", *devices)


@pytest.mark.slow
@pytest.mark.fault("F27", "F28")
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("kind", ["status", "reset", "lost", "silent"])
def test_whatever_breaks_once_a_device_ends_scored_with_one_whole_blob(
    server: BlobServer, method: str, kind: str
) -> None:
    a_fleet_on(server, "press-1")
    server.fail(kind, method=method)
    assert score("press-1").code == 0
    predictions = [path for path in server.blobs if path.startswith("/account/predictions/")]
    assert predictions == [f"/account/predictions/{PREDICTIONS}/press-1.csv"]
    assert server.blobs[predictions[0]].content.count(b"\n") == 6


@pytest.mark.fault("F27")
@pytest.mark.usefixtures("hasty")
def test_storage_that_stays_away_is_75_and_says_which(server: BlobServer, tmp_path: Path) -> None:
    a_fleet_on(server, "press-1", "press-2")
    server.fail("status", times=1000, path="press-2.joblib")
    target = tmp_path / "message"
    said = score("press-1", "press-2", words=("--termination-log", str(target)))
    assert said.code == 75
    word = json.loads(target.read_bytes())
    assert word["outcomes"] == {"scored": "0"}
    assert word["transient"] == {"StorageUnavailable": "1"}


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.usefixtures("hasty")
def test_when_storage_is_down_the_rest_of_a_packed_job_is_not_tried(server: BlobServer) -> None:
    server.fail("status", times=100_000)
    began = time.monotonic()
    assert score(*(f"press-{number}" for number in range(200))).code == 75
    assert time.monotonic() - began < 15


@pytest.mark.slow
@pytest.mark.fault("T13")
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["status", "reset", "silent"])
def test_no_secret_gets_into_any_line_at_any_level(
    server: BlobServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        a_fleet_on(server, "press-1")
        assert any(CANARY in path for _, path, _ in server.requests) or not server.requests
        said = score("press-1")
        server.fail(kind, times=100)
        said_too = score("press-1", "press-2")
    assert any(CANARY in path for _, path, _ in server.requests)
    assert CANARY not in said.out + said.err + said_too.out + said_too.err + caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("hasty")
@pytest.mark.fault("T13")
@pytest.mark.parametrize("kind", ["status", "reset"])
def test_no_account_key_gets_into_any_line_at_any_level(
    server: BlobServer, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(CANARY.encode()).decode()
    parts = ("DefaultEndpointsProtocol=http", "AccountName=account", f"AccountKey={key}", f"BlobEndpoint={server.url}")
    monkeypatch.setenv("FLEETSCORE_AUTH", "connectionString")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", ";".join(parts))
    a_fleet_on(server, "press-1")
    with caplog.at_level(logging.DEBUG):
        said = score("press-1")
        server.fail(kind, times=100)
        said_too = score("press-1", "press-2")
    assert (said.code, said_too.code) == (0, 75)
    assert key not in said.out + said.err + said_too.out + said_too.err + caplog.text


@pytest.mark.fault("D6", "T15")
@pytest.mark.parametrize(
    ("path", "reason"), [("data/20180828T2300Z/press-1.csv", "DataTooLarge"), ("models/press-1.joblib", "ModelInvalid")]
)
def test_a_gigabyte_is_refused_by_its_length_before_it_is_read(server: BlobServer, path: str, reason: str) -> None:
    a_fleet_on(server, "press-1")
    server.put(f"/account/{path}", bytes(8 * 2**20), claims=str(2**30))
    said = score("press-1")
    assert (said.code, f'"reason": "{reason}"' in said.err, "1,073,741,824 bytes" in said.err) == (65, True, True)
    assert server.sent < 5 * 2**20


@pytest.mark.parametrize("code", ["AuthenticationFailed", "AuthorizationFailure"])
def test_a_refused_identity_is_75(server: BlobServer, code: str) -> None:
    server.fail("status", status=403, code=code, times=10)
    said = score("press-1")
    assert (said.code, "IdentityUnavailable" in said.err) == (75, True)
