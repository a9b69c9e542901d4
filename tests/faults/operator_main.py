"""The operator as it ships, with what a fault needs put around it: devices from memory, death, a wrong clock, haste.

python -m tests.faults.operator_main --devices 20 --die-after 7 --clock 3600 --haste 10

Settings come from the environment as for `scoring-operator run`. Nothing of this is a switch of the product: its
functions and constants are wrapped here, before it starts.
"""

import argparse
import os
import signal
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp

from scoring_operator import cli as command
from scoring_operator.api.fleets import Fleet
from scoring_operator.kube import transport
from scoring_operator.kube.client import ClientTimeouts, KubeClient
from scoring_operator.runtime import kopf_handlers, manager
from tests.testkit.in_memory_storage import InMemoryStorage

# How long the operator waits in vain: what a hurried one waits a fraction of.
WAITS = (
    "RELIST_INTERVAL_SECONDS",
    "RESYNC_INTERVAL_SECONDS",
    "MAX_BACKOFF_SECONDS",
    "ASSUMED_TIMEOUT_SECONDS",
    "STALL_TIMEOUT_SECONDS",
    "INSPECTION_INTERVAL_SECONDS",
    "STORAGE_RETRY_SECONDS",
    "RESTART_DELAY_SECONDS",
)
KOPF_PAUSES = (1, 1, 2, 3, 5, 8, 13, *[20] * 10_000)


def having(name: str) -> list[ModuleType]:
    """The operator's modules that have this name."""
    every = [module for key, module in sys.modules.items() if key.startswith("scoring_operator")]
    found = [module for module in every if hasattr(module, name)]
    assert found, f"the operator has no {name} any more"
    return found


def replace(name: str, value: Any) -> None:
    """Put a value in the place of the operator's own, wherever it was imported."""
    for module in having(name):
        setattr(module, name, value)


def die_after(writes: int) -> None:
    """End the process by SIGKILL when its n-th write was answered, before anything in it learns of that."""
    send, written = transport.Transport._send_once, 0

    async def counted(self: transport.Transport, request: transport.Request) -> aiohttp.ClientResponse:
        nonlocal written
        response = await send(self, request)
        renewal = request.verb == "PUT" and "/leases/" in request.path  # comes by the clock, at no fixed place
        if request.method != "GET" and response.status < 300 and not renewal:
            written += 1
            if written == writes:
                print(f"killed after write {written}, {request}", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        return response

    transport.Transport._send_once = counted  # type: ignore[method-assign]  # this is the wrapper


def shift_clock(seconds: float) -> None:
    """Set the process's clock wrong."""
    true_time = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    time.time = lambda: true_time() + seconds
    manager.datetime = Shifted  # type: ignore[attr-defined]  # the only other place that asks for the time


def hurry(factor: float) -> None:
    """Shorten the times that the operator waits in vain, kopf's among them."""
    for name in WAITS:
        for module in having(name):
            setattr(module, name, getattr(module, name) / factor)
    usual = ClientTimeouts()
    limits = ClientTimeouts(
        idle=usual.idle / factor, retry_budget=usual.retry_budget / factor, request=usual.request / factor
    )
    connect, kopf_settings = KubeClient.connect, kopf_handlers._kopf_settings

    def hurried(*arguments: Any, **options: Any) -> AbstractAsyncContextManager[KubeClient]:
        return connect(*arguments, timeouts=limits, **options)

    def hurried_kopf() -> Any:
        made: Any = kopf_settings()
        made.watching.inactivity_timeout /= factor
        made.networking.request_timeout /= factor
        made.networking.error_backoffs = [pause / factor for pause in KOPF_PAUSES]
        return made

    KubeClient.connect = hurried  # type: ignore[method-assign, assignment]  # this is the wrapper
    kopf_handlers._kopf_settings = hurried_kopf


@dataclass
class Recorded(InMemoryStorage):
    """Storage in memory, but for outcome records, which stand in a folder."""

    folder: Path | None = None

    async def read_outcome(self, fleet: Fleet, run_uid: str, job_name: str) -> bytes | None:
        path = self.folder / job_name if self.folder and run_uid and fleet else None
        return path.read_bytes() if path and path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--poison", action="store_true", help="one of the devices kills its Job")
    parser.add_argument("--records", type=Path, help="folder with the outcome records of Jobs, by name")
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--clock", type=float, default=0)
    parser.add_argument("--haste", type=float, default=1)
    parser.add_argument("--grace", type=float, default=60, help="seconds before an ended run's Jobs are deleted")
    wanted = parser.parse_args()
    storage = Recorded([f"press-{number:03}" for number in range(wanted.devices)], folder=wanted.records)
    if wanted.poison:
        storage.models[wanted.devices // 2] = "poison"
    assert manager in having("Storage")
    replace("Storage", lambda _secrets: storage)
    replace("CLEANUP_DELAY", timedelta(seconds=wanted.grace))
    if wanted.die_after:
        die_after(wanted.die_after)
    if wanted.clock:
        shift_clock(wanted.clock)
    if wanted.haste != 1:
        hurry(wanted.haste)
    return command.main(["run"])


if __name__ == "__main__":
    sys.exit(main())
