"""Packed Jobs on a blob server that sends hostile responses for some devices: the others are scored as without them."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_scorer.cli import build_parser
from device_scorer.cli import score as score_command
from device_scorer.store.factory import open_scoring_store
from device_scorer.store.retry import RetryPolicy
from tests.testkit.blob_server import CANARY, SAS, BlobServer, serving
from tests.testkit.hostile_responses import HOSTILE, SLOW, response
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, a_model, bundle, readings

POLICY = RetryPolicy(read_timeout_seconds=2.0, connect_timeout_seconds=2.0, max_retry_seconds=3.0)
KINDS = {
    kind: (HOSTILE | SLOW)[kind]
    for kind in (
        *("endless body with a length", "part of a petabyte", "half of the blob", "many headers"),
        *("page of a portal", "secret as the code", "redirect without a target", "byte by byte"),
    )
}
REASONS = {
    *("StorageUnavailable", "IdentityUnavailable", "ConfigurationInvalid"),
    *("DataInvalid", "DataTooLarge", "ModelInvalid"),
}
PATHS = {
    "models": "/account/models/{device}.joblib",
    "data": "/account/data/20180828T2300Z/{device}.csv",
    "predictions": f"/account/predictions/{PREDICTIONS}/{{device}}.csv",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobServer]:
    with serving() as running:
        monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
        monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", running.url)
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
        yield running


def put_device(server: BlobServer, device: str) -> None:
    server.put(PATHS["models"].format(device=device), bundle({"1": a_model()}))
    server.put(PATHS["data"].format(device=device), readings(device))


@pytest.mark.slow
@pytest.mark.fault("F27", "T13", "T15")
def test_devices_next_to_hostile_responses_are_scored(server: BlobServer, tmp_path: Path) -> None:
    hostile = {f"{container}-{number}": kind for container in PATHS for number, kind in enumerate(KINDS)}
    devices = []
    for device, kind in hostile.items():
        path = PATHS[device.partition("-")[0]].format(device=device)
        server.fail("raw", times=1000, path=path, **KINDS[kind])
        devices += [device, f"sound-{device}"]
    for device in devices:
        put_device(server, device)
    words = ["--window-start", START, "--window-end", END, "--device-deadline-seconds", "8"]
    words += ["--termination-log", str(tmp_path / "message"), "--", *devices]
    blobs = [PATHS["predictions"].format(device=f"sound-{device}") for device in hostile]
    for _ in range(3):  # a machine that stalls exceeds the time of any device
        for path in blobs:
            server.blobs.pop(path, None)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = score_command.run(
                build_parser("score").parse_args(words),
                open_store=lambda settings: open_scoring_store(settings, POLICY),
            )
        if all(path in server.blobs for path in blobs) and "DeadlineExceeded" not in err.getvalue():
            break
    assert code == 75
    assert CANARY not in err.getvalue() + out.getvalue()
    assert "unexpected" not in err.getvalue()
    lines = [json.loads(line) for line in err.getvalue().splitlines()]
    found = {line["device"]: line for line in lines if "device" in line}
    for device, kind in hostile.items():
        assert found[f"sound-{device}"]["outcome"] == "scored", found[f"sound-{device}"]
        path = PATHS["predictions"].format(device=f"sound-{device}")
        assert server.blobs[path].content.count(b"\n") == 6
        if not device.startswith("predictions"):  # a response to an upload may look like one of Blob Storage
            assert found[device]["reason"] in REASONS, (kind, found[device])


@pytest.mark.fault("T18")
def test_upload_that_is_not_stored_is_missing_in_the_report(server: BlobServer) -> None:
    for device in ("press-1", "press-2"):
        put_device(server, device)
    window = ("--window-start", START, "--window-end", END)
    server.fail("raw", method="PUT", path="press-1.csv", raw=response("201 Created"))
    assert scorer("score", *window, "--", "press-1", "press-2").code == 0
    result = scorer("report", *window)
    assert "incomplete" in result.out
    assert f"/account/predictions/{PREDICTIONS}/_SUCCESS" not in server.blobs
    assert scorer("score", *window, "--", "press-1", "press-2").code == 0
    assert "incomplete" not in scorer("report", *window).out
