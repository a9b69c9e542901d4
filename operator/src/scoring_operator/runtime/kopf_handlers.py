"""The kopf handlers, which pass events of ScoringRuns to the manager. Other modules do not import kopf.

Only `on.event` is used, because it writes neither finalizers nor annotations to the object.
"""

import asyncio
import itertools
import logging
import signal
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION, relevant_fields
from scoring_operator.controller.timings import ProcessTimings
from scoring_operator.kube.credentials import Credentials
from scoring_operator.runtime.manager import Manager
from scoring_operator.runtime.settings import Settings

LOGIN_EXPIRATION_MINUTES = 30  # then kopf reads the token's file again
HEARTBEAT_INTERVAL_SECONDS = 10.0
WORKER_IDLE_SECONDS = 0.5  # kopf keeps the object of an event for this time after handling it
LIST_CHUNK_SIZE = 20  # ScoringRuns in one response: a run has at most 1.5 MiB in etcd

_log = logging.getLogger(__name__)


class _Stop:
    """The end of one start of kopf."""

    def __init__(self) -> None:
        self.flag = asyncio.Event()
        self.by_signal = False


class _EndlessBackoff:
    """An endless sequence of retry delays, in seconds; kopf ends the process after the last delay of a finite one."""

    def __init__(self, delays: Sequence[float]) -> None:
        self._delays = delays

    def __iter__(self) -> itertools.chain[float]:
        return itertools.chain(self._delays, itertools.repeat(self._delays[-1]))


@dataclass(frozen=True, kw_only=True)
class _Connection(kopf.ConnectionInfo):
    """A connection with the TLS settings and headers of the operator's own client."""

    account: Credentials

    def as_http_headers(self) -> list[tuple[str, str]]:  # type: ignore[override]  # kopf passes them to aiohttp
        authorization = self.account.authorization()
        return [*self.account.headers, *([("Authorization", authorization)] if authorization else [])]

    def as_ssl_context(self) -> ssl.SSLContext:
        return self.account.ssl_context()


def run(settings: Settings, manager: Manager, credentials: Credentials) -> None:
    """Start the manager and run kopf in this thread until a signal arrives.

    kopf ends by itself after an unknown error of a watch, or a forbidden one. The manager continues meanwhile: it lists
    all runs every minute, and gets events again after kopf's restart.

    Args:
        settings: The operator's settings.
        manager: The manager, not started yet.
        credentials: The credentials for kopf's watch.

    Raises:
        InvalidSettings: The manager cannot start.
    """
    manager.start()
    try:
        while not _run_kopf(settings, manager, credentials):
            time.sleep(manager.timings.process.kopf_restart_delay)
    finally:
        manager.stop()


def _run_kopf(settings: Settings, manager: Manager, credentials: Credentials) -> bool:
    """Run kopf until it ends; return True if a signal ended it."""
    registry, timings = kopf.OperatorRegistry(), manager.timings.process
    # kopf ends if one namespace may not be listed, so it gets the others only.
    namespaces = manager.readable_namespaces() if settings.watch_namespaces else ()
    stop = _Stop()
    _register_handlers(registry, manager, credentials, stop)
    if namespaces != settings.watch_namespaces:
        _register_recheck(registry, manager, namespaces, stop)
    try:
        kopf.run(
            registry=registry,
            settings=_kopf_settings(timings),
            # Without an identity kopf reads the user's name, which a container may lack.
            identity=settings.pod_name,  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            standalone=True,
            clusterwide=not settings.watch_namespaces,
            namespaces=namespaces or settings.watch_namespaces,
            stop_flag=stop.flag,
        )
    except Exception as error:  # noqa: BLE001  # the operator continues after any error of kopf
        _log.warning("the watch of ScoringRuns ended and restarts in %s s: %s", timings.kopf_restart_delay, error)
        return stop.by_signal
    return stop.by_signal or not stop.flag.is_set()


def _register_handlers(
    registry: kopf.OperatorRegistry, manager: Manager, credentials: Credentials, stop: _Stop
) -> None:
    def on_signal() -> None:
        manager.request_stop()
        stop.by_signal = True
        stop.flag.set()

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        await asyncio.sleep(0)  # kopf installs its signal handlers first; ours release the Lease at once
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, on_signal)
        _send_heartbeat(manager)

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return _Connection(
            account=credentials,
            server=credentials.server,
            ca_data=credentials.ca,
            token=credentials.bearer_token(),
            certificate_data=credentials.certificate,
            private_key_data=credentials.key,
            insecure=credentials.insecure,
            proxy_url=credentials.proxy,
            expiration=datetime.now(UTC) + timedelta(minutes=LOGIN_EXPIRATION_MINUTES),
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def on_run_event(
        event: Mapping[str, Any], namespace: str | None, name: str, body: kopf.Body, **_: Any
    ) -> None:
        manager.on_run_event(namespace or "", name, None if event["type"] == "DELETED" else relevant_fields(body))


def _register_recheck(
    registry: kopf.OperatorRegistry, manager: Manager, namespaces: tuple[str, ...], stop: _Stop
) -> None:
    """Stop kopf, so that it is started again, when other namespaces can be listed."""
    tasks = []

    async def recheck() -> None:
        while await asyncio.to_thread(manager.readable_namespaces) == namespaces:  # noqa: ASYNC110  # without an event
            await asyncio.sleep(manager.timings.process.namespace_recheck_interval)
        stop.flag.set()

    @kopf.on.startup(registry=registry, id="recheck")
    async def start_recheck(**_: Any) -> None:
        tasks.append(asyncio.create_task(recheck()))  # the list keeps the task


def _send_heartbeat(manager: Manager) -> None:
    manager.heartbeat()
    asyncio.get_running_loop().call_later(HEARTBEAT_INTERVAL_SECONDS, _send_heartbeat, manager)


def _kopf_settings(timings: ProcessTimings) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.chunk_size = LIST_CHUNK_SIZE
    settings.queueing.idle_timeout = WORKER_IDLE_SECONDS
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = timings.kopf_inactivity_timeout
    settings.networking.request_timeout = timings.kopf_request_timeout
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = _EndlessBackoff(timings.kopf_backoffs)
    settings.process.ultimate_exiting_timeout = 25
    return settings
