"""Writing of bundles with estimators of scikit-learn that are rebuilt from inert objects. Imports scikit-learn."""

import io
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from device_scorer.models.inert import Array, InertObject, read_number
from device_scorer.models.one_class_svm import ClosedFormSvm


def encode_rebuilt_bundle(models: Mapping[str, tuple[InertObject, ClosedFormSvm | None]]) -> bytes:
    """Return a joblib bundle with estimators that are rebuilt from inert objects.

    Args:
        models: The pipeline and its closed form by tag. A pipeline without a closed form is skipped.
    """
    bundle = {tag: _rebuild_pipeline(record, model) for tag, (record, model) in models.items() if model is not None}
    target = io.BytesIO()
    joblib.dump(bundle, target)
    return target.getvalue()


def _rebuild_pipeline(record: InertObject, model: ClosedFormSvm) -> Pipeline:
    scaler_record = record.attributes["steps"][0][1]
    old_scaler, old_svm = (step[1].attributes for step in record.attributes["steps"])
    names = [str(step[0]) for step in record.attributes["steps"]]
    scaler = StandardScaler(
        with_mean=bool(old_scaler.get("with_mean", True)),
        with_std=bool(old_scaler.get("with_std", True)),
    )
    scaler.mean_ = np.array([read_number(scaler_record, "mean_") if scaler.with_mean else 0.0])
    scaler.scale_ = np.array([read_number(scaler_record, "scale_") if scaler.with_std else 1.0])
    scaler.var_ = _array_or_default(old_scaler.get("var_"), scaler.scale_**2)
    scaler.n_features_in_, scaler.n_samples_seen_ = 1, int(old_scaler.get("n_samples_seen_", len(model.vectors)))
    svm = OneClassSVM(kernel="rbf", gamma=model.kernel.gamma, nu=float(old_svm.get("nu", 0.5)))
    count = len(model.vectors)
    svm.support_ = _array_or_default(old_svm.get("support_"), np.arange(count)).astype(np.int32)
    svm.support_vectors_ = np.array(model.vectors).reshape(-1, 1)
    svm._n_support = np.array([count, count], dtype=np.int32)  # noqa: SLF001  scikit-learn has no public way to create a fitted estimator
    svm.dual_coef_ = np.array([model.coefficients])
    svm._dual_coef_ = svm.dual_coef_
    svm.intercept_ = np.array([model.intercept])
    svm._intercept_, svm.offset_ = svm.intercept_, -svm.intercept_
    svm._probA = svm._probB = np.empty(0)  # noqa: SLF001  as above
    svm._sparse, svm._gamma, svm._effective_probability = False, model.kernel.gamma, False  # noqa: SLF001  as above
    svm.fit_status_, svm.shape_fit_, svm.n_features_in_ = 0, (scaler.n_samples_seen_, 1), 1
    svm._num_iter, svm.n_iter_ = np.zeros(1, dtype=np.int32), 0  # noqa: SLF001  as above
    return Pipeline([(names[0], scaler), (names[1], svm)])


def _array_or_default(array: Any, default: Any) -> Any:
    return np.array(array.to_floats()) if isinstance(array, Array) and array.shape else default
