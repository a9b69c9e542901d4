"""Labels equal those of scikit-learn: on the committed fixture, and on the original's data if it is present."""

import csv
import io
import json
import pickle
import warnings

import joblib
import numpy as np
import pytest
import sklearn

from device_scorer import SCIKIT_LEARN
from device_scorer.models import bundle as bundles
from tests.testkit.paths import ORIGINAL_DATA
from tests.testkit.scorer_command import scorer
from tests.testkit.scorer_fleet import END, Fleet
from tests.unit.scorer.fixture.make import DEVICE, FOLDER

ORIGINAL = ORIGINAL_DATA / "batchai"


def plain_labels(content: str) -> list[str]:
    """Return the label of each row by the original's steps with the current scikit-learn: 0 normal, 1 anomaly."""
    models = joblib.load(FOLDER / "models.joblib")
    rows = csv.DictReader(io.StringIO(content))
    return ["1" if models[row["Tag"]].predict([[float(row["Value"])]])[0] == -1 else "0" for row in rows]


LABELS = json.loads((FOLDER / "versions" / "labels.json").read_text())


@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_labels_of_the_fixture_equal_those_of_scikit_learn(fleet: Fleet, engine: str) -> None:
    content = (FOLDER / "readings.csv").read_text()
    fleet.device(DEVICE, models=(FOLDER / "models.joblib").read_bytes(), data=content.encode())
    assert fleet.score("--engine", engine, devices=[DEVICE]).code == 0
    expected = plain_labels(content)
    assert expected.count("1") >= 100
    differing = sum(mine != plain for mine, plain in zip(fleet.labels(DEVICE), expected, strict=True))
    assert differing == 0


def test_fixture_has_values_at_the_support_vectors() -> None:
    models = joblib.load(FOLDER / "models.joblib")
    rows = list(csv.DictReader(io.StringIO((FOLDER / "readings.csv").read_text())))
    at_ends = 0
    for tag, pipeline in models.items():
        values = np.array([[float(row["Value"])] for row in rows if row["Tag"] == tag])
        scaled = pipeline.steps[0][1].transform(values)
        at_ends += int(np.isin(scaled, pipeline.steps[1][1].support_vectors_).sum())
    assert at_ends >= 20


def test_both_engines_write_equal_bytes_for_the_fixture(fleet: Fleet) -> None:
    fleet.device(DEVICE, models=(FOLDER / "models.joblib").read_bytes(), data=(FOLDER / "readings.csv").read_bytes())
    written = set()
    for engine in ("auto", "sklearn", "auto"):
        fleet.score("--engine", engine, devices=[DEVICE])
        written.add(fleet.predictions(DEVICE))
        for info in list(fleet.store.list("predictions")):
            fleet.store.delete("predictions", info.name)
    assert len(written) == 1


@pytest.mark.parametrize("engine", ["auto", "sklearn"])
@pytest.mark.parametrize("version", LABELS)
def test_models_of_earlier_versions_label_as_their_scikit_learn_did(fleet: Fleet, version: str, engine: str) -> None:
    fleet.device(
        DEVICE,
        models=(FOLDER / "versions" / f"{version}.joblib").read_bytes(),
        data=(FOLDER / "readings.csv").read_bytes(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fleet.score("--engine", engine, devices=[DEVICE])
    assert result.code == 0
    rows = list(csv.DictReader(io.StringIO(fleet.predictions(DEVICE))))
    found = {tag: "".join(row["Prediction"] for row in rows if row["Tag"] == tag) for tag in ("1", "2")}
    assert found == LABELS[version]
    assert fleet.metadata(DEVICE)["sklearn"] == version
    assert [json.loads(line)["message"] for line in result.err.splitlines()] == [
        f"models fitted by scikit-learn {version} are evaluated with scikit-learn {SCIKIT_LEARN} rules"
    ]


def test_pinned_scikit_learn_version_is_the_installed_one() -> None:
    assert sklearn.__version__ == SCIKIT_LEARN


@pytest.mark.needs_original_data
def test_all_rows_of_the_originals_data_have_one_label_in_every_engine() -> None:
    if not ORIGINAL.is_dir():
        pytest.skip(f"the original's data is not in {ORIGINAL}")
    rows = list(csv.DictReader(io.StringIO((ORIGINAL / "sensor_data.csv").read_text())))
    judged = differing = 0
    for path in sorted((ORIGINAL / "models").iterdir()):
        _, device, tag = path.name.split("_")
        record = bundles.load_pipeline(path.read_bytes(), max_unpacked_bytes=2**20)
        bundle = bundles.encode_converted_bundle({tag: record})
        values = [float(row["Value"]) for row in rows if (row["Device"], row["Tag"]) == (device, tag)]
        closed = bundles.load(bundle, max_unpacked_bytes=2**20).models[tag].predict(values)  # type: ignore[union-attr]  # a model
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pipeline = pickle.loads(pickle.dumps(joblib.load(io.BytesIO(bundle))[tag]))
        column = np.array(values).reshape(-1, 1)
        plain = [1 if label == -1 else 0 for label in pipeline.predict(column)]
        differing += sum(mine != theirs for mine, theirs in zip(closed[0], plain, strict=True))
        assert closed[1] == pipeline.decision_function(column).tolist()
        judged += len(values)
    assert (judged, differing) == (17_768, 0)


def test_half_a_window_of_the_fixture_has_the_rows_of_that_half(fleet: Fleet) -> None:
    fleet.device(DEVICE, models=(FOLDER / "models.joblib").read_bytes(), data=(FOLDER / "readings.csv").read_bytes())
    line = ("score", "--store", str(fleet.folder), "--window-start", "2018-08-28T23:30:00Z", "--window-end", END)
    assert scorer(*line, "--", DEVICE).code == 0
    half = fleet.store.read("predictions", f"20180828T233000Z_20180829T000000Z/{DEVICE}.csv")
    assert half is not None
    fleet.score(devices=[DEVICE])
    header, *rows = (fleet.predictions(DEVICE) or "").splitlines()
    expected = [row for row in rows if row >= "2018-08-28 23:30"]
    assert half.content.decode().splitlines() == [header, *expected]
    assert 0 < len(expected) < len(rows)
