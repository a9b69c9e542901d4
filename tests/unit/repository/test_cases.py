"""docs/development/cases.md names tests that exist."""

import re

import pytest
from hack.charts import ROOT

PAGE = ROOT / "docs" / "development" / "cases.md"
ROWS = re.findall(r"^\| (?!case \||---)(.*?) \| .*? \| (.*) \|$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("case", "cell"), ROWS, ids=[case for case, _ in ROWS])
def test_case_has_tests_that_exist(case: str, cell: str) -> None:
    tests = re.findall(r"\[(test_\w+)\]\(([^)]+)\)", cell)
    assert tests, case
    for name, file in tests:
        assert re.search(rf"^(async )?def {name}\(", (PAGE.parent / file).read_text(), re.MULTILINE), name
