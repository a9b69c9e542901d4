"""Fit one anomaly model per tag and write them as one bundle."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

NU, GAMMA = 0.0001, 0.01
# The solver's default of 0.001 is coarser than the whole decision function of a few hundred readings with this nu: it
# would stop at the first one and call all others anomalies. A finer one costs nothing and changes no larger model.
TOLERANCE = 1e-6
MIN_ROWS = 10
MAX_ANOMALY_SHARE = (
    0.05  # the ends of the interval are anomalous or not by rounding alone; a two-valued tag has no more
)
MAX_ROWS = 100_000
RESERVED_TAG = "_meta"


class TagRejected(Exception):  # noqa: N818 (a verdict about a tag's readings, not an error of the program)
    """No model can be trained on these values; the text says why."""


def fit(values: Mapping[str, np.ndarray], *, max_rows: int = MAX_ROWS) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit a pipeline per tag.

    Args:
        values: usable readings by tag, in the order of their blobs.
        max_rows: how many of a tag's readings are used at most; at least 2.

    Returns:
        Pipelines by tag, and why by refused tag.
    """
    models, rejected = {}, {}
    for tag, numbers in sorted(values.items()):
        try:
            models[tag] = _pipeline(tag, subsample(numbers, max_rows))
        except TagRejected as rejection:
            rejected[tag] = str(rejection)
    return models, rejected


def subsample(numbers: np.ndarray, max_count: int) -> np.ndarray:
    """At most `most` of the numbers, in their order: evenly spread ones, always the smallest and the largest."""
    if len(numbers) <= max_count:
        return numbers
    extremes = {int(numbers.argmin()), int(numbers.argmax())}
    spread = np.linspace(0, len(numbers) - 1, max_count - len(extremes)).round().astype(int)
    return numbers[sorted(extremes.union(spread.tolist()))]


def _pipeline(tag: str, numbers: np.ndarray) -> Any:
    from sklearn.pipeline import Pipeline  # noqa: PLC0415 (a second of imports that --help need not pay)
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 (as above)
    from sklearn.svm import OneClassSVM  # noqa: PLC0415 (as above)

    if tag == RESERVED_TAG or not tag.isprintable() or len(tag) > 256:
        raise TagRejected("a tag has 1 to 256 printable characters and is not '_meta'")
    if len(numbers) < MIN_ROWS:
        raise TagRejected(f"{len(numbers)} usable readings, {MIN_ROWS} are needed")
    scaler = StandardScaler().fit(numbers.reshape(-1, 1))
    # Where a column is constant but for rounding, StandardScaler leaves it unscaled: a scale of 1 for another variance.
    if numbers.min() == numbers.max() or scaler.scale_[0] != np.sqrt(scaler.var_[0]):
        raise TagRejected(
            f"all {len(numbers):,} readings are {numbers[0]:g}: its model would call everything an anomaly"
        )
    classifier = OneClassSVM(nu=NU, kernel="rbf", gamma=GAMMA, tol=TOLERANCE)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", classifier)]).fit(numbers.reshape(-1, 1))
    anomalous = np.mean(pipeline.predict(numbers.reshape(-1, 1)) == -1)
    if anomalous > MAX_ANOMALY_SHARE:
        raise TagRejected(f"its model would call {anomalous:.0%} of the readings it was trained on anomalies")
    return pipeline


def encode_bundle(models: Mapping[str, Any]) -> bytes:
    """The bundle's file: joblib's, of a dict tag -> pipeline."""
    import joblib  # noqa: PLC0415 (as above)

    file = io.BytesIO()
    joblib.dump(dict(models), file)
    return file.getvalue()
