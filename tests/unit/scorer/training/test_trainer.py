"""Training of a device."""

from datetime import UTC, datetime
from pathlib import Path

import joblib
from sklearn.pipeline import Pipeline

from device_scorer.settings import Settings
from device_scorer.store.folder import FolderStore
from device_scorer.training.trainer import train_device
from device_scorer.window import Window
from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_training import texts, wave, write_readings


def test_device_gets_a_bundle_of_its_tags(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "2": texts(wave() + 50)})
    write_readings(tmp_path, "press-2", {"temperature": texts(wave())})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 0, result.err
    assert sorted(files(tmp_path / "models")) == ["press-1.joblib", "press-2.joblib"]
    loaded = joblib.load(tmp_path / "models/press-1.joblib")
    assert sorted(loaded) == ["1", "2"]
    assert all(isinstance(model, Pipeline) for model in loaded.values())


def test_many_readings_are_reduced_to_the_limit(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave(500))})
    assert scorer("train", "--store", tmp_path, "--max-rows", "100").code == 0
    assert joblib.load(tmp_path / "models/press-1.joblib")["1"]["scaler"].n_samples_seen_ == 100


def test_rejected_tag_is_named_and_the_other_tags_are_trained(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "valve": ["3.5"] * 60})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 0
    assert "'valve' gets no model" in result.err
    assert list(joblib.load(tmp_path / "models/press-1.joblib")) == ["1"]


def test_earlier_bundle_remains_if_no_model_can_be_trained(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("models", "press-1.joblib", b"earlier")
    write_readings(tmp_path, "press-1", {"1": ["7"] * 60})
    window = Window(datetime(2018, 8, 28, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
    trained = train_device(store, Settings(), "press-1", ["20180828T2200Z/press-1.csv"], window=window)
    assert (trained.models, list(trained.rejected_tags)) == (0, ["1"])
    assert files(tmp_path / "models")["press-1.joblib"] == b"earlier"
