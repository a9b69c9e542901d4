"""YAML documents of ConfigMaps, which other clients can write."""

import pytest

from fleetscore.contract.documents import parse_yaml
from fleetscore.errors import DataInvalid

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(24))
"""A document whose last value has 2**25 items."""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, r"it has an alias \(\*NAME\); write the value in its place"),
        ("a: &a [*a]", "it has an alias"),
        ("a: !!int ''", r"it has a tag \(!NAME\); write the value without it"),
        ("[" + "a," * 50_000 + "a]", "it has more than 50,000 values"),
        ("- " * 200_000, "it is nested in more than 100 levels"),
        ("[" * 200_000, "it is nested in more than 100 levels"),
        ("x" * (2**20 + 1), "it has more than 1,048,576 characters"),
    ],
    ids=["bomb", "loop", "tag", "many", "deep-block", "deep-flow", "long"],
)
def test_document_that_is_costly_to_use_is_rejected(text: str, reason: str) -> None:
    with pytest.raises(DataInvalid, match=rf"^the file is invalid: {reason}.*; `helm upgrade` writes it again$"):
        parse_yaml(text, "the file")


def test_anchor_without_an_alias_is_a_value() -> None:
    assert parse_yaml("a: &x 1", "the file") == {"a": 1}


@pytest.mark.parametrize("text", ["a: [", "- [" * 2000, "x: 2024-99-99", "a\0b"], ids=["open", "deep", "date", "nul"])
def test_damaged_document_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(DataInvalid, match=r"^the file is invalid: [^\n]*; `helm upgrade` writes it again$"):
        parse_yaml(text, "the file")


def test_document_within_the_limits_is_parsed() -> None:
    assert parse_yaml("a: [1]", "the file") == {"a": [1]}
