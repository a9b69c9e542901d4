"""Creates the demo's ScoringRun and follows it to its end."""

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import yaml

from demo import places
from demo.errors import DemoError
from demo.kube import Kube
from demo.target import Target
from device_scorer.window import Window
from localcluster.progress import Progress, clock

RESOURCE = "scoringruns.fleetscore.dev"
_DEADLINE_SECONDS = 600
_REPORT_SECONDS = 120
_POLL_SECONDS = 1


def clear(kube: Kube) -> None:
    """Delete what an earlier demo's runs left, and wait until none of their scorers can write any more."""
    if kube.run("get", "crd", RESOURCE, "--ignore-not-found", "--output=name"):
        kube.run("delete", RESOURCE, "--all", "--wait", "--timeout=60s")
    mine = ["--selector", "fleetscore.dev/run", "--cascade=foreground"]
    kube.run("delete", "jobs", *mine, "--wait", "--timeout=60s")


def create(target: Target, window: Window) -> str:
    """Apply examples/scoringrun.yaml for a window; the run's name."""
    run = yaml.safe_load((places.CHECKOUT / "examples" / "scoringrun.yaml").read_text())
    run["metadata"]["name"] = f"demo-{_stamp(window.start)}"
    run["spec"]["window"] = {"start": f"{window.start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{window.end:%Y-%m-%dT%H:%M:%SZ}"}
    path = target.where.demo / "scoringrun.yaml"
    path.write_text(yaml.safe_dump(run, sort_keys=False))
    target.kube.run("apply", "-f", str(path))
    return str(run["metadata"]["name"])


def follow(kube: Kube, name: str) -> dict[str, Any]:
    """Show a run's progress until it ends; its last state. DemoError where it does not end in ten minutes."""
    started = time.monotonic()
    shown = ""
    while True:
        run = kube.get(RESOURCE, name)
        text = progress_text(run)
        elapsed = time.monotonic() - started
        if sys.stdout.isatty():
            print(f"\r\x1b[K{text} ({clock(elapsed)})", end="", flush=True)
        elif text != shown:
            print(f"{text} ({clock(elapsed)})", flush=True)
        shown = text
        if ended(run):
            if sys.stdout.isatty():
                print()
            return run
        if elapsed > _DEADLINE_SECONDS:
            raise DemoError(f"the run {name} did not end in {clock(_DEADLINE_SECONDS)}; {advice(name)}")
        time.sleep(_POLL_SECONDS)


def wait_for_report(kube: Kube, name: str, progress: Progress) -> list[str]:
    """Wait until the window's report is written; what is wrong where it is not."""
    with progress.step("waiting for the window's report", usual_seconds=10):
        deadline = time.monotonic() + _REPORT_SECONDS
        while time.monotonic() < deadline:
            told = [each for each in kube.get(RESOURCE, name)["status"]["conditions"] if each["type"] == "Reported"]
            if told and told[0]["status"] == "True":
                return []
            if told and told[0]["status"] == "False":
                return [f"there is no report: {told[0]['reason']}: {told[0]['message']}"]
            time.sleep(_POLL_SECONDS)
    return [f"the report did not come in {clock(_REPORT_SECONDS)}"]


def ended(run: Mapping[str, Any]) -> bool:
    """Whether a run is Complete or Failed."""
    conditions = run.get("status", {}).get("conditions", [])
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def progress_text(run: Mapping[str, Any]) -> str:
    """A run's state in a line, e.g. ``demo-...: Running, 7 of 12 devices done, 4 active``."""
    status = run.get("status", {})
    devices = status.get("devices", {})
    done = sum(devices.get(key, 0) for key in ("scored", "partial", "empty", "failed", "notRun", "alreadyScored"))
    text = f"{run['metadata']['name']}: {status.get('phase', 'not seen by the operator yet')}"
    if devices.get("total"):
        text += f", {done} of {devices['total']} devices done, {devices.get('active', 0)} active"
        text += f", {devices['failed']} failed" if devices.get("failed") else ""
    return text


def advice(name: str) -> str:
    """Where to look when a run is not as it should be."""
    return f"look at: .local/bin/kubectl describe sr {name}; .local/bin/kubectl logs deploy/{places.RELEASE}-operator"


def _stamp(instant: datetime) -> str:
    return f"{instant:%Y%m%dt%H%M%Sz}"
