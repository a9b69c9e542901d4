"""Training of a device."""

from datetime import UTC, datetime
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from device_scorer.errors import ModelInvalid, PermanentError
from device_scorer.models import bundle as bundles
from device_scorer.models.expectations import META_SENSORS_KEY, Expectation, encode_expectations
from device_scorer.settings import Settings
from device_scorer.store.folder import FolderStore
from device_scorer.training.trainer import TrainedDevice, train_device
from device_scorer.window import Window
from tests.testkit.hostile_code import OnPredict, WrittenOnce
from tests.testkit.scorer_command import files, scorer
from tests.testkit.scorer_fleet import a_model, bundle
from tests.testkit.scorer_training import texts, wave, write_readings

SETTINGS = Settings()


def test_device_gets_a_bundle_of_its_tags(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "2": texts(wave() + 50)})
    write_readings(tmp_path, "press-2", {"temperature": texts(wave())})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 0, result.err
    assert sorted(files(tmp_path / "models")) == ["press-1.joblib", "press-2.joblib"]
    loaded = joblib.load(tmp_path / "models/press-1.joblib")
    assert sorted(loaded) == ["1", "2", "_meta"]
    assert all(isinstance(loaded[tag], Pipeline) for tag in ("1", "2"))


def test_many_readings_are_reduced_to_the_limit(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave(500))})
    assert scorer("train", "--store", tmp_path, "--max-rows", "100").code == 0
    assert joblib.load(tmp_path / "models/press-1.joblib")["1"]["scaler"].n_samples_seen_ == 100


def test_rejected_tag_is_named_and_the_other_tags_are_trained(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "valve": ["3.5"] * 60})
    result = scorer("train", "--store", tmp_path)
    assert result.code == 0
    assert "1 tag gets no model, because all their readings are equal: press-1 'valve'" in result.err
    assert list(joblib.load(tmp_path / "models/press-1.joblib")) == ["1", "_meta"]


def test_earlier_bundle_remains_if_no_model_can_be_trained(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.write("models", "press-1.joblib", b"earlier")
    write_readings(tmp_path, "press-1", {"1": ["7"] * 60})
    window = Window(datetime(2018, 8, 28, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
    trained = train_device(store, Settings(), "press-1", ["20180828T2200Z/press-1.csv"], window=window)
    assert (trained.models, list(trained.rejected_tags)) == (0, ["1"])
    assert files(tmp_path / "models")["press-1.joblib"] == b"earlier"


def train(folder: Path, settings: Settings = SETTINGS, **options: bool) -> TrainedDevice:
    store = FolderStore(folder)
    names = sorted(info.name for info in store.list("data"))
    window = Window(datetime(2018, 8, 28, tzinfo=UTC), datetime(2018, 8, 29, tzinfo=UTC))
    return train_device(store, settings, "press-1", names, window=window, **options)


def test_model_of_a_tag_that_is_silent_now_remains(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "old": texts(wave() + 50)})
    train(tmp_path)
    write_readings(tmp_path, "press-1", {"1": texts(wave() + 1)})
    trained = train(tmp_path)
    assert (trained.models, trained.kept_tags, trained.dropped_tags) == (1, ["old"], [])
    loaded = bundles.load((tmp_path / "models/press-1.joblib").read_bytes(), max_unpacked_bytes=10**7)
    assert sorted(loaded.models) == sorted(loaded.expectations) == ["1", "old"]
    assert loaded.expectations["old"].low == 67.0
    old = loaded.models["old"]
    assert not isinstance(old, PermanentError)
    assert old.predict([70.0, 20.0])[0] == [0, 1]


@pytest.mark.slow
def test_model_outside_the_allow_list_remains_only_with_trust_any(tmp_path: Path) -> None:
    meta = {"format": 1, META_SENSORS_KEY: encode_expectations({"old": Expectation(15.0, 8.0, 12.0, 30.0)})}
    content = bundle({"_meta": meta, "1": a_model(), "old": OnPredict()})
    FolderStore(tmp_path).write("models", "press-1.joblib", content)
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    trained = train(tmp_path, Settings(trust_any_model=True))
    assert (trained.models, trained.kept_tags, trained.earlier_error) == (1, ["old"], "")
    written = joblib.load(tmp_path / "models/press-1.joblib")
    assert sorted(written) == ["1", "_meta", "old"]
    assert written["_meta"][META_SENSORS_KEY]["tags"]["old"] == [15.0, 8.0, 12.0, 30.0]
    trained = train(tmp_path)
    assert (trained.models, trained.kept_tags) == (1, [])
    assert "OnPredict" in trained.earlier_error


@pytest.mark.slow
def test_trusted_model_that_cannot_be_written_again_ends_the_training(tmp_path: Path) -> None:
    content = bundle({"1": a_model(), "old": WrittenOnce()})
    FolderStore(tmp_path).write("models", "press-1.joblib", content)
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    with pytest.raises(ModelInvalid, match="of press-1 cannot be written again: PicklingError: a lambda; --prune"):
        train(tmp_path, Settings(trust_any_model=True))
    assert (tmp_path / "models/press-1.joblib").read_bytes() == content


def test_pruned_tags_are_named(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave()), "old": texts(wave() + 50)})
    train(tmp_path)
    write_readings(tmp_path, "press-1", {"1": texts(wave() + 1)})
    trained = train(tmp_path, keep_earlier=False)
    assert (trained.kept_tags, trained.dropped_tags) == ([], ["old"])
    assert sorted(joblib.load(tmp_path / "models/press-1.joblib")) == ["1", "_meta"]


def test_unreadable_earlier_bundle_is_replaced_and_reported(tmp_path: Path) -> None:
    FolderStore(tmp_path).write("models", "press-1.joblib", b"earlier")
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    trained = train(tmp_path)
    assert trained.models == 1
    assert "not a readable pickle" in trained.earlier_error


def test_behaviour_of_the_sensors_is_in_the_bundle(tmp_path: Path) -> None:
    write_readings(tmp_path, "press-1", {"1": texts(wave())})
    train(tmp_path)
    loaded = bundles.load((tmp_path / "models/press-1.joblib").read_bytes(), max_unpacked_bytes=10**7)
    assert loaded.expectations == {"1": Expectation(0.0, 17.0, 23.0, 0.0)}


def test_outlier_sets_neither_the_range_of_the_sensor_nor_the_coverage(tmp_path: Path) -> None:
    values = np.concatenate([wave(800), wave(200) + 15])
    write_readings(tmp_path, "press-1", {"1": ["-9999", *texts(values), "9999"]})
    trained = train(tmp_path)
    assert trained.outliers == {"1": 2}
    assert trained.coverage == {"1": 0.0}
    loaded = bundles.load((tmp_path / "models/press-1.joblib").read_bytes(), max_unpacked_bytes=10**7)
    assert loaded.expectations["1"] == Expectation(0.0, 17.0, 38.0, 0.0)
