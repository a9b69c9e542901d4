"""`scoring-operator check`: what `helm test` runs: one ScoringRun over one device, from creation to its report.

The device and its blobs are made and taken away by `device-scorer check`, which also compares the predictions.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from scoring_operator.api.conditions import find_condition
from scoring_operator.api.scoringrun import GROUP, KIND, PLURAL, VERSION, has_ended
from scoring_operator.cli.create_run import run_to_exit_code
from scoring_operator.errors import InvalidSettings, NotFound
from scoring_operator.kube.client import KubeClient

EXIT_FAILED = 1
POLL_INTERVAL_SECONDS = 1.0  # seconds
REPORT_TIMEOUT_SECONDS = 90.0  # after the end, that the run's report is waited for
WINDOW = {"start": "2000-01-01T00:00:00Z", "end": "2000-01-01T01:00:00Z"}  # that of `device-scorer check`
Object = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `check` to its parser."""
    parser.description = (
        "Create a ScoringRun over one device in the year 2000, wait for its end, say how it ended, and delete it. "
        "Exit codes: 0 the device was scored, or has no model because nothing may write one; 1 neither."
    )
    parser.add_argument("--fleet", required=True, metavar="NAME", help="fleet of the run")
    parser.add_argument("--device", required=True, metavar="ID", help="the made-up device")
    parser.add_argument("--seconds", type=float, default=900, metavar="N", help="how long the run may take (900)")
    parser.add_argument(
        "--namespace",
        default=os.environ.get("POD_NAMESPACE"),
        metavar="NAME",
        help="namespace of the run (default: the environment's POD_NAMESPACE)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the run and judge it; see `add_arguments` for the exit codes."""
    return run_to_exit_code("check", _check(args))


async def _check(args: argparse.Namespace) -> int:
    if not args.namespace:
        raise InvalidSettings("no namespace is given: use --namespace")
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
    """Wait for the run's end and its report, telling each change of its phase; give its status as it is then."""
    phase, deadline = "", time.monotonic() + timeout_seconds
    while True:
        status: Object = (await client.get(path)).get("status") or {}
        if status.get("phase", phase) != phase:
            phase = status["phase"]
            print(f"  {phase}: {status.get('message', '')}", flush=True)
        if has_ended(status):
            # The report comes after the end, and writes beside the predictions that are taken away afterwards.
            deadline = min(deadline, time.monotonic() + REPORT_TIMEOUT_SECONDS)
            if (find_condition(status, "Reported") or {}).get("status") != "Unknown":
                return status
        if time.monotonic() > deadline:
            return status
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


def build_check_run(fleet: str, device: str) -> dict[str, Any]:
    """The run: one device, scored anew whatever was there, and no failure too many, so that it ends with its counts."""
    limits = {"maxFailedDevices": "100%", "maxEmptyDevices": "100%", "ttlSecondsAfterFinished": 3600}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"generateName": "helm-test-"},
        "spec": {"fleet": fleet, "window": WINDOW, "devices": {"ids": [device]}, **limits},
    }


def evaluate(status: Object) -> tuple[int, str]:
    """The exit code, and in words how the run ended that had this status at last."""
    devices, results = status.get("devices", {}), status.get("results", {})
    if not has_ended(status):
        message = status.get("message") or "the operator has said nothing: is its pod ready?"
        return EXIT_FAILED, f"has not ended in time: {message}"
    if devices.get("scored"):
        return 0, f"scored its device: {results.get('rows', 0)} rows, {results.get('anomalies', 0)} anomalies"
    if status.get("failureReasons") == {"ModelNotFound": 1}:
        return 0, (
            "found no model of its device. Self-check only: the operator made the Job, and its pod read the storage; "
            "nothing was scored, because nothing here may write a model"
        )
    failures = [f"{one.get('reason')}: {one.get('message')}" for one in status.get("failures", ())]
    return EXIT_FAILED, "; ".join([f"did not score its device: {status.get('message', '')}", *failures])
