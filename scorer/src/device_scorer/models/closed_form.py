"""The closed forms of fitted detectors behind scalers: labels of scikit-learn without its import.

A pipeline, also one of nested pipelines, becomes a list of estimators. All except the last are scalers. The closed form
of each family has its own module. Only the arrays that a closed form needs are read, and each is checked first. A model
that has no closed form is left to scikit-learn.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from device_scorer.models.allowlist import (
    ELLIPTIC_ENVELOPE,
    ISOLATION_FOREST,
    LOCAL_OUTLIER_FACTOR,
    NYSTROEM,
    ONE_CLASS_SVM,
    PIPELINE,
    SGD_ONE_CLASS_SVM,
    STANDARD_SCALER,
)
from device_scorer.models.descriptions import not_a_pipeline
from device_scorer.models.inert import ClosedFormMissing, InertObject, too_many_features
from device_scorer.models.one_class_svm import read_svm
from device_scorer.models.scaling import Scaling, read_scaling
from device_scorer.models.sklearn_messages import clean_version

if TYPE_CHECKING:
    import numpy as np

    from device_scorer.models.one_class_svm import ClosedFormSvm

MAX_STAGES = 100
"""Number of estimators of a pipeline, nested ones included."""


class ClosedFormDetector(Protocol):
    """The closed form of an estimator over one scaled feature."""

    def decide(self, scaled: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
        """Return the labels (True for an anomaly) and the decision function.

        Args:
            scaled: Scaled values without NaN, as a vector.
        """


class ClosedFormModel(NamedTuple):
    """A detector behind scalers, evaluated with NumPy.

    Attributes:
        scaling: The scalers.
        detector: The detector.
        sklearn_version: The version of scikit-learn that fitted the detector, or "unknown".
        accepts_infinity: True if the detector labels values that a scaler turns into infinity.
    """

    scaling: Scaling
    detector: ClosedFormDetector
    sklearn_version: str
    accepts_infinity: bool = False

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float]]:
        """Label values.

        Args:
            values: Finite values, one per reading.

        Returns:
            The labels (1 anomaly, 0 normal) and the decision function of each value. A value that a step turns into
            infinity is an anomaly without a score (NaN).
        """
        import numpy as np  # noqa: PLC0415  the trainer's models on an ordinary device do not need NumPy

        with np.errstate(all="ignore"):
            scaled = self.scaling.scale_array(np.asarray(values, dtype=np.float64))
            usable = ~np.isnan(scaled) if self.accepts_infinity else np.isfinite(scaled)
            labels, scores = np.ones(len(scaled), dtype=bool), np.full(len(scaled), np.nan)
            labels[usable], scores[usable] = self.detector.decide(scaled[usable])
        return labels.astype(int).tolist(), scores.tolist()


def from_inert_object(record: Any) -> "ClosedFormModel | ClosedFormSvm | None":
    """Return the closed form of a fitted pipeline or detector, or None if only scikit-learn can evaluate it.

    Args:
        record: The pipeline or detector, from `unpickler.load_inert`.

    Raises:
        ModelInvalid: The object is not an estimator, is not fitted, or is inconsistent.
        ModelIncompatible: The estimator has more than one feature.
    """
    if not isinstance(record, InertObject):
        raise not_a_pipeline(record)
    try:
        return _read(estimators_of(record))
    except ClosedFormMissing:
        return None


def estimators_of(record: InertObject) -> list[InertObject]:
    """Return the estimators of a pipeline and of the pipelines in it, in order, without steps that do nothing.

    Args:
        record: The pipeline or estimator.

    Raises:
        ClosedFormMissing: A step is not an estimator, or there are too many.
    """
    estimators: list[InertObject] = []
    waiting: list[Any] = [record]
    for _ in range(MAX_STAGES):
        if not waiting:
            return estimators
        stage = waiting.pop()
        if not isinstance(stage, InertObject):
            if stage not in (None, "passthrough"):
                raise ClosedFormMissing("a step that is not an estimator")
        elif stage.class_name != PIPELINE:
            estimators.append(stage)
        else:
            waiting += reversed(_steps(stage))
    raise ClosedFormMissing(f"more than {MAX_STAGES} steps")


def _steps(pipeline: InertObject) -> list[Any]:
    steps = pipeline.attributes.get("steps")
    if not isinstance(steps, list) or len(steps) > MAX_STAGES:
        raise ClosedFormMissing("a pipeline without steps")
    if not all(isinstance(step, (tuple, list)) and len(step) == 2 for step in steps):
        raise ClosedFormMissing("a pipeline of other steps")
    return [step[1] for step in steps]


def _read(estimators: list[InertObject]) -> "ClosedFormModel | ClosedFormSvm":
    if not estimators:
        raise ClosedFormMissing("a pipeline without a detector")
    features = estimators[0].attributes.get("n_features_in_", 1)
    if isinstance(features, int) and 1 < features < 2**31:
        raise too_many_features(features)
    *scalers, last = estimators
    if last.class_name == ONE_CLASS_SVM:
        return read_svm(last, read_scaling(scalers))
    nystroem = scalers.pop() if scalers and scalers[-1].class_name == NYSTROEM else None
    if nystroem is not None and last.class_name != SGD_ONE_CLASS_SVM:
        raise ClosedFormMissing("another detector behind a Nystroem map")
    return ClosedFormModel(
        scaling=read_scaling(scalers),
        detector=_reader(last.class_name)(last, nystroem),
        sklearn_version=clean_version(last.attributes.get("_sklearn_version")),
        accepts_infinity=last.class_name == ISOLATION_FOREST,
    )


def _reader(class_name: str) -> Callable[[InertObject, InertObject | None], ClosedFormDetector]:
    """Return the function that reads a detector. Its module is imported here, because it imports NumPy."""
    if class_name == ISOLATION_FOREST:
        from device_scorer.models.isolation_forest import read_forest  # noqa: PLC0415  as above

        return lambda detector, _: read_forest(detector)
    if class_name == SGD_ONE_CLASS_SVM:
        from device_scorer.models.linear_svm import read_linear_svm  # noqa: PLC0415  as above

        return read_linear_svm
    if class_name == ELLIPTIC_ENVELOPE:
        from device_scorer.models.elliptic_envelope import read_envelope  # noqa: PLC0415  as above

        return lambda detector, _: read_envelope(detector)
    if class_name == LOCAL_OUTLIER_FACTOR:
        from device_scorer.models.local_outlier_factor import read_factor  # noqa: PLC0415  as above

        return lambda detector, _: read_factor(detector)
    raise ClosedFormMissing(class_name)


def read_trainer_model(record: Any) -> "ClosedFormSvm | None":
    """Return the closed form of a pipeline of the trainer's shape, StandardScaler -> OneClassSVM(rbf); else None.

    Args:
        record: The pipeline, from `unpickler.load_inert`.

    Raises:
        ModelInvalid: The object is not an estimator, is not fitted, or is inconsistent.
        ModelIncompatible: The estimator has more than one feature.
    """
    model = from_inert_object(record)
    if model is None or isinstance(model, ClosedFormModel) or model.kernel.name != "rbf":
        return None
    steps = [getattr(step, "class_name", "") for step in _steps(record)] if record.class_name == PIPELINE else []
    return model if steps == [STANDARD_SCALER, ONE_CLASS_SVM] else None
