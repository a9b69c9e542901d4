"""YAML documents of ConfigMaps, which other clients can write."""

import pytest

from fleetscore.contract.documents import parse_yaml
from fleetscore.errors import DataInvalid
from tests.testkit.texts_of_helm import NUMBERS_OF_HELM, TEXTS_OF_HELM

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


@pytest.mark.parametrize("text", ["a: [", "- [" * 2000, "a\0b"], ids=["open", "deep", "nul"])
def test_damaged_document_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(DataInvalid, match=r"^the file is invalid: [^\n]*; `helm upgrade` writes it again$"):
        parse_yaml(text, "the file")


def test_document_within_the_limits_is_parsed() -> None:
    assert parse_yaml("a: [1]", "the file") == {"a": [1]}


@pytest.mark.parametrize("text", TEXTS_OF_HELM)
def test_text_that_helm_writes_without_quotes_stays_a_text(text: str) -> None:
    assert parse_yaml(f"tags: [{text}]\nvalue: {text}\n", "the file") == {"tags": [text], "value": text}


@pytest.mark.parametrize(("text", "number"), NUMBERS_OF_HELM.items())
def test_number_is_read_as_helm_writes_it(text: str, number: float) -> None:
    assert parse_yaml(f"badValues: [{text}]", "the file") == {"badValues": [number]}
