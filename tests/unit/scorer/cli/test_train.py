"""The command `device-scorer train`: arguments, output and exit code."""

from pathlib import Path

import numpy as np
import pytest

from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_training import texts, wave, write_readings


def test_device_without_a_model_is_named_and_ends_with_65(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    write_readings(tmp_path, "press-2", {"1": ["1"] * 60})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 65
    assert "1 device has no bundle: press-2" in result.err
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
    start = "2018-08-28T22:00:00Z"
    assert result.out == (f"0 models trained, in bundles of 0 of 22 devices\nreadings from {start} to {start} (0 s)\n")
    assert "22 tags get no model, because all their readings are equal: press-00 '1', press-01 '1'" in result.err
    assert "press-04 '1' and 17 more" in result.err
    assert result.err.count("\n") == 2


def test_verbose_names_every_tag_without_a_model(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "2": ["1"] * 60, "3": ["1"] * 5})
    result = scorer("train", "--store", tmp_path, "--verbose")
    assert "press-1, tag '2' gets no model: all 60 readings are 1" in result.err
    assert "press-1, tag '3' gets no model: it has 5 usable readings; 10 are needed" in result.err


def test_history_that_does_not_cover_the_range_is_reported(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "rising": texts(wave() + np.arange(200) / 10)})
    result = scorer("train", "--store", tmp_path)
    assert "1 tag does not cover its usual range; train on more history: press-1 'rising'" in result.err
    assert "% of the newest fifth of the readings lie in the range of the earlier ones" in result.out


@pytest.mark.parametrize(("outside", "reported"), [(3, False), (4, True)], ids=["95%", "93%"])
def test_history_is_reported_below_95_percent_of_the_newest_fifth(
    tmp_path: Path, outside: int, *, reported: bool
) -> None:
    values = wave(300)
    values[-outside:] = 23.5
    write_readings(tmp_path, "press-1", {"1": texts(values)})
    assert ("does not cover its usual range" in scorer("train", "--store", tmp_path).err) is reported


def test_kept_and_pruned_tags_are_reported(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "old": texts(wave())})
    scorer("train", "--store", tmp_path)
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    result = scorer("train", "--store", tmp_path)
    assert "1 tag without a new model keeps its earlier one; --prune drops earlier models: press-1 'old'" in result.err
    assert "1 tag loses its earlier model: press-1 'old'" in scorer("train", "--store", tmp_path, "--prune").err
