"""The demo's ScoringRun, from its creation to its end."""

import time
from datetime import datetime
from typing import Any

import yaml

from demo import workspace
from demo.errors import DemoError
from demo.kube_commands import KubeCommands
from demo.target import Target
from device_scorer.window import Window
from fleetscore.cli.output import console
from fleetscore.cli.watch import watch
from fleetscore.runs.follow import follow
from fleetscore.runs.state import has_ended
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


def follow_run(kube: KubeCommands, name: str, *, timeout_seconds: float = _RUN_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Show a run with the client's `status --watch` until it ends, and return the run.

    Args:
        kube: The commands of the cluster.
        name: The name of the run.
        timeout_seconds: The time in which the run has to end.

    Raises:
        DemoError: The run did not end in time.
    """
    runs = follow(
        lambda: kube.get(SCORING_RUNS, name),
        poll_seconds=_POLL_INTERVAL_SECONDS,
        timeout_seconds=timeout_seconds,
    )
    run = watch(runs, console())
    if run is None or not has_ended(run):
        raise DemoError(
            f"the run {name} did not end in {format_duration(timeout_seconds)}; {troubleshooting_hint(name)}"
        )
    return run


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


def troubleshooting_hint(name: str) -> str:
    """Return the commands that show why a run has problems."""
    return (
        f"run: .local/bin/kubectl fleetscore status {name}; .local/bin/kubectl logs deploy/{workspace.RELEASE}-operator"
    )


def _name_suffix(instant: datetime) -> str:
    return f"{instant:%Y%m%dt%H%M%Sz}"
