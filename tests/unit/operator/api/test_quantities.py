import pytest

from scoring_operator.api.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("1", 1), (2, 2), ("1Gi", 2**30), ("1G", 10**9), ("1.5Ki", 1536), ("1e3", 1000), ("100n", 1e-7)],
)
def test_quantity_is_a_number(text: str | int, value: float) -> None:
    assert float(parse_quantity(text)) == value


@pytest.mark.parametrize("text", ["", "much", "1Xi", "-1", "1.2.3", "1E9999999"])
def test_invalid_quantity_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must be a quantity"):
        parse_quantity(text)
