"""The tests that the marks of tests are read from; tests/unit/repository compares the marks with the ids."""

from pathlib import Path

import pytest
from hack import traceability

TESTS = """
TRIALS = [pytest.param(1, marks=pytest.mark.fault("F3"))]

@pytest.mark.fault("F1", "F2")
def test_one(): ...

@pytest.mark.parametrize("trial", TRIALS)
async def test_two(trial): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.fault("F1")), 2])
def test_three(x): ...

def test_without_a_mark(): ...
"""


def test_marks_of_tests_parameters_and_lists_of_parameters_are_read(tmp_path: Path) -> None:
    folder, file = tmp_path / "tests", Path("tests/test_a.py")
    folder.mkdir()
    (folder / "test_a.py").write_text(TESTS)
    assert traceability.marked_tests("fault", folder) == {
        "F1": [(file, "test_one"), (file, "test_three")],
        "F2": [(file, "test_one")],
        "F3": [(file, "test_two")],
    }
    assert traceability.marked_tests("value", folder) == {}


def test_tests_of_an_id_are_links_in_one_cell() -> None:
    tests = [(Path("tests/a.py"), "test_one"), (Path("tests/b.py"), "test_two")]
    assert traceability.links(tests) == "[test_one](../../tests/a.py)<br>[test_two](../../tests/b.py)"


def test_fields_of_a_run_are_those_that_hold_a_value() -> None:
    fields = traceability.spec_fields()
    assert {"spec.window.start", "spec.parallelism", "spec.devices.ids"} <= set(fields)
    assert "spec.window" not in fields
    assert len(fields) == len(set(fields))


def test_values_of_the_chart_are_those_without_further_values() -> None:
    values = traceability.chart_values()
    assert {"operator.replicas", "fleets[].storage.accountUrl", "operator.resources"} <= set(values)
    assert "operator" not in values
    assert not any(value.startswith(("global", "operator.resources.")) for value in values)


@pytest.mark.parametrize(
    ("name", "long", "shown"),
    [
        ("tests/a.py::test_one", True, "3 kills"),
        ("tests/a.py::test_one", False, "*3 kills*"),
        ("tests/a.py::test_one[packed]", True, "packed: 3 kills"),
    ],
)
def test_measurement_of_the_short_form_is_in_italics(
    name: str,
    long: bool,  # noqa: FBT001  a table's column
    shown: str,
) -> None:
    assert traceability._measured(name, {"figure": "3 kills", "long": long}) == shown


def test_rights_have_one_row_for_an_account_and_a_resource() -> None:
    rows = traceability.rights().splitlines()[2:]
    keys = [tuple(row.split(" | ")[:2]) for row in rows]
    assert len(keys) == len(set(keys))
    (jobs,) = [row for row in rows if row.startswith("| console | `jobs.batch` |")]
    assert jobs == "| console | `jobs.batch` | list | *list*: show the Jobs of a run |"
