"""Fitted estimators of scikit-learn over one feature: which of them are usable, and their labels and scores.

Only outlier detectors in scikit-learn's sense are usable: the tag `estimator_type` is "outlier_detector", and `predict`
returns 1 (normal) or -1 (anomaly). Other libraries use other conventions. PyOD returns 1 for an anomaly.

The labels are those of `predict`. A value for which `predict` raises an error is an anomaly without a score, if the
model labels other values. An example is a value that a step turns into infinity. This module runs in a worker process.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags

from device_scorer.errors import ModelIncompatible, ModelInvalid, PermanentError
from device_scorer.models.descriptions import not_a_pipeline
from device_scorer.models.sklearn_failures import describe_failure
from device_scorer.models.sklearn_messages import one_line

PROBES = (1.0, 0.0, 100.0, -1.0, 10_000.0)
"""A model is usable if it labels one of these values. Some transformers accept only positive or only small values."""

EXTREMES = (1e12, 1e9, 1e6, 10_000.0, 100.0, 1.0)
"""The extreme values of each sign, the largest first. Code of another library must label the largest value of a sign
-1 that it evaluates. PyOD's detectors have scikit-learn's tags too, and a detector that returns -1 for ordinary values
and 1 for extreme ones has the labels of scikit-learn with the opposite meaning."""

MAX_STAGES = 1000
"""Number of nested estimators that are inspected."""

MAX_KIND_CHARS = 200

_CONVENTION = (
    "is not an outlier detector of scikit-learn, whose labels are 1 (normal) and -1 (anomaly); other conventions, such "
    "as PyOD's 1 for an anomaly, are not supported; train an outlier detector of scikit-learn"
)


@dataclass(frozen=True, slots=True)
class SklearnDetector:
    """A fitted outlier detector over one feature.

    Attributes:
        estimator: The estimator.
        sklearn_version: The version of scikit-learn that fitted the estimator, or "unknown".
        kind: The names of its steps, such as "StandardScaler -> IsolationForest".
    """

    estimator: Any = field(repr=False)
    sklearn_version: str
    kind: str = ""

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        """Label values, as `bundle.Model.predict` describes; NaN is a missing score."""
        labels, scores = self.predict_array(np.asarray(values, dtype=np.float64))
        return labels.astype(int).tolist(), None if scores is None else scores.tolist()

    def predict_array(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Label values.

        Args:
            values: Finite values, one per reading, as a vector of float64.

        Returns:
            The labels (True for an anomaly), and the decision function of each value or None if the model has none.
            NaN is a missing score.

        Raises:
            ModelInvalid: The model fails for all values and for PROBES.
            ModelIncompatible: The labels are not those of an outlier detector.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return self._evaluate(values)
            except PermanentError:
                raise
            except Exception:  # noqa: BLE001  the file's estimator may raise anything
                labels, scores, any_labelled = self._evaluate_in_parts(values)
        if not any_labelled:
            self.check()
        return labels, scores

    def check(self) -> None:
        """Raise an error unless the model labels at least one of PROBES.

        Raises:
            ModelInvalid: The model fails.
            ModelIncompatible: The labels are not those of an outlier detector, or another version wrote the model.
        """
        failure: Exception | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for probes in (PROBES, *((probe,) for probe in PROBES)):
                try:
                    self._evaluate(np.array(probes))
                except PermanentError:
                    raise
                except Exception as error:  # noqa: BLE001  as above
                    failure = failure or error
                else:
                    return
        if isinstance(failure, NotFittedError):
            text = f"the model is invalid: {_subject(self.estimator)} is not fitted"
            raise ModelInvalid(f"{text}; fit it before it is saved") from failure
        if failure is not None:
            raise describe_failure(failure, action="evaluate", written_by=self.sklearn_version) from failure

    def check_convention(self) -> None:
        """Raise an error unless the model labels the largest value of EXTREMES with either sign as an anomaly.

        Raises:
            ModelIncompatible: The labels have another convention, or their convention is unknown.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for sign in (-1.0, 1.0):
                for extreme in EXTREMES:
                    try:
                        labels, _ = self._evaluate(np.array([sign * extreme]))
                    except PermanentError:
                        raise
                    except Exception:  # noqa: BLE001, S112  as above
                        continue
                    if labels.all():
                        return
                    break
        raise ModelIncompatible(f"{self.kind} labels no extreme value -1: it {_CONVENTION}")

    def _evaluate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Call the estimator once for all values."""
        column, scores = values.reshape(-1, 1), None
        labels = np.ravel(np.asarray(self.estimator.predict(column)))
        if labels.shape != values.shape:
            raise ModelInvalid("the model is invalid: it must return one label for each reading")
        if labels.dtype == object:
            labels = np.array(labels.tolist())  # the type of its elements
        if labels.shape != values.shape or labels.dtype.kind not in "fi" or not np.isin(labels, (-1, 1)).all():
            found = one_line(", ".join(sorted(set(map(str, labels.tolist())))[:3]))[:60]
            raise ModelIncompatible(f"{self.kind} returns the labels {found}: it {_CONVENTION}")
        if hasattr(self.estimator, "decision_function"):
            scores = np.ravel(np.asarray(self.estimator.decision_function(column), dtype=np.float64))
            if scores.shape != values.shape:
                raise ModelInvalid("the model is invalid: it must return one score for each reading")
        return labels == -1, scores

    def _evaluate_in_parts(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, bool]:
        """Find the values that the estimator cannot label, by halving the sorted values, and label the others.

        Returns:
            The labels and scores, and True if at least one value has a label of the estimator.
        """
        labels, scores = np.ones(values.shape, dtype=bool), np.full(values.shape, np.nan)
        parts, any_labelled, has_scores = [np.argsort(values, kind="stable")], False, True
        while parts:
            part = parts.pop()
            try:
                labels[part], found = self._evaluate(values[part])
            except PermanentError:
                raise
            except MemoryError as error:
                if len(part) == 1:
                    raise describe_failure(error, action="evaluate", written_by=self.sklearn_version) from error
                parts += np.array_split(part, 2)
            except Exception:  # noqa: BLE001  as above
                parts += np.array_split(part, 2) if len(part) > 1 else []
            else:
                any_labelled = True
                has_scores = has_scores and found is not None
                scores[part] = np.nan if found is None else found
        return labels, scores if has_scores else None, any_labelled


def to_detector(estimator: Any, sklearn_version: str) -> SklearnDetector:
    """Return the detector of an estimator.

    Args:
        estimator: The estimator.
        sklearn_version: The version of scikit-learn that fitted it, or "unknown".

    Raises:
        ModelInvalid: The object is not an estimator, is not fitted, or fails.
        ModelIncompatible: The estimator is not an outlier detector, cannot label new readings, has more than one
            feature, or was written by another version of scikit-learn.
    """
    _check_kind(estimator)
    if (features := getattr(estimator, "n_features_in_", 1)) != 1:
        text = f"the model expects {one_line(str(features))[:20]} features; a reading has one value"
        raise ModelIncompatible(f"{text}; train one model for each tag")
    stages = _stages(estimator)
    for stage in stages:
        if getattr(stage, "n_jobs", None) is not None:
            stage.n_jobs = 1  # the trainer may have had more CPUs than the pod
        vars(stage).pop("_sklearn_output_config", None)  # the output as a DataFrame would need pandas
    kind = " -> ".join(_name(stage) for stage in stages if not hasattr(stage, "steps"))
    detector = SklearnDetector(estimator, sklearn_version, kind[:MAX_KIND_CHARS])
    detector.check()
    if not _is_of_scikit_learn(_path_to_labels(estimator)):
        detector.check_convention()
    return detector


def _is_of_scikit_learn(path: Sequence[Any]) -> bool:
    """Return True if the labels are those of a detector of scikit-learn, and no code of others changes them."""
    return isinstance(path[-1], OutlierMixin) and all(type(one).__module__.startswith("sklearn.") for one in path)


def _check_kind(estimator: Any) -> None:
    """Raise an error unless the estimator is an outlier detector that labels new readings."""
    if isinstance(estimator, type) or (not hasattr(estimator, "fit") and not hasattr(estimator, "predict")):
        raise not_a_pipeline(estimator)
    subject = _subject(estimator)
    if _estimator_type(estimator) != "outlier_detector":
        raise ModelIncompatible(f"{subject} {_CONVENTION}")
    if getattr(_last_step(estimator), "novelty", True) is False:
        text = f"{subject} was fitted with novelty=False and cannot label new readings"
        raise ModelIncompatible(f"{text}; fit it with novelty=True")
    if not hasattr(estimator, "predict"):
        raise ModelIncompatible(f"{subject} cannot label new readings: it has no method predict; train another one")


def _estimator_type(estimator: Any) -> str | None:
    """Return scikit-learn's type of an estimator; objects without the tags of scikit-learn have none."""
    try:
        found = get_tags(estimator).estimator_type
    except Exception:  # noqa: BLE001  an object of another library may raise anything
        return None
    return found if isinstance(found, str) else None


def _inner_estimators(estimator: Any) -> list[Any]:
    """Return the estimators of a pipeline, or the best one of a search, without steps that are not estimators."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list):
        inner = [step[1] for step in steps if isinstance(step, (tuple, list)) and len(step) == 2]
    else:
        inner = [getattr(estimator, "best_estimator_", None)]
    return [step for step in inner if hasattr(step, "fit") and hasattr(step, "__dict__")]


def _stages(estimator: Any) -> list[Any]:
    """Return the estimator and all estimators in it, in order and each once."""
    stages: dict[int, Any] = {}
    waiting = [estimator]
    while waiting and len(stages) < MAX_STAGES:
        stage = waiting.pop()
        if id(stage) not in stages:
            stages[id(stage)] = stage
            waiting += reversed(_inner_estimators(stage))
    return list(stages.values())


def _path_to_labels(estimator: Any) -> list[Any]:
    """Return the estimators whose `predict` the labels pass: the last step of each pipeline, the outermost first."""
    path = [estimator]
    while len(path) < MAX_STAGES and (inner := _inner_estimators(path[-1])):
        path.append(inner[-1])
    return path


def _last_step(estimator: Any) -> Any:
    """Return the estimator that decides about the labels: the last step of the last pipeline."""
    return _path_to_labels(estimator)[-1]


def _name(estimator: Any) -> str:
    return one_line(type(estimator).__name__)[:80]


def _subject(estimator: Any) -> str:
    """Return the name of an estimator for a message, with the step that decides about the labels."""
    last = _last_step(estimator)
    return _name(last) if last is estimator else f"{_name(last)}, the last step of the {_name(estimator)},"
