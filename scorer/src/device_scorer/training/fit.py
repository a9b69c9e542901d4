"""Fitting of one anomaly model per tag, and the bundle that holds a device's models.

The model is the one of Azure's BatchAIAnomalyDetection sample: StandardScaler, then OneClassSVM(nu=0.0001, rbf,
gamma=0.01). With so small a nu the model is in effect an interval around the training values. More values than
useful can therefore be thinned evenly, as long as the smallest and the largest value are kept.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from device_scorer.models.bundle import FORMAT_VERSION, META_KEY
from device_scorer.models.expectations import META_SENSORS_KEY, Expectation, encode_expectations

NU, GAMMA = 0.0001, 0.01
TOLERANCE = 1e-6
"""Tolerance of the solver.

scikit-learn's default, 0.001, is larger than the whole decision function of a few hundred values with this nu. The
solver would stop after its first step, and the model would predict all values except one as anomalies. A smaller
tolerance costs nothing and changes no larger model.
"""

MIN_ROWS = 10
MAX_ROWS = 100_000
MAX_ANOMALY_SHARE = 0.05
"""Share of training values above which a model is rejected: a tag with few values, such as a switch."""

MIN_COUNTER_ROWS = 30
MIN_RISING_SHARE = 0.2
"""Share of steps upwards, without a step downwards, from which a tag is a counter."""

MAX_OUTLIER_SHARE = 0.005
OUTLIER_RANGES = 10
"""Multiple of the range of the other values by which an outlier is away from them."""

MIN_MEANS_PER_DEVIATION = 1e6
"""Ratio of mean and deviation above which the scaler computes the deviation around the median, without cancellation."""

MAX_TAG_CHARS = 256

RESERVED, FEW_ROWS, CONSTANT, COUNTER, FEW_VALUES = "reserved", "too few readings", "constant", "counter", "few values"


class TagRejected(Exception):  # noqa: N818  a signal: see errors.py
    """A model cannot be trained on the values of a tag.

    Args:
        kind: RESERVED, FEW_ROWS, CONSTANT, COUNTER or FEW_VALUES.
        reason: The reason with its numbers.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class FittedTags:
    """The result of fitting a device's tags.

    Attributes:
        models: The pipelines by tag.
        rejected: The reason by rejected tag.
        used: The mask of the readings without the outliers, by tag with a model.
    """

    models: dict[str, Any]
    rejected: dict[str, TagRejected]
    used: dict[str, np.ndarray]

    @property
    def outliers(self) -> dict[str, int]:
        """The number of readings that were left out as outliers, by tag that has some."""
        return {tag: int((~used).sum()) for tag, used in self.used.items() if not used.all()}


def fit(values: Mapping[str, np.ndarray], *, max_rows: int = MAX_ROWS) -> FittedTags:
    """Fit a pipeline per tag.

    Args:
        values: The usable readings by tag, as one-dimensional arrays in the order of their times.
        max_rows: The number of readings of a tag that are used; at least 2.
    """
    result = FittedTags({}, {}, {})
    for tag, numbers in sorted(values.items()):
        try:
            used = ~find_outliers(numbers)
            _check_readings(tag, numbers[used])
            result.models[tag] = _fit_pipeline(subsample(numbers[used], max_rows))
            result.used[tag] = used
        except TagRejected as rejection:
            result.rejected[tag] = rejection
    return result


def subsample(numbers: np.ndarray, max_count: int) -> np.ndarray:
    """Return at most `max_count` evenly spread numbers, among them the smallest and the largest, in their order.

    Args:
        numbers: A one-dimensional array.
        max_count: The number of elements of the result; at least 2.
    """
    if len(numbers) <= max_count:
        return numbers
    extremes = {int(numbers.argmin()), int(numbers.argmax())}
    spread = np.linspace(0, len(numbers) - 1, max_count - len(extremes)).round().astype(int)
    return numbers[sorted(extremes.union(spread.tolist()))]


def find_outliers(numbers: np.ndarray) -> np.ndarray:
    """Return a mask of the few values that are OUTLIER_RANGES ranges of all others away from them.

    A single such value would stretch the scale of the model, until the model no longer separates the others.

    Args:
        numbers: A one-dimensional array.
    """
    count = len(numbers)
    most = int(count * MAX_OUTLIER_SHARE)
    if not most:
        return np.zeros(count, dtype=bool)
    ordered = np.sort(numbers)
    low, high = ordered[most], ordered[count - 1 - most]
    margin = OUTLIER_RANGES * (high - low)
    if margin == 0:
        return np.zeros(count, dtype=bool)
    outside: np.ndarray = np.logical_or(numbers < low - margin, numbers > high + margin)
    return outside


def _check_readings(tag: str, numbers: np.ndarray) -> None:
    """Raise TagRejected if no model of single readings can be useful."""
    if tag == META_KEY or not tag.isprintable() or len(tag) > MAX_TAG_CHARS:
        text = f"a tag must have 1 to {MAX_TAG_CHARS} printable characters and must not be {META_KEY!r}"
        raise TagRejected(RESERVED, text)
    if len(numbers) < MIN_ROWS:
        raise TagRejected(FEW_ROWS, f"it has {len(numbers)} usable readings; {MIN_ROWS} are needed")
    steps = np.diff(numbers)
    if len(numbers) >= MIN_COUNTER_ROWS and steps.min() >= 0 and np.mean(steps > 0) >= MIN_RISING_SHARE:
        text = "its readings only increase, so that each new reading would be an anomaly; send the increase as a tag"
        raise TagRejected(COUNTER, text)


def _fit_pipeline(numbers: np.ndarray) -> Any:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  a second of imports that --help does not need
    from sklearn.svm import OneClassSVM  # noqa: PLC0415  as above

    column = numbers.reshape(-1, 1)
    scaler = _fit_scaler(numbers)
    scaled = scaler.transform(column)
    classifier = OneClassSVM(nu=NU, kernel="rbf", gamma=GAMMA, tol=TOLERANCE).fit(scaled)
    _include_ends(classifier, scaled)
    pipeline = Pipeline([("scaler", scaler), ("classifier", classifier)])
    anomalous = np.mean(pipeline.predict(column) == -1)
    if anomalous > MAX_ANOMALY_SHARE:
        text = f"its model would predict {anomalous:.0%} of the readings it was trained on as anomalies"
        raise TagRejected(FEW_VALUES, f"{text}; it has {len(np.unique(numbers)):,} different values")
    return pipeline


def _fit_scaler(numbers: np.ndarray) -> Any:
    """Return a fitted StandardScaler.

    StandardScaler takes values with a large mean and a small deviation for constant. In that case the deviation is
    computed around the median, where no digits cancel (Chan, Golub and LeVeque, "Algorithms for computing the sample
    variance", 1983).

    Raises:
        TagRejected: The values are constant except for rounding.
    """
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415  as above

    scaler = StandardScaler().fit(numbers.reshape(-1, 1))
    centre = np.median(numbers)
    shifted = numbers - centre
    deviation = shifted.std()
    if deviation <= 4 * np.spacing(np.abs(numbers).max()):
        text = f"all {len(numbers):,} readings are {numbers[0]:g}; its model would predict every reading as an anomaly"
        raise TagRejected(CONSTANT, text)
    if abs(centre) > MIN_MEANS_PER_DEVIATION * deviation or scaler.scale_[0] != np.sqrt(scaler.var_[0]):
        scaler.mean_ = np.array([centre + shifted.mean()])
        scaler.var_, scaler.scale_ = np.array([deviation**2]), np.array([deviation])
    return scaler


def _include_ends(classifier: Any, scaled: np.ndarray) -> None:
    """Raise the decision function until the smallest and the largest training value are normal.

    Rounding decides on which side of zero the decision function is at the support vectors, which are these values.
    """
    ends = np.array([scaled.min(), scaled.max()]).reshape(-1, 1)
    lowest = float(classifier.decision_function(ends).min())
    largest = float(np.abs(classifier.dual_coef_).sum())
    if -TOLERANCE * largest <= lowest <= 0:
        classifier.intercept_ = classifier.intercept_ - lowest + 4 * np.finfo(float).eps * largest
        classifier._intercept_ = classifier.intercept_  # scikit-learn predicts with this attribute
        classifier.offset_ = -classifier.intercept_


def encode_trained_bundle(models: Mapping[str, Any], expectations: Mapping[str, Expectation] | None = None) -> bytes:
    """Return the content of a bundle: a joblib file that holds a dict from tag to pipeline.

    Args:
        models: The pipelines by tag.
        expectations: The behaviour of the sensors, by tag.
    """
    import joblib  # noqa: PLC0415  as above

    document = dict(models)
    if expectations:
        document[META_KEY] = {"format": FORMAT_VERSION, META_SENSORS_KEY: encode_expectations(expectations)}
    file = io.BytesIO()
    joblib.dump(document, file)
    return file.getvalue()
