"""The command `device-scorer train`: arguments, output and exit code."""

from pathlib import Path

from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_training import texts, wave, write_readings


def test_device_without_a_model_is_named_and_ends_with_65(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    write_readings(tmp_path, "press-2", {"1": ["1"] * 60})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 65
    assert "1 devices have no bundle: press-2" in result.err
    assert list(files(tmp_path / "models")) == ["press-1.joblib"]


def test_empty_store_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    result = scorer("train", "--store", tmp_path)
    assert result.code == 65
    assert "import --help" in result.err


def test_at_most_20_devices_without_a_bundle_are_named(tmp_path: Path) -> None:
    for number in range(22):
        write_readings(tmp_path, f"press-{number:02}", {"1": ["7"] * 60})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 65
    assert "press-19 and 2 more" in result.err
    assert result.out == "0 models trained, in bundles of 0 of 22 devices\n"
