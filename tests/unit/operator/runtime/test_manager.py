"""The manager without an API server: its thread, its probes and its events."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster.allocation import free_port
from scoring_operator.controller.timings import ProcessTimings, Timings
from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credentials import Credentials
from scoring_operator.runtime.manager import NAMESPACE_CHECK_SECONDS, Manager, _run_until_first_ends
from scoring_operator.runtime.settings import from_environment
from tests.testkit.builders import a_body

UNREACHABLE = Credentials(server="http://127.0.0.1:9")


def a_manager(port: int, tmp_path: Path, **timings: Any) -> Manager:
    environment = {"FLEETSCORE_SCORER_IMAGE": "scorer:1", "FLEETSCORE_METRICS_PORT": str(port)}
    settings = from_environment(environment | {"FLEETSCORE_SECRETS_DIR": str(tmp_path)})
    return Manager(settings, {}, UNREACHABLE, timings=Timings(process=ProcessTimings(**timings)))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def manager(port: int, tmp_path: Path) -> Iterator[Manager]:
    manager = a_manager(port, tmp_path)
    manager.start()
    yield manager
    manager.stop()


def probe(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.usefixtures("manager")
def test_started_manager_is_alive_and_not_ready_before_jobs_are_listed(port: int) -> None:
    assert probe(port, "/healthz")[0] == 200
    code, text = probe(port, "/readyz")
    assert code == 503
    assert "Jobs are not listed yet" in text


@pytest.mark.parametrize(
    ("timeout", "problem"), [(-1.0, "the watch of Jobs has been silent"), (600.0, "")], ids=["silent", "active"]
)
def test_silent_watch_is_a_liveness_problem(port: int, tmp_path: Path, timeout: float, problem: str) -> None:
    manager = a_manager(port, tmp_path, liveness_timeout=timeout)
    manager.start()
    try:
        code, text = probe(port, "/healthz")
    finally:
        manager.stop()
    assert (code == 503) is bool(problem)
    assert problem in text


def test_taken_port_is_an_invalid_setting(port: int, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", port))  # noqa: S104  # as the probes do
        listener.listen()
        with pytest.raises(InvalidSettings, match=f"FLEETSCORE_METRICS_PORT={port}"):
            a_manager(port, tmp_path).start()


def test_event_without_a_controller_is_only_observed_by_the_metrics(manager: Manager) -> None:
    manager.on_run_event("scoring", "hourly", a_body())
    manager.on_run_event("scoring", "hourly", None)
    assert not manager.failed


def test_stopped_manager_frees_its_port(port: int, tmp_path: Path) -> None:
    manager = a_manager(port, tmp_path)
    manager.start()
    manager.stop()
    manager.request_stop()
    with pytest.raises(urllib.error.URLError):
        probe(port, "/healthz")


async def test_first_end_cancels_the_other_coroutines_and_raises_its_error() -> None:
    cancelled = []

    async def fail() -> None:
        raise ValueError("first")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(ValueError, match="first"):
        await _run_until_first_ends(wait(), fail())
    assert cancelled


def test_check_of_a_namespace_ends_after_10_s() -> None:
    assert NAMESPACE_CHECK_SECONDS == 10
