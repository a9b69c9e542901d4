"""Scoring on a fake blob server that is busy, silent or broken: whole blobs, an exit code in time, and no secret."""

import base64
import contextlib
import gzip
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from device_scorer.cli import build_parser
from device_scorer.cli import score as score_command
from device_scorer.store.factory import open_scoring_store
from device_scorer.store.retry import DEFAULT_RETRY_POLICY, RetryPolicy
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, a_model, bundle, readings
from tests.testkit.waiting import shortest

SHORT_READS = RetryPolicy(read_timeout_seconds=0.3)
SHORT = RetryPolicy(read_timeout_seconds=0.3, max_retry_seconds=1.0, max_unreachable_seconds=0.5)
BOUNDED = RetryPolicy(read_timeout_seconds=30.0, max_retry_seconds=5.0)


class Result(NamedTuple):
    """The exit code and both outputs of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServer]:
    with serving() as running:
        monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
        monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", running.url)
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
        yield running


def put_fleet(server: BlobServer, *devices: str) -> None:
    for device in devices:
        server.put(f"/account/models/{device}.joblib", bundle({"1": a_model()}))
        server.put(f"/account/data/20180828T2300Z/{device}.csv", readings(device))


def score(*devices: str, words: tuple[str, ...] = (), policy: RetryPolicy = DEFAULT_RETRY_POLICY) -> Result:
    """Run the command score in this process."""
    arguments = build_parser("score").parse_args(["--window-start", START, "--window-end", END, *words, "--", *devices])
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = score_command.run(arguments, open_store=lambda settings: open_scoring_store(settings, policy))
    return Result(code, out.getvalue(), err.getvalue())


@pytest.mark.slow  # longer than an unreachable host is retried
@pytest.mark.fault("F27")
def test_unreachable_endpoint_ends_in_75_within_seconds(
    monkeypatch: pytest.MonkeyPatch, record_measurement: RecordMeasurement
) -> None:
    monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
    monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", "http://127.0.0.1:9/account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)

    def seconds_to_end() -> float:
        began = time.monotonic()
        result = score("press-1", "press-2")
        assert (result.code, result.err.count("Connection refused")) == (75, 2)
        return time.monotonic() - began

    limit = DEFAULT_RETRY_POLICY.max_retry_seconds / 3  # far less than a host that answers is retried
    took = shortest(seconds_to_end, limit)
    assert took < limit
    record_measurement(f"unreachable: 75 after {took:.1f} s")


@pytest.mark.slow  # as long as the deadline
@pytest.mark.fault("F27")
@pytest.mark.parametrize("kind", ["silent", "status"])
def test_endpoint_without_a_useful_response_ends_in_75_within_the_deadline(
    server: BlobServer, kind: str, record_measurement: RecordMeasurement
) -> None:
    server.fail(kind, times=1000)

    def seconds_to_end() -> float:
        began = time.monotonic()
        result = score("press-1", words=("--device-deadline-seconds", "3"), policy=SHORT_READS)
        assert (result.code, "StorageUnavailable" in result.err) == (75, True)
        return time.monotonic() - began

    took = shortest(seconds_to_end, 5)
    assert took < 5
    record_measurement(f"{kind}: 75 after {took:.1f} s of the 3 s for a device")


@pytest.mark.slow
@pytest.mark.fault("F27", "F28")
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("kind", ["status", "reset", "lost", "silent"])
def test_one_fault_of_any_request_leaves_one_whole_predictions_blob(server: BlobServer, method: str, kind: str) -> None:
    put_fleet(server, "press-1")
    server.fail(kind, method=method)
    policy = SHORT_READS if kind == "silent" else DEFAULT_RETRY_POLICY
    assert score("press-1", policy=policy).code == 0
    predictions = [path for path in server.blobs if path.startswith("/account/predictions/")]
    assert predictions == [f"/account/predictions/{PREDICTIONS}/press-1.csv"]
    assert server.blobs[predictions[0]].content.count(b"\n") == 6


@pytest.mark.slow
@pytest.mark.fault("F27")
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", ["", "0", "1"])
def test_busy_responses_of_any_retry_after_change_no_result(server: BlobServer, status: int, retry_after: str) -> None:
    put_fleet(server, "press-1")
    for method in ("GET", "PUT"):
        server.fail("status", method=method, status=status, retry_after=retry_after, times=2)
    assert score("press-1").code == 0
    assert server.blobs[f"/account/predictions/{PREDICTIONS}/press-1.csv"].content.count(b"\n") == 6
    assert server.faults == []


@pytest.mark.fault("F27")
def test_device_whose_blob_stays_unavailable_is_transient_in_the_message(server: BlobServer, tmp_path: Path) -> None:
    put_fleet(server, "press-1", "press-2")
    server.fail("status", times=1000, path="press-2.joblib")
    target = tmp_path / "message"
    result = score("press-1", "press-2", words=("--termination-log", str(target)), policy=BOUNDED)
    assert result.code == 75
    message = json.loads(target.read_bytes())
    assert message["outcomes"] == {"scored": "0"}
    assert message["transient"] == {"StorageUnavailable": "1"}


@pytest.mark.slow
@pytest.mark.fault("F27")
def test_packed_job_without_storage_skips_most_devices(server: BlobServer) -> None:
    server.fail("status", times=100_000)

    def seconds_to_end() -> float:
        began = time.monotonic()
        assert score(*(f"press-{number}" for number in range(200)), policy=SHORT).code == 75
        return time.monotonic() - began

    assert shortest(seconds_to_end, 15) < 15


@pytest.mark.slow
@pytest.mark.fault("T13")
@pytest.mark.parametrize("kind", ["status", "reset", "silent"])
def test_sas_is_in_no_line_at_any_log_level(server: BlobServer, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        put_fleet(server, "press-1")
        first = score("press-1")
        server.fail(kind, times=100)
        second = score("press-1", "press-2", policy=SHORT)
    assert any(CANARY in path for _, path, _ in server.requests)
    assert CANARY not in first.out + first.err + second.out + second.err + caplog.text


@pytest.mark.slow
@pytest.mark.fault("T13")
@pytest.mark.parametrize("kind", ["status", "reset"])
def test_account_key_is_in_no_line_at_any_log_level(
    server: BlobServer, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = base64.b64encode(CANARY.encode()).decode()
    parts = ("DefaultEndpointsProtocol=http", "AccountName=account", f"AccountKey={key}", f"BlobEndpoint={server.url}")
    monkeypatch.setenv("FLEETSCORE_AUTH", "connectionString")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", ";".join(parts))
    put_fleet(server, "press-1")
    with caplog.at_level(logging.DEBUG):
        first = score("press-1")
        server.fail(kind, times=100)
        second = score("press-1", "press-2", policy=SHORT)
    assert (first.code, second.code) == (0, 75)
    assert key not in first.out + first.err + second.out + second.err + caplog.text


@pytest.mark.fault("D6", "T15")
@pytest.mark.parametrize(
    ("path", "reason"), [("data/20180828T2300Z/press-1.csv", "DataTooLarge"), ("models/press-1.joblib", "ModelInvalid")]
)
def test_blob_of_a_gigabyte_fails_the_device_before_it_is_read(server: BlobServer, path: str, reason: str) -> None:
    put_fleet(server, "press-1")
    server.put(f"/account/{path}", bytes(8 * 2**20), claims=str(2**30))
    result = score("press-1")
    assert (result.code, f'"reason": "{reason}"' in result.err, "1,073,741,824 bytes" in result.err) == (65, True, True)
    assert server.sent < 5 * 2**20


@pytest.mark.parametrize("code", ["AuthenticationFailed", "AuthorizationFailure"])
def test_rejected_credential_ends_in_75(server: BlobServer, code: str) -> None:
    server.fail("status", status=403, code=code, times=10)
    result = score("press-1")
    assert (result.code, "IdentityUnavailable" in result.err) == (75, True)


def test_gzip_encoded_readings_and_model_are_scored(server: BlobServer) -> None:
    server.put(
        "/account/models/press-1.joblib", gzip.compress(bundle({"1": a_model()})), **{"Content-Encoding": "gzip"}
    )
    data = gzip.compress(readings("press-1"))
    server.put("/account/data/20180828T2300Z/press-1.csv", data, **{"Content-Encoding": "gzip"})
    assert score("press-1").code == 0
    assert server.blobs[f"/account/predictions/{PREDICTIONS}/press-1.csv"].content.count(b"\n") == 6


@pytest.mark.parametrize(
    ("path", "reason"), [("data/20180828T2300Z/press-1.csv", "DataInvalid"), ("models/press-1.joblib", "ModelInvalid")]
)
def test_unreadable_encoding_fails_the_device_once_and_names_it(server: BlobServer, path: str, reason: str) -> None:
    put_fleet(server, "press-1")
    server.put(f"/account/{path}", b"text", **{"Content-Encoding": "br"})
    result = score("press-1")
    assert (result.code, f'"reason": "{reason}"' in result.err, "Content-Encoding 'br'" in result.err) == (
        65,
        True,
        True,
    )
    assert sum(method == "GET" and path in found for method, found, _ in server.requests) == 1


@pytest.mark.fault("D6", "T15")
def test_gzip_bomb_is_too_large(server: BlobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETSCORE_MAX_DATA_BYTES", str(2**20))
    put_fleet(server, "press-1")
    bomb = gzip.compress(bytes(64 * 2**20))
    server.put("/account/data/20180828T2300Z/press-1.csv", bomb, **{"Content-Encoding": "gzip"})
    result = score("press-1")
    assert (result.code, '"reason": "DataTooLarge"' in result.err) == (65, True)


def test_archived_predictions_end_with_their_cure_and_no_retry(server: BlobServer) -> None:
    put_fleet(server, "press-1")
    server.fail("status", method="PUT", status=409, code="BlobArchived", times=10)
    result = score("press-1")
    assert (result.code, '"reason": "ConfigurationInvalid"' in result.err) == (65, True)
    assert "409 BlobArchived; it is in the archive tier: rehydrate or delete it" in result.err
    assert len(server.times_of("PUT")) == 1
