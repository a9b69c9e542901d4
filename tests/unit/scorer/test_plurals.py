"""Tests of numbers with their nouns."""

import pytest

from device_scorer.plurals import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 anomalies"), (1, "1 anomaly"), (2, "2 anomalies"), (1000, "1,000 anomalies")]
)
def test_number_of_things_has_the_form_of_its_noun(count: int, text: str) -> None:
    assert counted(count, "anomaly", "anomalies") == text
