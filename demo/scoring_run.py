"""The demo's ScoringRun, from its creation to its end."""

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml

from demo import workspace
from demo.errors import DemoError
from demo.kube_commands import KubeCommands
from demo.target import Target
from device_scorer.window import Window
from localcluster.progress import StepProgress, format_duration

SCORING_RUNS = "scoringruns.fleetscore.dev"
_RUN_TIMEOUT_SECONDS = 600
_REPORT_TIMEOUT_SECONDS = 120
_POLL_INTERVAL_SECONDS = 1


def delete_runs(kube: KubeCommands) -> None:
    """Delete the runs and Jobs of earlier demos, and wait until their scorers have ended."""
    if kube.run_kubectl("get", "crd", SCORING_RUNS, "--ignore-not-found", "--output=name"):
        kube.run_kubectl("delete", SCORING_RUNS, "--all", "--wait", "--timeout=60s")
    # The garbage collector deletes Jobs before their pods: a scorer may outlive its Job and still write predictions.
    for kind in ("jobs", "pods"):
        kube.run_kubectl("delete", kind, "--selector", "fleetscore.dev/run", "--wait", "--timeout=60s")


def create_run(target: Target, window: Window) -> str:
    """Apply examples/scoringrun.yaml for a window and return the run's name."""
    manifest = yaml.safe_load((workspace.CHECKOUT / "examples" / "scoringrun.yaml").read_text())
    manifest["metadata"]["name"] = f"demo-{_name_suffix(window.start)}"
    manifest["spec"]["window"] = {
        "start": f"{window.start:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{window.end:%Y-%m-%dT%H:%M:%SZ}",
    }
    path = target.workspace.demo_folder / "scoringrun.yaml"
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    target.kube.run_kubectl("apply", "-f", str(path))
    return str(manifest["metadata"]["name"])


def follow_run(kube: KubeCommands, name: str) -> dict[str, Any]:
    """Print a run's progress until it ends and return the run.

    Raises:
        DemoError: The run did not end in ten minutes.
    """
    started = time.monotonic()
    shown = ""
    while True:
        run = kube.get(SCORING_RUNS, name)
        text = progress_text(run)
        elapsed = time.monotonic() - started
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text} ({format_duration(elapsed)})", end="", flush=True)
        elif text != shown:
            print(f"{text} ({format_duration(elapsed)})", flush=True)
        shown = text
        if has_ended(run):
            if sys.stdout.isatty():
                print()
            return run
        if elapsed > _RUN_TIMEOUT_SECONDS:
            raise DemoError(
                f"the run {name} did not end in {format_duration(_RUN_TIMEOUT_SECONDS)}; {troubleshooting_hint(name)}"
            )
        time.sleep(_POLL_INTERVAL_SECONDS)


def wait_for_report(kube: KubeCommands, name: str, progress: StepProgress) -> list[str]:
    """Wait until the window's report is written and return the problems, if it is not."""
    with progress.step("waiting for the window's report", usual_seconds=10):
        deadline = time.monotonic() + _REPORT_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            reported = [
                each for each in kube.get(SCORING_RUNS, name)["status"]["conditions"] if each["type"] == "Reported"
            ]
            if reported and reported[0]["status"] == "True":
                return []
            if reported and reported[0]["status"] == "False":
                return [f"the report is missing: {reported[0]['reason']}: {reported[0]['message']}"]
            time.sleep(_POLL_INTERVAL_SECONDS)
    return [f"the report was not written in {format_duration(_REPORT_TIMEOUT_SECONDS)}"]


def has_ended(run: Mapping[str, Any]) -> bool:
    """Return True if a run is Complete or Failed."""
    conditions = run.get("status", {}).get("conditions", [])
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def progress_text(run: Mapping[str, Any]) -> str:
    """Return a run's state in a line, e.g. ``demo-...: Running, 7 of 12 devices done, 4 active``."""
    status = run.get("status", {})
    devices = status.get("devices", {})
    done = sum(devices.get(key, 0) for key in ("scored", "partial", "empty", "failed", "notRun", "alreadyScored"))
    text = f"{run['metadata']['name']}: {status.get('phase', 'not seen by the operator yet')}"
    if devices.get("total"):
        text += f", {done} of {devices['total']} devices done, {devices.get('active', 0)} active"
        text += f", {devices['failed']} failed" if devices.get("failed") else ""
    return text


def troubleshooting_hint(name: str) -> str:
    """Return the commands that show why a run has problems."""
    return f"run: .local/bin/kubectl describe sr {name}; .local/bin/kubectl logs deploy/{workspace.RELEASE}-operator"


def _name_suffix(instant: datetime) -> str:
    return f"{instant:%Y%m%dt%H%M%Sz}"
