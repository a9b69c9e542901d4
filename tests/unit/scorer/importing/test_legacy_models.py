"""Import of models in single files."""

import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from device_scorer.importing import legacy_models
from device_scorer.settings import Limits, Settings
from device_scorer.store.folder import FolderStore
from device_scorer.training.fit import fit
from tests.testkit.scorer_command import CommandResult, files, scorer

VALUES = np.round(20 + np.sin(np.arange(300)) * 3, 2)


def a_model(offset: float = 0.0) -> Pipeline:
    model: Pipeline = fit({"1": VALUES + offset}).models["1"]
    return model


def save(folder: Path, name: str, model: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(model))


def imported(tmp_path: Path, *words: str) -> CommandResult:
    return scorer("import", "--store", tmp_path / "store", "--models", tmp_path / "models", *words)


def bundles(tmp_path: Path) -> list[str]:
    return sorted(files(tmp_path / "store" / "models"))


class Code:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_single_models_become_one_bundle_with_the_same_predictions(tmp_path: Path) -> None:
    originals = {"1": a_model(), "2": a_model(50)}
    for tag, model in originals.items():
        save(tmp_path / "models", f"model_press_7_{tag}", model)
    joblib.dump(a_model(), tmp_path / "models/model_press-8_1.joblib", compress=3)
    result = imported(tmp_path)
    assert result.code == 0, result.err
    assert bundles(tmp_path) == ["press-8.joblib", "press_7.joblib"]
    bundle = joblib.load(tmp_path / "store/models/press_7.joblib")
    probe = np.concatenate([VALUES, VALUES + 50, VALUES + 2]).reshape(-1, 1)
    for tag, model in originals.items():
        assert np.array_equal(bundle[tag].decision_function(probe), model.decision_function(probe))
        assert np.array_equal(bundle[tag].predict(probe), model.predict(probe))


def test_second_import_writes_no_bundles(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_1_1", a_model())
    imported(tmp_path)
    before = files(tmp_path)
    result = imported(tmp_path)
    assert (result.code, files(tmp_path)) == (0, before)
    assert "0 bundles written, 1 already exists" in result.out


def test_different_bundle_is_named_and_kept_without_replace(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_1_1", a_model())
    imported(tmp_path)
    before = files(tmp_path / "store")
    save(tmp_path / "models", "model_1_1", a_model(9))
    result = imported(tmp_path)
    assert result.code == 65
    assert "1.joblib" in result.err
    assert files(tmp_path / "store") == before
    assert imported(tmp_path, "--replace").code == 0
    assert files(tmp_path / "store") != before


@pytest.mark.fault("F31")
def test_file_with_code_is_rejected_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    save(tmp_path / "models", "model_1_1", Code(mark))
    save(tmp_path / "models", "model_1_2", {"2": [a_model(), Code(mark)]})
    save(tmp_path / "models", "model_1_3", a_model())
    result = imported(tmp_path)
    assert not mark.exists()
    assert "model_1_1 is rejected" in result.err
    assert "model_1_2 is rejected" in result.err
    assert "posix.system" in result.err
    assert list(joblib.load(tmp_path / "store/models/1.joblib")) == ["3"]


@pytest.mark.parametrize(
    "model",
    [{"1": 1}, IsolationForest(n_estimators=2, random_state=0).fit(VALUES.reshape(-1, 1)), Pipeline([("a", None)])],
    ids=["no model", "another detector", "another pipeline"],
)
def test_device_without_a_readable_model_ends_with_65(tmp_path: Path, model: object) -> None:
    save(tmp_path / "models", "model_1_1", model)
    save(tmp_path / "models", "model_2_1", a_model())
    result = imported(tmp_path)
    assert result.code == 65
    assert "model_1_1 is rejected" in result.err
    assert "1 device has no readable model: 1" in result.err
    assert bundles(tmp_path) == ["2.joblib"]


def test_malformed_files_are_rejected_without_a_traceback(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_2_1", a_model())
    whole = (tmp_path / "models/model_2_1").read_bytes()
    (tmp_path / "models/model_1_1").write_bytes(whole[:-40])
    (tmp_path / "models/model_1_2").write_bytes(b"")
    result = imported(tmp_path)
    assert result.code == 65
    assert "Traceback" not in result.err
    assert bundles(tmp_path) == ["2.joblib"]


def test_files_with_other_names_are_named_and_skipped(tmp_path: Path) -> None:
    save(tmp_path / "models", "README.md", "words")
    save(tmp_path / "models", "model_2_1", a_model())
    result = imported(tmp_path)
    assert result.code == 0
    assert "README.md is skipped: its name is not model_DEVICE_TAG" in result.err


@pytest.mark.parametrize(
    ("name", "device", "tag"),
    [
        ("model_1_4", "1", "4"),
        ("model_press_7_4", "press_7", "4"),
        ("model_press-7_oil temp", "press-7", "oil temp"),
        ("model_1_4.pkl", "1", "4"),
        ("model_1_4.5.joblib", "1", "4.5"),
    ],
)
def test_last_underscore_of_a_file_name_separates_device_and_tag(name: str, device: str, tag: str) -> None:
    assert legacy_models.find_models([Path(name)]).files == {device: {tag: Path(name)}}


@pytest.mark.parametrize("name", ["model_1", "model__1", "model_1_", "models_1_1", "model_a b_1", "xmodel_1_1"])
def test_file_with_another_name_is_ignored(name: str) -> None:
    assert legacy_models.find_models([Path(name)]) == legacy_models.LegacyModels(
        {}, {name: "its name is not model_DEVICE_TAG"}
    )


def test_second_file_of_a_tag_is_ignored(tmp_path: Path) -> None:
    found = legacy_models.find_models([tmp_path / "model_1_1", tmp_path / "model_1_1.pkl"])
    assert found.files == {"1": {"1": tmp_path / "model_1_1"}}
    assert found.ignored == {"model_1_1.pkl": "it is a duplicate of model_1_1"}


def test_file_above_the_limit_is_rejected_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "model_1_1").write_bytes(bytes(11))
    content, rejected = legacy_models.to_bundle({"1": tmp_path / "model_1_1"}, Limits(max_model_bytes=10))
    assert content == b""
    assert "11 bytes, more than the 10 that are allowed; raise FLEETSCORE_MAX_MODEL_BYTES" in str(rejected["1"])


def test_directory_without_models_is_not_complete(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert not legacy_models.import_models(FolderStore(tmp_path), Settings(), tmp_path / "models").complete


def test_second_file_of_a_tag_is_named_and_skipped(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_1_1", a_model())
    save(tmp_path / "models", "model_1_1.pkl", a_model(9))
    result = imported(tmp_path)
    assert result.code == 0
    assert "model_1_1.pkl is skipped: it is a duplicate of model_1_1" in result.err
