"""`device-scorer check`, around a score of its device."""

from pathlib import Path

import pytest

from device_scorer.cli import run
from device_scorer.cli.check import WINDOW

SCORE = ["score", "--window-start", "2000-01-01T00:00:00Z", "--window-end", "2000-01-01T01:00:00Z"]


def files(store: Path) -> list[str]:
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file() and "/." not in str(path))


def check(step: str, store: Path) -> int:
    return run(["check", step, "--device", "helm-test", "--store", str(store)])


@pytest.mark.slow
def test_a_made_up_device_is_scored_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "press-1.joblib").write_bytes(b"a real device's")
    assert check("prepare", tmp_path) == 0
    assert run([*SCORE, "--store", str(tmp_path), "--", "helm-test"]) == 0
    (tmp_path / "predictions" / WINDOW.slug / "_summary.json").write_text("{}")
    assert check("finish", tmp_path) == 0
    assert "the one anomaly found" in capsys.readouterr().out
    assert files(tmp_path) == ["models/press-1.joblib"]


@pytest.mark.slow
def test_missing_predictions_fail_the_check_and_are_cleared_away_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("prepare", tmp_path) == 0
    assert check("finish", tmp_path) == 65
    assert "no predictions, where 60 with the one anomaly were to be" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_where_there_is_no_model_the_check_says_that_it_compared_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("finish", tmp_path) == 0
    assert "self-check only" in capsys.readouterr().out


def test_readings_that_all_devices_share_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PATH", "all.csv")
    assert check("prepare", tmp_path) == 0
    assert "self-check only" in capsys.readouterr().out
    assert files(tmp_path) == []


def test_a_device_that_is_none_is_refused(tmp_path: Path) -> None:
    assert run(["check", "prepare", "--device", "a/b", "--store", str(tmp_path)]) == 64
