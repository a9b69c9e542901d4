"""The command `device-scorer check`, and the score of its device between both steps."""

from pathlib import Path

import pytest

from device_scorer.cli import build_parser, run
from device_scorer.simulation.check_device import MARK, WINDOW
from device_scorer.store.folder import FolderStore
from tests.testkit.blob_server import SAS, serving
from tests.testkit.scorer_fleet import Fleet, readings

SCORE = ["score", "--window-start", "2000-01-01T00:00:00Z", "--window-end", "2000-01-01T01:00:00Z"]


def files(store: Path) -> list[str]:
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file() and "/." not in str(path))


def check(step: str, store: Path) -> int:
    return run(["check", step, "--device", "helm-test", "--store", str(store)])


@pytest.mark.slow
def test_check_scores_a_test_device_and_deletes_its_blobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "press-1.joblib").write_bytes(b"a real device's")
    assert check("prepare", tmp_path) == 0
    assert run([*SCORE, "--store", str(tmp_path), "--", "helm-test"]) == 0
    (tmp_path / "predictions" / WINDOW.slug / "_summary.json").write_text("{}")
    assert check("finish", tmp_path) == 0
    assert "the one anomaly found" in capsys.readouterr().out
    assert files(tmp_path) == ["models/press-1.joblib"]


@pytest.mark.slow
def test_missing_predictions_fail_the_check_and_blobs_are_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("prepare", tmp_path) == 0
    assert check("finish", tmp_path) == 65
    assert "no predictions; 60 with one anomaly are expected" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_finish_without_a_model_reports_a_self_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("finish", tmp_path) == 0
    assert "self-check only" in capsys.readouterr().out


def test_shared_readings_are_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETSCORE_DATA_PATH", "all.csv")
    assert check("prepare", tmp_path) == 0
    assert "self-check only" in capsys.readouterr().out
    assert files(tmp_path) == []


def test_invalid_device_id_is_rejected(tmp_path: Path) -> None:
    assert run(["check", "prepare", "--device", "a/b", "--store", str(tmp_path)]) == 64


def test_account_without_write_access_reports_a_self_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETSCORE_AUTH", "sas")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
    with serving() as server:
        monkeypatch.setenv("FLEETSCORE_ACCOUNT_URL", server.url)
        server.fail("status", times=100, status=403, code="AuthorizationPermissionMismatch")
        assert run(["check", "prepare", "--device", "helm-test"]) == 0
    assert capsys.readouterr().out.startswith("self-check only: this account may not write readings and models")


def test_predictions_without_the_anomaly_fail_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = FolderStore(tmp_path)
    store.write("models", "helm-test.joblib", b"bundle", metadata=MARK)
    rows = b"2000-01-01T00:00:00Z,helm-test,1,20,0,0.1\n" * 60
    store.write("predictions", f"{WINDOW.slug}/helm-test.csv", b"TS,Device,Tag,Val,Prediction,Score\n" + rows)
    assert check("finish", tmp_path) == 65
    assert "60 predictions with 0 anomalies; 60 with one anomaly are expected" in capsys.readouterr().err
    assert files(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "finish"])
def test_check_keeps_the_blobs_of_a_real_device(tmp_path: Path, step: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = FolderStore(tmp_path)
    store.write("models", "helm-test.joblib", b"a real model", metadata={"by": "a person"})
    store.write("predictions", f"{WINDOW.slug}/helm-test.csv", b"predictions")
    before = files(tmp_path)
    assert check(step, tmp_path) == 65
    assert "was not written by this check and is kept" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_step_needs_a_device(tmp_path: Path) -> None:
    assert run(["check", "prepare", "--store", str(tmp_path)]) == 64


def test_sound_store_has_no_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet(tmp_path)
    fleet.device("press-1", tags=("1", "2"))
    assert run(["check", "store", "--store", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert output.out == "1 model and 1 file of readings of 1 device; the blobs of 1 device were read\n"
    assert output.err == ""


def test_problems_of_a_store_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = Fleet(tmp_path)
    fleet.device("press-1", tags=("1",), data=readings("press-1", tags=("2",)))
    fleet.store.write("models", "press#2.joblib", b"x")
    assert run(["check", "store", "--store", str(tmp_path)]) == 65
    error = capsys.readouterr().err
    assert "1 name of a model denotes no device: 'press#2.joblib'" in error
    assert "1 device has no tag with both a model and readings: press-1: models of '1', readings of '2'" in error


def test_store_is_checked_with_200_devices_by_default() -> None:
    assert build_parser("check").parse_args(["store", "--store", "folder"]).sample == 200
