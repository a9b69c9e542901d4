"""Models through scikit-learn itself: other detectors, `--engine sklearn`, and bundles written for it.

Beside training the only module that imports scikit-learn, which costs a second of CPU: imported when a bundle needs it.
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

from device_scorer.errors import ModelIncompatible, ModelInvalid, ModelRefused
from device_scorer.models.allowlist import DETECTORS, FUNCTIONS, RECORDS
from device_scorer.models.one_class_svm import OneClass
from device_scorer.models.unpickler import Array, Record

_ALLOWED = frozenset({*RECORDS, *FUNCTIONS, *DETECTORS})
_ONE_AT_A_TIME = threading.Lock()
"""`warnings.catch_warnings` changes what all threads see."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A fitted scikit-learn estimator over one feature."""

    estimator: Any = field(repr=False)
    version: str

    def judge(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """See model.Model. The label follows from one call of the decision function, as `predict` has it."""
        column = np.asarray(values, dtype=np.float64).reshape(-1, 1)
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if not hasattr(self.estimator, "decision_function"):
                    return [0 if label == 1 else 1 for label in self.estimator.predict(column).tolist()], None
                scores = [float(score) for score in np.ravel(self.estimator.decision_function(column))]
            except Exception as error:  # the file's estimator may be anything
                raise ModelInvalid(f"the model cannot judge ({type(error).__name__}: {error})") from error
        if len(scores) != len(values):
            raise ModelInvalid("the model gives not one score for each reading")
        if isinstance(_last(self.estimator), OneClassSVM):
            return [0 if score > 0 else 1 for score in scores], scores
        return [0 if score >= 0 else 1 for score in scores], scores


class _Listed(NumpyUnpickler):  # type: ignore[misc]  # joblib has no types
    """joblib's unpickler, which resolves only listed names and never changes a class or function."""

    dispatch: ClassVar[dict[int, Any]] = dict(NumpyUnpickler.dispatch)

    def __init__(self, content: bytes, *, trust_any: bool) -> None:
        super().__init__("model", io.BytesIO(content), ensure_native_byte_order=True)
        self._trust_any = trust_any
        self.version = "unknown"

    def find_class(self, module: str, name: str) -> Any:
        """The named class or function, if it is listed."""
        full = f"{module}.{name}"
        if self._trust_any:
            return super().find_class(module, name)
        if full not in _ALLOWED:
            raise ModelRefused(f"the model names {full[:200]!r}, which is not on the list of allowed classes")
        if FUNCTIONS.get(full) == "bytes":
            return _no_bytes
        module = RECORDS.get(full, full).rpartition(".")[0]
        return getattr(importlib.import_module(_RENAMED.get(module, module)), name)

    def _build(self) -> None:
        target, state = self.stack[-2], self.stack[-1]
        if isinstance(target, type) or (callable(target) and not self._trust_any):
            raise ModelRefused("the model changes a class or function")
        if isinstance(state, dict) and isinstance(state.get("_sklearn_version"), str):
            self.version = state["_sklearn_version"][:32]
        super().load_build()

    dispatch[pickle.BUILD[0]] = _build


def _no_bytes() -> bytes:
    """All that a sound pickle asks of `bytes`; with an argument it would be a bomb."""
    return b""


_RENAMED = {"copy_reg": "copyreg", "__builtin__": "builtins"}


def load(plain: bytes, *, trust_any: bool) -> Any:
    """The object in an unpacked file, by scikit-learn's own classes. Raises ModelRefused or ModelInvalid."""
    reader = _Listed(plain, trust_any=trust_any)
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = reader.load()
        except ModelRefused:
            raise
        except Exception as error:  # rubbish makes an unpickler raise anything at all
            text = f"scikit-learn {sklearn.__version__} cannot load the model, written by {reader.version}"
            raise ModelInvalid(f"{text} ({type(error).__name__}: {error})") from error
    if isinstance(loaded, dict):
        return {tag: (estimator, reader.version) if tag != "_meta" else estimator for tag, estimator in loaded.items()}
    return loaded


def model_of(loaded: tuple[Any, str]) -> Detector:
    """The detector of a loaded estimator; ModelInvalid: it is none or unfitted, ModelIncompatible: several features."""
    estimator, version = loaded
    if not hasattr(estimator, "predict"):
        raise ModelInvalid(f"a {type(estimator).__name__} stands where a fitted pipeline belongs")
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise ModelInvalid("the model is not fitted") from error
    if (features := getattr(estimator, "n_features_in_", 1)) != 1:
        raise ModelIncompatible(f"the model wants {features} features; a reading has one value")
    for stage in [estimator, *(stage for _, stage in getattr(estimator, "steps", []))]:
        if getattr(stage, "n_jobs", None) is not None:
            stage.n_jobs = 1  # the pod's CPU is one, whatever the trainer had
    return Detector(estimator, version)


def write(models: Mapping[str, tuple[Record, OneClass | None]]) -> bytes:
    """A joblib bundle with estimators made anew from records."""
    bundle = {tag: _estimator(record, model) for tag, (record, model) in models.items() if model is not None}
    target = io.BytesIO()
    joblib.dump(bundle, target)
    return target.getvalue()


def _estimator(record: Record, model: OneClass) -> Pipeline:
    old_scaler, old_svm = (step[1].attributes for step in record.attributes["steps"])
    names = [str(step[0]) for step in record.attributes["steps"]]
    scaler = StandardScaler(
        with_mean=bool(old_scaler.get("with_mean", True)),
        with_std=bool(old_scaler.get("with_std", True)),
    )
    scaler.mean_, scaler.scale_ = np.array([model.mean]), np.array([model.scale])
    scaler.var_ = _array(old_scaler.get("var_"), scaler.scale_**2)
    scaler.n_features_in_, scaler.n_samples_seen_ = 1, int(old_scaler.get("n_samples_seen_", len(model.vectors)))
    svm = OneClassSVM(kernel="rbf", gamma=model.gamma, nu=float(old_svm.get("nu", 0.5)))
    count = len(model.vectors)
    svm.support_ = _array(old_svm.get("support_"), np.arange(count)).astype(np.int32)
    svm.support_vectors_ = np.array(model.vectors).reshape(-1, 1)
    svm._n_support = np.array([count, count], dtype=np.int32)  # noqa: SLF001  scikit-learn has no other way to make a fitted one
    svm.dual_coef_ = np.array([model.coefficients])
    svm._dual_coef_ = svm.dual_coef_
    svm.intercept_ = np.array([model.intercept])
    svm._intercept_, svm.offset_ = svm.intercept_, -svm.intercept_
    svm._probA = svm._probB = np.empty(0)  # noqa: SLF001  as above
    svm._sparse, svm._gamma, svm._effective_probability = False, model.gamma, False  # noqa: SLF001  as above
    svm.fit_status_, svm.shape_fit_, svm.n_features_in_ = 0, (scaler.n_samples_seen_, 1), 1
    svm._num_iter, svm.n_iter_ = np.zeros(1, dtype=np.int32), 0  # noqa: SLF001  as above
    return Pipeline([(names[0], scaler), (names[1], svm)])


def _array(old: Any, otherwise: Any) -> Any:
    return np.array(old.numbers()) if isinstance(old, Array) and old.shape else otherwise


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
