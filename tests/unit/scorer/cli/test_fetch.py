"""The command `device-scorer fetch`: arguments, output and exit code."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_scorer.cli.fetch import replay_command
from device_scorer.window import Window
from tests.testkit.scorer_command import files, scorer

WINDOW = ("--window-start", "2018-08-28T22:30:00Z", "--window-end", "2018-08-29T00:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    fleet = ("--devices", "3", "--tags", "2", "--end", "2018-08-29T00:00:00Z", "--hours", "4")
    assert scorer("simulate", "--store", folder, *fleet).code == 0
    assert scorer("train", "--store", folder).code == 0
    return folder


def test_model_and_the_windows_readings_are_copied(store: Path, tmp_path: Path) -> None:
    result = scorer("fetch", "press-2", *WINDOW, "--to", tmp_path / "here", "--store", store)
    assert result.code == 0, result.err
    names = ["data/20180828T2200Z/press-2.csv", "data/20180828T2300Z/press-2.csv", "models/press-2.joblib"]
    fetched = files(tmp_path / "here")
    assert sorted(fetched) == names
    assert fetched == {name: (store / name).read_bytes() for name in names}


def test_device_without_inputs_is_named_and_the_others_are_copied(store: Path, tmp_path: Path) -> None:
    result = scorer("fetch", "press-2", "lathe-1", *WINDOW, "--to", tmp_path / "here", "--store", store)
    assert result.code == 65
    assert "of lathe-1" in result.err
    assert "models/press-2.joblib" in files(tmp_path / "here")


def test_command_repeats_the_fleets_variables_and_quotes_them() -> None:
    window = Window(datetime(2018, 8, 28, 23, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
    environment = {"FLEETSCORE_MODELS_PATH": "a b/{device}", "FLEETSCORE_AUTH": "sas", "HOME": "/root"}
    assert replay_command(Path("my folder"), window, ["press-1", "-x y"], environment) == (
        "FLEETSCORE_ALLOW_OVERWRITE=true FLEETSCORE_MODELS_PATH='a b/{device}' device-scorer score --store 'my folder' "
        "--window-start 2018-08-28T23:00:00Z --window-end 2018-08-29T00:00:00Z --write-policy Overwrite "
        "-- press-1 '-x y'"
    )


@pytest.mark.parametrize("device", ["a\udcff", "a/b", ""])
def test_invalid_device_id_is_wrong_usage_and_nothing_is_copied(device: str, store: Path, tmp_path: Path) -> None:
    result = scorer("fetch", "press-1", device, *WINDOW, "--to", tmp_path / "here", "--store", store)
    assert (result.code, files(tmp_path / "here")) == (64, {})
    assert "is invalid: it must have 1 to 128 of A-Za-z" in result.err
