from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from device_scorer.training.fit import MIN_ROWS, encode_bundle, fit, subsample
from tests.testkit.scorer_command import files, scorer

HOUR = "data/20180828T2200Z"


def wave(rows: int = 200) -> np.ndarray:
    return np.round(20 + np.sin(np.arange(rows)) * 3, 2)


def write(folder: Path, device: str, tags: dict[str, list[str]], hour: str = HOUR) -> None:
    path = folder / hour / f"{device}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = f"2018-08-28T{hour[14:16]}:00:00Z"
    lines = [f"{stamp},{device},{tag},{value}\n" for tag, values in tags.items() for value in values]
    path.write_text("TS,Device,Tag,Value\n" + "".join(lines))


def texts(values: np.ndarray) -> list[str]:
    return [str(value) for value in values]


def test_a_model_is_a_scaler_and_a_one_class_svm_with_the_originals_parameters() -> None:
    models, refused = fit({"1": wave()})
    assert refused == {}
    scaler, svm = (step for _, step in models["1"].steps)
    assert (type(scaler).__name__, type(svm).__name__) == ("StandardScaler", "OneClassSVM")
    assert (svm.nu, svm.kernel, svm.gamma) == (0.0001, "rbf", 0.01)


@pytest.mark.parametrize("rows", [12, 200, 1200, 20_000])
def test_a_model_knows_its_range_however_few_readings_it_saw(rows: int) -> None:
    model = fit({"1": wave(rows)})[0]["1"]
    inside = np.array([[17.1], [20.0], [22.9]])
    outside = np.array([[16.5], [23.5], [1000.0]])
    assert model.predict(inside).tolist() == [1, 1, 1]
    assert model.predict(outside).tolist() == [-1, -1, -1]


@pytest.mark.fault("D8")
@pytest.mark.parametrize(
    ("tag", "values", "why"),
    [
        ("1", np.full(50, 7.0), "all 50 readings are 7"),
        ("1", 1e6 + np.array([0.0, 1e-10] * 25), "all 50 readings are 1e+06"),
        ("1", wave(MIN_ROWS - 1), "9 usable readings, 10 are needed"),
        ("1", np.array([0.0, 1.0] * 59), "100% of the readings"),
        ("_meta", wave(), "'_meta'"),
        ("x" * 257, wave(), "256 printable"),
    ],
    ids=["constant", "constant but for rounding", "too few", "a switch", "reserved", "too long"],
)
def test_a_tag_that_cannot_be_trained_is_refused_while_others_train(tag: str, values: np.ndarray, why: str) -> None:
    models, refused = fit({tag: values, "good": wave()})
    assert list(models) == ["good"]
    assert why in refused[tag]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=300), st.integers(2, 40))
def test_thinning_keeps_order_limit_and_extremes(values: list[int], most: int) -> None:
    numbers = np.array(values, dtype=float)
    kept = subsample(numbers, most)
    assert len(kept) == min(len(numbers), len(kept)) <= max(most, 2)
    assert (kept.min(), kept.max()) == (numbers.min(), numbers.max())
    assert np.array_equal(kept, subsample(numbers, most))
    remaining = iter(values)
    assert all(any(value == other for other in remaining) for value in kept.tolist())


def test_equal_readings_give_equal_bytes() -> None:
    assert encode_bundle(fit({"1": wave()})[0]) == encode_bundle(fit({"1": wave()})[0])


def test_each_device_gets_a_bundle_of_its_tags(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": texts(wave()), "2": texts(wave() + 50)})
    write(tmp_path, "press/2".replace("/", "-"), {"temperature": texts(wave())})
    said = scorer("train", "--store", tmp_path)
    assert said.code == 0, said.err
    assert sorted(files(tmp_path / "models")) == ["press-1.joblib", "press-2.joblib"]
    loaded = joblib.load(tmp_path / "models/press-1.joblib")
    assert sorted(loaded) == ["1", "2"]
    assert all(isinstance(model, Pipeline) for model in loaded.values())


def test_only_readings_of_the_interval_and_the_device_are_used(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": texts(wave())}, "data/20180828T2100Z")
    write(tmp_path, "press-1", {"1": ["900", "1000"]}, "data/20180828T2200Z")
    with (tmp_path / "data/20180828T2100Z/press-1.csv").open("a") as file:
        file.write("2018-08-28T21:00:00Z,press-10,1,5000\n2018-08-28T22:00:00Z,press-1,1,6000\n")
    assert scorer("train", "--store", tmp_path, "--end", "2018-08-28T22:00:00Z").code == 0
    model = joblib.load(tmp_path / "models/press-1.joblib")["1"]
    assert model.predict([[900.0]]).tolist() == [-1]
    assert model["scaler"].n_samples_seen_ == 200


def test_a_refused_tag_is_named_and_the_device_still_trains(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": texts(wave()), "valve": ["3.5"] * 60})
    said = scorer("train", "--store", tmp_path)
    assert said.code == 0
    assert "'valve' gets no model" in said.err
    assert list(joblib.load(tmp_path / "models/press-1.joblib")) == ["1"]


def test_a_device_without_any_model_is_named_and_ends_in_65(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": texts(wave())})
    write(tmp_path, "press-2", {"1": ["1"] * 60})
    said = scorer("train", "--store", tmp_path)
    assert said.code == 65
    assert "1 devices have no bundle: press-2" in said.err
    assert list(files(tmp_path / "models")) == ["press-1.joblib"]


def test_unusable_rows_and_files_are_counted_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": [*texts(wave()), "", "NaN", "inf", "broken"]})
    (tmp_path / "data/20180828T2300Z").mkdir()
    (tmp_path / "data/20180828T2300Z/press-1.csv").write_text("<html>\n")
    said = scorer("train", "--store", tmp_path)
    assert said.code == 0
    assert "4 unusable rows" in said.err
    assert "20180828T2300Z/press-1.csv is left out" in said.err
    assert joblib.load(tmp_path / "models/press-1.joblib")["1"]["scaler"].n_samples_seen_ == 200


def test_globs_choose_devices(tmp_path: Path) -> None:
    for device in ("press-1", "press-2", "lathe-1"):
        write(tmp_path, device, {"1": texts(wave())})
    assert scorer("train", "--store", tmp_path, "--device", "lathe-*", "--device", "press-2").code == 0
    assert sorted(files(tmp_path / "models")) == ["lathe-1.joblib", "press-2.joblib"]


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    said = scorer("train", "--store", tmp_path)
    assert said.code == 65
    assert "import --help" in said.err


def test_many_readings_are_thinned_to_the_limit(tmp_path: Path) -> None:
    write(tmp_path, "press-1", {"1": texts(wave(500))})
    assert scorer("train", "--store", tmp_path, "--max-rows", "100").code == 0
    assert joblib.load(tmp_path / "models/press-1.joblib")["1"]["scaler"].n_samples_seen_ == 100
