"""The command `ui` as a process: it serves, and ends with Ctrl-C."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fleetscore.cli import main
from tests.testkit.console_fleet import write_fleet


@pytest.mark.slow
def test_console_is_served_on_this_machine_until_ctrl_c(tmp_path: Path) -> None:
    arguments = ["ui", "--store", str(write_fleet(tmp_path)), "--port", "0"]
    command = [sys.executable, "-c", f"import sys; from fleetscore.cli import main; sys.exit(main({arguments!r}))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = re.match(r"console on (http://127\.0\.0\.1:\d+/) ", process.stdout.readline())
            assert address
            response = httpx.get(address[1], timeout=30)
            assert (response.status_code, "server" in response.headers) == (200, False)
            assert httpx.get(address[1], headers={"Host": "evil.example"}, timeout=30).status_code == 421
        finally:
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_port_in_use_is_an_error_with_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["ui", "--store", str(tmp_path), "--port", port]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert error == f"error: port {port} cannot be used: Address already in use; name another with --port"
