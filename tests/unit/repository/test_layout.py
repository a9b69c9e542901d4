"""The tests mirror the sources, and test folders share code only through tests/testkit."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testkit.paths import ROOT

SOURCES = {
    "operator": ROOT / "operator/src/scoring_operator",
    "scorer": ROOT / "scorer/src/device_scorer",
    "client": ROOT / "client/src/fleetscore",
    "localcluster": ROOT / "localcluster/src/localcluster",
    "demo": ROOT / "demo",
    "hack": ROOT / "hack",
}
# The modules without a test file of their own, with the reason.
UNTESTED = {
    "operator/controller/services.py": "a value without logic",
    "operator/storage/protocol.py": "a Protocol and values without logic",
    "client/errors.py": "classes without logic",
    "client/store/base.py": "a Protocol and values without logic",
    "client/doctor/facts.py": "values without logic",
    "localcluster/errors.py": "classes without logic",
    "demo/errors.py": "a class without logic",
    "demo/target.py": "values without logic",
}
PRODUCTS = ("operator", "scorer", "client", "localcluster", "demo", "hack")


def modules(distribution: str) -> list[str]:
    root = SOURCES[distribution]
    paths = (path.relative_to(root) for path in sorted(root.rglob("*.py")))
    return [f"{distribution}/{path}" for path in paths if path.name not in ("__init__.py", "__main__.py")]


def expected_test_file(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / "unit" / path.with_name(f"test_{path.stem}.py")


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


@pytest.mark.parametrize("distribution", SOURCES)
def test_every_module_has_a_test_file_with_its_name(distribution: str) -> None:
    found = modules(distribution)
    assert found
    assert [module for module in found if not expected_test_file(module).exists() and module not in UNTESTED] == []


def test_listed_exceptions_have_no_test_file() -> None:
    assert [module for module in UNTESTED if expected_test_file(module).exists()] == []
    assert set(UNTESTED) <= {module for distribution in SOURCES for module in modules(distribution)}


def test_listed_exceptions_have_no_branches() -> None:
    branches = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match)
    for module in UNTESTED:
        distribution, _, name = module.partition("/")
        tree = ast.parse((SOURCES[distribution] / name).read_text())
        assert [node.lineno for node in ast.walk(tree) if isinstance(node, branches)] == [], module


def is_allowed(name: str, folder: Path) -> bool:
    """Return True if tests in a folder may import this name: from testkit, the folder or a folder above it."""
    parts = Path(*name.split("."))
    if parts.parts[0] != "tests" or parts.is_relative_to("tests/testkit"):
        return True
    own = [one for one in (folder, *folder.parents) if len(one.parts) > 1]
    return any(parts.is_relative_to(one) for one in own) and not any("test_" in one for one in parts.parts[:-1])


def test_tests_import_only_testkit_and_helpers_of_their_own_folder() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for name in imported_modules(path)
        if not is_allowed(name, path.relative_to(ROOT).parent)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", PRODUCTS)
def test_products_and_scripts_import_no_tests(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    assert [path for path in paths if any(name.split(".")[0] == "tests" for name in imported_modules(path))] == []
