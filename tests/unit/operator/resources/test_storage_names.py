import pytest

from scoring_operator.resources.storage_names import invalid_names_text


@pytest.mark.parametrize(
    ("name", "next_step"),
    [
        ("press#1.joblib", "a # in an id is written %23"),
        ("20240101T0000Z/press:1.csv", "a : in an id is written %3A"),
        ("press%2g1.joblib", "an id is percent-encoded as UTF-8 with upper-case digits, such as %23 for #"),
        ("press 1.joblib", "check the paths of the fleet"),
        ("README.md", "check the paths of the fleet"),
    ],
)
def test_text_about_an_invalid_name_has_the_next_step(name: str, next_step: str) -> None:
    assert invalid_names_text(1, [name]) == f"1 blob name that denotes no device: {name!r}; {next_step}"


def test_text_about_many_invalid_names_has_two_short_ones() -> None:
    text = invalid_names_text(1000, [f"{n}{'x' * 900}" for n in range(20)])
    assert text.startswith("1000 blob names that denote no device: '0x")
    assert [len(name) for name in text.split("'")[1::2]] == [120, 120]
