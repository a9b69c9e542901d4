from pathlib import Path

import pytest
from demo import output
from demo.dataset import Dataset

from device_scorer.window import Window, parse_instant

WINDOW = Window(parse_instant("2026-03-02T10:00:00Z"), parse_instant("2026-03-02T11:00:00Z"))
HEADER = "TS,Device,Tag,Val,Prediction,Score"


def a_dataset(store: Path, *labels: str) -> Dataset:
    """Return a dataset with the predictions of one of its two devices, of which the first is injected."""
    rows = [f"2026-03-02T10:0{n}:00Z,press-1,1,{n}.5,{label},-0.{n}" for n, label in enumerate(labels)]
    folder = store / WINDOW.slug
    folder.mkdir()
    (folder / "press-1.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (store / "truth.csv").write_text("TS,Device,Tag,Kind\n2026-03-02T10:00:00Z,press-1,1,spike\n")
    return Dataset(store, WINDOW, ("press-1", "press-2"), store / "truth.csv")


def test_results_have_the_devices_with_predictions_and_the_injections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    devices, problems = output.print_results(a_dataset(tmp_path, "1", "0", "1", "0"), tmp_path)
    shown = capsys.readouterr().out
    assert [(device.name, device.rows, device.anomalies) for device in devices] == [("press-1", 4, 2)]
    assert problems == ["1 of 4 readings were labelled as anomalies without an injected one"]
    assert "press-1        4          2  tag 1 = 2.5 at 2026-03-02T10:02:00Z (score -0.2)\n" in shown
    assert "Injected anomalies: 1; found 1, missed 0, false 1\n" in shown


@pytest.mark.parametrize(
    ("labels", "numbers"), [("00100", "123"), ("10000", "012"), ("00001", "234"), ("00000", "012"), ("01", "01")]
)
def test_sample_has_three_rows_around_the_first_anomaly(
    labels: str, numbers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_results(a_dataset(tmp_path, *labels), tmp_path)
    _, shown = capsys.readouterr().out.split(f"{HEADER}\n")
    assert [row.split(",")[3] for row in shown.splitlines()] == [f"{number}.5" for number in numbers]


def test_dataset_of_a_user_has_no_injections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared = a_dataset(tmp_path, "1", "0")
    devices, problems = output.print_results(Dataset(prepared.store, WINDOW, prepared.devices, truth=None), tmp_path)
    assert (len(devices), problems) == (1, [])
    assert "Injected" not in capsys.readouterr().out


def test_demo_without_problems_ends_in_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.print_verdict([], "look here") == 0
    assert capsys.readouterr().out == "\nPASS\n"


def test_problem_ends_in_fail_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.print_verdict(["one device is missing"], "look here") == 1
    assert capsys.readouterr().out.splitlines()[-3:] == ["  - one device is missing", "look here", "FAIL"]
