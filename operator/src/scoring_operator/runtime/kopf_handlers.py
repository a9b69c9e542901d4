"""The only kopf: it watches ScoringRuns and passes them on. Nothing is decided here.

`on.event` alone: it writes nothing on the object, neither finalizer nor annotation.
"""

import asyncio
import itertools
import logging
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from scoring_operator.api.scoringrun import GROUP, PLURAL, VERSION
from scoring_operator.kube.credentials import Credentials
from scoring_operator.runtime.manager import Manager
from scoring_operator.runtime.settings import Settings

LOGIN_EXPIRATION_MINUTES = 30  # then the token's file is read again
HEARTBEAT_INTERVAL_SECONDS = 10.0
RESTART_DELAY_SECONDS = 2.0  # before kopf begins again when it ended by itself

_log = logging.getLogger(__name__)


class _EndlessBackoff:
    """Pauses before repeated requests, in seconds, without an end: kopf ends the process when they run out."""

    def __iter__(self) -> itertools.chain[int]:
        return itertools.chain((1, 1, 2, 3, 5, 8, 13), itertools.repeat(20))


def run(settings: Settings, manager: Manager, credentials: Credentials) -> None:
    """Run kopf in this thread until a signal ends it; the service runs meanwhile.

    kopf ends by itself where a watch is answered with an error that it does not know, or is forbidden. The service
    need not end with it: it looks at all runs once a minute, and hears of their changes when kopf is back.

    Args:
        settings: The operator's.
        service: Not started yet.
        credentials: As whom kopf watches.

    Raises:
        SettingsInvalid: The service cannot start.
    """
    manager.start()
    try:
        while not _run_kopf(settings, manager, credentials):
            time.sleep(RESTART_DELAY_SECONDS)
    finally:
        manager.stop()


def _run_kopf(settings: Settings, manager: Manager, credentials: Credentials) -> bool:
    """Run kopf until it ends; say whether a signal ended it."""
    registry = kopf.OperatorRegistry()
    stopping = asyncio.Event()
    _register_handlers(registry, manager, credentials, stopping)
    try:
        kopf.run(
            registry=registry,
            settings=_kopf_settings(),
            # Else kopf asks for the user's name, and a container's user need not have one.
            identity=settings.pod_name,  # type: ignore[arg-type]  # a str by another name that kopf does not export
            standalone=True,
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            stop_flag=stopping,
        )
    except Exception as error:  # noqa: BLE001  # whatever ended it, the operator goes on
        _log.warning("the watch of ScoringRuns ended and begins again in %s s: %s", RESTART_DELAY_SECONDS, error)
        return stopping.is_set()
    return True


def _register_handlers(
    registry: kopf.OperatorRegistry, manager: Manager, credentials: Credentials, stopping: asyncio.Event
) -> None:
    def stop() -> None:
        manager.request_stop()
        stopping.set()

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        await asyncio.sleep(0)  # kopf sets its own handlers of signals meanwhile; with ours the lease is free at once
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop)
        _send_heartbeat(manager)

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_data=credentials.ca,
            token=credentials.bearer_token(),
            certificate_data=credentials.certificate,
            private_key_data=credentials.key,
            insecure=credentials.insecure,
            expiration=datetime.now(UTC) + timedelta(minutes=LOGIN_EXPIRATION_MINUTES),
        )

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def on_run_event(
        event: Mapping[str, Any], namespace: str | None, name: str, body: kopf.Body, **_: Any
    ) -> None:
        manager.on_run_event(namespace or "", name, None if event["type"] == "DELETED" else dict(body))


def _send_heartbeat(manager: Manager) -> None:
    manager.heartbeat()
    asyncio.get_running_loop().call_later(HEARTBEAT_INTERVAL_SECONDS, _send_heartbeat, manager)


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = _EndlessBackoff()
    settings.process.ultimate_exiting_timeout = 25
    return settings
