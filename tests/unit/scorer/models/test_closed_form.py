"""Tests of the choice between closed forms and scikit-learn, model by model."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDOneClassSVM
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from device_scorer.errors import ModelIncompatible, ModelInvalid
from device_scorer.models import bundle as bundles
from device_scorer.models.closed_form import ClosedFormModel, from_inert_object, read_trainer_model
from device_scorer.models.inert import InertObject
from device_scorer.models.one_class_svm import ClosedFormSvm
from device_scorer.models.unpickler import load_inert
from tests.testkit.scorer_fleet import a_model, bundle, fitted

COLUMN = np.round(np.random.default_rng(5).normal(10, 2, (100, 1)), 2)
FOREST = IsolationForest(n_estimators=3, random_state=1)


def closed(model: Any) -> Any:
    return from_inert_object(load_inert(pickle.dumps(model)))


def test_one_tag_without_a_closed_form_leaves_the_other_tags_in_closed_form() -> None:
    power = make_pipeline(PowerTransformer(), OneClassSVM(nu=0.1)).fit(COLUMN)
    with bundle_of(svm=a_model(), forest=FOREST.fit(COLUMN), power=power, text="x") as loaded:
        assert isinstance(loaded.models["svm"], ClosedFormSvm)
        assert isinstance(loaded.models["forest"], ClosedFormModel)
        assert isinstance(loaded.models["text"], ModelInvalid)
        labels, _ = loaded.models["power"].predict([10.0, 1e9])
    assert labels == [0 if label == 1 else 1 for label in power.predict([[10.0], [1e9]])]


class bundle_of:  # noqa: N801  reads as a function
    """A loaded bundle that is closed at the end of the block."""

    def __init__(self, **models: Any) -> None:
        self.loaded = bundles.load(bundle(models), max_unpacked_bytes=2**26)

    def __enter__(self) -> Any:
        return self.loaded

    def __exit__(self, *_: object) -> None:
        self.loaded.close()


@pytest.mark.parametrize("detector", [OneClassSVM(nu=0.1), FOREST], ids=str)
def test_model_fitted_on_a_data_frame_has_a_closed_form(detector: Any) -> None:
    model = make_pipeline(StandardScaler(), detector).fit(pd.DataFrame({"value": COLUMN[:, 0]}))
    expected = model.decision_function(pd.DataFrame({"value": [10.0, 99.0]}))
    assert closed(model).predict([10.0, 99.0])[1] == expected.tolist()


def test_nested_pipelines_and_steps_without_effect_are_followed() -> None:
    inner = make_pipeline("passthrough", MinMaxScaler(), make_pipeline(FOREST))
    model = Pipeline([("a", None), ("b", StandardScaler()), ("c", inner)]).fit(COLUMN)
    assert closed(model).predict([10.0, 99.0])[1] == model.decision_function([[10.0], [99.0]]).tolist()


def test_value_that_a_scaler_makes_infinite_is_judged_by_a_forest_only() -> None:
    scaler = StandardScaler(with_mean=False).fit(COLUMN)
    scaler.scale_ = np.array([1e-200])
    forest = Pipeline([("s", scaler), ("d", FOREST.fit(COLUMN))])
    sgd = Pipeline([("s", scaler), ("d", SGDOneClassSVM().fit(COLUMN))])
    with np.errstate(over="ignore"):
        expected = forest.decision_function([[1e200]]).tolist()
    assert closed(forest).predict([1e200])[1] == expected
    labels, scores = closed(sgd).predict([1e200, 1e-200])
    assert labels[0] == 1
    assert np.isnan(scores).tolist() == [True, False]


@pytest.mark.parametrize(
    "model",
    [
        LocalOutlierFactor(novelty=False).fit(COLUMN),
        StandardScaler().fit(COLUMN),
        make_pipeline("passthrough").fit(COLUMN),
        make_pipeline(Nystroem(n_components=5), OneClassSVM()).fit(COLUMN),
        make_pipeline(Nystroem(n_components=5), StandardScaler(), SGDOneClassSVM()).fit(COLUMN),
        Pipeline([]),
        make_pipeline(*["passthrough"] * 101),
    ],
    ids=lambda model: str(model)[:40],
)
def test_model_without_a_closed_form_is_left_to_scikit_learn(model: Any) -> None:
    assert closed(model) is None


@pytest.mark.fault("T15")
def test_pipeline_that_contains_itself_is_left_to_scikit_learn() -> None:
    record = InertObject("sklearn.pipeline.Pipeline")
    record.attributes["steps"] = [("a", record), ("b", record)]
    assert from_inert_object(record) is None


@pytest.mark.fault("D7")
@pytest.mark.parametrize("gamma", [-1e9, 10**400, float("nan"), "scale"], ids=["negative", "huge", "NaN", "text"])
def test_gamma_that_is_not_a_usable_number_is_invalid(gamma: object) -> None:
    model = fitted([1.0, 2.0, 3.0])
    model.steps[1][1]._gamma = gamma
    loaded = bundles.load(bundle({"1": model}), max_unpacked_bytes=2**26)
    assert isinstance(loaded.models["1"], ModelInvalid)
    loaded.close()


@pytest.mark.fault("D7")
def test_tag_that_is_a_huge_integer_is_invalid() -> None:
    with pytest.raises(ModelInvalid):
        bundles.load(bundle({10**5000: a_model()}), max_unpacked_bytes=2**26)


@pytest.mark.parametrize("detector", [FOREST, OneClassSVM(), SGDOneClassSVM()], ids=str)
def test_detector_of_two_features_is_incompatible(detector: Any) -> None:
    with pytest.raises(ModelIncompatible, match="expects 2 features"):
        closed(detector.fit(np.hstack([COLUMN, COLUMN])))


def test_trainer_model_is_a_standard_scaler_and_an_rbf_svm() -> None:
    assert read_trainer_model(load_inert(pickle.dumps(a_model()))) is not None
    for other in (
        make_pipeline(MinMaxScaler(), OneClassSVM()),
        make_pipeline(StandardScaler(), OneClassSVM(kernel="linear")),
        make_pipeline(StandardScaler(), make_pipeline(OneClassSVM())),
        FOREST,
    ):
        assert read_trainer_model(load_inert(pickle.dumps(other.fit(COLUMN)))) is None


def test_closed_form_of_a_forest_imports_neither_scikit_learn_nor_scipy_nor_pandas(tmp_path: Any) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(bundle({"1": make_pipeline(StandardScaler(), FOREST).fit(COLUMN)}))
    code = (
        "import sys; from pathlib import Path; from device_scorer.models import bundle;"
        "loaded = bundle.load(Path(sys.argv[1]).read_bytes(), max_unpacked_bytes=2**26);"
        "loaded.models['1'].predict([1.0]);"
        "print(sorted({'sklearn', 'scipy', 'pandas', 'joblib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
