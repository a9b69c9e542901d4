"""The scorer's process as a pod starts it: its imports, its end, and the blobs that it leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testkit.blob_server import SAS, BlobServer, serving
from tests.testkit.command_lines import interrupt_import, on_a_full_disk, without_reader
from tests.testkit.measurements import RecordMeasurement
from tests.testkit.scorer_fleet import END, PREDICTIONS, START, Fleet, a_model, bundle, readings
from tests.testkit.waiting import shortest, until

SLOW_IMPORTS = ("dataclasses", "inspect", "logging", "xml.etree.ElementTree")
HEAVY = ("sklearn", "scipy", "pandas", "joblib", "numpy", *SLOW_IMPORTS, "azure", "obstore")
MOMENTS = 6
BUFFERED = {"PYTHONUNBUFFERED": ""}  # as in a shell
LINE = ("score", "--window-start", START, "--window-end", END)


def start(*words: str, environment: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "device_scorer", *words],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def fill(server: BlobServer, *devices: str) -> dict[str, str]:
    for device in devices:
        server.put(f"/account/models/{device}.joblib", bundle({"1": a_model()}))
        server.put(f"/account/data/20180828T2300Z/{device}.csv", readings(device))
    return {"FLEETSCORE_AUTH": "sas", "FLEETSCORE_ACCOUNT_URL": server.url, "AZURE_STORAGE_SAS_TOKEN": SAS}


def is_requested(server: BlobServer, method: str, name: str) -> bool:
    return any(name in path for found, path, _ in server.requests if found == method)


def predictions_on(server: BlobServer) -> dict[str, bytes]:
    return {
        path: blob.content for path, blob in dict(server.blobs).items() if path.startswith("/account/predictions/2018")
    }


def test_trainers_pipeline_is_scored_without_heavy_imports(fleet: Fleet) -> None:
    fleet.device()
    code = (
        "import sys, device_scorer.cli as main\n"
        f"code = main.run({['score', '--store', str(fleet.folder), *LINE[1:], '--', 'press-1']!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["press-1  scored  5 rows, 0 anomalies", "[]"]


def test_scoring_on_azure_imports_no_sdk_and_nothing_that_trains() -> None:
    with serving() as server:
        environment = fill(server, "press-1")
        code = (
            "import sys, device_scorer.cli as main\n"
            f"code = main.run({[*LINE, '--', 'press-1']!r})\n"
            f"print([name for name in {(*HEAVY[:-1], 'requests', 'ssl', 'http')!r} if name in sys.modules])\n"
            "sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["score", "train", "simulate", "import"])
def test_help_explains_each_command_with_an_example(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "device_scorer", command, "--help"],
        env=os.environ | BUFFERED,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"device-scorer {command} --store ./folder" in done.stdout


def test_help_lists_the_commands() -> None:
    done = subprocess.run([sys.executable, "-m", "device_scorer", "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in ("score", "train", "simulate", "import", "report", "fetch"))


@pytest.mark.parametrize("environment", [BUFFERED, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("words", [("--help",), ("--version",), ("score", "--help")], ids="-".join)
def test_output_on_a_full_disk_is_an_error_of_one_line(words: tuple[str, ...], environment: dict[str, str]) -> None:
    line = [sys.executable, "-m", "device_scorer", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(line, env=os.environ | environment, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 75
    assert json.loads(done.stderr)["message"] == (
        "the output cannot be written: No space left on device; free some space and repeat"
    )


@pytest.mark.parametrize(("opened", "code", "errors"), [(on_a_full_disk, 75, 1), (without_reader, 141, 0)])
def test_output_that_cannot_be_written_costs_no_device_and_no_message(
    opened: Callable[[], int], code: int, errors: int, fleet: Fleet, tmp_path: Path
) -> None:
    devices = [fleet.device(f"press-{number}") for number in range(9)]
    words = (*LINE, "--store", str(fleet.folder), "--termination-log", str(tmp_path / "message"), "--", *devices)
    output = opened()
    line = [sys.executable, "-m", "device_scorer", *words]
    done = subprocess.run(line, stdout=output, stderr=subprocess.PIPE, check=False)
    os.close(output)
    assert (done.returncode, done.stderr.count(b"\n")) == (code, errors)
    assert json.loads((tmp_path / "message").read_bytes())["outcomes"] == {"scored": "0-8"}
    assert all(map(fleet.predictions, devices))


@pytest.mark.parametrize(
    ("redirection", "words", "code"),
    [(">&-", ("--version",), 0), ("2>&-", ("train", "--unknown"), 64), ("2>/dev/full", ("train", "--unknown"), 64)],
)
def test_closed_stream_or_unwritable_log_keeps_the_exit_code(
    redirection: str, words: tuple[str, ...], code: int
) -> None:
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "device_scorer", *words]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.parametrize("module", ["device_scorer.cli", "device_scorer.log", "device_scorer.scoring.worker_pool"])
def test_interrupt_during_an_import_ends_the_process_without_a_text(module: str) -> None:
    done = interrupt_import("device_scorer", module, ["score", "--help"])
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.fault("F34")
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_sigterm_ends_the_process_with_75_and_whole_blobs_or_none(method: str, tmp_path: Path) -> None:
    message = tmp_path / "message"
    words = (*LINE, "--termination-log", str(message), "--run-uid", "u", "--job-name", "j", "--", "press-1", "press-2")

    def seconds_to_end() -> float:
        with serving() as server:
            environment = fill(server, "press-1", "press-2")
            path = "press-2.csv" if method != "GET" else "press-2.joblib"
            server.fail("silent", times=100, method=method, path=path)
            process = start(*words, environment=environment)
            done = f"/account/predictions/{PREDICTIONS}/press-1.csv"
            until(lambda: done in server.blobs and is_requested(server, method, "press-2"), "press-2 waits")
            seconds = seconds_from_sigterm(process)
            assert process.returncode == 75
            found = json.loads(message.read_bytes())
            assert found["outcomes"] in ({"scored": "0"}, {})
            assert "transient" not in found
            assert json.loads(server.blobs["/account/predictions/_runs/u/j.json"].content)["devices"] == 2
            assert [path for path in server.blobs if path.endswith("press-2.csv") and "predictions" in path] == []
            return seconds

    assert shortest(seconds_to_end, 5) < 5


def seconds_from_sigterm(process: "subprocess.Popen[bytes]") -> float:
    """Send SIGTERM and return the seconds until the process has ended."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=180)
    return time.monotonic() - began


@pytest.mark.fault("F34")
def test_sigterm_during_the_listing_ends_the_process_with_75() -> None:
    def seconds_to_end() -> float:
        with serving() as server:
            environment = fill(server, "press-1", "press-2")
            server.fail("silent", times=100, method="GET", path="/account/predictions")
            process = start(*LINE, "--", "press-1", "press-2", environment=environment)
            until(lambda: server.requests, "a request")
            seconds = seconds_from_sigterm(process)
            assert process.returncode == 75
            assert predictions_on(server) == {}
            return seconds

    assert shortest(seconds_to_end, 5) < 5


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 30])
def test_a_device_costs_three_requests_and_its_job_three_more(count: int) -> None:
    devices = [f"press-{number}" for number in range(count)]
    with serving() as server:
        environment = fill(server, *devices)
        process = start(*LINE, "--run-uid", "u", "--job-name", "j", "--", *devices, environment=environment)
        process.communicate(timeout=180)
        requested = Counter("LIST" if "comp=list" in path else method for method, path, _ in server.requests)
    assert process.returncode == 0
    # The check of one device is a GET of the first byte, that of _SUCCESS too.
    check = {} if count == 1 else {"LIST": 1}
    assert requested == {**check, "GET": 2 * count + (2 if count == 1 else 1), "PUT": count + 1}


@pytest.mark.slow
@pytest.mark.fault("F34")
def test_retried_pod_finds_complete_devices_by_one_listing() -> None:
    devices = [f"press-{number}" for number in range(30)]
    with serving() as server:
        environment = fill(server, *devices)
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--")
        start(*words, *devices[:20], environment=environment).communicate(timeout=180)
        server.requests.clear()
        process = start(*words, *devices, environment=environment)
        process.communicate(timeout=180)
        requested = [(method, path) for method, path, _ in server.requests]
        assert process.returncode == 0
        assert sum("comp=list" in path for _, path in requested) == 1
        assert sum(method == "GET" and path.partition("?")[0].endswith(".csv") for method, path in requested) == 20 + 10
        assert sum(method == "GET" and path.startswith("/account/models/") for method, path in requested) == 10
        assert len(predictions_on(server)) == 30


def stop_after(requests: int, server: BlobServer, words: tuple[str, ...], environment: dict[str, str]) -> int:
    """Send SIGTERM to a process after a number of its requests, and return its exit code.

    The server holds later requests until then, so that the process does not end before the signal.
    """
    reached, sent = threading.Event(), threading.Event()

    def hold(_method: str, _path: str) -> None:
        if len(server.requests) > requests:
            reached.set()
            sent.wait(180)

    server.before = hold
    process = start(*words, environment=environment)
    assert requests == 0 or reached.wait(180)
    process.send_signal(signal.SIGTERM)
    sent.set()
    process.communicate(timeout=180)
    server.before = lambda _method, _path: None
    return process.returncode


@pytest.mark.slow  # many processes
@pytest.mark.fault("F34")
def test_sigterm_at_any_moment_leaves_whole_blobs_and_the_next_pod_continues(
    record_measurement: RecordMeasurement,
) -> None:
    devices = [f"press-{number}" for number in range(12)]
    words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", *devices)
    with serving() as server:
        environment = fill(server, *devices)
        start(*words, environment=environment).communicate(timeout=180)
        requests, whole = len(server.requests), predictions_on(server)
        assert len(whole) == len(devices)
        codes, left = [], []
        for moment in range(MOMENTS):
            for path in whole:
                server.blobs.pop(path, None)
            server.requests.clear()
            codes.append(stop_after(requests * moment // MOMENTS, server, words, environment))
            left.append(len(predictions_on(server)))
            assert predictions_on(server).items() <= whole.items()
            start(*words, environment=environment).communicate(timeout=180)
            assert predictions_on(server) == whole
    # The signal's default action also ends the process before Python has installed the handler.
    assert set(codes) <= {0, 75, -signal.SIGTERM}
    assert len(set(left)) > 2
    record_measurement(
        f"{MOMENTS} moments, {', '.join(map(str, left))} of {len(devices)} devices done, never a part of one"
    )


@pytest.mark.slow
@pytest.mark.fault("F32")
def test_killed_process_is_continued_by_the_next_one() -> None:
    with serving() as server:
        environment = fill(server, "press-1", "press-2")
        server.fail("silent", method="PUT", path="press-2.csv", times=1)
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", "press-1", "press-2")
        process = start(*words, environment=environment)
        done = f"/account/predictions/{PREDICTIONS}/press-1.csv"
        until(lambda: done in server.blobs and is_requested(server, "PUT", "press-2"), "press-2 waits")
        process.kill()
        process.communicate(timeout=180)
        server.requests.clear()
        again = start(*words, environment=environment)
        again.communicate(timeout=180)
        assert again.returncode == 0
        assert not any("press-1.joblib" in path for _, path, _ in server.requests)
        record = json.loads(server.blobs["/account/predictions/_runs/u/j.json"].content)
        assert record["outcomes"] == {"scored": "0-1"}
        assert record["rows"] == 10


@pytest.mark.slow
@pytest.mark.fault("F29", "T18")
def test_three_pods_for_one_device_write_one_blob_and_all_succeed() -> None:
    with serving() as server:
        environment = fill(server, "press-1")
        words = (*LINE, "--run-uid", "u", "--job-name", "j", "--", "press-1")
        pods = [start(*words, environment=environment) for _ in range(3)]
        for pod in pods:
            pod.communicate(timeout=180)
        assert [pod.returncode for pod in pods] == [0, 0, 0]
        assert server.accepted.count(f"/account/predictions/{PREDICTIONS}/press-1.csv") == 1


def test_bytes_do_not_depend_on_hash_seed_zone_or_locale(fleet: Fleet) -> None:
    devices = [fleet.device(f"press-{number}", tags=("b", "a", "c")) for number in range(3)]
    found = set()
    for seed, zone, language in (("1", "UTC", "C"), ("4711", "America/St_Johns", "de_DE.UTF-8")):
        environment = {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": language}
        process = start(*LINE, "--store", str(fleet.folder), "--", *devices, environment=environment)
        process.communicate(timeout=180)
        assert process.returncode == 0
        found.add(tuple(fleet.predictions(device) for device in devices))
        for device in devices:
            fleet.store.delete("predictions", f"{PREDICTIONS}/{device}.csv")
    assert len(found) == 1


@pytest.mark.fault("F33")
def test_process_writes_only_to_the_store_and_the_message(fleet: Fleet, tmp_path: Path) -> None:
    """Any other file that is opened for writing is an error, so that a read-only root without /tmp is enough."""
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
        f"rest = ['--store', {str(fleet.folder)!r}, '--termination-log', {str(message)!r}, '--', 'press-1']\n"
        f"sys.exit(main.run([*{list(LINE)!r}, *rest]))"
    )
    subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True)
    assert message.exists()
