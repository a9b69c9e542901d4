"""The command `ui` as a process: it serves, and ends with Ctrl-C."""

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetscore.cli import main
from fleetscore.console.security import LOCAL_HOSTS
from tests.testkit.console_fleet import write_fleet


@pytest.mark.slow
def test_console_is_served_on_this_machine_until_ctrl_c(tmp_path: Path) -> None:
    arguments = ["ui", "--store", str(write_fleet(tmp_path)), "--port", "0"]
    command = [sys.executable, "-c", "import sys; from fleetscore.cli import main; sys.exit(main())", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = re.match(r"console on (http://127\.0\.0\.1:\d+/) ", process.stdout.readline())
            assert address
            response = httpx.get(address[1], timeout=120)
            assert (response.status_code, "server" in response.headers) == (200, False)
            assert httpx.get(address[1], headers={"Host": "evil.example"}, timeout=120).status_code == 421
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (130, "")


def test_port_in_use_is_an_error_with_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["ui", "--store", str(tmp_path), "--port", port]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert error == f"error: port {port} cannot be used: Address already in use; name another with --port"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--address", "localhost"], "address 'localhost' is invalid: it must be an IP address of this machine"),
        (["--address", "192.0.2.1"], "port 8087 of 192.0.2.1 cannot be used: "),
        (["--allowed-host", "*"], "allowed host '*' is invalid: it must be a host name without"),
        (["--fleets", "{"], "the fleets are invalid: "),
        (["--fleets", "9" * 5000], "the fleets are invalid: "),
        (["--fleets", "[" * 100_000], "the fleets are invalid: "),
        (["--fleets", '{"fleets": [{}]}'], "the fleets file is invalid"),
    ],
    ids=["name", "other-machine", "wildcard", "no-json", "long", "deep", "no-fleet"],
)
def test_invalid_options_are_errors_with_the_next_step(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ui", "--store", str(tmp_path), *arguments]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert error.startswith(f"error: {problem}")
    assert "; " in error


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "*", "::"])
def test_address_that_others_reach_prints_a_warning(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: dict[str, object] = {}
    watched: list[object] = []
    monkeypatch.setattr("fleetscore.console.server.serve", lambda *given: served.update(hosts=given[2]))
    monkeypatch.setattr("fleetscore.console.storage_watch.start_watch", watched.append)
    options = ["--address", address, "--port", "0", "--allowed-host", "Console.example.com"]
    assert main(["ui", "--store", str(tmp_path), *options]) == 0
    output = capsys.readouterr()
    assert ("has no login" in output.err) == (address in ("*", "::")) == bool(watched)
    shown = {"*": "localhost", "::": "[::]"}.get(address, address)
    assert output.out.startswith(f"console on http://{shown}:")
    assert served["hosts"] == LOCAL_HOSTS | {"console.example.com"}


def test_given_fleets_replace_those_of_the_config_map(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr("fleetscore.console.server.serve", lambda *given: found.append(given[0]))
    monkeypatch.setattr("fleetscore.cluster.connection.Cluster.connect", lambda *_: object())
    storage = {"accountUrl": "https://storage.example.com", "predictions": "out"}
    monkeypatch.setenv("FLEETSCORE_FLEETS", json.dumps({"fleets": [{"name": "presses", "storage": storage}]}))
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=secret")
    assert main(["ui", "--fleet", "presses", "--port", "0"]) == 0
    # The administrator names this account, so it may have a domain of its own.
    assert (found[0].layout.name, found[0].store.location) == ("presses", "https://storage.example.com")
    assert main(["ui", "--fleet", "pumps", "--port", "0"]) == 1
