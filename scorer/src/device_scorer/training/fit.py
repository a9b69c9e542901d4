"""Fitting of one anomaly model per tag, and the bundle that holds a device's models. No I/O.

The model is the one of Azure's BatchAIAnomalyDetection sample: StandardScaler, then OneClassSVM(nu=0.0001, rbf,
gamma=0.01). With so small a nu the model is in effect an interval around the training values. More values than
useful can therefore be thinned evenly, as long as the smallest and the largest value are kept.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

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
"""Share of training values above which a model is rejected.

Rounding decides whether the ends of the interval are anomalies. More of them than this means a tag with few values,
such as a switch.
"""

RESERVED_TAG = "_meta"
MAX_TAG_CHARS = 256


class TagRejected(Exception):  # noqa: N818  a result for a tag, not an error of the program
    """A model cannot be trained on the values of a tag; the text is the reason."""


def fit(values: Mapping[str, np.ndarray], *, max_rows: int = MAX_ROWS) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit a pipeline per tag.

    Args:
        values: The usable readings by tag, as one-dimensional arrays in the order of their blobs.
        max_rows: The number of readings of a tag that are used; at least 2.

    Returns:
        The pipelines by tag, and the reasons by rejected tag.
    """
    models, rejected = {}, {}
    for tag, numbers in sorted(values.items()):
        try:
            models[tag] = _fit_pipeline(tag, subsample(numbers, max_rows))
        except TagRejected as rejection:
            rejected[tag] = str(rejection)
    return models, rejected


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


def _fit_pipeline(tag: str, numbers: np.ndarray) -> Any:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415  a second of imports that --help does not need
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415  as above
    from sklearn.svm import OneClassSVM  # noqa: PLC0415  as above

    if tag == RESERVED_TAG or not tag.isprintable() or len(tag) > MAX_TAG_CHARS:
        raise TagRejected(f"a tag must have 1 to {MAX_TAG_CHARS} printable characters and must not be {RESERVED_TAG!r}")
    if len(numbers) < MIN_ROWS:
        raise TagRejected(f"it has {len(numbers)} usable readings; {MIN_ROWS} are needed")
    scaler = StandardScaler().fit(numbers.reshape(-1, 1))
    # For a column that is constant except for rounding, StandardScaler sets a scale of 1 that is not the deviation.
    if numbers.min() == numbers.max() or scaler.scale_[0] != np.sqrt(scaler.var_[0]):
        raise TagRejected(
            f"all {len(numbers):,} readings are {numbers[0]:g}; its model would predict every reading as an anomaly"
        )
    classifier = OneClassSVM(nu=NU, kernel="rbf", gamma=GAMMA, tol=TOLERANCE)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", classifier)]).fit(numbers.reshape(-1, 1))
    anomalous = np.mean(pipeline.predict(numbers.reshape(-1, 1)) == -1)
    if anomalous > MAX_ANOMALY_SHARE:
        raise TagRejected(f"its model would predict {anomalous:.0%} of the readings it was trained on as anomalies")
    return pipeline


def encode_bundle(models: Mapping[str, Any]) -> bytes:
    """Return the content of a bundle: a joblib file that holds a dict from tag to pipeline."""
    import joblib  # noqa: PLC0415  as above

    file = io.BytesIO()
    joblib.dump(dict(models), file)
    return file.getvalue()
