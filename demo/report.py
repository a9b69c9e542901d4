"""Prints what came of a demo."""

from collections.abc import Sequence
from pathlib import Path

from demo import findings, places
from demo.findings import Device, Injected
from demo.readings import Prepared
from device_scorer.contract import blob_paths
from device_scorer.settings import Settings

_SETTINGS = Settings()
_SAMPLE_ROWS = 3


def show(prepared: Prepared, predictions: Path) -> tuple[list[Device], list[str]]:
    """Print the table of devices, how the injected anomalies fared, and three predictions.

    Args:
        prepared: what was scored.
        predictions: the folder that has the predictions under their blobs' names.

    Returns:
        The devices that have predictions, and what is wrong with how the injected anomalies were found.
    """
    devices, labelled, files = [], set(), []
    for name in prepared.devices:
        file = predictions / blob_paths.prediction_name(_SETTINGS.predictions_path, prepared.window, name)
        if file.exists():
            device, keys = findings.of_device(name, findings.read(file.read_text()))
            devices.append(device)
            labelled |= keys
            files.append(file)
    _table(devices)
    problems = []
    if prepared.truth is not None:
        injected = findings.compare(labelled, findings.read(prepared.truth.read_text()))
        _injected(injected)
        problems = findings.problems_of_injected(injected, sum(device.rows for device in devices))
    if files:
        _sample(max(zip(devices, files, strict=True), key=lambda pair: pair[0].anomalies)[1])
    return devices, problems


def _table(devices: Sequence[Device]) -> None:
    width = max([len("DEVICE"), *(len(device.name) for device in devices)])
    print(f"\n{'DEVICE':<{width}}  {'ROWS':>7}  {'ANOMALIES':>9}  STRONGEST")
    for device in devices:
        row = device.strongest
        strongest = f"tag {row['Tag']} = {row['Val']} at {row['TS']} (score {row['Score'][:9]})" if row else ""
        print(f"{device.name:<{width}}  {device.rows:>7,}  {device.anomalies:>9,}  {strongest}".rstrip())


def _injected(injected: Injected) -> None:
    total = injected.found + injected.missed
    print(f"\nInjected anomalies: {total}; found {injected.found}, missed {injected.missed}, false {injected.false}")


def _sample(file: Path) -> None:
    header, *rows = file.read_text().splitlines()
    anomalous = [
        number for number, row in enumerate(findings.read("\n".join([header, *rows]))) if row["Prediction"] == "1"
    ]
    # Three rows around the first anomaly, so that both labels are seen.
    first = max(0, min(anomalous[0] - 1 if anomalous else 0, len(rows) - _SAMPLE_ROWS))
    print(f"\nThree rows of {places.shown(file)}:\n{header}")
    print("\n".join(rows[first : first + _SAMPLE_ROWS]))


def verdict(problems: Sequence[str], advice: str) -> int:
    """Print the last line, PASS or FAIL with what is wrong before it; the exit code."""
    if not problems:
        print("\nPASS")
        return 0
    print("\nNot as it should be:")
    for problem in problems:
        print(f"  - {problem}")
    print(f"{advice}\nFAIL")
    return 1
