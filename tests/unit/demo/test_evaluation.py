from pathlib import Path
from typing import Any

import pytest
from demo import evaluation
from demo.dataset import Dataset
from demo.evaluation import DevicePredictions, InjectionResult, ReadingKey

from device_scorer.window import Window, parse_instant

WINDOW = Window(parse_instant("2026-03-02T10:00:00Z"), parse_instant("2026-03-02T11:00:00Z"))
SCORED = [DevicePredictions("press-1", 100, 2, None), DevicePredictions("press-2", 100, 0, None)]


def prepared(*, simulated: bool = True) -> Dataset:
    return Dataset(Path("store"), WINDOW, ("press-1", "press-2"), Path("truth.csv") if simulated else None)


def a_run(*, complete: bool = True, anomalies: int = 2, **devices: int) -> dict[str, Any]:
    counts = {"total": 2, "scored": 2, "failed": 0} | devices
    condition = {"type": "Complete" if complete else "Failed", "status": "True"}
    status = {"phase": "Failed", "message": "too many failed", "conditions": [condition], "devices": counts}
    return {"status": status | {"results": {"rows": 200, "anomalies": anomalies}}}


def rows(*labels: str) -> list[dict[str, str]]:
    return [
        {"TS": f"t{n}", "Device": "press-1", "Tag": "1", "Val": "9", "Prediction": label, "Score": f"-0.{n}"}
        for n, label in enumerate(labels, 1)
    ]


def test_strongest_anomaly_of_a_device_has_the_lowest_score() -> None:
    device, labelled = evaluation.summarise_device("press-1", rows("0", "1", "1", "0"))
    assert (device.rows, device.anomalies) == (4, 2)
    assert device.strongest_anomaly is not None
    assert device.strongest_anomaly["TS"] == "t3"
    assert labelled == {ReadingKey("t2", "press-1", "1"), ReadingKey("t3", "press-1", "1")}


def test_device_without_anomalies_has_no_strongest_anomaly() -> None:
    assert evaluation.summarise_device("press-1", rows("0"))[0].strongest_anomaly is None


def test_anomalies_are_classified_as_found_missed_or_false() -> None:
    labelled = {ReadingKey("t1", "press-1", "1"), ReadingKey("t2", "press-1", "1")}
    truth = [{"TS": ts, "Device": "press-1", "Tag": "1", "Kind": "spike"} for ts in ("t2", "t3", "t4")]
    assert evaluation.compare_with_truth(labelled, truth) == InjectionResult(found=1, missed=2, false=1)


@pytest.mark.parametrize(
    ("injected", "problems"),
    [
        (InjectionResult(found=95, missed=5, false=100), 0),
        (InjectionResult(found=94, missed=6, false=0), 1),
        (InjectionResult(found=100, missed=0, false=101), 1),
        (InjectionResult(found=0, missed=9, false=999), 2),
    ],
    ids=["just within", "too many missed", "too many false", "both"],
)
def test_few_missed_and_very_few_false_anomalies_are_accepted(injected: InjectionResult, problems: int) -> None:
    assert len(evaluation.check_injections(injected, rows=10_000)) == problems


def test_complete_run_with_all_devices_scored_has_no_problem() -> None:
    assert evaluation.check_run(a_run(), prepared(), SCORED) == []


@pytest.mark.parametrize(
    ("run", "devices", "named"),
    [
        (a_run(complete=False), SCORED, "the run is Failed: too many failed"),
        (a_run(scored=1, failed=1), SCORED, "failed: 1 devices, expected 0"),
        (a_run(total=3), SCORED, "total: 3 devices, expected 2"),
        (a_run(), SCORED[:1], "predictions: 1 devices, expected 2"),
        (a_run(anomalies=7), SCORED, "status.results.anomalies is 7, the predictions have 2"),
        (a_run(scored=1, empty=1), SCORED, "scored: 1 devices, expected 2"),
    ],
)
def test_problem_of_a_run_is_named(run: dict[str, Any], devices: list[DevicePredictions], named: str) -> None:
    assert named in evaluation.check_run(run, prepared(), devices)


def test_device_of_a_user_may_have_no_readings_in_the_window() -> None:
    run = a_run(scored=1, empty=1)
    run["status"]["results"] = {"rows": 100, "anomalies": 2}
    assert evaluation.check_run(run, prepared(simulated=False), SCORED[:1]) == []
