import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from device_scorer.importing import legacy_models
from device_scorer.training.fit import fit
from tests.testkit.scorer_command import Said, files, scorer

VALUES = np.round(20 + np.sin(np.arange(300)) * 3, 2)


def a_model(offset: float = 0.0) -> Pipeline:
    model: Pipeline = fit({"1": VALUES + offset})[0]["1"]
    return model


def save(folder: Path, name: str, model: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(model))


def imported(tmp_path: Path, *words: str) -> Said:
    return scorer("import", "--store", tmp_path / "store", "--models", tmp_path / "models", *words)


def bundles(tmp_path: Path) -> list[str]:
    return sorted(files(tmp_path / "store" / "models"))


class Code:
    """Runs a command where a naive reader would load it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_single_models_become_one_bundle_per_device_with_the_same_answers(tmp_path: Path) -> None:
    originals = {"1": a_model(), "2": a_model(50)}
    for tag, model in originals.items():
        save(tmp_path / "models", f"model_press_7_{tag}", model)
    joblib.dump(a_model(), tmp_path / "models/model_press-8_1.joblib", compress=3)
    said = imported(tmp_path)
    assert said.code == 0, said.err
    assert bundles(tmp_path) == ["press-8.joblib", "press_7.joblib"]
    bundle = joblib.load(tmp_path / "store/models/press_7.joblib")
    probe = np.concatenate([VALUES, VALUES + 50, VALUES + 2]).reshape(-1, 1)
    for tag, model in originals.items():
        assert np.array_equal(bundle[tag].decision_function(probe), model.decision_function(probe))
        assert np.array_equal(bundle[tag].predict(probe), model.predict(probe))


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_1_1", a_model())
    imported(tmp_path)
    before = files(tmp_path)
    said = imported(tmp_path)
    assert (said.code, files(tmp_path)) == (0, before)
    assert "0 bundles written, 1 already there" in said.out


def test_another_model_of_a_device_is_kept_out_until_replace_is_given(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_1_1", a_model())
    imported(tmp_path)
    before = files(tmp_path / "store")
    save(tmp_path / "models", "model_1_1", a_model(9))
    said = imported(tmp_path)
    assert said.code == 65
    assert "1.joblib" in said.err
    assert files(tmp_path / "store") == before
    assert imported(tmp_path, "--replace").code == 0
    assert files(tmp_path / "store") != before


@pytest.mark.fault("F31")
def test_a_file_with_code_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    save(tmp_path / "models", "model_1_1", Code(mark))
    save(tmp_path / "models", "model_1_2", {"2": [a_model(), Code(mark)]})
    save(tmp_path / "models", "model_1_3", a_model())
    said = imported(tmp_path)
    assert not mark.exists()
    assert "model_1_1 is refused" in said.err
    assert "model_1_2 is refused" in said.err
    assert "posix.system" in said.err
    assert list(joblib.load(tmp_path / "store/models/1.joblib")) == ["3"]


@pytest.mark.parametrize(
    "model",
    [{"1": 1}, IsolationForest(n_estimators=2, random_state=0).fit(VALUES.reshape(-1, 1)), Pipeline([("a", None)])],
    ids=["no model", "another detector", "another pipeline"],
)
def test_a_device_of_which_nothing_can_be_read_is_named_and_ends_in_65(tmp_path: Path, model: object) -> None:
    save(tmp_path / "models", "model_1_1", model)
    save(tmp_path / "models", "model_2_1", a_model())
    said = imported(tmp_path)
    assert said.code == 65
    assert "model_1_1 is refused" in said.err
    assert "1 devices have no model that could be read: 1" in said.err
    assert bundles(tmp_path) == ["2.joblib"]


def test_rubbish_is_refused_without_a_traceback(tmp_path: Path) -> None:
    save(tmp_path / "models", "model_2_1", a_model())
    whole = (tmp_path / "models/model_2_1").read_bytes()
    (tmp_path / "models/model_1_1").write_bytes(whole[:-40])
    (tmp_path / "models/model_1_2").write_bytes(b"")
    said = imported(tmp_path)
    assert said.code == 65
    assert "Traceback" not in said.err
    assert bundles(tmp_path) == ["2.joblib"]


def test_files_with_other_names_are_named_and_left_out(tmp_path: Path) -> None:
    save(tmp_path / "models", "README.md", "words")
    save(tmp_path / "models", "model_2_1", a_model())
    said = imported(tmp_path)
    assert said.code == 0
    assert "README.md is left out" in said.err


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
def test_the_last_underscore_of_a_name_divides_device_and_tag(name: str, device: str, tag: str) -> None:
    assert legacy_models.find_models([Path(name)]).files == {device: {tag: Path(name)}}


@pytest.mark.parametrize("name", ["model_1", "model__1", "model_1_", "models_1_1", "model_a b_1", "xmodel_1_1"])
def test_a_name_that_is_no_models_is_ignored(name: str) -> None:
    assert legacy_models.find_models([Path(name)]) == legacy_models.LegacyModels({}, [name])


def test_two_files_for_one_tag_are_told_apart(tmp_path: Path) -> None:
    found = legacy_models.find_models([tmp_path / "model_1_1", tmp_path / "model_1_1.pkl"])
    assert found.files == {"1": {"1": tmp_path / "model_1_1"}}
    assert found.ignored == ["model_1_1.pkl (beside model_1_1)"]


def test_nothing_named_is_wrong_usage(tmp_path: Path) -> None:
    assert scorer("import", "--store", tmp_path).code == 64
    assert scorer("import", "--store", tmp_path, "--models", tmp_path / "none").code == 64
