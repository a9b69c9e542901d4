"""The printed results of a demo."""

from collections.abc import Sequence
from pathlib import Path

from demo import evaluation, workspace
from demo.dataset import Dataset
from demo.evaluation import DevicePredictions, InjectionResult
from device_scorer.contract import blob_paths
from device_scorer.settings import Settings

_DEFAULT_SETTINGS = Settings()
_SAMPLE_ROW_COUNT = 3


def print_results(prepared: Dataset, predictions: Path) -> tuple[list[DevicePredictions], list[str]]:
    """Print the table of devices, the numbers of found and missed anomalies, and three predictions.

    Args:
        prepared: The scored dataset.
        predictions: The folder of the predictions, under the names of their blobs.

    Returns:
        The devices with predictions, and the problems of the detection of injected anomalies.
    """
    devices, labelled, files = [], set(), []
    for name in prepared.devices:
        file = predictions / blob_paths.prediction_name(_DEFAULT_SETTINGS.predictions_path, prepared.window, name)
        if file.exists():
            device, keys = evaluation.summarise_device(name, evaluation.parse_csv(file.read_text()))
            devices.append(device)
            labelled |= keys
            files.append(file)
    _print_devices(devices)
    problems = []
    if prepared.truth is not None:
        injected = evaluation.compare_with_truth(labelled, evaluation.parse_csv(prepared.truth.read_text()))
        _print_injections(injected)
        problems = evaluation.check_injections(injected, sum(device.rows for device in devices))
    if files:
        _print_sample(max(zip(devices, files, strict=True), key=lambda pair: pair[0].anomalies)[1])
    return devices, problems


def _print_devices(devices: Sequence[DevicePredictions]) -> None:
    width = max([len("DEVICE"), *(len(device.name) for device in devices)])
    print(f"\n{'DEVICE':<{width}}  {'ROWS':>7}  {'ANOMALIES':>9}  STRONGEST")
    for device in devices:
        row = device.strongest_anomaly
        strongest = f"tag {row['Tag']} = {row['Val']} at {row['TS']} (score {row['Score'][:9]})" if row else ""
        print(f"{device.name:<{width}}  {device.rows:>7,}  {device.anomalies:>9,}  {strongest}".rstrip())


def _print_injections(result: InjectionResult) -> None:
    total = result.found + result.missed
    print(f"\nInjected anomalies: {total}; found {result.found}, missed {result.missed}, false {result.false}")


def _print_sample(file: Path) -> None:
    header, *rows = file.read_text().splitlines()
    anomalous = [
        number
        for number, row in enumerate(evaluation.parse_csv("\n".join([header, *rows])))
        if row["Prediction"] == "1"
    ]
    # Three rows around the first anomaly, so that both labels are shown.
    first = max(0, min(anomalous[0] - 1 if anomalous else 0, len(rows) - _SAMPLE_ROW_COUNT))
    print(f"\nThree rows of {workspace.relative_to_checkout(file)}:\n{header}")
    print("\n".join(rows[first : first + _SAMPLE_ROW_COUNT]))


def print_verdict(problems: Sequence[str], hint: str) -> int:
    """Print the problems, then PASS or FAIL, and return the exit code.

    Args:
        problems: The problems; none means PASS.
        hint: The line that names what to inspect.
    """
    if not problems:
        print("\nPASS")
        return 0
    print("\nProblems:")
    for problem in problems:
        print(f"  - {problem}")
    print(f"{hint}\nFAIL")
    return 1
