"""The command `check` of `helm test`: create one ScoringRun with one device and wait for its report.

`device-scorer check` creates and deletes the device's blobs, and compares the predictions.
"""

import argparse
import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scoring_operator.api.conditions import find_condition
from scoring_operator.api.scoringrun import GROUP, KIND, PLURAL, VERSION, has_ended
from scoring_operator.cli.arguments import add_namespace_argument, parse_positive_int, require
from scoring_operator.cli.exit_codes import run_to_exit_code
from scoring_operator.errors import NotFound
from scoring_operator.kube.client import KubeClient

EXIT_FAILED = 1
POLL_INTERVAL_SECONDS = 1.0
REPORT_TIMEOUT_SECONDS = 90.0  # from the end of the run to its report
WINDOW = {"start": "2000-01-01T00:00:00Z", "end": "2000-01-01T01:00:00Z"}  # the window of `device-scorer check`
Object = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check` to its parser."""
    parser.description = (
        "Create a ScoringRun for one device in the year 2000, wait for its end, print the result, and delete the run. "
        "Exit codes: 0 the device was scored, or has no model because no identity may write one; 1 otherwise."
    )
    parser.add_argument("--fleet", required=True, metavar="NAME", help="fleet of the run")
    parser.add_argument("--device", required=True, metavar="ID", help="id of the simulated device")
    parser.add_argument(
        "--seconds", type=parse_positive_int, default=900, metavar="N", help="time limit of the run (900)"
    )
    add_namespace_argument(parser, "the run")


def run(args: argparse.Namespace) -> int:
    """Create the run, evaluate it, and return the exit code (see `add_arguments`)."""
    return run_to_exit_code("check", _check(args))


async def _check(args: argparse.Namespace) -> int:
    require(args, "namespace")
    runs = f"/apis/{GROUP}/{VERSION}/namespaces/{args.namespace}/{PLURAL}"
    async with KubeClient.connect() as client:
        created = await client.create(runs, build_check_run(args.fleet, args.device))
        name = created["metadata"]["name"]
        print(f"ScoringRun {args.namespace}/{name} created: fleet {args.fleet}, device {args.device}", flush=True)
        try:
            status = await _wait_for_end(client, f"{runs}/{name}", args.seconds)
        finally:
            with suppress(NotFound):
                await client.delete(f"{runs}/{name}")
    code, text = evaluate(status)
    print(f"ScoringRun {args.namespace}/{name} {text}")
    return code


async def _wait_for_end(client: KubeClient, path: str, timeout_seconds: float) -> Object:
    """Wait for the run's end and its report, print each phase, and return the last status.

    Args:
        client: The client of the API server.
        path: The path of the run.
        timeout_seconds: The time limit in seconds.
    """
    phase, deadline = "", time.monotonic() + timeout_seconds
    while True:
        status: Object = (await client.get(path)).get("status") or {}
        if status.get("phase", phase) != phase:
            phase = status["phase"]
            print(f"  {phase}: {status.get('message', '')}", flush=True)
        if has_ended(status):
            # The report is written after the end, into the folder of the predictions, which is deleted afterwards.
            deadline = min(deadline, time.monotonic() + REPORT_TIMEOUT_SECONDS)
            reported = find_condition(status, "Reported")
            if reported is None or reported.status != "Unknown":
                return status
        if time.monotonic() > deadline:
            return status
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


def build_check_run(fleet: str, device: str) -> dict[str, Any]:
    """Return a ScoringRun of one device whose failure budget includes the device, so that it ends with counters."""
    limits = {"maxFailedDevices": "100%", "maxEmptyDevices": "100%", "ttlSecondsAfterFinished": 3600}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"generateName": "helm-test-"},
        "spec": {"fleet": fleet, "window": WINDOW, "devices": {"ids": [device]}, **limits},
    }


def evaluate(status: Object) -> tuple[int, str]:
    """Return the exit code, and a description of the run's end, for the last status of the run."""
    devices, results = status.get("devices", {}), status.get("results", {})
    if not has_ended(status):
        message = status.get("message") or "the operator has not written a status; check that its pod is ready"
        return EXIT_FAILED, f"has not ended in time: {message}"
    if devices.get("scored"):
        return 0, f"scored its device: {results.get('rows', 0)} rows, {results.get('anomalies', 0)} anomalies"
    if status.get("failureReasons") == {"ModelNotFound": 1}:
        return 0, (
            "found no model of its device. Self-check only: the operator created the Job, and its pod read the "
            "storage; no device was scored, because no identity may write a model"
        )
    failures = [f"{one.get('reason')}: {one.get('message')}" for one in status.get("failures", ())]
    return EXIT_FAILED, "; ".join([f"did not score its device: {status.get('message', '')}", *failures])
