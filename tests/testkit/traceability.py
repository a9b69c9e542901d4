"""Which test shows what: marks of tests, the tables made of them, and the check that none of their lines is unproved.

@pytest.mark.field("spec.parallelism")    the test changes the field and sees another outcome on a real API server
@pytest.mark.fault("F7", "T3", "D1")      the test stands for these faults, threats and inputs of hazards.py
@pytest.mark.value("operator.replicas")   the test sets the chart's value and sees another outcome

A mark stands over a test, in its parameters, or in a list of the module that its decorators name; its arguments are
literals. The documents list them (`make generate`); a session over all tests fails if one of SHOWN has no test that
passed.
"""

import ast
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.testkit.chart_values import chart_values
from tests.testkit.hazards import hazards
from tests.testkit.paths import ROOT
from tests.testkit.spec_fields import spec_fields

TESTS = ROOT / "tests"
# Every mark, and what has to be shown by tests that carry it.
SHOWN: dict[str, Callable[[], Collection[str]]] = {"field": spec_fields, "fault": hazards, "value": chart_values}
MARKS = {
    "field": "fields of spec that the test changes",
    "fault": "faults, threats and inputs that it stands for",
    "value": "values of the chart that the test sets",
}


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}(*ids): {meaning}; see tests/testkit/traceability.py")


def marked_tests(mark: str) -> dict[str, list[tuple[Path, str]]]:
    """File and name of the tests that are marked with each id, as they are written."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        if f"mark.{mark}(" not in (source := file.read_text()):
            continue
        module = ast.parse(source)
        lists = {
            target.id: node.value
            for node in module.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for one in dict.fromkeys(_marks(node, mark, lists)):
                    found.setdefault(one, []).append((file.relative_to(ROOT), node.name))
    return found


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef, mark: str, lists: Mapping[str, ast.expr]) -> Iterator[str]:
    """The arguments of a test's marks, those of its parameters included."""
    for decorator in function.decorator_list:
        named = [lists[node.id] for node in ast.walk(decorator) if isinstance(node, ast.Name) and node.id in lists]
        for tree in (decorator, *named):
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{mark}":
                    yield from (ast.literal_eval(argument) for argument in node.args)


def links(tests: Collection[tuple[Path, str]]) -> str:
    """The tests as one cell of a table in docs/."""
    return "<br>".join(f"[{name}](../../{file})" for file, name in tests)


def fields_table() -> str:
    """The table field -> tests in Markdown."""
    marked = marked_tests("field")
    rows = (f"| `{field.removeprefix('spec.')}` | {links(marked.get(field, ()))} |\n" for field in spec_fields())
    return "| field | tests |\n|---|---|\n" + "".join(rows)


def ids_of(item: pytest.Item, mark: str) -> list[str]:
    """The arguments of all marks of that name that a test carries."""
    return [str(one) for found in item.iter_markers(mark) for one in found.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        report.user_properties += [(mark, ids_of(item, mark)) for mark in MARKS]
    return report


class Unproved:
    """Watches a session over all tests for what none that passed has shown."""

    def __init__(self) -> None:
        self.left = {mark: set(ids()) for mark, ids in SHOWN.items()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            for mark, ids in report.user_properties:
                if mark in self.left and isinstance(ids, list):
                    self.left[mark].difference_update(ids)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if any(self.left.values()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for mark, left in self.left.items():
            for one in sorted(left):
                terminalreporter.write_line(f"FAILED no test that passed is marked with {mark} {one!r}", red=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and not config.option.markexpr and not config.option.keyword and not config.option.collectonly:
        config.pluginmanager.register(Unproved())
