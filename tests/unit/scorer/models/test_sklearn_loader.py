"""Tests of reading bundles with the classes of scikit-learn, as a worker process does."""

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from device_scorer import SCIKIT_LEARN
from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected, PermanentError
from device_scorer.models import sklearn_loader
from device_scorer.models.expectations import META_SENSORS_KEY, Expectation, encode_expectations
from device_scorer.models.sklearn_detector import SklearnDetector
from device_scorer.models.sklearn_loader import MAX_TAGS, load_detectors, too_many_tags
from tests.testkit.scorer_fleet import a_model, bundle

VALUES = np.round(np.random.default_rng(5).normal(10, 2, 300), 2)


def load(content: bytes, *, trust_any: bool = False) -> dict[str, SklearnDetector | PermanentError]:
    return load_detectors(content, trust_any=trust_any).detectors


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        MinMaxScaler(),
        MaxAbsScaler(),
        RobustScaler(),
        PowerTransformer(),
        QuantileTransformer(n_quantiles=10, random_state=1),
    ],
    ids=lambda scaler: type(scaler).__name__,
)
def test_pipeline_of_each_scaler_is_loaded(scaler: Any) -> None:
    pipeline = make_pipeline(scaler, IsolationForest(n_estimators=3, random_state=1)).fit(VALUES.reshape(-1, 1))
    loaded = load(bundle({"1": pipeline}))["1"]
    assert isinstance(loaded, SklearnDetector)
    assert loaded.sklearn_version == SCIKIT_LEARN
    assert loaded.kind == f"{type(scaler).__name__} -> IsolationForest"


def test_model_of_a_memory_map_is_loaded_with_its_labels(tmp_path: Path) -> None:
    path, model = tmp_path / "model.joblib", a_model()
    joblib.dump({"1": model}, path)
    mapped = joblib.load(path, mmap_mode="r")
    joblib.dump(mapped, tmp_path / "again.joblib")
    for content in ((tmp_path / "again.joblib").read_bytes(), pickle.dumps(mapped)):
        assert b"memmap" in content
        loaded = load(content)["1"]
        assert isinstance(loaded, SklearnDetector)
        labels = loaded.predict_array(VALUES)[0]
        assert list(labels) == list(model.predict(VALUES.reshape(-1, 1)) < 0)


def test_memory_map_that_opens_a_file_is_rejected(tmp_path: Path) -> None:
    class Opener:
        def __reduce__(self) -> tuple[Any, ...]:
            return np.memmap, (str(tmp_path / "new"), "u1", "w+", 0, (1,))

    with pytest.raises(ModelRejected, match=r"the model calls numpy\.ndarray"):
        load(pickle.dumps({"1": Opener()}))
    assert not (tmp_path / "new").exists()


def test_unusable_tag_has_its_error_and_the_others_are_usable() -> None:
    loaded = load(bundle({"1": a_model(), "2": "nothing", "3": IsolationForest()}))
    assert isinstance(loaded["1"], SklearnDetector)
    assert isinstance(loaded["2"], ModelInvalid)
    assert isinstance(loaded["3"], ModelInvalid)


def test_sensors_of_the_tags_are_expectations() -> None:
    sensors = {tag: Expectation(15.0, 8.0, 12.0, 30.0) for tag in ("1", "2")}
    meta = {"format": 1, META_SENSORS_KEY: encode_expectations(sensors)}
    content = bundle({"_meta": meta, "1": a_model()})
    assert load_detectors(content, trust_any=False).expectations == {"1": sensors["1"]}


def test_model_of_several_tags_is_inspected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inspected: list[Any] = []

    def inspect(estimator: Any, version: str) -> SklearnDetector:
        inspected.append(estimator)
        return SklearnDetector(estimator, version)

    monkeypatch.setattr(sklearn_loader, "to_detector", inspect)
    assert len(load(bundle(dict.fromkeys(map(str, range(50)), a_model())))) == 50
    assert len(inspected) == 1


def test_bundle_of_too_many_tags_is_invalid() -> None:
    assert MAX_TAGS == 10_000
    with pytest.raises(ModelInvalid, match="it has 10,001 tags; divide the device"):
        load(pickle.dumps(dict.fromkeys(range(10_001), 1)))
    assert "3 tags" in str(too_many_tags(3))


@pytest.mark.fault("T15")
def test_byte_array_longer_than_its_file_is_rejected_before_it_allocates() -> None:
    content = b"\x80\x05\x96" + struct.pack("<Q", 1_500_000_000_000) + b"."
    with pytest.raises(ModelInvalid, match="truncated"):
        load(content)
    assert isinstance(load(pickle.dumps({"1": bytearray(b"x")}, 5))["1"], ModelInvalid)
    assert isinstance(load(pickle.dumps({"1": a_model()}, 5))["1"], SklearnDetector)  # protocol 5 writes arrays so


def test_version_in_the_file_is_cleaned() -> None:
    forest = IsolationForest(n_estimators=1).fit(VALUES.reshape(-1, 1))
    content = pickle.dumps({"1": forest}, 2).replace(
        b"X\x05\x00\x00\x00" + SCIKIT_LEARN.encode(), b"X\x05\x00\x00\x001\r\n:x"
    )
    loaded = load(content)["1"]
    assert isinstance(loaded, SklearnDetector)
    assert loaded.sklearn_version == "unknown"


def written_by(version: str, model: Any) -> bytes:
    """Return a pickle that states another version of scikit-learn of the same length."""
    content = io.BytesIO()
    joblib.dump({"1": model}, content)
    return content.getvalue().replace(SCIKIT_LEARN.encode(), version.encode())


def old_layout(content: bytes) -> bytes:
    """Rename a field of the trees, as trees from before scikit-learn 1.3 lack one."""
    return content.replace(b"missing_go_to_left", b"missing_go_to_lost")


def test_old_trees_are_incompatible_and_name_the_version_and_the_cure() -> None:
    forest = IsolationForest(n_estimators=1).fit(VALUES.reshape(-1, 1))
    with pytest.raises(ModelIncompatible) as error:
        load(old_layout(written_by("1.2.2", forest)))
    assert str(error.value) == (
        f"the model was written by scikit-learn 1.2.2, and scikit-learn {SCIKIT_LEARN} cannot load it "
        "(trees from before scikit-learn 1.3 have another layout); train the model again"
    )


def test_name_that_scikit_learn_no_longer_has_is_incompatible() -> None:
    content = b"\x80\x02csklearn.metrics._dist_metrics\nEuclideanDistance\nX\x10\x00\x00\x00_sklearn_version"
    with pytest.raises(ModelIncompatible, match=r"written by scikit-learn 1\.2\.2.*EuclideanDistance.*train the model"):
        load(content + b"X\x05\x00\x00\x001.2.2.")


def test_model_of_a_newer_version_is_incompatible_and_names_the_cures() -> None:
    forest = IsolationForest(n_estimators=1).fit(VALUES.reshape(-1, 1))
    with pytest.raises(
        ModelIncompatible, match=r"written by scikit-learn 3\.2\.1.*use a newer device-scorer, or train"
    ):
        load(old_layout(written_by("3.2.1", forest)))


def test_missing_module_is_incompatible_and_is_named() -> None:
    with pytest.raises(ModelIncompatible, match="needs the Python module 'absent_library', which is not installed"):
        load(b"\x80\x02cabsent_library.models\nThing\n.", trust_any=True)


def test_class_of_a_script_is_incompatible_and_is_named() -> None:
    with pytest.raises(ModelIncompatible, match=r"needs '__main__\.Absent', .*define it in a module, not in a script"):
        load(b"\x80\x02c__main__\nAbsent\n.", trust_any=True)
    with pytest.raises(
        ModelIncompatible, match=r"needs 'json\.Absent', which the scorer does not have; add the module"
    ):
        load(b"\x80\x02cjson\nAbsent\n.", trust_any=True)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04", b"\x80\x04]\x94.", bytes(1000)])
def test_malformed_content_is_invalid(content: bytes) -> None:
    with pytest.raises(ModelInvalid):
        load(content)


class Exiting:
    """An object whose unpickling ends the interpreter."""

    def __reduce__(self) -> Any:
        return exit, (1,)


def test_exit_of_the_code_of_a_file_is_an_error() -> None:
    with pytest.raises(ModelInvalid, match="SystemExit"):
        load(pickle.dumps({"1": Exiting()}), trust_any=True)


def test_class_of_a_listed_name_is_not_changed() -> None:
    text = b"X\x07\x00\x00\x00predict"
    with pytest.raises(ModelRejected, match="changes a class"):
        load(b"\x80\x02csklearn.svm._classes\nOneClassSVM\nN}" + text + b"K\x01s\x86b.")
    assert callable(OneClassSVM.predict)


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


class WithState:
    """An object whose pickle is an element type with a state."""

    def __init__(self, code: str, state: tuple[Any, ...]) -> None:
        self._code, self._state = code, state

    def __reduce__(self) -> Any:
        return np.dtype, (self._code, False, True), self._state


@pytest.mark.fault("T15")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("dtype", [np.dtype("O"), np.dtype([("a", "O")])], ids=["objects", "records"])
def test_array_of_objects_over_chosen_bytes_is_rejected(dtype: "np.dtype[Any]", protocol: int) -> None:
    content = pickle.dumps({"1": a_model(), "2": Call(np.ndarray, (1,), dtype, b"A" * 8)}, protocol)
    with pytest.raises(ModelRejected, match=r"calls numpy\.ndarray"):
        load(content)


@pytest.mark.fault("T15")
def test_instruction_that_creates_an_array_from_a_class_is_rejected() -> None:
    by_class = b"cnumpy\nndarray\n"
    for creation in (
        b"(" + by_class + b"K\x01o.",
        b"(K\x01inumpy\nndarray\n.",
        by_class + b"(K\x01t\x81.",
        by_class + b"(K\x01t}\x92.",
    ):
        with pytest.raises(ModelRejected, match=r"calls numpy\.ndarray"):
            load(creation)


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    "state",
    [
        (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0),
        (3, "|", None, ("a",), {"a": (np.dtype("f8"), 1000)}, 8, 1, 0),
        (3, "|", (np.dtype("O"), (1,)), None, None, 8, 1, 0),
        (3, "|", None, None, None, 1 << 40, 1, 0),
    ],
    ids=["hidden-objects", "field-outside", "hidden-array-of-objects", "size"],
)
def test_element_type_that_reads_other_memory_is_invalid(state: tuple[Any, ...]) -> None:
    elements = Call(np.zeros(1).__reduce_ex__(5)[0], b"A" * 8, WithState("V8", state), (1,), "C")
    with pytest.raises(ModelInvalid):
        load(pickle.dumps({"1": a_model(), "2": elements}, 4))


def test_element_types_of_a_file_keep_their_order_and_fields() -> None:
    record = np.dtype({"names": ["a", "b"], "formats": ["<i2", ">f8"], "offsets": [0, 8], "itemsize": 24})
    for dtype in (record, np.dtype(">f4"), np.dtype("U3"), np.dtype((np.int16, (2,))), np.dtype("f8")):
        state = dtype.__reduce__()[2]
        assert sklearn_loader.with_state(np.dtype(dtype.__reduce__()[1][0]), state) == dtype
