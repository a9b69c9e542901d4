"""`make demo-local`: the scorer's part of the demo, in a folder."""

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from demo import dataset, output, workspace
from demo.dataset import Dataset
from demo.errors import DemoError


def run(folder: Path, now: datetime) -> int:
    """Simulate, train and score in a folder, and show what came of it; the exit code."""
    started = time.monotonic()
    print("No Kubernetes and no Azurite here: the scorer alone, on a folder. `make demo` is the whole of it.\n")
    prepared = dataset.simulate(folder, now)
    for command in ("score", "report"):
        run_scorer(command, prepared)
    devices, problems = output.print_results(prepared, prepared.store / "predictions")
    missing = len(prepared.devices) - len(devices)
    problems += [f"{missing} devices have no predictions"] if missing else []
    store = workspace.relative_to_checkout(prepared.store)
    print(f"\nEverything is in {store}: models/, data/, predictions/.")
    print(f"The report is {store}/predictions/{prepared.window.slug}/report.html.")
    print(f"Took {time.monotonic() - started:.0f} s.")
    return output.print_verdict(problems, "look at what the scorer printed above")


def run_scorer(command: str, prepared: Dataset) -> None:
    """Run ``device-scorer score`` or ``report`` on the prepared store, as a Job would."""
    start, end = prepared.window.interval.split("/")
    words = [command, "--store", str(prepared.store), "--window-start", start, "--window-end", end]
    words += ["--", *prepared.devices] if command == "score" else []
    code = subprocess.run([sys.executable, "-m", "device_scorer", *words], check=False).returncode
    if code:
        raise DemoError(f"device-scorer {command} ended with exit code {code}")
