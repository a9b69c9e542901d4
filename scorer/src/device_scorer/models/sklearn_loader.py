"""Models that scikit-learn evaluates (other detectors, `--engine sklearn`), and writing of bundles.

Only this module and the package training import scikit-learn. The import takes a second of CPU time, so this module is
imported only if a bundle needs it.
"""

import importlib
import io
import pickle
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import joblib
import numpy as np
import sklearn
from joblib.numpy_pickle import NumpyUnpickler
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import check_is_fitted

from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRejected
from device_scorer.models.allowlist import EMULATED_NAMES, INERT_CLASSES, SKLEARN_ONLY_NAMES
from device_scorer.models.one_class_svm import ClosedFormSvm
from device_scorer.models.unpickler import Array, InertObject

_ALLOWED_NAMES = frozenset({*INERT_CLASSES, *EMULATED_NAMES, *SKLEARN_ONLY_NAMES})
_WARNINGS_LOCK = threading.Lock()
"""Held around `warnings.catch_warnings`, which changes the filters of all threads."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A fitted scikit-learn estimator over one feature.

    Attributes:
        estimator: The estimator.
        sklearn_version: The version of scikit-learn that fitted the estimator, or "unknown".
    """

    estimator: Any = field(repr=False)
    sklearn_version: str

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Label values, as `bundle.Model.predict` describes.

        One call of the decision function gives both results. A value of 0 is an anomaly for OneClassSVM only, as in
        `predict` of scikit-learn's detectors.
        """
        column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
        with _WARNINGS_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if not hasattr(self.estimator, "decision_function"):
                    return [0 if label == 1 else 1 for label in self.estimator.predict(column).tolist()], None
                scores = [float(score) for score in np.ravel(self.estimator.decision_function(column))]
            except Exception as error:  # the file's estimator may be anything
                raise ModelInvalid(f"the model cannot predict ({type(error).__name__}: {error})") from error
        if len(scores) != len(values):
            raise ModelInvalid("the model is invalid: it must return one score for each reading")
        if isinstance(_final_step(self.estimator), OneClassSVM):
            return [0 if score > 0 else 1 for score in scores], scores
        return [0 if score >= 0 else 1 for score in scores], scores


class _AllowlistUnpickler(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """The unpickler of joblib, restricted to the names of the allow-list. It never changes a class or function."""

    dispatch: ClassVar[dict[int, Any]] = dict(NumpyUnpickler.dispatch)

    def __init__(self, content: bytes, *, trust_any: bool) -> None:
        super().__init__("model", io.BytesIO(content), ensure_native_byte_order=True)
        self._trust_any = trust_any
        self.sklearn_version = "unknown"

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function whose name is on the allow-list.

        Args:
            module: The module of the name in the file.
            name: The name of the class or function.

        Raises:
            ModelRejected: The name is not on the allow-list.
        """
        full = f"{module}.{name}"
        if self._trust_any:
            return super().find_class(module, name)
        if full not in _ALLOWED_NAMES:
            raise ModelRejected(f"the model names {full[:200]!r}, which is not on the list of allowed classes")
        if EMULATED_NAMES.get(full) == "bytes":
            return _empty_bytes
        module = INERT_CLASSES.get(full, full).rpartition(".")[0]
        return getattr(importlib.import_module(_RENAMED_MODULES.get(module, module)), name)

    def _build(self) -> None:
        target, state = self.stack[-2], self.stack[-1]
        if isinstance(target, type) or (callable(target) and not self._trust_any):
            raise ModelRejected("the model changes a class or function")
        if isinstance(state, dict) and isinstance(state.get("_sklearn_version"), str):
            self.sklearn_version = state["_sklearn_version"][:32]
        super().load_build()

    dispatch[pickle.BUILD[0]] = _build


def _empty_bytes() -> bytes:
    """Return empty bytes, as valid pickles call `bytes`. A call with a large number would exhaust the memory."""
    return b""


_RENAMED_MODULES = {"copy_reg": "copyreg", "__builtin__": "builtins"}


def load_estimators(content: bytes, *, trust_any: bool) -> Any:
    """Load a decompressed file with the classes of scikit-learn.

    Args:
        content: The pickle, plain or of joblib.
        trust_any: True to allow all names.

    Returns:
        The object. The values of a dict, except `_meta`, are pairs of the estimator and the version of scikit-learn.

    Raises:
        ModelRejected: The file names code that is not on the allow-list.
        ModelInvalid: The file cannot be loaded.
    """
    reader = _AllowlistUnpickler(content, trust_any=trust_any)
    with _WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = reader.load()
        except ModelRejected:
            raise
        except Exception as error:  # malformed input makes an unpickler raise any exception
            text = f"scikit-learn {sklearn.__version__} cannot load the model, written by {reader.sklearn_version}"
            raise ModelInvalid(f"{text} ({type(error).__name__}: {error})") from error
    if isinstance(loaded, dict):
        return {
            tag: (estimator, reader.sklearn_version) if tag != "_meta" else estimator
            for tag, estimator in loaded.items()
        }
    return loaded


def to_detector(loaded: tuple[Any, str]) -> Detector:
    """Return the detector of an estimator.

    Args:
        loaded: The estimator and the version of scikit-learn that fitted it.

    Raises:
        ModelInvalid: The object is not an estimator, or is not fitted.
        ModelIncompatible: The estimator has more than one feature.
    """
    estimator, version = loaded
    if not hasattr(estimator, "predict"):
        raise ModelInvalid(f"the model is invalid: expected a fitted pipeline, found a {type(estimator).__name__}")
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise ModelInvalid("the model is invalid: it is not fitted") from error
    if (features := getattr(estimator, "n_features_in_", 1)) != 1:
        raise ModelIncompatible(f"the model expects {features} features; a reading has one value")
    for stage in [estimator, *(stage for _, stage in getattr(estimator, "steps", []))]:
        if getattr(stage, "n_jobs", None) is not None:
            stage.n_jobs = 1  # the trainer may have had more CPUs than the pod
    return Detector(estimator, version)


def encode_bundle(models: Mapping[str, tuple[InertObject, ClosedFormSvm | None]]) -> bytes:
    """Return a joblib bundle with estimators that are rebuilt from inert objects.

    Args:
        models: The pipeline and its closed form by tag. A pipeline without a closed form is skipped.
    """
    bundle = {tag: _rebuild_pipeline(record, model) for tag, (record, model) in models.items() if model is not None}
    target = io.BytesIO()
    joblib.dump(bundle, target)
    return target.getvalue()


def _rebuild_pipeline(record: InertObject, model: ClosedFormSvm) -> Pipeline:
    old_scaler, old_svm = (step[1].attributes for step in record.attributes["steps"])
    names = [str(step[0]) for step in record.attributes["steps"]]
    scaler = StandardScaler(
        with_mean=bool(old_scaler.get("with_mean", True)),
        with_std=bool(old_scaler.get("with_std", True)),
    )
    scaler.mean_, scaler.scale_ = np.array([model.mean]), np.array([model.scale])
    scaler.var_ = _array_or_default(old_scaler.get("var_"), scaler.scale_**2)
    scaler.n_features_in_, scaler.n_samples_seen_ = 1, int(old_scaler.get("n_samples_seen_", len(model.vectors)))
    svm = OneClassSVM(kernel="rbf", gamma=model.gamma, nu=float(old_svm.get("nu", 0.5)))
    count = len(model.vectors)
    svm.support_ = _array_or_default(old_svm.get("support_"), np.arange(count)).astype(np.int32)
    svm.support_vectors_ = np.array(model.vectors).reshape(-1, 1)
    svm._n_support = np.array([count, count], dtype=np.int32)  # noqa: SLF001  scikit-learn has no public way to create a fitted estimator
    svm.dual_coef_ = np.array([model.coefficients])
    svm._dual_coef_ = svm.dual_coef_
    svm.intercept_ = np.array([model.intercept])
    svm._intercept_, svm.offset_ = svm.intercept_, -svm.intercept_
    svm._probA = svm._probB = np.empty(0)  # noqa: SLF001  as above
    svm._sparse, svm._gamma, svm._effective_probability = False, model.gamma, False  # noqa: SLF001  as above
    svm.fit_status_, svm.shape_fit_, svm.n_features_in_ = 0, (scaler.n_samples_seen_, 1), 1
    svm._num_iter, svm.n_iter_ = np.zeros(1, dtype=np.int32), 0  # noqa: SLF001  as above
    return Pipeline([(names[0], scaler), (names[1], svm)])


def _array_or_default(array: Any, default: Any) -> Any:
    return np.array(array.to_floats()) if isinstance(array, Array) and array.shape else default


def _final_step(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
