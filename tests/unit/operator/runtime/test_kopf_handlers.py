"""The kopf handlers: restarts of kopf, its settings, and the events that the manager gets."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import kopf
import pytest

from scoring_operator.controller.timings import ProcessTimings, Timings
from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credentials import Credentials
from scoring_operator.runtime import kopf_handlers
from scoring_operator.runtime.settings import Settings, from_environment

if TYPE_CHECKING:
    from scoring_operator.runtime.manager import Manager

CREDENTIALS = Credentials(server="https://host:1", ca="CA", token="t", certificate="CERT", key="KEY")


class FakeManager:
    """Records the calls of the handlers."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.timings = Timings()

        self.readable: list[tuple[str, ...]] = []  # of the next calls; the last one repeats

    def readable_namespaces(self) -> tuple[str, ...]:
        return self.readable.pop(0) if len(self.readable) > 1 else (self.readable or [("a", "b")])[0]

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, *arguments) if arguments else name)


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


def settings(namespaces: str = "") -> Settings:
    return from_environment({"FLEETSCORE_SCORER_IMAGE": "scorer:1", "FLEETSCORE_WATCH_NAMESPACES": namespaces})


def run(manager: FakeManager, namespaces: str = "") -> None:
    kopf_handlers.run(settings(namespaces), cast("Manager", manager), CREDENTIALS)


def test_run_restarts_kopf_after_an_error_and_stops_the_manager_at_a_signal(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    pauses: list[float] = []
    outcomes = iter([RuntimeError("unknown error of a watch"), None])

    def run_kopf(**_: Any) -> None:
        if error := next(outcomes):
            raise error

    monkeypatch.setattr(kopf, "run", run_kopf)
    monkeypatch.setattr(time, "sleep", pauses.append)
    run(manager)
    assert pauses == [2.0]
    assert manager.calls == ["start", "stop"]


def test_run_without_a_started_manager_does_not_run_kopf(monkeypatch: pytest.MonkeyPatch, manager: FakeManager) -> None:
    def start() -> None:
        raise InvalidSettings("the port is taken")

    monkeypatch.setattr(manager, "start", start)
    monkeypatch.setattr(kopf, "run", lambda **_: pytest.fail("kopf was started"))
    with pytest.raises(InvalidSettings):
        run(manager)


@pytest.mark.parametrize(("namespaces", "clusterwide"), [("", True), ("a,b", False)])
def test_kopf_watches_the_namespaces_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager, namespaces: str, *, clusterwide: bool
) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", passed.update)
    run(manager, namespaces)
    assert passed["clusterwide"] is clusterwide
    assert passed["namespaces"] == tuple(filter(None, namespaces.split(",")))
    assert passed["standalone"] is True
    options = passed["settings"]
    assert (options.posting.enabled, options.scanning.disabled, options.peering.standalone) == (False, True, True)
    assert (options.watching.server_timeout, options.watching.inactivity_timeout) == (300, 70)
    assert (options.watching.chunk_size, options.queueing.idle_timeout) == (20, 0.5)


def test_namespace_that_may_not_be_listed_is_left_out_until_it_may(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    """kopf ends if one namespace is forbidden, so it is started without it, and again with it."""
    manager.readable = [("a",), ("a",), ("a",), ("a", "b")]
    manager.timings = Timings(process=ProcessTimings(namespace_recheck_interval=0.01))
    started: list[tuple[str, ...]] = []

    def run_kopf(
        *, registry: kopf.OperatorRegistry, namespaces: tuple[str, ...], stop_flag: asyncio.Event, **_: Any
    ) -> None:
        started.append(namespaces)
        for handler in registry._activities.get_all_handlers():
            if handler.id == "recheck":
                asyncio.run(started_and_stopped(cast("Any", handler.fn), stop_flag))

    async def started_and_stopped(start: Callable[[], Any], stop_flag: asyncio.Event) -> None:
        await start()
        await asyncio.wait_for(stop_flag.wait(), 120)

    monkeypatch.setattr(kopf, "run", run_kopf)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    run(manager, "a,b")
    assert started == [("a",), ("a", "b")]
    assert manager.calls == ["start", "stop"]


def test_without_any_readable_namespace_all_are_tried(monkeypatch: pytest.MonkeyPatch, manager: FakeManager) -> None:
    manager.readable = [()]
    passed: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", passed.update)
    run(manager, "a,b")
    assert passed["namespaces"] == ("a", "b")


def test_kopf_retries_requests_for_ever_with_at_most_20_seconds_between(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", passed.update)
    run(manager)
    delays = list(itertools.islice(passed["settings"].networking.error_backoffs, 1000))
    assert delays[:8] == [1, 1, 2, 3, 5, 8, 13, 20]
    assert set(delays[7:]) == {20}


@pytest.mark.parametrize(("kind", "passed_on"), [("ADDED", True), ("MODIFIED", True), (None, True), ("DELETED", False)])
async def test_event_of_a_run_is_passed_to_the_manager_without_body_if_deleted(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager, kind: str | None, *, passed_on: bool
) -> None:
    registry = registry_of(monkeypatch, manager)
    (handler,) = registry._watching.get_all_handlers()
    body = kopf.Body({"metadata": {"name": "r"}})
    await cast("Any", handler.fn)(event={"type": kind}, namespace="n", name="r", body=body)
    assert manager.calls[-1] == ("on_run_event", "n", "r", {"metadata": {"name": "r"}} if passed_on else None)


async def test_startup_sends_a_heartbeat_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    delays: list[float] = []
    registry = registry_of(monkeypatch, manager)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay, *_: delays.append(delay))
    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", lambda *_: None)
    start = next(one for one in registry._activities.get_all_handlers() if one.id.endswith("start"))
    await cast("Any", start.fn)()
    assert manager.calls[-1] == "heartbeat"
    assert delays == [10.0]


def test_login_passes_the_credentials_and_expires_after_30_minutes(
    monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    registry = registry_of(monkeypatch, manager)
    login = next(one for one in registry._activities.get_all_handlers() if one.id.endswith("login"))
    before = time.time()
    info = cast("Any", login.fn)()
    after = time.time()
    assert (info.server, info.token, info.certificate_data) == ("https://host:1", "t", "CERT")
    assert before + 1790 < info.expiration.timestamp() < after + 1810


def test_kopf_connects_as_the_operators_own_client_does(monkeypatch: pytest.MonkeyPatch, manager: FakeManager) -> None:
    account = Credentials(
        "https://host:1",
        proxy="http://proxy:1",
        server_name="kube",
        basic=("u", "p"),
        headers=(("Impersonate-User", "me"),),
    )
    passed: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", passed.update)
    kopf_handlers.run(settings(), cast("Manager", manager), account)
    login = next(one for one in passed["registry"]._activities.get_all_handlers() if one.id.endswith("login"))
    info = cast("Any", login.fn)()
    assert info.proxy_url == "http://proxy:1"
    assert info.as_http_headers() == [("Impersonate-User", "me"), ("Authorization", "Basic dTpw")]
    assert info.as_ssl_context().server_name == "kube"


def registry_of(monkeypatch: pytest.MonkeyPatch, manager: FakeManager) -> kopf.OperatorRegistry:
    """Return the registry that the handlers are registered in."""
    passed: dict[str, Any] = {}
    monkeypatch.setattr(kopf, "run", passed.update)
    run(manager)
    return cast("kopf.OperatorRegistry", passed["registry"])
