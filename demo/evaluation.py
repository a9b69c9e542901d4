"""What the predictions say, and whether that is as it should be. Pure."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from demo.dataset import Dataset

# The models see single readings: of the injected anomalies nearly all, of the others hardly any may be labelled.
MIN_FOUND_SHARE, MAX_FALSE_SHARE = 0.95, 0.01


class ReadingKey(NamedTuple):
    """One reading."""

    ts: str
    device: str
    tag: str


@dataclass(frozen=True)
class DevicePredictions:
    """One device's predictions: how many, how many anomalous, and the most anomalous row (None without one)."""

    name: str
    rows: int
    anomalies: int
    strongest_anomaly: Mapping[str, str] | None


@dataclass(frozen=True)
class InjectionResult:
    """The injected anomalies that were labelled and that were not, and labels without an injected anomaly."""

    found: int
    missed: int
    false: int


def summarise_device(name: str, predictions: Iterable[Mapping[str, str]]) -> tuple[DevicePredictions, set[ReadingKey]]:
    """A device's figures, and its readings that are labelled as anomalies."""
    rows = list(predictions)
    anomalous = [row for row in rows if row["Prediction"] == "1"]
    strongest = min(anomalous, key=lambda row: float(row["Score"] or 0), default=None)
    keys = {ReadingKey(row["TS"], row["Device"], row["Tag"]) for row in anomalous}
    return DevicePredictions(name, len(rows), len(anomalous), strongest), keys


def compare_with_truth(labelled: set[ReadingKey], truth: Iterable[Mapping[str, str]]) -> InjectionResult:
    """Labels against the truth."""
    injected = {ReadingKey(row["TS"], row["Device"], row["Tag"]) for row in truth}
    return InjectionResult(len(labelled & injected), len(injected - labelled), len(labelled - injected))


def parse_csv(text: str) -> list[dict[str, str]]:
    """A CSV's rows by column."""
    return list(csv.DictReader(text.splitlines()))


def check_injections(injected: InjectionResult, rows: int) -> list[str]:
    """What is wrong with how the injected anomalies were found."""
    problems = []
    total = injected.found + injected.missed
    if injected.found < MIN_FOUND_SHARE * total:
        problems.append(f"only {injected.found} of {total} injected anomalies were found")
    if injected.false > MAX_FALSE_SHARE * rows:
        problems.append(f"{injected.false} of {rows} readings were labelled without reason")
    return problems


def check_run(run: Mapping[str, Any], prepared: Dataset, devices: Sequence[DevicePredictions]) -> list[str]:
    """What is wrong with a run that has ended: its condition, its counts, and what the predictions say against them."""
    status = run["status"]
    counts, results = status.get("devices", {}), status.get("results", {})
    problems = []
    if not any(each["type"] == "Complete" and each["status"] == "True" for each in status["conditions"]):
        problems.append(f"the run is {status.get('phase')}: {status.get('message')}")
    empty = counts.get("empty", 0) if prepared.truth is None else 0  # the user's devices may be silent in the window
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
