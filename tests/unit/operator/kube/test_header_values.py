"""Values of HTTP headers."""

import pytest

from scoring_operator.kube.header_values import is_header_value


@pytest.mark.parametrize(
    ("value", "valid"), [("a token", True), ("", True), ("a\nb", False), ("a\x7f", False), ("ключ", False)]
)
def test_value_of_a_header_has_only_printable_ascii(value: str, *, valid: bool) -> None:
    assert is_header_value(value) is valid
