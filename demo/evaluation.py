"""Checks of a run's predictions and status. Pure."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from demo.dataset import Dataset

# The models label single readings: nearly all injected anomalies, and hardly any other reading.
MIN_FOUND_SHARE, MAX_FALSE_SHARE = 0.95, 0.01


class ReadingKey(NamedTuple):
    """The key of one reading."""

    ts: str
    device: str
    tag: str


@dataclass(frozen=True)
class DevicePredictions:
    """The number of a device's predictions and anomalies, and its most anomalous row (None without anomalies)."""

    name: str
    rows: int
    anomalies: int
    strongest_anomaly: Mapping[str, str] | None


@dataclass(frozen=True)
class InjectionResult:
    """The number of injected anomalies that were found and missed, and of labels without an injected anomaly."""

    found: int
    missed: int
    false: int


def summarise_device(name: str, predictions: Iterable[Mapping[str, str]]) -> tuple[DevicePredictions, set[ReadingKey]]:
    """Return a summary of a device's predictions, and the keys of its anomalies."""
    rows = list(predictions)
    anomalous = [row for row in rows if row["Prediction"] == "1"]
    strongest = min(anomalous, key=lambda row: float(row["Score"] or 0), default=None)
    keys = {ReadingKey(row["TS"], row["Device"], row["Tag"]) for row in anomalous}
    return DevicePredictions(name, len(rows), len(anomalous), strongest), keys


def compare_with_truth(labelled: set[ReadingKey], truth: Iterable[Mapping[str, str]]) -> InjectionResult:
    """Compare the labelled readings with the injected anomalies."""
    injected = {ReadingKey(row["TS"], row["Device"], row["Tag"]) for row in truth}
    return InjectionResult(len(labelled & injected), len(injected - labelled), len(labelled - injected))


def parse_csv(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV as mappings from column to value."""
    return list(csv.DictReader(text.splitlines()))


def check_injections(injected: InjectionResult, rows: int) -> list[str]:
    """Return the problems of the detection of injected anomalies.

    Args:
        injected: The numbers of found, missed and false anomalies.
        rows: The number of predictions.
    """
    problems = []
    total = injected.found + injected.missed
    if injected.found < MIN_FOUND_SHARE * total:
        problems.append(f"only {injected.found} of {total} injected anomalies were found")
    if injected.false > MAX_FALSE_SHARE * rows:
        problems.append(f"{injected.false} of {rows} readings were labelled as anomalies without an injected one")
    return problems


def check_run(run: Mapping[str, Any], prepared: Dataset, devices: Sequence[DevicePredictions]) -> list[str]:
    """Return the problems of a finished run: its condition, its counts, and differences from the predictions."""
    status = run["status"]
    counts, results = status.get("devices", {}), status.get("results", {})
    problems = []
    if not any(each["type"] == "Complete" and each["status"] == "True" for each in status["conditions"]):
        problems.append(f"the run is {status.get('phase')}: {status.get('message')}")
    # The user's devices may have no readings in the window.
    empty = counts.get("empty", 0) if prepared.truth is None else 0
    expected = {"total": len(prepared.devices), "scored": len(prepared.devices) - empty, "failed": 0}
    expected |= {"predictions": expected["scored"]}
    found = {key: counts.get(key, 0) for key in ("total", "scored", "failed")} | {"predictions": len(devices)}
    problems += [
        f"{key}: {found[key]} devices, expected {expected[key]}" for key in expected if found[key] != expected[key]
    ]
    read_back = {"rows": sum(each.rows for each in devices), "anomalies": sum(each.anomalies for each in devices)}
    problems += [
        f"status.results.{key} is {results.get(key, 0)}, the predictions have {value}"
        for key, value in read_back.items()
        if results.get(key, 0) != value
    ]
    return problems
