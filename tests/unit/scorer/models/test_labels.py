"""Random models and values: the closed forms have the labels and scores of scikit-learn."""

import io
import pickle
from typing import Any

import joblib
import numpy as np
import pytest

from device_scorer.models import closed_form, unpickler
from device_scorer.models.closed_form import ClosedFormModel
from device_scorer.models.one_class_svm import ClosedFormSvm
from tests.testkit.random_models import FAMILIES, RandomModels, predicted

MODELS, MODELS_LONG = 350, 20_000
"""Random models of each family, in `make test` and with --long."""

PARTS = 2
MAX_RELATIVE_ERROR = 1e-9


def written(model: Any, models: RandomModels) -> bytes:
    """Return a bundle in one of the forms in which users write it."""
    protocol = models.pick(None, 2, 4, 5)
    if protocol is not None:
        return pickle.dumps({"1": model}, protocol)
    target = io.BytesIO()
    joblib.dump({"1": model}, target)
    return target.getvalue()


def has_no_tree(model: Any) -> bool:
    """Return True for a LocalOutlierFactor that computes all distances. It has no closed form."""
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return getattr(model, "_fit_method", "") == "brute"


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("family", FAMILIES)
def test_no_label_of_a_random_model_differs_from_that_of_scikit_learn(
    family: str, part: int, pytestconfig: pytest.Config
) -> None:
    models = RandomModels(100 * part + FAMILIES.index(family))
    count = MODELS_LONG if pytestconfig.getoption("--long") else MODELS
    without_tree = compared = 0
    for _ in range(count // PARTS):
        pipeline, column = models.pipeline(family)
        values = models.values(column)
        closed = closed_form.from_inert_object(unpickler.load_inert(written(pipeline, models))["1"])
        if closed is None:
            assert has_no_tree(pipeline)
            without_tree += 1
            continue
        assert isinstance(closed, ClosedFormModel | ClosedFormSvm)
        compare(closed, pipeline, values)
        compared += len(values)
    assert without_tree < count // PARTS // 2
    assert compared > 50 * count // PARTS


def compare(closed: ClosedFormModel | ClosedFormSvm, pipeline: Any, values: np.ndarray) -> None:
    """Compare labels and scores; the scores of the same rows, as the rounding of BLAS depends on a row's position."""
    labels, scores = closed.predict(values.tolist())
    labelled, expected, exact = predicted(pipeline, values)
    found = np.array(scores)
    found[labelled] = closed.predict(values[labelled].tolist())[1]
    assert np.array_equal(np.array(labels)[labelled] == 1, expected), pipeline
    assert all(label == 1 for label in np.array(labels)[~labelled])
    assert np.isnan(found[~labelled]).all()
    np.testing.assert_allclose(found[labelled], exact, rtol=MAX_RELATIVE_ERROR, atol=0, err_msg=str(pipeline))
