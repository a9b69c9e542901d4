"""`make demo-local`: the scorer alone, in a folder."""

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from demo import dataset, output, workspace
from demo.dataset import Dataset
from demo.errors import DemoError


def run(folder: Path, now: datetime) -> int:
    """Simulate, train and score in a folder, print the results, and return the exit code."""
    started = time.monotonic()
    print("No Kubernetes and no Azurite: the scorer alone, in a folder. `make demo` runs all of Fleetscore.\n")
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
    return output.print_verdict(problems, "the output of the scorer is above")


def run_scorer(command: str, prepared: Dataset) -> None:
    """Run ``device-scorer score`` or ``report`` on the prepared store, as a Job would."""
    start, end = prepared.window.interval.split("/")
    words = [command, "--store", str(prepared.store), "--window-start", start, "--window-end", end]
    words += ["--", *prepared.devices] if command == "score" else []
    code = subprocess.run([sys.executable, "-m", "device_scorer", *words], check=False).returncode
    if code:
        raise DemoError(f"device-scorer {command} ended with exit code {code}")
