"""The original's models and readings: imported, scored by the command, compared with an independent evaluation."""

import csv
import itertools
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from tests.testkit.paths import ORIGINAL_DATA
from tests.testkit.scorer_command import scorer

ORIGINAL = ORIGINAL_DATA / "batchai"
HOURS = ["2018-08-28T23:00:00Z", *(f"2018-08-29T0{hour}:00:00Z" for hour in range(5))]
pytestmark = [
    pytest.mark.needs_original_data,
    pytest.mark.skipif(not ORIGINAL.is_dir(), reason=f"the original's data is not in {ORIGINAL}"),
]


class Bare:
    """A replacement of any class of scikit-learn, with attributes only."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)


class BareUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("sklearn."):
            return Bare
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def label_of(model: Any, value: float) -> int:
    """Return the label by definition: scale, sum the kernels, compare; in double precision with NumPy."""
    scaler, svm = (step for _, step in model.steps)
    distance = (value - scaler.mean_[0]) / scaler.scale_[0] - svm.support_vectors_[:, 0]
    decision = svm._dual_coef_[0] @ np.exp(-svm._gamma * distance**2) + svm._intercept_[0]
    return 0 if decision > 0 else 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    result = scorer(
        *("import", "--store", folder, "--models", ORIGINAL / "models", "--data", ORIGINAL / "sensor_data.csv"),
    )
    assert result.code == 0, result.err
    return folder


def scored(store: Path) -> list[list[str]]:
    """Return the predictions of every hour with a row, without scores, from the command as a pod runs it."""
    for start, end in itertools.pairwise(HOURS):
        words = ["score", "--store", str(store), "--window-start", start, "--window-end", end, "--", "1", "2", "3"]
        subprocess.run([sys.executable, "-m", "device_scorer", *words], check=True, capture_output=True)
    found = []
    for path in sorted((store / "predictions").glob("*/*.csv")):
        found += [row[:5] for row in list(csv.reader(path.read_text().splitlines()))[1:]]
    return found


@pytest.mark.slow
def test_every_row_has_the_label_of_the_original_models(store: Path) -> None:
    models = {}
    for path in (ORIGINAL / "models").iterdir():
        with path.open("rb") as file:
            models[tuple(path.name.split("_")[1:])] = BareUnpickler(file).load()
    rows = list(csv.reader((ORIGINAL / "sensor_data.csv").read_text().splitlines()))[1:]
    expected = [[*row, str(label_of(models[row[1], row[2]], float(row[3])))] for row in rows]
    found = scored(store)
    assert len(found) == 17_768
    assert sorted(found) == sorted(expected)


@pytest.mark.slow
def test_current_scikit_learn_reads_the_bundles_with_the_same_labels(store: Path) -> None:
    bundles = {device: joblib.load(store / "models" / f"{device}.joblib") for device in ("1", "2", "3")}
    found = scored(store)
    for device, bundle in bundles.items():
        for tag, model in bundle.items():
            rows = [row for row in found if row[1:3] == [device, tag]]
            labels = model.predict(np.array([[float(row[3])] for row in rows]))
            assert [row[4] for row in rows] == ["0" if label == 1 else "1" for label in labels]
    assert sum(len(bundle) for bundle in bundles.values()) == 15
