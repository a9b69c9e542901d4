"""The output of the command `replay`."""

import json
import re
from pathlib import Path

import pytest

from fleetscore.cli import main
from tests.testkit import scorer_fleet
from tests.unit.client.conftest import make_folder


def test_same_result_is_shown_with_each_anomaly(scored_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "press-2", "--store", str(scored_folder)]) == 0
    out = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert re.fullmatch(r"press-2  2018-08-28T23:00Z/1h  SAME: the \d+ stored bytes", out[0])
    assert out[1:3] == ["  press-2 scored 6 rows, 1 anomaly", ""]
    assert out[3].split() == ["TS", "TAG", "VAL", "SCORE", "LOWEST", "HIGHEST"]
    assert out[4].split()[:3] == ["2018-08-28T23:05:00Z", "1", "99"]
    assert max(map(len, out)) <= 80


def test_another_model_is_shown_with_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_folder(tmp_path / "store")
    other = scorer_fleet.bundle({"1": scorer_fleet.fitted([1.0, 2.0, 3.0])})
    (folder / "models" / "press-1.joblib").write_bytes(other)
    words = ["replay", "press-1", "--window", "2018-08-28T22:00Z", "--store", str(folder)]
    assert main(words) == 2
    out = capsys.readouterr().out
    assert "DIFFERENT: other bytes are stored\n  the predictions were made with another model" in out
    span = "--window-start 2018-08-28T22:00:00Z --window-end 2018-08-28T23:00:00Z"
    command = f"device-scorer score --store {folder} {span} --write-policy IfChanged -- press-1"
    assert f"\n  `{command}`, then `device-scorer report --store {folder} {span}`\n" in out
    assert main([*words, "-o", "json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["same"], document["stored"], len(document["anomalies"])) == (False, True, 5)
    assert document["anomalies"][0]["Lowest"] is None


def test_trial_of_a_model_shows_its_anomalies_and_the_stored_ones(
    scored_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = tmp_path / "trial.joblib"
    trial.write_bytes(scorer_fleet.bundle({"1": scorer_fleet.fitted([1.0, 2.0, 3.0])}))
    assert main(["replay", "press-2", "--store", str(scored_folder), "--model", str(trial)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "press-2  2018-08-28T23:00Z/1h  TRIAL of another model: storage is not changed"
    assert [line.split() for line in out[3:5]] == [["TAG", "ROWS", "STORED", "HERE", "BOTH"], ["1", "6", "1", "6", "1"]]
    trial.write_bytes(b"this is no model")
    assert main(["replay", "press-2", "--store", str(scored_folder), "--model", str(trial)]) == 1
    assert capsys.readouterr().err.startswith("error: press-2 cannot be scored: ")


def test_device_without_inputs_is_an_error(scored_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "press-9", "--store", str(scored_folder)]) == 1
    assert capsys.readouterr().err.startswith("error: press-9 has no model: press-9.joblib does not exist in ")
