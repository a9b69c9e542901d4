"""Label and score as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.scoring.line_endings import format_endings


@pytest.mark.parametrize(
    ("label", "score", "ending"),
    [
        (1, -0.25, ",1,-0.250000000\n"),
        (0, 0.5, ",0,0.500000000\n"),
        (1, -1e-9, ",1,-0.000000001\n"),
        (1, -6e-10, ",1,-0.000000001\n"),
        (1, -1e-12, ",1,-0.0000000001\n"),
        (1, 0.0, ",1,-0.0000000001\n"),
        (1, 0.5, ",1,-0.0000000001\n"),
        (0, 1e-12, ",0,0.000000000\n"),
        (0, -0.0, ",0,0.000000000\n"),
        (0, -1e-12, ",0,0.000000000\n"),
        (0, -0.5, ",0,0.000000000\n"),
        (1, float("nan"), ",1,\n"),
        (1, float("-inf"), ",1,\n"),
        (0, float("inf"), ",0,\n"),
    ],
)
def test_printed_score_has_nine_decimals_and_the_sign_of_its_label(label: int, score: float, ending: str) -> None:
    assert format_endings([label], [score]) == [ending]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(allow_nan=False, allow_infinity=False)), max_size=20))
def test_sign_of_a_printed_score_always_agrees_with_its_label(pairs: list[tuple[int, float]]) -> None:
    endings = format_endings([label for label, _ in pairs], [score for _, score in pairs])
    for (label, score), ending in zip(pairs, endings, strict=True):
        _, shown, text = ending[:-1].split(",")
        assert shown == str(label)
        assert (float(text) < 0) == bool(label)
        assert "-" not in text or label
        if (score < 0) == bool(label):
            assert abs(float(text) - score) <= 1e-9 * max(1, abs(score))


def test_model_without_scores_has_endings_without_scores() -> None:
    assert format_endings([1, 0], None) == [",1,\n", ",0,\n"]
