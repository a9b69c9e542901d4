"""Which test shows that a field of a ScoringRun's spec works: the mark `field`.

@pytest.mark.field("spec.parallelism")    the test changes the field and sees the outcome change on a real API server

docs/scoringrun.md lists them (`make generate`). A session over all tests fails if a field has no such test that passed.
"""

import ast
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds" / "fleetscore.dev_scoringruns.yaml"
TESTS = ROOT / "tests"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "field(*paths): the fields of spec that the test changes to see another outcome")


def spec_fields() -> list[str]:
    """The fields of spec that hold a value, by the CRD's schema, such as spec.window.start."""
    crd = yaml.safe_load(CRD.read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return list(_values(schema["properties"]["spec"], "spec"))


def _values(node: Mapping[str, Any], path: str) -> Iterator[str]:
    if "properties" not in node:
        yield path
    for key, value in node.get("properties", {}).items():
        yield from _values(value, f"{path}.{key}")


def marked_tests() -> dict[str, list[tuple[Path, str]]]:
    """File and name of the tests that are marked with each field, as they are written."""
    found: dict[str, list[tuple[Path, str]]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for field in _marks(node):
                    found.setdefault(field, []).append((file.relative_to(ROOT), node.name))
    return found


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """The fields in the marks of a test, those of its parameters included."""
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.field":
                yield from (ast.literal_eval(argument) for argument in node.args)


def tests_table() -> str:
    """The table field -> tests in Markdown."""
    marked = marked_tests()
    rows = []
    for field in spec_fields():
        tests = (f"[{name}](../{file})" for file, name in marked.get(field, ()))
        rows.append(f"| `{field.removeprefix('spec.')}` | {'<br>'.join(tests)} |\n")
    return "| field | tests |\n|---|---|\n" + "".join(rows)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        fields = [str(path) for mark in item.iter_markers("field") for path in mark.args]
        report.user_properties += [("field", field) for field in fields]
    return report


class Unproved:
    """Watches a session over all tests for fields without a test that passed."""

    def __init__(self) -> None:
        self.fields = set(spec_fields())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.fields -= {str(value) for key, value in report.user_properties if key == "field"}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.fields and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for field in sorted(self.fields):
            terminalreporter.write_line(f"FAILED no test that passed is marked with field {field!r}", red=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and not config.option.markexpr and not config.option.keyword and not config.option.collectonly:
        config.pluginmanager.register(Unproved())
