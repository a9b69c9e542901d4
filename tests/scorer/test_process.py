"""The process as a pod starts it: what it imports, how it ends, what it leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest

from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, Fleet, a_model, bundle, readings

HEAVY = ("sklearn", "scipy", "pandas", "joblib", "numpy", "logging", "xml.etree.ElementTree", "azure")
MOMENTS = 6
LINE = ("score", "--window-start", START, "--window-end", END)


def start(*words: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "device_scorer", *words],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_known_pipeline_is_scored_without_numpy_scikit_learn_pandas_or_scipy(fleet: Fleet) -> None:
    fleet.device()
    code = (
        "import sys, device_scorer.cli as main\n"
        f"code = main.run({['score', '--store', str(fleet.folder), *LINE[1:], '--', 'press-1']!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["press-1  scored  5 rows, 0 anomalies", "[]"]


def test_on_azure_too_neither_scikit_learn_nor_pandas_nor_numpy_is_imported() -> None:
    code = (
        "import sys, device_scorer.cli.score, device_scorer.store.azure\n"
        "print([name for name in ('sklearn', 'scipy', 'pandas', 'joblib', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("command", ["score", "train", "simulate", "import"])
def test_help_explains_each_command_with_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "device_scorer", command, "--help"], capture_output=True, text=True, check=True
    )
    assert f"device-scorer {command} --store ./folder" in done.stdout


def test_help_lists_the_commands() -> None:
    done = subprocess.run([sys.executable, "-m", "device_scorer", "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in ("score", "train", "simulate", "import", "report", "fetch"))


def fill(server: BlobServer, *devices: str) -> dict[str, str]:
    for device in devices:
        server.put(f"/account/models/{device}.joblib", bundle({"1": a_model()}))
        server.put(f"/account/data/20180828T2300Z/{device}.csv", readings(device))
    return {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": server.url, "AZURE_STORAGE_SAS_TOKEN": SAS}


def until(seen: object, seconds: float = 60.0) -> None:
    """Wait for a callable to be true."""
    ends = time.monotonic() + seconds
    while not seen():  # type: ignore[operator]  # a callable
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.fault("F34")
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_sigterm_ends_it_at_once_with_75_and_whole_blobs_or_none(method: str, tmp_path: Path) -> None:
    message = tmp_path / "message"
    with serving() as server:
        environment = fill(server, "press-1", "press-2")
        server.fail("silent", times=100, method=method, path="press-2.csv" if method != "GET" else "press-2.joblib")
        words = (
            *LINE,
            "--termination-log",
            str(message),
            "--run-uid",
            "u",
            "--job-name",
            "j",
            "--",
            "press-1",
            "press-2",
        )
        process = start(*words, environment=environment)
        done = f"/account/predictions/{PREDICTIONS}/press-1.csv"
        until(
            lambda: (
                done in server.blobs and any("press-2" in path for found, path, _ in server.requests if found == method)
            )
        )
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert time.monotonic() - began < 5
        assert process.returncode == 75
        found = json.loads(message.read_bytes())
        assert found["outcomes"] in ({"scored": "0"}, {})
        assert "transient" not in found
        assert json.loads(server.blobs["/account/predictions/_runs/u/j.json"].content)["devices"] == 2
        assert [path for path in server.blobs if path.endswith("press-2.csv") and "predictions" in path] == []


@pytest.mark.fault("F34")
def test_sigterm_while_all_devices_wait_for_the_listing_ends_it_at_once_with_75() -> None:
    with serving() as server:
        environment = fill(server, "press-1", "press-2")
        server.fail("silent", times=100, method="GET", path="/account/predictions")
        process = start(*LINE, "--", "press-1", "press-2", environment=environment)
        until(lambda: server.requests)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert time.monotonic() - began < 5
        assert process.returncode == 75
        assert predictions_on(server) == {}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 30])
def test_a_device_costs_three_requests_and_its_job_three_more(count: int) -> None:
    devices = [f"press-{number}" for number in range(count)]
    with serving() as server:
        environment = fill(server, *devices)
        process = start(*LINE, "--run-uid", "u", "--job-name", "j", "--", *devices, environment=environment)
        process.communicate(timeout=60)
        asked = Counter("LIST" if "comp=list" in path else method for method, path, _ in server.requests)
    assert process.returncode == 0
    look = "HEAD" if count == 1 else "LIST"
    assert asked == {look: 1, "DELETE": 1, "GET": 2 * count, "PUT": count + 1}


@pytest.mark.slow
@pytest.mark.fault("F34")
def test_a_retried_pod_finds_all_that_is_complete_in_one_listing() -> None:
    devices = [f"press-{number}" for number in range(30)]
    with serving() as server:
        environment = fill(server, *devices)
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--")
        start(*words, *devices[:20], environment=environment).communicate(timeout=60)
        server.requests.clear()
        process = start(*words, *devices, environment=environment)
        process.communicate(timeout=60)
        asked = [(method, path) for method, path, _ in server.requests]
        assert process.returncode == 0
        assert sum("comp=list" in path for _, path in asked) == 1
        assert [path for method, path in asked if method == "HEAD"] == []
        assert sum(method == "GET" and path.startswith("/account/models/") for method, path in asked) == 10
        assert len(predictions_on(server)) == 30


def predictions_on(server: BlobServer) -> dict[str, bytes]:
    return {path: blob.content for path, blob in server.blobs.items() if path.startswith("/account/predictions/2018")}


@pytest.mark.slow  # many processes
@pytest.mark.fault("F34")
def test_told_to_stop_at_any_moment_it_leaves_whole_blobs_and_the_next_pod_does_the_rest(record_measurement: RecordMeasurement) -> None:
    devices = [f"press-{number}" for number in range(12)]
    words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", *devices)
    with serving() as server:
        environment = fill(server, *devices)
        start(*words, environment=environment).communicate(timeout=60)
        requests, whole = len(server.requests), predictions_on(server)
        assert len(whole) == len(devices)
        codes, left = [], []
        for moment in range(MOMENTS):
            for path in whole:
                server.blobs.pop(path, None)
            server.requests.clear()
            process = start(*words, environment=environment)
            until(lambda now=moment: len(server.requests) >= requests * now // MOMENTS)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            codes.append(process.returncode)
            left.append(len(predictions_on(server)))
            assert predictions_on(server).items() <= whole.items()
            start(*words, environment=environment).communicate(timeout=60)
            assert predictions_on(server) == whole
    # Before Python runs our code the signal's default ends the process, too.
    assert set(codes) <= {0, 75, -signal.SIGTERM}
    assert len(set(left)) > 2
    record_measurement(f"{MOMENTS} moments, {', '.join(map(str, left))} of {len(devices)} devices done, never a part of one")


@pytest.mark.slow
@pytest.mark.fault("F32")
def test_killed_and_started_again_it_does_only_the_rest() -> None:
    with serving() as server:
        environment = fill(server, "press-1", "press-2")
        server.fail("silent", method="PUT", path="press-2.csv", times=1)
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", "press-1", "press-2")
        process = start(*words, environment=environment)
        done = f"/account/predictions/{PREDICTIONS}/press-1.csv"
        until(
            lambda: (
                done in server.blobs and any("press-2" in path for found, path, _ in server.requests if found == "PUT")
            )
        )
        process.kill()
        process.communicate(timeout=20)
        server.requests.clear()
        again = start(*words, environment=environment)
        again.communicate(timeout=30)
        assert again.returncode == 0
        assert not any("press-1.joblib" in path for _, path, _ in server.requests)
        record = json.loads(server.blobs["/account/predictions/_runs/u/j.json"].content)
        assert record["outcomes"] == {"scored": "0-1"}
        assert record["rows"] == 10


@pytest.mark.slow
@pytest.mark.fault("F29", "T18")
def test_two_pods_for_one_device_leave_one_blob_and_both_are_content() -> None:
    with serving() as server:
        environment = fill(server, "press-1")
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", "press-1")
        pods = [start(*words, environment=environment) for _ in range(3)]
        for pod in pods:
            pod.communicate(timeout=60)
        assert [pod.returncode for pod in pods] == [0, 0, 0]
        assert server.accepted.count(f"/account/predictions/{PREDICTIONS}/press-1.csv") == 1


def test_another_machine_writes_the_same_bytes(fleet: Fleet) -> None:
    devices = [fleet.device(f"press-{number}", tags=("b", "a", "c")) for number in range(3)]
    found = set()
    for seed, zone, language in (("1", "UTC", "C"), ("4711", "America/St_Johns", "de_DE.UTF-8")):
        environment = {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language}
        process = start(*LINE, "--store", str(fleet.folder), "--", *devices, environment=environment)
        process.communicate(timeout=60)
        assert process.returncode == 0
        found.add(tuple(fleet.predictions(device) for device in devices))
        for device in devices:
            fleet.store.delete("predictions", f"{PREDICTIONS}/{device}.csv")
    assert len(found) == 1


@pytest.mark.fault("F33")
def test_a_termination_log_that_cannot_be_written_spoils_nothing(fleet: Fleet, tmp_path: Path) -> None:
    fleet.device()
    said = fleet.score("--termination-log", str(tmp_path / "no" / "such" / "place"))
    assert said.code == 0
    assert "could not be written" in said.err


@pytest.mark.fault("F33")
def test_it_writes_nowhere_but_the_store_and_the_message(fleet: Fleet, tmp_path: Path) -> None:
    """A read-only root file system without /tmp is enough: any other opening for writing is an error here."""
    fleet.device()
    message = tmp_path / "message"
    code = (
        "import os, sys\n"
        "WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], str) and arguments[2] & WRITES:\n"
        f"        assert str(arguments[0]).startswith(({str(fleet.folder)!r}, {str(message)!r})), arguments\n"
        "sys.addaudithook(hook)\n"
        "import device_scorer.cli as main\n"
        f"words = ['--store', {str(fleet.folder)!r}, '--termination-log', {str(message)!r}, '--', 'press-1']\n"
        f"sys.exit(main.run([*{list(LINE)!r}, *words]))"
    )
    subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True)
    assert message.exists()


@pytest.mark.fault("F33")
def test_a_full_disk_leaves_no_half_predictions(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.device()
    original = os.fdopen

    class Full:
        def __init__(self, handle: int) -> None:
            self.file = original(handle, "wb")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", lambda handle, _mode: Full(handle))
    said = fleet.score()
    assert (said.code, "No space left on device" in said.out) == (75, True)
    assert fleet.predictions() is None
    assert [path for path in (fleet.folder / "predictions").rglob("*") if path.is_file()] == []
