"""The operator, with in-memory storage and injected faults: death after a write, a wrong clock, short intervals.

python -m tests.faults.operator_main --devices 20 --die-after 7 --clock 3600 --speedup 10

The settings are from the environment, as for `scoring-operator run`.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from scoring_operator.api.fleets import Fleet
from scoring_operator.cli import run
from scoring_operator.controller.timings import DEFAULT_TIMINGS, Timings
from scoring_operator.kube.transport import Request, Transport
from tests.testkit.in_memory_storage import InMemoryStorage


def dying_transport(writes: int) -> type[Transport]:
    """Return connections that kill the process when its n-th write was answered, before anything learns of that."""
    written = 0

    class Dying(Transport):
        @asynccontextmanager
        async def send(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
            nonlocal written
            async with super().send(request) as response:
                renewal = request.verb == "PUT" and "/leases/" in request.path  # comes by the clock, at no fixed place
                if request.method != "GET" and not renewal:
                    written += 1
                    if written == writes:
                        print(f"killed after write {written}, {request}", file=sys.stderr, flush=True)
                        os.kill(os.getpid(), signal.SIGKILL)
                yield response

    return Dying


def shift_clock(seconds: float) -> None:
    """Set the process's clock wrong, for the libraries too."""
    true_time = time.time
    time.time = lambda: true_time() + seconds


MIN_REQUEST_SECONDS = 15.0  # an API server on a busy machine needs seconds for a response


def short_timings(factor: float, cleanup_delay: float, resync_interval: float) -> Timings:
    """Return timings in which the operator waits only a fraction of its intervals for missing events and responses."""
    default = DEFAULT_TIMINGS
    client, process = default.client, default.process
    controller = replace(default.controller, resync_interval=resync_interval)
    return Timings(
        planner=replace(default.planner, cleanup_delay=cleanup_delay),
        controller=replace(
            controller,
            resync_interval=controller.resync_interval / factor,
            max_backoff=controller.max_backoff / factor,
            assumed_timeout=controller.assumed_timeout / factor,
            stall_timeout=controller.stall_timeout / factor,
            inspection_interval=controller.inspection_interval / factor,
            discovery_retry_interval=controller.discovery_retry_interval / factor,
        ),
        client=replace(
            client,
            idle=client.idle / factor,
            retry_budget=client.retry_budget / factor,
            request=max(client.request / factor, MIN_REQUEST_SECONDS),
        ),
        relist_interval=default.relist_interval / factor,
        process=replace(
            process,
            restart_delay=process.restart_delay / factor,
            kopf_restart_delay=process.kopf_restart_delay / factor,
            kopf_inactivity_timeout=process.kopf_inactivity_timeout / factor,
            kopf_request_timeout=max(process.kopf_request_timeout / factor, MIN_REQUEST_SECONDS),
            kopf_backoffs=tuple(delay / factor for delay in process.kopf_backoffs),
        ),
    )


@dataclass
class Recorded(InMemoryStorage):
    """Storage in memory, except outcome records, which are stored in a folder."""

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
    parser.add_argument("--speedup", type=float, default=1)
    parser.add_argument("--grace", type=float, default=60, help="seconds before an ended run's Jobs are deleted")
    resync = DEFAULT_TIMINGS.controller.resync_interval
    parser.add_argument("--resync", type=float, default=resync, help="seconds after which all runs have a pass")
    wanted = parser.parse_args()
    storage = Recorded([f"press-{number:03}" for number in range(wanted.devices)], folder=wanted.records)
    if wanted.poison:
        storage.models[wanted.devices // 2] = "poison"
    if wanted.clock:
        shift_clock(wanted.clock)
    return run.serve(
        storage=storage,
        timings=short_timings(wanted.speedup, wanted.grace, wanted.resync),
        transport_type=dying_transport(wanted.die_after) if wanted.die_after else None,
    )


if __name__ == "__main__":
    sys.exit(main())
