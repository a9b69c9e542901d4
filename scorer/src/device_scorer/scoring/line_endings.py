"""The ends of the lines of predictions: label and score as text."""

from collections.abc import Sequence
from math import isfinite

from device_scorer.models.one_class_svm import SCORE_DECIMALS

LEAST_NEGATIVE_SCORE = f"-0.{'0' * SCORE_DECIMALS}1"
"""The printed score of an anomaly whose score rounds to zero, so that it is negative in print."""

_ROUNDED = 10.0**-SCORE_DECIMALS
_INFINITY = float("inf")
_ENDINGS = [f",{label},%.{SCORE_DECIMALS}f\n" for label in (0, 1)]


def format_endings(labels: Sequence[int], scores: Sequence[float] | None) -> list[str]:
    """Return the ends of lines: the label, and the score with SCORE_DECIMALS decimals.

    Both engines agree on that number of decimals. The sign of the score agrees with the label: the score of an anomaly
    is negative, the score of a normal reading is not. A score that is not finite is left out.

    Args:
        labels: The labels, 1 for an anomaly.
        scores: The score of each label; None if the model has none.
    """
    if scores is None:
        return [f",{label},\n" for label in labels]
    return [
        _ENDINGS[label] % score
        if (-_INFINITY < score <= -_ROUNDED if label else 0 < score < _INFINITY)
        else f",{label},{_format_unusual(label, score)}\n"
        for label, score in zip(labels, scores, strict=True)
    ]


def _format_unusual(label: int, score: float) -> str:
    """Return a score that is near zero, contradicts its label, or is not finite."""
    if not isfinite(score):
        return ""
    text = f"{score:.{SCORE_DECIMALS}f}"
    if label:
        return text if float(text) < 0 else LEAST_NEGATIVE_SCORE
    return text.removeprefix("-") if float(text) == 0 else f"{0:.{SCORE_DECIMALS}f}"
