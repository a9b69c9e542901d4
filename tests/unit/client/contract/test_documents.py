"""YAML documents of ConfigMaps, which other clients can write."""

import pytest

from fleetscore.contract.documents import parse_yaml
from fleetscore.errors import DataInvalid


@pytest.mark.parametrize("text", ["a: [", "- [" * 2000, "x: 2024-99-99", "a\0b"], ids=["open", "deep", "date", "nul"])
def test_damaged_document_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(DataInvalid, match=r"^the file is invalid: [^\n]*; `helm upgrade` writes it again$"):
        parse_yaml(text, "the file")


def test_document_is_parsed() -> None:
    assert parse_yaml("a: [1]", "the file") == {"a": [1]}
